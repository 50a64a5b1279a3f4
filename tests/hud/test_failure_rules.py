"""Which line says why: the shipped rules on real forms of lines, keys that outlive numbers, and cost."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from hud import groups, pattern_cost
from hud.failure_rules import (
    CATEGORIES,
    CONTEXT,
    LONGEST_LINE,
    SHIPPED,
    Finder,
    Rule,
    Rules,
    alike,
    essence,
    find,
    same,
    says_little,
)

RULES = Rules(SHIPPED)
STAMP = "2026-03-04T12:00:00.1234567Z "
NOISE = [
    "Current runner version: '2.329.0'",
    "##[group]Run actions/checkout@v4",
    "[12/5181] Building CXX object core.dir/Copy.cpp.o",
    "test_ops.py::TestCommon::test_error_inputs PASSED [0.0100s] [ 4%]",
    "warning: failed to load optional plugin",
    "  0 errors, 0 failures",
]


def of(*lines: str):
    return find([STAMP + line for line in (*NOISE, *lines, "Cleaning up orphan processes")], RULES)


@pytest.mark.parametrize(
    ("rule", "category", "line", "captures"),
    [
        ("pytest", "test", "FAILED [0.1234s] test_ops.py::TestOps::test_add_cpu - AssertionError: 1 != 2",
         ("test_ops.py::TestOps::test_add_cpu", "AssertionError: 1 != 2")),
        ("pytest", "test", "FAILED tests/a/test_b.py::test_c[x-1]", ("tests/a/test_b.py::test_c[x-1]",)),
        ("pytest collection", "test", "ERROR tests/test_b.py - ImportError: no module", None),
        ("unittest", "test", "FAIL: test_add (tests.test_math.TestMath)", ("test_add (tests.test_math.TestMath",)),
        ("unittest", "test", "ERROR: setUpClass (tests.test_math.TestMath)", None),
        ("GoogleTest", "test", "[  FAILED  ] TensorTest.Slices/3 (12 ms)", ("TensorTest.Slices/3",)),
        ("CTest", "test", "\t 12 - basic_test (Failed)", ("basic_test",)),
        ("cargo test", "test", "test tree::tests::grows ... FAILED", ("tree::tests::grows",)),
        ("Rust panic", "test", "thread 'main' panicked at src/main.rs:2:5:", None),
        ("go test", "test", "    --- FAIL: TestTree/deep (0.02s)", ("TestTree/deep",)),
        ("Jest", "test", "  ● tree › grows when watered", ("tree › grows when watered",)),
        ("Vitest", "test", " FAIL  src/tree.test.ts > tree > grows", None),
        ("pytest, running", "test", "test_a.py::test_b FAILED [ 0.1s] [ 5%]", ("test_a.py::test_b",)),
        ("sanitizer", "test", "==12==ERROR: AddressSanitizer: heap-use-after-free on address 0x6020", None),
        ("crash", "test", "Fatal Python error: Segmentation fault", None),
        ("crash", "test", "./run.sh: line 3:  812 Segmentation fault      (core dumped) ./a.out", None),
        ("CUDA error", "test", "RuntimeError: CUDA error: device-side assert triggered", None),
        ("CUDA out of memory", "resource", "RuntimeError: CUDA out of memory. Tried to allocate 2.50 GiB.", None),
        ("out of memory", "resource", "##[error]Process completed with exit code 137.", None),
        ("out of memory", "resource", "c++: fatal error: Killed signal terminated program cc1plus", None),
        ("disk full", "resource", "OSError: [Errno 28] No space left on device", None),
        ("compiler", "build", "/var/lib/jenkins/workspace/aten/Copy.cpp:12:3: error: 'x' was not declared",
         ("/var/lib/jenkins/workspace/aten/Copy.cpp", "'x' was not declared")),
        ("compiler", "build", r"C:\src\a.cpp:12:3: fatal error: 'y.h' file not found", None),
        ("MSVC", "build", r"C:\src\a.cpp(12): error C2065: 'x': undeclared identifier", None),
        ("nvcc", "build", "/src/kernel.cu(31): error: identifier \"foo\" is undefined", None),
        ("linker", "build", "a.cpp:(.text+0x12): undefined reference to `foo()'", None),
        ("lintrunner message", "lint", "  Error (CLANGFORMAT) format", None),
        ("linker", "build", "/usr/bin/ld: cannot find -lfoo: No such file or directory", None),
        ("linker", "build", "a.obj : error LNK2019: unresolved external symbol foo", None),
        ("rustc", "build", "error[E0308]: mismatched types", None),
        ("CMake", "build", "CMake Error at CMakeLists.txt:12 (find_package):", None),
        ("ninja", "build", "FAILED: caffe2/CMakeFiles/core.dir/x.cpp.o", ("caffe2/CMakeFiles/core.dir/x.cpp.o",)),
        ("make", "build", "make[2]: *** [Makefile:12: all] Error 2", None),
        ("lintrunner", "lint", ">>> Lint for test_ops.py:12: Error (RUFF) F401 `x` imported but unused", None),
        ("clang-tidy", "lint", "/w/a.cpp:3:4: error: use nullptr [modernize-use-nullptr,-warnings-as-errors]", None),
        ("mypy", "lint", "torch/nn.py:12: error: Incompatible types  [assignment]", None),
        ("ruff or flake8", "lint", "torch/nn.py:12:1: E501 line too long", None),
        ("step timeout", "timeout", "##[error]The action 'Test' has timed out after 180 minutes.", None),
        ("job timeout", "timeout", "##[error]The job running on runner GitHub Actions 12 has exceeded the maximum "
         "execution time of 360 minutes.", None),
        ("runner lost", "infra", "##[error]The self-hosted runner lost communication with the server. Verify", None),
        ("runner shut down", "infra", "##[error]The runner has received a shutdown signal. This can happen", None),
        ("runner error", "infra", "##[error]The hosted runner encountered an error while running your job.", None),
        ("connection", "infra", "ERROR: Could not connect to mirror.example.org: Connection reset by peer", None),
        ("name resolution", "infra", "curl: (6) Could not resolve host: example.org", None),
        ("TLS", "infra", "error:0A000126:SSL routines: net/http: TLS handshake timeout", None),
        ("server error", "infra", "received unexpected HTTP status code: 503 Service Unavailable", None),
        ("registry limit", "infra", "toomanyrequests: You have reached your pull rate limit", None),
        ("Python exception", "generic", "ValueError: not a tree", ("ValueError: ", "not a tree")),
        ("error mark", "generic", "##[error]Unable to process file command 'output' successfully.", None),
        ("canceled", "generic", "##[error]The operation was canceled.", None),
        ("exit code", "generic", "##[error]Process completed with exit code 2.", ("2",)),
    ],
)  # fmt: skip
def test_a_shipped_rule_finds_its_line(rule, category, line, captures):
    found = of(line)
    assert found is not None
    assert (found.rule, found.category, found.line, found.line_number) == (rule, category, line, len(NOISE) + 1)
    if captures is not None:
        assert found.captures == captures


def test_every_shipped_rule_is_sound():
    assert {rule.category for rule in SHIPPED} == set(CATEGORIES)
    assert len({rule.name for rule in SHIPPED}) == len(SHIPPED)
    assert RULES.everywhere == []  # each is announced by some text, or every line would be tried
    pattern_cost.check([(rule.name, rule.pattern) for rule in SHIPPED])


def test_a_log_without_a_failure_has_no_line():
    assert of() is None
    assert find([], RULES) is None


def test_the_best_ranked_rule_wins_wherever_it_stands():
    first = "FAILED test_a.py::test_b - AssertionError"
    found = of(
        first, "E   ValueError: noise", "x.cpp:1:2: error: noise", "##[error]Process completed with exit code 1."
    )
    assert (found.rule, found.line) == ("pytest", first)


def test_of_one_rule_the_last_line_counts_also_blocks_apart():
    lines = [
        "FAILED test_a.py::test_first - x",
        *["nothing"] * 7_000,
        "FAILED test_a.py::test_last - x",
        *["-"] * 5_000,
    ]
    found = find(lines, RULES)
    assert (found.test, found.line_number) == ("test_a.py::test_last", 7_002)


@pytest.mark.parametrize("at", [0, 1, 3, 1_997, 1_998, 1_999, 2_000, 2_001, 3_999, 4_003])
def test_context_is_what_stands_around_it_also_across_blocks(at):
    lines = [f"{STAMP}line {n}" for n in range(4_004)]
    lines[at] = STAMP + "FAILED test_a.py::test_b - x"
    found = find(lines, RULES)
    assert found.line_number == at + 1
    assert found.before == tuple(f"line {n}" for n in range(max(0, at - CONTEXT), at))
    assert found.after == tuple(f"line {n}" for n in range(at + 1, min(4_004, at + 1 + CONTEXT)))


def test_colours_and_control_characters_hide_nothing():
    found = of("\x1b[31mFAI\x1b[1mLED\x1b[0m test_a.py::test_b\x07 - \x1b]8;;http://x\x1b\\Error\x1b]8;;\x1b\\: y\r")
    assert (found.rule, found.line) == ("pytest", "FAILED test_a.py::test_b - Error: y")


def test_lines_worth_jumping_to():
    finder = Finder(RULES)
    lines = ["x", "##[error]first", "FAILED a.py::b - x", "y", "FAILED a.py::c - x", "ValueError: z", "##[error]last"]
    finder.feed(11, lines)
    assert finder.errors == [12, 13, 15, 17]


# -- keys -------------------------------------------------------------------------------------------------------------

ALIKE = [
    ("FAILED [0.1s] a/test_x.py::T::test_1 - AssertionError: Mismatched elements: 12 / 100 (12.0%)",
     "FAILED [31.87s] a/test_x.py::T::test_1 - AssertionError: Mismatched elements: 7 / 100 (7.0%)"),
    ("/__w/tree/tree/src/a.cpp:12:3: error: 'x' was not declared",
     "/var/lib/jenkins/workspace/src/a.cpp:99:1: error: 'x' was not declared"),
    ("RuntimeError: object at 0x7f00deadbeef died in /tmp/tmpab12/x.py after 12.5s",
     "RuntimeError: object at 0x7f0011111111 died in /tmp/tmp99zz/x.py after 3s"),
    ("ValueError: at 2026-03-04T12:00:00Z in shard 3 of 5 on gw3",
     "ValueError: at 2026-03-05T01:02:03Z in shard 1 of 5 on gw11"),
    ("RuntimeError: CUDA out of memory. Tried to allocate 2.50 GiB.",
     "RuntimeError: CUDA out of memory. Tried to allocate 20 MiB."),
]  # fmt: skip
DIFFERENT = [
    ("FAILED a/test_x.py::T::test_1 - E", "FAILED a/test_x.py::T::test_2 - E"),
    ("FAILED a/test_x.py::T::test_f32 - E", "FAILED a/test_x.py::T::test_f64 - E"),
    (
        "FAILED a/test_x.py::T::test_1 - TypeError: a",
        "FAILED a/test_x.py::T::test_1 - ValueError: completely other words",
    ),
    ("src/a.cpp:12:3: error: 'x' was not declared", "src/b.cpp:12:3: error: 'x' was not declared"),
    ("ValueError: no tree", "TypeError: no tree"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_one_cause_has_one_key(one, other):
    assert of(one).key == of(other).key
    assert alike(of(one), of(other))
    assert len(of(one).key) == 32


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_causes_have_different_keys(one, other):
    assert of(one).key != of(other).key
    assert not alike(of(one), of(other))


def test_nearly_the_same_words_are_alike():
    one = of("RuntimeError: the worker of the distributed store did not answer the barrier in time (rank alpha)")
    other = of("RuntimeError: the worker of the distributed store did not answer the barrier in time (rank beta)")
    assert one.key != other.key
    assert alike(one, other)


def test_lines_that_say_little_have_nothing_in_common():
    one = of("##[error]Process completed with exit code 1.")
    assert says_little(one.rule)
    assert not alike(one, one)


def test_a_tests_name_is_kept_as_it_is():
    assert "test_conv_2d_0x12_f32" in essence(of("FAILED a.py::T::test_conv_2d_0x12_f32 - Error: 12"))
    assert same("took 12 ms") == "took N ms"


# -- cost -------------------------------------------------------------------------------------------------------------


def test_needles_are_what_a_match_cannot_do_without():
    assert pattern_cost.needles(r"^FAILED (\S+)") == ("failed ",)
    assert pattern_cost.needles(r"(?:abc|defg) x*") == ("abc", "defg")
    assert pattern_cost.needles(r"(abc)?d") == ()
    assert pattern_cost.needles(r"a+(?:hello)+[xyz]") == ("hello",)
    assert pattern_cost.needles(r"(?i)Hello") == ("hello",)
    assert pattern_cost.needles(r"(?!secret)abc") == ("abc",)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"(a|aa)+$", r".*.*.*=.*.*", r"(\w+\s?)+:", r"x*x*x*x*y"])
def test_slow_patterns_are_refused(pattern):
    started = time.monotonic()
    with pytest.raises(groups.BadRule) as refused:
        pattern_cost.check([("good", "fine"), ("bad", pattern)])
    assert refused.value.position == 1
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("pattern", ["", "(", "a" * 501, "[z-a]", "x{99999999999}"])
def test_broken_patterns_are_refused(pattern):
    with pytest.raises(groups.BadRule):
        pattern_cost.check([("one", pattern)])


def test_a_long_line_costs_what_a_cut_one_costs():
    started = time.process_time()
    assert find(["x" * LONGEST_LINE + " FAILED: never looked at " + "y" * 30_000_000], RULES) is None
    assert time.process_time() - started < 0.5


def test_a_slow_rule_stops_itself_and_nothing_else():
    rules = Rules(
        [Rule("slow", "test", r"^(?:a|a)*$|slow"), Rule("fast", "test", "found me")]
    )  # not checked on purpose
    started = time.process_time()
    found = find([*["slow"[:2] + "a" * 18 + "b"] * 50_000, "found me"], rules)
    assert time.process_time() - started < 8
    assert found is not None


def test_the_time_for_a_log_grows_with_its_length_only():
    def cost(lines: int) -> float:
        log = [f"{STAMP}test_ops.py::TestOps::test_{n} PASSED [0.1234s] [ 12%]" for n in range(lines)]
        started = time.process_time()
        find(log, RULES)
        return time.process_time() - started

    cost(1_000)
    costs = [min(cost(n) for _ in range(3)) for n in (10_000, 20_000, 40_000)]
    assert all(after < 3 * before for before, after in pairwise(costs)), costs
    assert costs[-1] < 1.0  # 4 MB; a quarter second when nothing else runs
