"""Makes breaks and their signals for tests, as the engine would have written them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import factory
from django.utils import timezone

from hud import models
from hud.models import BranchCommit, Break, BreakSignal, Configuration, Repository, Signal
from tests.factories.hud import RepositoryFactory


class BreakFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = models.Break

    repository = factory.SubFactory(RepositoryFactory)
    number = factory.Sequence(lambda number: number + 1)
    title = factory.LazyAttribute(lambda made: f"config{made.number} fails")
    decision = "wait"
    code = "too_few_failures"
    broke_at = factory.LazyFunction(lambda: timezone.now() - timedelta(minutes=111))
    noticed_at = factory.LazyAttribute(lambda made: made.broke_at + timedelta(minutes=1))


def broken(
    repository: Repository,
    slots: list[int],
    *,
    suspect: int | None,
    newest: int,
    oldest: int | None = None,
    test: str = "",
    **fields: Any,
) -> Break:
    """An open break that has turned these slots red, from the commit at place `suspect` up to that at `newest`.
    `oldest`: the oldest place that may be to blame."""
    places = BranchCommit.objects.filter(branch__repository=repository, branch__name="main").select_related("commit")
    by_place = {one.position: one.commit for one in places}
    guilty = by_place.get(suspect) if suspect is not None else None
    number = 1 + max(Break.objects.filter(repository=repository).values_list("number", flat=True), default=0)
    fields.setdefault("decision", "wait")
    fields.setdefault("code", "too_few_failures")
    failures = fields.pop("failures", 2)
    lack = {
        "code": "failures", "what": f"{failures} of 3 failures", "settled_by": "another failure of the suspect",
        "restart": [guilty.sha] if guilty else [],
    }  # fmt: skip
    missing = fields.pop("missing", [lack] if failures < 3 else [])
    words = fields.pop("words", f"Not enough evidence against {guilty.sha[:7]} yet." if guilty else "")
    oldest = suspect if oldest is None else oldest
    made = BreakFactory(
        repository=repository, number=fields.pop("number", number), suspect=guilty, suspect_at=suspect,
        range_from=oldest, failing_to=newest, **fields,
    )  # fmt: skip
    shas = {place: commit.sha for place, commit in by_place.items()}

    def side(low: int, high: int) -> list[str]:
        return [shas[place] for place in range(high, low - 1, -1) if place in shas]

    red = suspect is not None
    for slot in slots:
        configuration = Configuration.objects.get(repository=repository, slot=slot)
        Signal.objects.create(
            repository=repository,
            configuration=configuration,
            test=test,
            decision=made.decision,
            code=made.code,
            red=True,
            suspect=guilty.sha if guilty else "",
            suspect_at=suspect,
            range_from=oldest,
            failing_to=newest,
            culprit=guilty.sha if guilty and made.decision == "revert" else "",
            failures=failures,
            restart=[sha for one in missing for sha in one["restart"]],
            broke_at=made.broke_at,
            judged_at=timezone.now(),
            evidence={
                "words": words,
                "failing": side(suspect, newest) if red else [],
                "gap": side(oldest, suspect - 1) if red else [],
                "green": side(oldest - 4, oldest - 1) if red else [],
                "failures": failures,
                "successes": 4,
                "missing": missing,
            },
        )
        BreakSignal.objects.create(
            broken=made,
            configuration=configuration,
            test=test,
            joined_at=made.noticed_at,
            suspect_at=suspect,
            range_from=oldest,
            failing_to=newest,
        )
    return made


def closed(repository: Repository, *, ago: timedelta = timedelta(hours=2), took: float = 90, **fields: Any) -> Break:
    """A break that is over: green after `took` minutes, `ago`."""
    at = timezone.now() - ago
    number = 1 + max(Break.objects.filter(repository=repository).values_list("number", flat=True), default=0)
    made: Break = BreakFactory(
        **{
            "repository": repository, "number": number, "state": "fixed", "decision": "none",
            "code": "recovered_at_head", "broke_at": at - timedelta(minutes=took), "green_at": at, "closed_at": at,
            **fields,
        }
    )  # fmt: skip
    return made
