"""Groups: how rules are read, which are refused and why, and what the shipped ones make of a project like PyTorch."""

from itertools import product
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hud.groups import (
    DEFAULT_RULES,
    PYTORCH_RULES,
    BadRule,
    Rule,
    column_key,
    compile_rules,
    preview,
    rules_for,
)


def test_first_match_wins_in_the_full_name_whatever_the_case() -> None:
    grouping = compile_rules([Rule("Docs", "DOCS"), Rule("Pull", "^pull / "), Rule("Linux", "linux")])
    assert grouping.group("pull", "linux-docs / build") == ("Docs", 0)
    assert grouping.group("pull", "linux / build") == ("Pull", 1)
    assert grouping.group("trunk", "Linux / build") == ("Linux", 2)


def test_what_no_rule_finds_is_grouped_by_workflow() -> None:
    assert compile_rules([Rule("Linux", "linux")]).group("Lint", "ruff") == ("Lint", 1)
    assert compile_rules(DEFAULT_RULES).group("ci", "build / x") == ("ci", 0)


def test_the_name_may_use_what_was_caught() -> None:
    grouping = compile_rules([Rule(r"CUDA \1 \2", r"cuda([0-9.]+)(?:-(sm\d+))?")])
    assert grouping.group("pull", "linux-cuda12.8-sm86 / build") == ("CUDA 12.8 sm86", 0)
    assert grouping.group("pull", "linux-cuda12.8 / build") == ("CUDA 12.8", 0)
    assert compile_rules([Rule(r"\1", r"x(y)?")]).group("w", "x") == ("w", 1)  # caught nothing: no name


def test_a_group_stands_where_its_last_rule_stands() -> None:
    grouping = compile_rules([Rule("Unstable", "unstable"), Rule("Linux", "linux"), Rule("Unstable", "unstable")])
    assert grouping.group("pull", "linux unstable") == ("Unstable", 2)


@pytest.mark.parametrize(
    ("rule", "at", "words"),
    [
        (Rule("x", "a[b"), 1, "unterminated character set"),
        (Rule("x", "a(b"), 1, "unterminated subpattern"),
        (Rule("x", "*a"), 0, "nothing to repeat"),
        (Rule("x", r"ab\1"), 3, "invalid group reference"),
        (Rule("x", "a" * 501), 500, "longer than 500"),
        (Rule(r"x \2", "(a)"), None, "the pattern has 1"),
        (Rule("x", ""), None, "empty pattern"),
        (Rule(" ", "a"), None, "needs the name"),
        (Rule("x", "(a+)+$"), None, "repeat inside a repeat"),
        (Rule("x", "(?:(?:a|b)*c?)*$"), None, "repeat inside a repeat"),
        (Rule("x", "(?=(a*)*)b"), None, "repeat inside a repeat"),
        (Rule("x", "(a{0,99})*"), None, "repeat inside a repeat"),
        (Rule("x", ".*a.*b.*c.*d.*e"), None, "more than 4"),
    ],
)
def test_a_bad_rule_is_named_with_its_place(rule: Rule, at: int | None, words: str) -> None:
    with pytest.raises(BadRule, match=r"^rule 2: ") as caught:
        compile_rules([Rule("fine", "fine"), rule])
    assert (caught.value.position, caught.value.at) == (1, at)
    assert words in caught.value.message


@pytest.mark.parametrize("pattern", ["a+b*", "(?:ab?){2,9}", r"(a|b)+\d", "(?:x{1,3})*", "(?i:a.*b)", "[(+]+[)*]+"])
def test_an_ordinary_pattern_is_accepted(pattern: str) -> None:
    compile_rules([Rule("x", pattern)])


def test_preview_is_in_the_order_of_the_columns() -> None:
    rules = [Rule(r"py \1", r"py(\d+)"), Rule("Docs", "docs")]
    full_names = ["w / docs", "w / a py12", "w / b py9", "zz / x", "aa / x", "w / a py9", "w / a py9"]
    assert preview(rules, full_names) == [
        ("py 9", ["w / a py9", "w / b py9"]),
        ("py 12", ["w / a py12"]),
        ("Docs", ["w / docs"]),
        ("aa", ["aa / x"]),
        ("zz", ["zz / x"]),
    ]
    with pytest.raises(BadRule):
        preview([Rule("x", "(")], full_names)


@given(
    st.lists(st.tuples(st.text(max_size=8), st.text(max_size=20)), max_size=4),
    st.text(max_size=30),
    st.text(max_size=30),
)
def test_any_rules_either_group_or_are_refused(rules: list[tuple[str, str]], workflow: str, name: str) -> None:
    try:
        grouping = compile_rules([Rule(*rule) for rule in rules])
    except BadRule:
        return
    group, order = grouping.group(workflow, name)
    assert group == workflow or order < len(rules)
    assert 0 <= order <= len(rules)
    column_key(group, order)


def test_shipped_rules_are_chosen_by_repository() -> None:
    assert rules_for("pytorch", "pytorch") == rules_for("PyTorch", "PyTorch") == PYTORCH_RULES
    assert rules_for("pytorch", "vision") == rules_for("someone", "pytorch") == DEFAULT_RULES == ()


@pytest.mark.parametrize(
    ("full_name", "group"),
    [
        ("Lint / lintrunner-noclang / lint", "Lint"),
        ("BC Lint / bc_linter", "Lint"),
        ("pull / linux-docs / build-docs-python-false", "Docs"),
        ("pull / linux-jammy-py3.10-gcc11 / test (docs_test)", "Docs"),
        ("pull / linux-jammy-py3.10-gcc11 / build", "Linux py3.10 gcc11"),
        ("pull / linux-jammy-py3.10-gcc11 / test (default)", "Linux py3.10 gcc11"),
        ("pull / linux-jammy-py3.10-gcc11 / test (distributed)", "Distributed"),
        ("pull / linux-jammy-py3.14t-clang15 / test (default)", "Linux py3.14t clang15"),
        ("pull / linux-jammy-py3.10-clang18 / test (dynamo_wrapped)", "Dynamo"),
        ("trunk / dynamo-unittest / dynamo-test (3.13) / test (dynamo_core)", "Dynamo"),
        ("pull / linux-jammy-py3.10-clang18-asan / test (default)", "ASan"),
        ("pull / linux-jammy-py3-clang12-onnx / test (default)", "ONNX"),
        ("trunk / linux-jammy-cuda13.2-py3.11-gcc11 / test (default)", "CUDA 13.2"),
        ("trunk / linux-jammy-cuda12.6-py3.11-gcc11-sm90-build-only / build", "CUDA 12.6 sm90"),
        ("pull / linux-focal-cuda12.1-py3.10-gcc9-sm86 / test (default)", "CUDA 12.1 sm86"),
        ("trunk / libtorch-linux-jammy-cuda13.2-py3.11-gcc11-debug / build", "LibTorch"),
        ("rocm-mi355 / linux-noble-rocm-py3.12-mi355 / test (default)", "ROCm mi355"),
        ("rocm / linux-jammy-rocm-py3.10 / test (default)", "ROCm"),
        ("inductor-rocm / rocm-py3.10-inductor / test (inductor)", "ROCm"),
        ("xpu / linux-jammy-xpu-n-py3.10 / test (default)", "XPU"),
        ("xpu / win-vs2022-xpu-n-py3 / build", "XPU"),
        ("trunk / macos-py3-arm64 / test (mps)", "macOS MPS"),
        ("Mac MPS / macos-py3-arm64-mps / test (mps)", "macOS MPS"),
        ("trunk / macos-py3-arm64 / test (default)", "macOS"),
        ("trunk / win-vs2022-cpu-py3 / build", "Windows CPU"),
        ("trunk / win-vs2022-cuda13.2-py3 / build", "Windows CUDA"),
        ("trunk / cross-compile-linux-test-cuda132 / test (aoti_cross_compile_for_windows)", "CUDA"),
        ("linux-aarch64 / linux-jammy-aarch64-py3.10 / test (default)", "Linux aarch64"),
        ("inductor / inductor-test / test (inductor_huggingface)", "Inductor benchmarks"),
        ("inductor / inductor-cpu-test / test (cpu_inductor_timm)", "Inductor benchmarks"),
        ("inductor / unit-test / inductor-cpu-test / test (inductor_avx2)", "Inductor CPU"),
        ("inductor / unit-test / inductor-test / test (inductor)", "Inductor CUDA"),
        ("slow / linux-jammy-py3.10-clang18-asan / test (slow)", "Slow tests"),
        ("pull / linux-jammy-cuda12.8-py3-gcc9-slow-gradcheck / test (default)", "Slow tests"),
        ("periodic / linux-jammy-cuda12.8-py3.10-gcc11-debug / test (default)", "Periodic"),
        ("linux-binary-manywheel / manywheel-py3_10-cuda12_8-build / build", "Wheels"),
        ("docker-builds / docker-build (linux.12xlarge, pytorch-linux-jammy-py3.10)", "Docker images"),
        ("vllm-test / vllm-x-pytorch-main / test (vllm_basic_correctness)", "vLLM"),
        ("pull / linux-jammy-py3-clang12-executorch / test (executorch)", "ExecuTorch and Android"),
        ("pull / linux-jammy-py3.10-gcc11 / test (default, unstable)", "Unstable"),
        ("unstable / linux / test", "Unstable"),
        ("trunk / linux-jammy / test (default, rerun_disabled_tests)", "Reruns and leak checks"),
        ("pull / get-label-type / runner-determinator", "Service jobs"),
        ("Something new / job", "Something new"),
    ],
)
def test_pytorch_group(full_name: str, group: str) -> None:
    assert compile_rules(PYTORCH_RULES).group_full(full_name)[0] == group


def pytorch_like() -> list[str]:
    """About 400 configurations, composed as PyTorch composes them."""

    def jobs(workflow: str, environments: str, *configs: str) -> list[str]:
        last = ["build", *(f"test ({config})" for config in configs)]
        return [f"{workflow} / {environment} / {job}" for environment, job in product(environments.split(), last)]

    plain = (
        "default",
        "distributed",
        "jit_legacy",
        "backwards_compat",
        "numpy_2_x",
        "openreg",
        "crossref",
        "docs_test",
    )
    dynamo = ("dynamo_core", "dynamo_wrapped", "einops")
    bench = ("inductor_huggingface", "inductor_timm", "inductor_torchbench", "inductor_smoketest_perf")
    inductor = (*bench, "inductor", "inductor_cpp_wrapper", "inductor_avx2", "inductor_halide")
    dynamic = tuple(f"dynamic_{name}" for name in bench)
    marked = ("default, unstable", "default, mem_leak_check", "default, rerun_disabled_tests")
    linux = "linux-jammy-py3.10-gcc11 linux-jammy-py3.10-clang18 linux-jammy-py3.13-clang18 linux-jammy-py3.14t-clang18"
    cuda = "linux-jammy-cuda12.8-py3.10-gcc11 linux-jammy-cuda13.2-py3.11-gcc11 linux-jammy-cuda12.8-py3.10-gcc11-sm89"
    wheels = " ".join(
        f"manywheel-py3_{minor}-{flavour}" for minor in range(10, 15) for flavour in ("cpu", "cuda12", "rocm7")
    )
    images = " ".join(f"docker-build-{image}" for image in "abcdefghijklmnopqrstuvwxyz")
    return [
        *jobs("pull", linux, *plain, *dynamo),
        *jobs("pull", "linux-jammy-py3.10-clang18-asan linux-jammy-py3-clang18-onnx", "default"),
        *jobs("pull", "linux-jammy-py3-clang18-executorch linux-jammy-aarch64-py3.10", "default"),
        *jobs("pull", "linux-jammy-py3_9-clang9-xla linux-jammy-py3.10-gcc11-pch linux-jammy-py3-clang18-mobile-build"),
        *jobs("pull", "linux-docs-python linux-docs-cpp get-label-type before-test"),
        *jobs("trunk", cuda, "default", "distributed", "multigpu", "pr_time_benchmarks", "nogpu_AVX512", *marked),
        *jobs("trunk", "linux-jammy-rocm-py3.10", "default", "distributed"),
        *jobs("trunk", "macos-py3-arm64", "default", "mps", "openreg", *marked),
        *jobs("trunk", "win-vs2022-cpu-py3 win-vs2022-cuda13.2-py3", "default", "openreg", *marked),
        *jobs("trunk", "libtorch-linux-jammy-cuda13.2-py3.11-gcc11-debug linux-jammy-cuda13.2-py3.11-gcc11-no-ops"),
        *jobs("periodic", f"{cuda} win-vs2022-cuda12.6-py3", "default", "distributed", "multigpu", *marked),
        *jobs("slow", f"{cuda} {linux} linux-jammy-py3.10-clang18-asan", "slow", *marked),
        *jobs("rocm-mi300", "linux-noble-rocm-py3.12-mi300", "default", "distributed"),
        *jobs("rocm-mi355", "linux-noble-rocm-py3.12-mi355", "default", "distributed"),
        *jobs("rocm-navi31", "linux-jammy-rocm-py3.10-navi31", "default"),
        *jobs("xpu", "linux-jammy-xpu-n-py3.10 win-vs2022-xpu-n-py3", "default", "distributed"),
        *jobs("inductor", "inductor-test inductor-cpu-test inductor-test-cuda13", *inductor, *marked),
        *jobs("inductor-periodic", "inductor-test cpu-inductor-test inductor-test-a100", *bench, *dynamic, *marked),
        *jobs("inductor-rocm", "rocm-py3.10-inductor", "inductor"),
        *jobs("linux-aarch64", "linux-jammy-aarch64-py3.10", "default", "openblas"),
        *jobs("vllm-test", "vllm-x-pytorch-main", "vllm_basic_correctness", "vllm_distributed", "vllm_lora"),
        *jobs("h100-distributed", "linux-jammy-cuda12.8-py3.10-gcc11-sm90-dist", "h100_distributed"),
        *jobs("operator_benchmark", "opbenchmark-build-x86", "cpu_operator_benchmark_short"),
        *jobs("linux-binary-manywheel", wheels, "smoke", "upload"),
        *jobs("docker-builds", images),
        *jobs("Lint", "lintrunner-clang lintrunner-noclang workflow-checks toc"),
    ]


def test_pytorch_folds_into_about_thirty_groups() -> None:
    full_names = pytorch_like()
    assert len(set(full_names)) == len(full_names)
    assert 350 <= len(full_names) <= 450

    folded = preview(rules_for("pytorch", "pytorch"), full_names)

    assert 25 <= len(folded) <= 40
    assert sorted(name for _, members in folded for name in members) == sorted(full_names)
    assert max(len(members) for _, members in folded) < 0.25 * len(full_names)
    workflows = {name.partition(" / ")[0] for name in full_names}
    assert not {group for group, _ in folded} & workflows - {"Lint"}  # a rule for everything
    assert [group for group, _ in folded][-3:] == ["Unstable", "Reruns and leak checks", "Service jobs"]


def test_a_caught_text_is_bounded() -> None:
    grouping = compile_rules([Rule(r"Linux \1", "(py.*)")])
    assert grouping.group("w", "py" + "3" * 5000) == ("Linux py" + "3" * 92, 0)


def test_grouping_hostile_names_is_cheap() -> None:
    grouping = compile_rules(PYTORCH_RULES)
    start = process_time()
    for evil in ("inductor", "linux-", "rocm-", "cuda1.", "a", "-", "linux-aaaa-py3.", "win-", "\n", " "):
        grouping.group("pull", evil * 10_000)
    assert process_time() - start < 1.0
