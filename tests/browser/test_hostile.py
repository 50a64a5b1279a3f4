"""Names, titles, logs and words that want to be more than text: every page shows them as text, in a real browser."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any
from xml.dom import minidom

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.utils import timezone

from hud import break_actions
from hud.models import Break, JobLog, PullHead, PullRequest, Repository
from project import audit, outbox
from project.accounts import roles
from project.accounts.models import User
from tests.hud import worlds as w
from tests.hud.test_log_views import failed_job

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

EVIL = (
    '"><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7'
    "}}\u202e\u200b' onmouseover=alert(1) x='</title></pre>"
)
LONG = EVIL + "W" * 380
BASE = "/hud/grove/orchard"


@pytest.fixture
def evil(transactional_db: None, redis_server: Any) -> Repository:
    import project.celery  # noqa: F401 - so that tasks know their broker

    return _build()


@transaction.atomic
def _build() -> Repository:
    repository = w.repository()
    commits = [replace(w.commit(n, LONG, author=EVIL[:90]), author_name=LONG) for n in range(6)]
    w.store(repository, *commits, w.branch(5), w.branch(5, "b/" + EVIL[:100]))
    url = "javascript:alert(1)"
    for id, (of, conclusion) in enumerate([(0, "success"), (1, "failure"), (2, "failure"), (3, "failure")], start=1):
        run = replace(w.workflow_run(1000 + id, conclusion, of=of, name=LONG), actor=EVIL[:90], html_url=url)
        one = w.job(id, LONG, conclusion, of=of, run=1000 + id, workflow=LONG, runner=EVIL)
        w.store(
            repository,
            run,
            replace(one, html_url=url),
            w.check_run(50 + id, LONG, "failure", of=of, app=EVIL[:80], url=url),
        )
        w.store(repository, w.status(70 + id, "failure", of=of, context=LONG, url=url))
    log = failed_job(
        repository, 7, EVIL, f"FAILED test_a.py::{EVIL} - AssertionError: {LONG}", "\x1b[31m" + EVIL, "W" * 9000, of=3
    )
    pull = PullRequest.objects.create(
        repository=repository,
        number=7,
        title=LONG,
        author=EVIL[:90],
        head_sha=w.sha(3),
        head_ref=LONG,
        base_ref=LONG,
        labels=[EVIL, LONG],
        problem=EVIL,
        asked_at=timezone.now(),
        updated_at=timezone.now(),
        created_at=timezone.now(),
        read_at=timezone.now(),
    )
    PullHead.objects.create(
        pull=pull,
        sha=w.sha(3),
        place=1,
        merge_base=w.sha(1),
        problem=EVIL,
        pushed_at=timezone.now(),
        read_at=timezone.now(),
    )
    who = User.objects.create(username=EVIL[:100])
    roles.grant(who, roles.Role.ADMIN, by=None)
    write = outbox.queue(
        kind="comment", key="one", repository="grove/orchard", payload={"number": 7, "body": EVIL}, by=who, subject=EVIL
    )
    outbox.Write.objects.filter(pk=write.pk).update(
        state="failed", problem=LONG, result={"url": url}, by_login=EVIL[:100]
    )
    for text in ("=cmd|' /C calc'!A0", EVIL, LONG, "@SUM(1)", "+1", "-1", "\t=1"):
        audit.record(
            by=who, action="break.note", target=text[:200], repository="grove/orchard", why=text, detail={text: text}
        )
    for one in Break.objects.all():
        break_actions.acknowledge(one=one, by=who)
        break_actions.write_note(one=one, note=LONG * 20, by=who)
        break_actions.dismiss(one=one, why=LONG, by=who)
        break_actions.reopen(one=one, by=who)
        assert not break_actions.link_issue(one=one, url=url, by=who).done
        break_actions.link_issue(one=one, url="https://x/" + EVIL, by=who)
    JobLog.objects.filter(pk=log.pk).update(problem=EVIL)
    assert Break.objects.exists()
    return repository


def addresses() -> list[str]:
    number = Break.objects.latest("pk").number
    key = JobLog.objects.exclude(key="").latest("pk").key
    cell = f"{BASE}/cell/{w.sha(2)}/0"
    return [
        "/",
        f"{BASE}/main",
        f"{BASE}/main?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&author=%22onload=",
        f"{BASE}/commit/{w.sha(2)}",
        f"{BASE}/commit/{w.sha(3)}",
        cell,
        f"{BASE}/breaks",
        f"{BASE}/break/{number}",
        f"{BASE}/break/{number}?act=note",
        f"{BASE}/break/{number}/revert?classification=weird&why=%3Cscript%3Ealert(1)%3C/script%3E+it+broke",
        f"{BASE}/column/0",
        f"{BASE}/pull/7",
        f"{BASE}/job/7",
        f"{BASE}/job/7?q=%3Cscript%3E",
        f"{BASE}/failure/{key}",
        f"{BASE}/metrics",
        f"{BASE}/last-good",
        f"{BASE}/last-good.svg",
        f"{BASE}/go?to=%3Cscript%3Ealert(1)%3C/script%3E",
        "/writes",
        f"/writes/{outbox.Write.objects.latest('pk').pk}",
        "/audit",
        "/audit?person=%3Cscript%3E",
        "/status",
        "/accounts/login/?next=javascript:alert(1)",
        "/admin/hud/repository/",
        "/admin/hud/alert/",
        "/admin/accounts/user/",
    ]


LOOK = """() => ({
    handlers: [...document.querySelectorAll('*')]
        .filter(one => [...one.attributes].some(a => /^on/i.test(a.name))).length,
    scripts: [...document.scripts].filter(one => one.textContent.includes('alert')).length,
    images: document.querySelectorAll('img[src="x"]').length,
    links: [...document.querySelectorAll('a[href], form[action]')]
        .map(one => one.href?.baseVal ?? one.href ?? one.action)
        .filter(url => typeof url == 'string' && !/^(https?:|\\/(?!\\/))/.test(url)).join(' '),
    sideways: document.documentElement.scrollWidth <= innerWidth ? "" :
        [...document.querySelectorAll('body *')].filter(one => {
        if (one.getBoundingClientRect().right <= innerWidth + 1) return false;
        for (let up = one.parentElement; up && up != document.body; up = up.parentElement)
            if (getComputedStyle(up).overflowX != 'visible') return false;
        return true;
    }).slice(0, 9).map(one => one.parentElement.className + ' > ' + one.tagName + '.' + one.className).join(', '),
})"""


def test_no_page_runs_or_breaks(evil: Repository, live_server: Any, page: Any) -> None:
    boss = User.objects.get()
    client = Client()
    client.force_login(boss)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
    page.expected_problems = ["responded with a status of 404", "responded with a status of 422"]
    page.set_viewport_size({"width": 390, "height": 844})
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    wrong = {}
    for address in addresses():
        answer = page.goto(live_server.url + address, wait_until="load")
        assert answer.status < 500, address
        found = {key: value for key, value in page.evaluate(LOOK).items() if value}
        if address.startswith("/admin"):
            found.pop("sideways", None)  # Django's own pages
        if found:
            wrong[address] = found
    assert not dialogs
    assert not wrong, "\n".join(f"{address}: {found}" for address, found in wrong.items())


def test_what_is_not_a_page_is_well_formed(evil: Repository, client: Client) -> None:
    client.force_login(User.objects.get())
    minidom.parseString(client.get(f"{BASE}/last-good.svg").content)
    rows = list(csv.reader(io.StringIO(b"".join(client.get("/audit.csv")).decode())))
    assert len(rows) > 7
    cells = [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert not cells
    for address in ("/api/v1/repositories/grove/orchard/breaks", "/api/hud/grove/orchard/main/1", "/metrics"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "html" not in answer["Content-Type"]
