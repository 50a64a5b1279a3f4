"""A trunk to look at: groups, configurations and fifty commits as on the design's reference screen, or a thousand
columns."""

from __future__ import annotations

import random
from datetime import timedelta

from django.utils import timezone

from hud.cells import Outcome, RunKind
from hud.models import (
    Branch,
    BranchCommit,
    Commit,
    CommitCells,
    Configuration,
    JobName,
    Repository,
    Run,
    SyncKind,
    SyncState,
    WorkflowRun,
)
from project.github.outcomes import Conclusion, Status

GROUPS = [
    ("Lint", 6),
    ("Docs", 3),
    ("Linux py3.10 gcc11", 11),
    ("Linux py3.13 clang18", 8),
    ("Linux py3.14t", 5),
    ("ASan", 6),
    ("Dynamo wrapped", 9),
    ("ONNX", 2),
    ("CUDA 12.8 build", 4),
    ("CUDA 12.8 sm86", 11),
    ("CUDA 12.8 sm90", 4),
    ("CUDA 13.0 sm100", 6),
    ("Inductor CPU", 7),
    ("Inductor CUDA", 9),
    ("Inductor benchmarks", 12),
    ("Distributed CUDA", 6),
    ("ROCm gfx942", 8),
    ("XPU", 6),
    ("macOS arm64 MPS", 5),
    ("Windows CPU", 5),
    ("Windows CUDA", 4),
    ("Linux aarch64", 9),
    ("Android + ExecuTorch", 2),
    ("LibTorch", 4),
    ("Wheels Linux", 18),
    ("Wheels macOS", 8),
    ("Wheels Windows", 14),
    ("Slow tests", 7),
    ("vLLM nightly pin", 3),
    ("Docker images", 5),
    ("Unstable", 6),
]
SM86 = (
    "default 1/5",
    "default 2/5",
    "default 3/5",
    "default 4/5",
    "default 5/5",
    "distributed 1/3",
    "distributed 2/3",
    "distributed 3/3",
    "inductor 1/2",
    "inductor 2/2",
    "nogpu AVX512",
)
TITLES = (
    "[export] Preserve symbolic guards when re-tracing unbacked inputs",
    "[MPS] Add int64 atomics path for scatter_reduce",
    "[c10d] Time out store.wait per key instead of per call",
    "Fix shape in docstring of scaled_dot_product_attention",
    "[dynamo] Guard on type(self) for subclassed nn.Module",
    "[inductor] Fuse split-K epilogue into the mm template for fp16",
    "[CI] Move Windows builds to sccache 0.10.3",
    "[ATen] Vectorize exp_ for bfloat16 on AVX512",
    "[DTensor] Sharding rule for index_put_ on Shard(0)",
    'Revert "[profiler] Drop per-thread lock in record_function"',
    "[onnx] Export aten::grid_sample with opset 20",
    "[profiler] Drop per-thread lock in record_function",
    "[xpu] Update oneDNN commit pin to v3.9.2",
    "Add torch.linalg.vecdot complex gradient tests",
)
AUTHORS = (
    "yusra-m",
    "pbrandt",
    "rtorres",
    "jbeck",
    "lchen-dev",
    "tsuzuki",
    "hweber",
    "devansh-k",
    "saoirse-q",
    "ilyana",
)
AGES = (6, 31, 58, 107, 132, 156, 175, 200, 221, 281)


def seed(name: str = "pytorch", *, commits: int = 60, configurations: int = 0, seed: int = 1) -> Repository:
    """A repository `pytorch/<name>` with trunk `main`. `configurations`: that many in 40 groups, not the reference's
    groups."""
    chance = random.Random(seed)
    repository = Repository.objects.create(
        owner="pytorch",
        name=name,
        html_url=f"https://github.com/pytorch/{name}",
        trunk="main",
        version=1,
        layout_version=1,
    )
    groups = [(f"Platform {n} cuda 12.{n % 9}", configurations // 40) for n in range(40)] if configurations else GROUPS
    made = _configurations(repository, groups)
    branch = Branch.objects.create(repository=repository, name="main", watched=True)
    Branch.objects.create(repository=repository, name="release/2.10", watched=True)
    now = timezone.now()
    rows = [
        Commit(
            repository=repository,
            sha=f"{chance.getrandbits(160):040x}",
            title=TITLES[n % len(TITLES)],
            message=TITLES[n % len(TITLES)] + "\n\nBecause.",
            author_login=AUTHORS[n % len(AUTHORS)],
            committed_at=now - timedelta(minutes=AGES[n] if n < len(AGES) else 281 + (n - 9) * 27),
            pr_number=168455 - n * 13,
        )
        for n in range(commits)
    ]
    Commit.objects.bulk_create(rows)
    broken = {slot for slot, (group, _) in enumerate(made) if group == "CUDA 12.8 sm86" and slot % 2} | {
        slot for slot, (group, _) in enumerate(made) if group == "Inductor CUDA" and slot % 4 == 0
    }
    packed = [
        bytes(_outcome(chance, n, slot, group, broken) for slot, (group, _) in enumerate(made)) for n in range(commits)
    ]
    CommitCells.objects.bulk_create(
        CommitCells(commit=row, cells=cells) for row, cells in zip(rows, packed, strict=True)
    )
    BranchCommit.objects.bulk_create(
        BranchCommit(branch=branch, commit=row, position=commits - n) for n, row in enumerate(rows)
    )
    Branch.objects.filter(pk=branch.pk).update(head_sha=rows[0].sha)
    for kind in (SyncKind.COMMITS, SyncKind.WORKFLOW_RUNS, SyncKind.JOBS):
        SyncState.objects.create(repository=repository, kind=kind, succeeded_at=now - timedelta(seconds=9))
    if not configurations:
        _runs(repository, rows[:30], packed, chance)
    return repository


def _configurations(repository: Repository, groups: list[tuple[str, int]]) -> list[tuple[str, str]]:
    names = [
        (
            group,
            order,
            _job_name(group, n),
        )
        for order, (group, count) in enumerate(groups)
        for n in range(count)
    ]
    Configuration.objects.bulk_create(
        Configuration(
            repository=repository,
            workflow="unstable" if group == "Unstable" else "trunk" if order % 2 else "pull",
            name=name,
            slot=slot,
            group=group,
            group_order=order,
        )
        for slot, (group, order, name) in enumerate(names)
    )
    return [(group, name) for group, _, name in names]


def _job_name(group: str, number: int) -> str:
    config = SM86[number] if group == "CUDA 12.8 sm86" else f"config{number}"
    return f"linux-jammy-{group.lower().replace(' ', '-')} / test ({config})"


def _outcome(chance: random.Random, age: int, slot: int, group: str, broken: set[int]) -> Outcome:
    if group in ("Android + ExecuTorch", "Docker images") and age % 5:
        return Outcome.NONE
    if group in ("CUDA 12.8 sm90", "Slow tests") and chance.random() < 0.4:
        return Outcome.NONE
    if age < 3 and chance.random() < (0.9, 0.6, 0.25)[age]:
        return Outcome.QUEUED if chance.random() < (0.7, 0.5, 0.1)[age] else Outcome.RUNNING
    if slot in broken and 3 <= age <= 5:
        return Outcome.FAILED
    if group == "ROCm gfx942" and 3 < age < 12 and slot % 3 == 0:
        return Outcome.FAILED
    if group in ("Unstable", "vLLM nightly pin") and chance.random() < 0.15:
        return Outcome.TOLERATED
    dice = chance.random()
    return (
        Outcome.FAILED
        if dice < 0.003
        else Outcome.FLAKY
        if dice < 0.008
        else Outcome.CANCELLED
        if dice < 0.011
        else Outcome.OVERDUE
        if dice < 0.012
        else Outcome.TIMED_OUT
        if dice < 0.013
        else Outcome.SKIPPED
        if dice < 0.03
        else Outcome.PASSED
    )


def _runs(repository: Repository, commits: list[Commit], packed: list[bytes], chance: random.Random) -> None:
    configurations = list(Configuration.objects.filter(repository=repository).order_by("slot"))
    shards = [
        JobName(configuration=one, name=one.name.replace(")", f", {shard}, 2, linux.g6.4xlarge.nvidia.gpu)"))
        for one in configurations
        for shard in (1, 2)
    ]
    JobName.objects.bulk_create(shards)
    names: dict[int, list[JobName]] = {}
    for name in shards:
        names.setdefault(name.configuration_id, []).append(name)
    runs, workflow_runs, number = [], [], repository.pk * 1_000_000
    for commit, cells in zip(commits, packed, strict=False):
        number += 1
        workflow_run = number
        started = commit.committed_at + timedelta(minutes=2)
        twice = set()
        for configuration in configurations:
            outcome = Outcome(cells[configuration.slot])
            if outcome in (Outcome.NONE, Outcome.OVERDUE):
                continue
            tries = (
                [(1, Conclusion.FAILURE), (2, Conclusion.SUCCESS)]
                if outcome == Outcome.FLAKY
                else [(1, _conclusion(outcome))]
            )
            if outcome == Outcome.FAILED:
                tries.append((2, Conclusion.FAILURE))
            for attempt, conclusion in tries:
                if attempt == 2:
                    twice.add(configuration.slot)
                for job_name in names[configuration.pk]:
                    number += 1
                    done = outcome not in (Outcome.RUNNING, Outcome.QUEUED)
                    begun = started + timedelta(minutes=60 * (attempt - 1))
                    runs.append(
                        Run(
                            id=RunKind.JOB.run_id(number),
                            commit=commit,
                            configuration=configuration,
                            job_name=job_name,
                            attempt=attempt,
                            workflow_run_id=workflow_run,
                            status=_STATUS.get(outcome, Status.COMPLETED),
                            conclusion=conclusion,
                            queued_at=started,
                            started_at=begun,
                            completed_at=begun + timedelta(seconds=2500 + chance.randrange(600)) if done else None,
                            runner=f"linux.g6.4xlarge-{number % 97}",
                        )
                    )
        workflow_runs.append(
            WorkflowRun(
                id=workflow_run,
                repository=repository,
                commit=commit,
                workflow="trunk",
                event="push",
                attempt=2 if twice else 1,
                status=Status.IN_PROGRESS,
                conclusion=Conclusion.NONE,
                created_at=started,
                updated_at=started,
            )
        )
    WorkflowRun.objects.bulk_create(workflow_runs)
    Run.objects.bulk_create(runs, batch_size=2000)


_STATUS = {Outcome.RUNNING: Status.IN_PROGRESS, Outcome.QUEUED: Status.QUEUED}


def _conclusion(outcome: Outcome) -> Conclusion:
    return {
        Outcome.FAILED: Conclusion.FAILURE,
        Outcome.TIMED_OUT: Conclusion.TIMED_OUT,
        Outcome.TOLERATED: Conclusion.FAILURE,
        Outcome.CANCELLED: Conclusion.CANCELLED,
        Outcome.SKIPPED: Conclusion.SKIPPED,
        Outcome.RUNNING: Conclusion.NONE,
        Outcome.QUEUED: Conclusion.NONE,
    }.get(outcome, Conclusion.SUCCESS)
