"""The people and the words of the simulated projects. All of them are made up."""

from project.simulator.draws import Draws

AUTHORS = (
    "alder-finch", "birchbark", "bramble-ok", "cedarline", "clover-nine", "dogwood-dev", "elmleaf", "fern-hollow",
    "gorse-and-heather", "hawthorn42", "ivy-lattice", "juniper-q", "kelp-forest", "larchmont-sim", "linden-lane",
    "mossy-stone", "nettlebed", "oakapple", "osier-weaves", "pinecone-pi", "quince-tree", "rowan-ash", "sorrel-bit",
    "teasel-run", "willow-wisp",
)  # fmt: skip
BOT = "orchard-merge-bot"
MERGER = "web-flow"

AREAS = {
    "inductor": "inductor", "dynamo": "dynamo", "export": "export", "autograd": "pull", "cuda": "pull",
    "distributed": "pull", "fsdp": "pull", "nn": "pull", "optim": "pull", "sparse": "slow", "jit": "pull",
    "onnx": "pull", "rocm": "rocm", "mps": "macos", "windows": "windows", "xpu": "xpu", "CI": "trunk",
    "docs": "docs", "lint": "lint", "quantization": "pull", "profiler": "pull", "dataloader": "pull",
    "BE": "pull", "build": "trunk", "fx": "inductor", "functorch": "inductor", "c10d": "periodic",
}  # fmt: skip
_VERBS = (
    "Fix", "Add", "Remove", "Support", "Speed up", "Refactor", "Avoid", "Deprecate", "Document", "Enable",
    "Guard", "Simplify", "Handle", "Test", "Stop copying in", "Do not retrace", "Cache", "Lower",
)  # fmt: skip
_THINGS = (
    "dynamic shapes", "strided views", "the fusion pass", "complex dtypes", "zero-sized tensors", "nested tensors",
    "gradient checkpointing", "pinned memory", "the autotuner", "symbolic integers", "the graph partitioner",
    "batch norm folding", "collective timeouts", "pickle protocol 5", "the C++ wrapper", "meta kernels",
    "foreach optimizers", "the allocator's statistics", "mixed precision", "weight sharing", "stream capture",
    "error messages", "kernel launch bounds", "constant folding", "view tracking", "the plugin registry",
)  # fmt: skip
_TAILS = (
    "", "", "", " when the batch is empty", " on 32-bit indices", " under inference mode", " for half precision",
    " behind a flag", " in the slow path", " after the last refactor", " for channels-last inputs", ", take 2",
    " with two or more devices", " on Windows", " in the nightly wheel", " (part 3 of 5)", " without a copy",
)  # fmt: skip


def title(draws: Draws) -> str:
    """A commit title without its pull request number, such as `[inductor] Fix strided views on Windows`."""
    area = draws.pick(tuple(AREAS))
    words = f"{draws.pick(_VERBS)} {draws.pick(_THINGS)}{draws.pick(_TAILS)}"
    if draws.chance(0.12):
        return words
    if draws.chance(0.08):
        return f"[{area}][{draws.pick(tuple(AREAS))}] {words}"
    return f"[{area}] {words}"


def body(draws: Draws) -> str:
    """The rest of a commit message, often empty."""
    if draws.chance(0.35):
        return ""
    reason = f"{draws.pick(_THINGS)}{draws.pick(_TAILS)}".strip().capitalize()
    lines = [f"{reason} was handled twice, once too early. This keeps the later place only."]
    if draws.chance(0.5):
        lines += ["", "Test plan: the new case in the unit tests, and the existing ones unchanged."]
    return "\n".join(lines)
