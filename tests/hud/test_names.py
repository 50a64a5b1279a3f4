"""The normaliser, against names as PyTorch and other projects really have them, and as strangers may write them."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hud import names
from hud.names import configuration_name, is_unstable, makes_signal, shard

SHARDED = {
    # PyTorch: (config, shard, num_shards, runner, *markers)
    "linux-jammy / test (default, 3, 5, linux.2xlarge)": ("linux-jammy / test (default)", (3, 5)),
    "linux-jammy-py3.10-gcc11 / test (default, 3, 5, linux.2xlarge)": (
        "linux-jammy-py3.10-gcc11 / test (default)",
        (3, 5),
    ),
    # a workflow in front is part of what was given
    "pull / linux-focal-cuda12.1-py3.10-gcc9-sm86 / test (distributed, 1, 3, linux.g5.12xlarge.nvidia.gpu)": (
        "pull / linux-focal-cuda12.1-py3.10-gcc9-sm86 / test (distributed)",
        (1, 3),
    ),
    "win-vs2022-cpu-py3 / test (default, 2, 4, windows.4xlarge.nonephemeral)": (
        "win-vs2022-cpu-py3 / test (default)",
        (2, 4),
    ),
    "macos-py3-arm64 / test (mps, 1, 1, macos-m1-14)": ("macos-py3-arm64 / test (mps)", (1, 1)),
    "macos-py3-arm64 / test (default, 1, 3, macos-m1-stable)": ("macos-py3-arm64 / test (default)", (1, 3)),
    "linux-jammy-rocm-py3.10-mi355 / test (default, 6, 10, linux.rocm.gpu.gfx950.1)": (
        "linux-jammy-rocm-py3.10-mi355 / test (default)",
        (6, 10),
    ),
    "linux-jammy-xpu-n-py3.10 / test (default, 11, 12, linux.idc.xpu)": (
        "linux-jammy-xpu-n-py3.10 / test (default)",
        (11, 12),
    ),
    "linux-jammy-cuda13.0-py3.10-gcc11 / test (pr_time_benchmarks, 1, 1, lf.linux.g4dn.metal.nvidia.gpu)": (
        "linux-jammy-cuda13.0-py3.10-gcc11 / test (pr_time_benchmarks)",
        (1, 1),
    ),
    "linux-jammy-py3.10-gcc11 / test (distributed, 3, 3, mt-l-x86iamx-8-64)": (
        "linux-jammy-py3.10-gcc11 / test (distributed)",
        (3, 3),
    ),
    "x / test (default, 1, 14, l-x86aavx2-11-41-l4)": ("x / test (default)", (1, 14)),
    "x / test (default, 1, 1, linux.dgx.b200.8)": ("x / test (default)", (1, 1)),
    "x / test (default, 1, 1, dgx-b200)": ("x / test (default)", (1, 1)),
    "x / test (default, 2, 5, runner)": ("x / test (default)", (2, 5)),
    "(default, 1, 2, runner)": ("(default)", (1, 2)),
    "unit-test / inductor-cpu-core-test (3.12) / test (inductor_core, 1, 2, linux.2xlarge)": (
        "unit-test / inductor-cpu-core-test (3.12) / test (inductor_core)",
        (1, 2),
    ),
    # markers make other configurations
    "x / test (default, 1, 5, linux.2xlarge, unstable)": ("x / test (default, unstable)", (1, 5)),
    "x / test (default, 1, 5, lf.linux.2xlarge, mem_leak_check, rerun_disabled_tests)": (
        "x / test (default, mem_leak_check, rerun_disabled_tests)",
        (1, 5),
    ),
    "x / test (default, 1, 5, linux.4xlarge.nvidia.gpu, oncall:debug-build)": (
        "x / test (default, oncall:debug-build)",
        (1, 5),
    ),
    "x / test (default, 1, 5, unstable)": ("x / test (default, unstable)", (1, 5)),
    "x / test (default, 1, 5, module:rocm)": ("x / test (default, module:rocm)", (1, 5)),
    "x / test (default, 1, 5, linux.2xlarge) (unstable)": ("x / test (default) (unstable)", (1, 5)),
    # spelled a little differently
    "test (default,3,5,linux.2xlarge)": ("test (default)", (3, 5)),
    "test ( default , 3 , 5 , linux.2xlarge )": ("test (default)", (3, 5)),
    "  test (default, 3, 5)  ": ("test (default)", (3, 5)),
    "test (default (slow, sm86), 1, 3, linux.2xlarge)": ("test (default (slow, sm86))", (1, 3)),
    "build (gcc) / test (a, 1, 2, linux.2xlarge) (b, 1, 2, linux.2xlarge)": ("build (gcc) / test (a) (b)", (1, 2)),
    # cut off by GitHub
    "test (default, 3, 5, linux.2xl...": ("test (default)", (3, 5)),
    "test (default, 3, 5": ("test (default)", (3, 5)),
    # other projects
    "test (ubuntu-latest, 3, 5)": ("test (ubuntu-latest)", (3, 5)),
    "test (3.11, ubuntu-latest, 3, 5)": ("test (3.11, ubuntu-latest)", (3, 5)),
    "test (18, 1, 4)": ("test (18)", (1, 4)),
    "test (1, 3, 4)": ("test (1)", (3, 4)),
    "test (0, 4)": ("test", (0, 4)),
    "test (1, 2, windows-latest)": ("test (windows-latest)", (1, 2)),  # nothing else would tell it from linux
    "test (3.11, 1, 4, ubuntu-latest)": ("test (3.11, ubuntu-latest)", (1, 4)),
    "test (unit, 1, 4, ubuntu-22.04)": ("test (unit)", (1, 4)),
    "test (unit, 1, 4, 3.11)": ("test (unit, 3.11)", (1, 4)),
    "test (unit, 1, 4, py3.11)": ("test (unit, py3.11)", (1, 4)),
    "test (unit, 1, 4, gcc-11)": ("test (unit, gcc-11)", (1, 4)),
    "test (unit, 1, 4, slow)": ("test (unit, slow)", (1, 4)),
    "build (1/4)": ("build", (1, 4)),
    "build (1 of 4)": ("build", (1, 4)),
    "e2e (chrome, 2/4)": ("e2e (chrome)", (2, 4)),
    "e2e (shard 2 of 4)": ("e2e", (2, 4)),
    "Tests [2/5]": ("Tests", (2, 5)),
    "Tests 2/5": ("Tests", (2, 5)),
    "Test shard 2 of 5": ("Test", (2, 5)),
    "Test - shard 2 of 5": ("Test", (2, 5)),
    "Test Shard 2/5 on linux": ("Test on linux", (2, 5)),
    "test-shard-1-of-4-linux": ("test-linux", (1, 4)),
    "pull / tests / 1/4": ("pull / tests", (1, 4)),
}

UNCHANGED = [
    "",
    "   ",
    "win-vs2022-cpu-py3 / build",
    "linux-jammy-py3.10-gcc11 / test",  # as a cancelled parent says it
    "linux-jammy / test (${{ matrix.config }}, ${{ matrix.shard }}, ${{ matrix.num_shards }})",
    "linux-docs / build-docs-python-false",
    "test (3.11, ubuntu-latest)",
    "test (3.9, 3.11)",
    "test (linux.4xlarge.nvidia.gpu)",
    "docker-build (linux.12xlarge, pytorch-linux-jammy-cuda12.8-cudnn9-py3-gcc11)",
    "unittests (3.10, linux.12xlarge, cpu)",
    "models (mv3, linux.arm64.2xlarge)",  # the hardware may be what the job is about
    "test ()",
    "test (default)",
    "test (default, 5, 3)",
    "test (default, 1, 0)",
    "test (2022, 2024)",
    "test (1, 300)",
    "test (default, 1)",
    "test (default, one, 5, linux.2xlarge, x)",
    "test (default, ٣, ٥)",  # digits, but nobody's shard
    "(1/4)",
    "shard 2 of 5",
    "build 2024/05/06",
    "release 1.2/3",
    "test :( 1 of many",
    ")(",
    "test (a (b, 1, 3, c",
    "1 2/5 of 4",  # without 2/5 it would be 1 of 4: which one is the shard?
]


@pytest.mark.parametrize(("raw", "expected"), SHARDED.items())
def test_shard_and_runner_go(raw: str, expected: tuple[str, tuple[int, int]]) -> None:
    assert (configuration_name(raw), shard(raw)) == expected


@pytest.mark.parametrize("raw", UNCHANGED)
def test_everything_else_stays(raw: str) -> None:
    assert configuration_name(raw) == (raw.strip() or raw)
    assert shard(raw) is None


def test_mere_machine_size_goes_without_a_shard() -> None:
    assert configuration_name("Test collect_env (without_torch, linux.24_04.4x)") == "Test collect_env (without_torch)"
    assert (
        configuration_name("Test collect_env (without_torch, lf.linux.2xlarge)") == "Test collect_env (without_torch)"
    )


def test_one_configuration_whatever_shard_and_machine() -> None:
    found = {
        configuration_name(f"linux / test (default, {index}, {total}, {runner})")
        for total in (1, 5, 14)
        for index in range(1, total + 1)
        for runner in ("linux.2xlarge", "lf.linux.2xlarge", "linux.g5.4xlarge.nvidia.gpu", "mt-l-x86iavx512-29-115-t4")
    }
    assert found == {"linux / test (default)"}


@pytest.mark.parametrize(
    ("raw", "unstable", "signal"),
    [
        ("linux-jammy / test (default, 3, 5, linux.2xlarge)", False, True),
        ("linux-jammy / test (default, 3, 5, linux.2xlarge, unstable)", True, False),
        ("unstable / linux-jammy / build", True, False),
        ("Unstable-periodic / x", True, False),
        ("x / test (default, 3, 5, linux.2xlarge, rerun_disabled_tests)", False, False),
        ("x / test (default, mem_leak_check)", False, False),
        ("", False, True),
    ],
)
def test_what_makes_signals(raw: str, unstable: bool, signal: bool) -> None:
    assert is_unstable(raw) is unstable
    assert makes_signal(raw) is signal
    # the answer is the same for the configuration that the job belongs to
    assert makes_signal(configuration_name(raw)) is signal


WORDS = [
    "test",
    "default",
    "linux.2xlarge",
    "lf.",
    "l-x86-1",
    "gcc-11",
    "3.11",
    "300",
    "1/4",
    "2 of 5",
    " of ",
    "shard ",
]
PIECES = st.sampled_from([*"()[],/-. 125é٣\0", *WORDS, ", ", " / ", "unstable", "oncall:x", "..."])
NAMES = st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=40)


@given(NAMES)
def test_idempotent_and_never_empty(raw: str) -> None:
    name = configuration_name(raw)
    assert configuration_name(name) == name
    assert bool(name) == bool(raw)
    assert len(name) <= len(raw) + 1  # a bracket that was cut off is closed


@given(NAMES)
def test_a_configuration_has_no_shard(raw: str) -> None:
    assert shard(configuration_name(raw)) is None


@given(
    st.from_regex(
        r"[a-z0-9 /.-]{0,9}[a-z] \([A-Za-z][\w.+-]{0,9}, [0-9]{1,3}, [0-9]{1,3}, (lf\.)?linux\.[a-z0-9.]{1,9}",
        fullmatch=True,
    ),
    st.lists(st.sampled_from(["unstable", "oncall:x", "slow-2", "part2"]), max_size=2),
)
def test_the_short_cut_says_what_the_long_way_says(start: str, markers: list[str]) -> None:
    raw = ", ".join([start, *markers]) + ")"
    quick = names._read(raw)
    long, found = names._shorten(raw.strip())
    if names._shorten(long)[0] == long and long != raw.strip():
        assert quick == (long, found)
    else:
        assert quick == (raw.strip(), None)


@pytest.mark.parametrize(
    "evil",
    [
        "1,",
        "(",
        "(1,",
        "1",
        "(a, 1, 2, ",
        "a.-",
        "1 2/5 of ",
        " ",
        "a.",
        "a-",
        "a1.",
        "a.1",
        "[1/",
        "shard ",
        "1 of ",
        "-_",
    ],
)
def test_long_names_take_linear_time(evil: str) -> None:
    prefixes = ["", "x ", "(a, 1, 2, ", "(b, ", "(linux.", "test (default, 1, 5, linux.2xlarge, "]
    start = process_time()
    for prefix in prefixes:
        for suffix in ("", ")", "x", "1/2"):
            configuration_name((prefix + evil * 10_000)[:10_000] + suffix)
    assert process_time() - start < 1.0
