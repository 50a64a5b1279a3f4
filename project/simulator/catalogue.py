"""What runs in CI: workflows, their jobs and their rhythm, for each size of world."""

from dataclasses import dataclass, field
from functools import cached_property

LINUX, LARGE, GPU, GPU_SMALL = "linux.2xlarge", "linux.4xlarge", "linux.g5.4xlarge.nvidia.gpu", "linux.g4dn.12xlarge"
WINDOWS, WINDOWS_GPU, MAC = "windows.4xlarge", "windows.g5.4xlarge.nvidia.gpu", "macos-m1-stable"
ROCM, XPU, ARM, SMALL = "linux.rocm.gpu.2", "linux.idc.xpu", "linux.arm64.2xlarge", "ubuntu-latest"

# Minutes that a job waits for a runner: usually the first number, now and then up to the second.
QUEUE_MINUTES = {
    LINUX: (0.3, 4), LARGE: (0.5, 6), GPU: (2, 25), GPU_SMALL: (2, 30), WINDOWS: (1, 10), WINDOWS_GPU: (3, 30),
    MAC: (2, 25), ROCM: (4, 60), XPU: (3, 45), ARM: (1, 10), SMALL: (0.1, 2),
}  # fmt: skip


@dataclass(frozen=True)
class Platform:
    """A build and the tests that need it; or, without a build, jobs on their own.

    `tests` are (configuration, shards). `lone` jobs have plain names and wait for nothing.
    """

    name: str
    runner: str
    tests: tuple[tuple[str, int], ...] = ()
    builds: bool = True
    build_minutes: tuple[float, float] = (12, 45)
    test_minutes: tuple[float, float] = (20, 110)
    unstable: bool = False
    lone: tuple[str, ...] = ()

    @property
    def build_name(self) -> str:
        return f"{self.name} / build"

    def test_names(self, config: str, shards: int) -> list[str]:
        mark = ", unstable" if self.unstable else ""
        return [f"{self.name} / test ({config}, {n}, {shards}, {self.runner}{mark})" for n in range(1, shards + 1)]

    def configurations(self) -> list[str]:
        """Base names as a grid shows them, shards folded."""
        names = [self.build_name] if self.builds else []
        names += [f"{self.name} / test ({config})" for config, _ in self.tests]
        return names + list(self.lone)


@dataclass(frozen=True)
class Workflow:
    name: str
    platforms: tuple[Platform, ...]
    every_hours: int = (
        0  # 0: on every commit; otherwise a divisor of 24: on a schedule, on whatever is trunk's head then
    )
    on_release: bool = False
    index: int = field(default=0, compare=False)  # place in the catalogue, set when it is built

    @property
    def path(self) -> str:
        return f".github/workflows/{self.name}.yml"

    @property
    def id(self) -> int:
        return 40_100_000 + 311 * self.index

    @property
    def configurations(self) -> list[str]:
        return [name for platform in self.platforms for name in platform.configurations()]


@dataclass(frozen=True)
class Catalogue:
    """One size of world."""

    scale: str
    owner: str
    repo: str
    description: str
    commits_a_day: int
    release_commits_a_day: float
    releases: int  # how many release branches are alive at a time
    nightly: bool  # whether a branch `nightly` follows trunk once a day
    breaks_a_day: float
    workflows: tuple[Workflow, ...]
    bot_lands: bool = False  # a bot pushes what it lands, so that pull requests close unmerged

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.repo}"

    @cached_property
    def configurations(self) -> list[tuple[str, str]]:
        """(workflow, base name) of everything that can become a column."""
        return [(workflow.name, name) for workflow in self.workflows for name in workflow.configurations]


def _p(
    name: str, runner: str, tests: str = "", *, minutes: tuple[float, float] = (20, 110), unstable: bool = False
) -> Platform:
    """A platform from a compact note: `default*5 distributed*2 docs_test`."""
    parsed = []
    for word in tests.split():
        config, _, shards = word.partition("*")
        parsed.append((config, int(shards or 1)))
    return Platform(name, runner, tuple(parsed), test_minutes=minutes, unstable=unstable)


def _lone(minutes: tuple[float, float], runner: str, *names: str) -> Platform:
    return Platform("", runner, builds=False, build_minutes=minutes, lone=names)


def _numbered(*workflows: Workflow) -> tuple[Workflow, ...]:
    return tuple(Workflow(w.name, w.platforms, w.every_hours, w.on_release, index) for index, w in enumerate(workflows))


_PULL = Workflow("pull", (
    _p("linux-jammy-py3.10-gcc11", LINUX, "default*8 distributed*3 docs_test jit_legacy backwards_compat numpy_2_x"),
    _p("linux-jammy-py3.10-clang15-asan", LARGE, "default*10"),
    _p("linux-jammy-py3.10-clang12-onnx", LINUX, "default*2"),
    _p("linux-jammy-py3.13-clang12", LINUX, "default*8 crossref*4 dynamo_wrapped*6 einops"),
    _p("linux-focal-cuda12.4-py3.10-gcc9-sm86", GPU, "default*8 distributed*5 jit_legacy"),
    _p("linux-jammy-py3.10-gcc11-no-ops", LINUX),
    _p("linux-jammy-py3.10-gcc11-pch", LINUX),
    _p("linux-jammy-py3.10-gcc11-mobile-lightweight-dispatch", LINUX),
    _p("linux-jammy-cpu-py3.10-gcc11-bazel-test", LARGE, "default"),
), on_release=True)  # fmt: skip
_TRUNK = Workflow("trunk", (
    _p("linux-focal-cuda12.4-py3.10-gcc9", GPU_SMALL, "default*8 distributed*4 nogpu_AVX512 nogpu_NO_AVX2 deploy"),
    _p("linux-focal-cuda12.4-py3.10-gcc9-debug", GPU_SMALL, "default*2"),
    _p("libcore-linux-focal-cuda12.4-py3.10-gcc9", LARGE, "default"),
    _p("linux-focal-cuda12.4-py3.10-gcc9-no-ops", LARGE),
    _p("parallelnative-linux-jammy-py3.10-gcc11", LINUX, "default*3"),
), on_release=True)  # fmt: skip
_LINT = Workflow("lint", (
    _lone((3, 14), SMALL, "lintrunner-clang / linux-job", "lintrunner-noclang / linux-job", "quick-checks / linux-job",
          "pr-sanity-checks", "workflow-checks / linux-job", "toc / linux-job", "test-tools / linux-job",
          "Test collect_env (with_core)", "Test collect_env (without_core)"),
), on_release=True)  # fmt: skip
_INDUCTOR = Workflow("inductor", (
    _p("cuda12.4-py3.10-gcc9-sm86", GPU, "inductor*2 inductor_distributed inductor_huggingface inductor_timm*2 "
       "inductor_benchmarks*2 dynamic_inductor_timm*2 inductor_cpp_wrapper*2"),
    _p("linux-jammy-cpu-py3.9-gcc11", LARGE, "inductor*2 cpu_inductor_huggingface cpu_inductor_timm*2 inductor_avx2*2"),
    _p("linux-jammy-py3.12-halide", LINUX, "inductor-halide"),
))  # fmt: skip
_PERIODIC = Workflow("periodic", (
    _p("linux-focal-cuda11.8-py3.10-gcc9", GPU_SMALL, "default*3 distributed*3 multigpu"),
    _p("linux-focal-cuda11.8-py3.9-gcc9", GPU_SMALL, "multigpu"),
    _p("linux-focal-cuda11.8-py3.10-gcc9-debug", GPU_SMALL, "default*5"),
    _p("buck-build-test", LINUX, "default"),
    _p("ios-16-simulator", MAC),
), every_hours=4)  # fmt: skip
_DOCS = Workflow("docs", (
    _lone((10, 50), LARGE, "build-docs-python-false", "build-docs-cpp-false", "build-docs-functorch-false"),
))  # fmt: skip
_WINDOWS = Workflow("windows", (
    _p("win-vs2022-cpu-py3", WINDOWS, "default*3 functorch", minutes=(30, 140)),
    _p("win-vs2022-cuda12.4-py3", WINDOWS_GPU, "default*5 force_on_cpu", minutes=(40, 170)),
))  # fmt: skip
_MACOS = Workflow("macos", (
    _p("macos-py3-arm64", MAC, "default*3 functorch", minutes=(25, 90)),
    _p("macos-py3-arm64-asan", MAC, "default*2", minutes=(25, 90)),
    _p("macos-py3-arm64-mps", MAC, "mps*2", minutes=(15, 60)),
))  # fmt: skip
_ROCM = Workflow("rocm", (
    _p("linux-jammy-rocm6.2-py3.10", ROCM, "default*9 distributed*3 inductor*3", minutes=(40, 170)),
))  # fmt: skip
_XPU = Workflow("xpu", (_p("linux-jammy-xpu-2025.0-py3.9", XPU, "default*8 inductor*3", minutes=(40, 150)),))
_UNSTABLE = Workflow("unstable", (
    _p("linux-jammy-py3.13t-clang12", LINUX, "default*3 nogil", unstable=True),
    _p("linux-focal-cuda12.6-py3.13-gcc9-sm90", GPU, "default*2", unstable=True),
))  # fmt: skip
_SLOW = Workflow("slow", (
    _p("linux-focal-cuda12.4-py3.10-gcc9-sm86", GPU, "slow*2", minutes=(80, 180)),
    _p("linux-jammy-py3.10-clang15-asan", LARGE, "slow*3", minutes=(80, 180)),
    _p("linux-jammy-py3.9-gcc11", LINUX, "slow*2 slow_gradcheck*4", minutes=(60, 180)),
), every_hours=6)  # fmt: skip
_AARCH64 = Workflow("linux-aarch64", (
    _p("linux-jammy-aarch64-py3.10", ARM, "default*4 openreg"),
    _p("linux-jammy-aarch64-py3.13", ARM, "default*3 inductor*2 numpy_2_x"),
))  # fmt: skip
_BENCHMARK = Workflow("nightly-benchmark", (
    _p("cuda12.4-py3.10-gcc9-sm80", GPU, "dashboard_huggingface dashboard_timm dashboard_suite", minutes=(90, 180)),
), every_hours=24)  # fmt: skip
_DEFAULT = (
    _PULL, _TRUNK, _LINT, _INDUCTOR, _PERIODIC, _DOCS, _WINDOWS, _MACOS, _ROCM, _XPU, _UNSTABLE, _SLOW, _AARCH64,
    _BENCHMARK,
)  # fmt: skip


def _family(name: str, runner: str, platforms: list[str], tests: str, every_hours: int = 0) -> Workflow:
    """A workflow in which several platforms run the same tests."""
    return Workflow(name, tuple(_p(platform, runner, tests) for platform in platforms), every_hours)


def _pytorch() -> tuple[Workflow, ...]:
    """The default workflows and as many again, so that 400 configurations come together.

    25 workflows run on every commit, with about 600 jobs, shards counted; the others follow a schedule.
    """
    cuda = [f"linux-jammy-cuda{version}-py3.10-gcc11" for version in ("12.6", "12.8", "12.9", "13.0")]
    cpython = [f"linux-jammy-py3.{minor}-clang15" for minor in (9, 11, 12, 14)]
    wheels = [f"manywheel-py3_{minor}-{variant}" for minor in (10, 11, 12, 13) for variant in ("cpu", "cuda12_8")]
    return (
        *_DEFAULT,
        _family("pull-cuda", GPU, cuda, "default*5 distributed*3 jit_legacy nogpu_AVX512 nogpu_NO_AVX2 crossref*2"),
        _family("pull-python", LINUX, cpython, "default*5 crossref*2 dynamo_wrapped*3 einops numpy_2_x docs_test"),
        _family("inductor-unittest", GPU, cuda[:3],
                "inductor*2 inductor_distributed inductor_cpp_wrapper*2 inductor_amp"),
        _family("inductor-dynamic", GPU, cuda[:3], "dynamic_huggingface dynamic_timm*2 dynamic_suite*2 aot_eager*2"),
        _family("inductor-cpu", LARGE, ["linux-jammy-cpu-py3.10-gcc11", "linux-jammy-cpu-py3.12-gcc11"],
                "cpu_huggingface cpu_timm*2 cpu_suite*2 cpu_amp_freezing*2 cpu_aot*2"),
        _family("export", LINUX, [f"linux-jammy-py3.{minor}-export" for minor in (10, 11, 12, 13)],
                "export*2 serde strict nonstrict draft retrace"),
        _family("distributed", GPU, ["linux-jammy-cuda12.6-a10g", "linux-jammy-cuda12.8-h100"],
                "distributed*3 fsdp*2 pipelining tensor_parallel checkpoint"),
        _family("quantization", LARGE, ["linux-jammy-py3.10-quantized", "linux-jammy-py3.13-quantized"],
                "eager fx pt2e*2 backend_qnn backend_x86 xpu"),
        _family("sanitizers", LARGE, [f"linux-jammy-clang18-{kind}" for kind in ("tsan", "ubsan", "msan", "lsan")],
                "default*4 jit distributed*2 dynamo export"),
        _family("onnx", LINUX, [f"linux-jammy-py3.{minor}-onnx" for minor in (11, 12, 13, 14)],
                "default*2 exporter*2 runtime opset"),
        _family("rocm-mi300", ROCM, ["linux-noble-rocm7.0-py3.12-mi300", "linux-noble-rocm7.0-py3.13-mi300"],
                "default*6 distributed*3 inductor*2 slow*2"),
        _family("vulkan", LARGE, ["linux-jammy-vulkan-py3.11", "linux-jammy-vulkan-py3.13"], "default api"),
        _family("s390x", LARGE, ["linux-manylinux-2_28-py3-cpu-s390x"], "default*10 distributed*2"),
        _family("openreg", LINUX, [f"linux-jammy-openreg-py3.{minor}" for minor in (10, 12, 13)],
                "openreg plugin autoload hooks"),
        _family("windows-arm64", WINDOWS, ["win-arm64-cpu-py3", "win-arm64-cpu-py3.13"],
                "default*3 functorch inductor"),
        _family("operator-bench", LARGE, ["linux-jammy-cpu-py3.10-opbench"],
                "short small_ops large_ops memory compile quant"),
        # From here on, on a schedule.
        _family("inductor-periodic", GPU, ["cuda12.8-py3.10-gcc11-sm90", "cuda12.8-py3.10-gcc11-periodic-dynamo"],
                "periodic_huggingface periodic_timm*2 periodic_suite*2 max_autotune*2", every_hours=4),
        _family("rocm-periodic", ROCM, ["linux-jammy-rocm6.4-py3.10", "linux-noble-rocm7.0-py3.12"],
                "default*4 distributed*3 slow*2", every_hours=6),
        _family("nightly-wheels", LARGE, wheels, "smoke", every_hours=24),
        _family("h100-symm-mem", GPU, ["linux-jammy-cuda12.8-sm90-symm"], "h100-symm-mem", every_hours=8),
    )  # fmt: skip


_TINY = (
    Workflow(
        "pull", (_p("linux-jammy-py3.10-gcc11", LINUX, "default*3 distributed", minutes=(6, 20)),), on_release=True
    ),
    Workflow("lint", (_lone((1, 4), SMALL, "lintrunner / linux-job", "quick-checks / linux-job"),)),
    Workflow("unstable", (_p("linux-jammy-py3.13t-clang12", LINUX, "default", minutes=(6, 20), unstable=True),)),
    Workflow("periodic", (_lone((5, 20), GPU, "memory-leak-check"),), every_hours=4),
)

CATALOGUES = {
    "default": Catalogue(
        "default", "grove", "orchard", "Arrays that grow on trees (a simulated project)",
        30, 2.0, 1, False, 1.6, _numbered(*_DEFAULT),
    ),
    "pytorch": Catalogue(
        "pytorch", "grove", "redwood", "A very large simulated project",
        60, 3.0, 2, True, 3.5, _numbered(*_pytorch()), True,
    ),
    "tiny": Catalogue(
        "tiny", "grove", "bonsai", "A very small simulated project", 24, 2.0, 1, False, 1.5, _numbered(*_TINY)
    ),
}  # fmt: skip
