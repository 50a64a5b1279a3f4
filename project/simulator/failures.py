"""Ways in which a job fails, and the log that each leaves behind.

A failure is a value: everything that has one cause carries the same failure, so its logs look alike.
"""

from dataclasses import dataclass

from project.simulator.clock import iso
from project.simulator.draws import Draws

_TEST_FILES = (
    "test_ops", "test_autograd", "inductor/test_fusion", "inductor/test_cpu_repro", "dynamo/test_misc", "test_nn",
    "distributed/test_c10d", "distributed/test_fsdp_core", "test_sparse", "test_jit", "test_serialization",
    "functorch/test_vmap", "export/test_export", "test_dataloader", "test_quantization", "profiler/test_profiler",
)  # fmt: skip
_TEST_CLASSES = ("TestCommonCPU", "TestCommonCUDA", "TestViews", "TestFusion", "TestState", "TestCollectives")
_TEST_NAMES = (
    "test_out_variant", "test_strided_input", "test_compare_cpu", "test_backward_twice", "test_dynamic_shapes",
    "test_noncontiguous", "test_empty_batch", "test_pickle_roundtrip", "test_graph_break", "test_all_reduce_coalesced",
)  # fmt: skip
_SOURCES = ("aten/native/Reduce.cpp", "aten/native/Copy.cpp", "csrc/jit/passes/fold.cpp", "c10/core/Stream.cpp")
_SYMBOLS = ("reduce_all_kernel", "copy_strided", "fold_constants", "stream_for_device", "launch_bounds_of")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed. `lines` are what its log says, the most telling first."""

    kind: str  # pytest | compile | lint | oom | timeout | runner_lost | network
    lines: tuple[str, ...]


def draw_test_failure(draws: Draws) -> Failure:
    file, cls, name = draws.pick(_TEST_FILES), draws.pick(_TEST_CLASSES), draws.pick(_TEST_NAMES)
    dtype = draws.pick(("float32", "float64", "bfloat16", "int64"))
    error = draws.pick((
        f"AssertionError: Tensor-likes are not close! Mismatched elements: {draws.whole(1, 90)} / 100",
        "RuntimeError: expected scalar type Float but found Half",
        f"IndexError: index {draws.whole(3, 9)} is out of bounds for dimension 0 with size 3",
        "TypeError: unsupported operand type(s) for +: 'SymInt' and 'NoneType'",
        "AssertionError: False is not true : graph was captured twice",
    ))  # fmt: skip
    return Failure(
        "pytest",
        (
            f"FAILED [{draws.between(0.1, 40):.4f}s] {file}.py::{cls}::{name}_{dtype} - {error}",
            f'  File "/var/lib/jenkins/workspace/test/{file}.py", line {draws.whole(80, 4000)}, in {name}',
            f"E   {error}",
        ),
    )


def draw_compile_failure(draws: Draws) -> Failure:
    source, symbol = draws.pick(_SOURCES), draws.pick(_SYMBOLS)
    where = f"/var/lib/jenkins/workspace/{source}:{draws.whole(20, 900)}:{draws.whole(3, 40)}"
    return Failure(
        "compile",
        (
            f"{where}: error: '{symbol}' was not declared in this scope",
            f"FAILED: caffe/CMakeFiles/core.dir/{source}.o",
            "ninja: build stopped: subcommand failed.",
        ),
    )


def draw_lint_failure(draws: Draws) -> Failure:
    source = draws.pick(_TEST_FILES)
    return Failure(
        "lint",
        (
            f">>> Lint for {source}.py:{draws.whole(1, 900)}: Error (RUFF) F401 `typing.Optional` imported but unused",
            "You can reproduce these results locally by running `make lint`.",
        ),
    )


def draw_flake(draws: Draws) -> Failure:
    """A failure that has nothing to do with the commit."""
    roll = draws.random()
    if roll < 0.45:
        return draw_test_failure(draws)
    if roll < 0.65:
        return Failure(
            "oom",
            (
                "RuntimeError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of "
                f"22.03 GiB of which {draws.whole(90, 900)}.00 MiB is free.",
            ),
        )
    if roll < 0.85:
        host = draws.pick(("mirror.example.org", "packages.example.net", "cache.example.com"))
        return Failure("network", (f"ERROR: Could not connect to {host}: Connection reset by peer (errno 104)",))
    return Failure(
        "runner_lost",
        (
            "The self-hosted runner lost communication with the server. Verify the machine is running and has a "
            "healthy network connection.",
        ),
    )


def draw_known_flake(draws: Draws, workflow: str) -> Failure | None:
    """One of the few tests that fail now and then everywhere, always alike; None means that it is none of them."""
    if not draws.chance(0.7):
        return None
    return draw_test_failure(Draws("known-flake", workflow, draws.whole(1, 3)))


TIMED_OUT = Failure("timeout", ("The action 'Test' has timed out after 180 minutes.",))


def log_text(*, job_name: str, started: int, completed: int, conclusion: str, failure: Failure | None) -> str:
    """The whole log of a finished job, each line with its time, as GitHub's log download has it."""
    draws = Draws("log", job_name, started)
    head = [
        "Current runner version: '2.329.0'",
        "##[group]Runner Image Provisioner",
        f"Prepare all required actions for {job_name}",
        "##[endgroup]",
        "##[group]Run actions/checkout@v4",
        "Syncing repository",
        "##[endgroup]",
        "##[group]Test" if "test" in job_name else "##[group]Build",
    ]
    work = []
    for step in range(draws.whole(60, 140)):
        if "build" in job_name:
            work.append(f"[{step * 37 + 1}/5181] Building CXX object core.dir/{draws.pick(_SOURCES)}.o")
        else:
            file, cls, name = draws.pick(_TEST_FILES), draws.pick(_TEST_CLASSES), draws.pick(_TEST_NAMES)
            work.append(f"{file}.py::{cls}::{name} PASSED [{draws.between(0.01, 3):.4f}s] [{step}%]")
    tail = ["##[endgroup]"]
    if failure is not None:
        detail = list(failure.lines)
        if failure.kind == "pytest":
            # The line that names the test comes in the summary, after the traceback.
            detail = ["=================================== FAILURES ===================================", *detail[1:]]
            detail.append(failure.lines[0])
            detail.append("= 1 failed, 512 passed, 33 skipped, 3 xfailed, 2 rerun in 1220.31s (0:20:20) =")
        tail = [*detail, "##[error]Process completed with exit code 1.", *tail]
    elif conclusion == "cancelled":
        tail = ["##[error]The operation was canceled.", *tail]
    tail.append("Cleaning up orphan processes")
    lines = head + work + tail
    span = max(1, completed - started)
    stamped = []
    for number, line in enumerate(lines):
        moment = iso(started + span * number / len(lines))[:-1]
        stamped.append(f"{moment}.{(number * 7919) % 10_000_000:07d}Z {line}")
    return "\n".join(stamped) + "\n"
