"""Groups: which configurations fold into one column of the grid.

A repository has an ordered list of rules, a group name and a regular expression each. They are searched,
without regard to case, in a configuration's full name `workflow / name`, and the first that is found gives
the group; `\\1` in the group's name stands for what the first bracket of the expression caught. What no rule
finds is grouped by workflow.

Maintainers write the rules in the admin and strangers write the names, so an expression that is broken, or
that could take forever on some name, is refused when it is written, with the place.
"""

import importlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LONGEST_PATTERN = 500
LONGEST_NAME = 750
"""Full names are cut here before they are searched, so that the cost of a rule has a bound."""

LONGEST_GROUP = 100
"""Group names are cut here, since `\\1` brings in text that strangers write."""

MOST_OPEN_REPEATS = 4

_REFERENCE = re.compile(r"\\([0-9])")
_DIGITS = re.compile(r"([0-9]{1,18})")

# How the standard library names a repeat in a parsed expression: greedy, lazy, possessive.
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")


@dataclass(frozen=True, slots=True)
class Rule:
    """Configurations in whose full name `pattern` is found belong to the group `name`."""

    name: str
    pattern: str


class BadRule(ValueError):  # noqa: N818 - the name that callers know
    """A rule that can't be used: `position` counts rules from 0, `at` characters of the pattern from 0 (None
    where no single place is to blame)."""

    def __init__(self, position: int, message: str, at: int | None = None) -> None:
        where = "" if at is None else f", at character {at + 1}"
        super().__init__(f"rule {position + 1}: {message}{where}")
        self.position, self.message, self.at = position, message, at


class Grouping:
    """Compiled rules. Made by `compile_rules`."""

    def __init__(self, rules: Sequence[tuple[str, re.Pattern[str]]]) -> None:
        # Several rules may feed one group, and then the group stands where the last of them does. So a rule
        # can be asked first and yet have its column at the end: name it twice.
        place = {name: order for order, (name, _) in enumerate(rules)}
        self._rules = tuple((name, pattern, place[name]) for name, pattern in rules)

    def group(self, workflow: str, name: str) -> tuple[str, int]:
        """The group of a configuration, and the group's place: groups are ordered by place, then by name."""
        return self._find(f"{workflow} / {name}", workflow)

    def group_full(self, full_name: str) -> tuple[str, int]:
        """The same for a full name, `workflow / name`."""
        return self._find(full_name, full_name.partition(" / ")[0])

    def _find(self, full_name: str, workflow: str) -> tuple[str, int]:
        subject = full_name[:LONGEST_NAME]
        for name, pattern, order in self._rules:
            match = pattern.search(subject)
            if match is None:
                continue
            if filled := _fill(name, match):
                return filled, order
        return workflow, len(self._rules)


def compile_rules(rules: Iterable[Rule]) -> Grouping:
    """The rules, ready to use; raises `BadRule` at the first that isn't."""
    return Grouping([(rule.name.strip(), _compile(position, rule)) for position, rule in enumerate(rules)])


def column_key(group: str, order: int) -> tuple[int, list[str | int]]:
    """Sorts groups into the order of their columns: by place, then by name with numbers as numbers (9 before
    12)."""
    return order, _natural(group)


def preview(rules: Iterable[Rule], full_names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """What these rules would make of these names: the groups in the order of their columns, each with its
    names."""
    grouping = compile_rules(rules)
    groups: dict[tuple[str, int], list[str]] = {}
    for full_name in dict.fromkeys(full_names):
        groups.setdefault(grouping.group_full(full_name), []).append(full_name)
    return [(key[0], sorted(groups[key], key=_natural)) for key in sorted(groups, key=lambda key: column_key(*key))]


def rules_for(owner: str, name: str) -> tuple[Rule, ...]:
    """The rules that a repository starts with."""
    return PYTORCH_RULES if (owner.casefold(), name.casefold()) == ("pytorch", "pytorch") else DEFAULT_RULES


def _fill(name: str, match: re.Match[str]) -> str:
    if "\\" not in name:
        return name
    # A bracket that caught nothing leaves no hole in the name.
    return " ".join(_REFERENCE.sub(lambda reference: match[int(reference[1])] or "", name).split())[
        :LONGEST_GROUP
    ].strip()


def _natural(text: str) -> list[str | int]:
    # Text and digits alternate, text first, so two keys never compare a string with a number.
    return [int(part) if index % 2 else part.casefold() for index, part in enumerate(_DIGITS.split(text))]


def _compile(position: int, rule: Rule) -> re.Pattern[str]:
    if not rule.name.strip():
        raise BadRule(position, "a rule needs the name of its group")
    if len(rule.name) > LONGEST_GROUP:
        raise BadRule(position, f"the name is longer than {LONGEST_GROUP} characters")
    if not rule.pattern:
        raise BadRule(position, "an empty pattern would match everything")
    if len(rule.pattern) > LONGEST_PATTERN:
        raise BadRule(position, f"the pattern is longer than {LONGEST_PATTERN} characters", LONGEST_PATTERN)
    try:
        pattern = re.compile(rule.pattern, re.IGNORECASE)
    except re.error as error:
        raise BadRule(position, error.msg, error.pos) from None
    except (OverflowError, RecursionError):
        raise BadRule(position, "the pattern is too large") from None
    for reference in _REFERENCE.finditer(rule.name):
        if int(reference[1]) > pattern.groups:
            raise BadRule(position, f"the name uses {reference[0]}, but the pattern has {pattern.groups} brackets")
    if reason := _too_slow(rule.pattern):
        raise BadRule(position, reason)
    return pattern


def _too_slow(pattern: str) -> str | None:
    """Why a pattern could take forever on some name. Only the two usual shapes are looked for; the limits on
    lengths bound the rest."""
    try:
        # Not a public module, but the only parser there is; without it the check is skipped, not guessed.
        parser = importlib.import_module("re._parser")
        parsed = parser.parse(pattern)
    except Exception:
        return None
    open_repeats = 0
    stack: list[tuple[object, bool]] = [(parsed, False)]
    while stack:
        node, inside = stack.pop()
        if isinstance(node, tuple) and len(node) == 2 and str(node[0]) in _REPEATS:
            _, most, body = node[1]
            # `a{2,9}` is cheap wherever it stands; `a*` and `a{0,999}` are not.
            if int(most) > 20:
                if inside:
                    return "a repeat inside a repeat, such as (a+)+, could take forever on some name"
                open_repeats += 1
                inside = True
            stack.append((body, inside))
        elif isinstance(node, (list, tuple, parser.SubPattern)):
            stack.extend((child, inside) for child in node)
    if open_repeats > MOST_OPEN_REPEATS:
        return f"more than {MOST_OPEN_REPEATS} open repeats (* or +) could take forever on some name"
    return None


DEFAULT_RULES: tuple[Rule, ...] = ()
"""For a project of which nothing is known: one group per workflow."""

PYTORCH_RULES: tuple[Rule, ...] = (
    # Asked first, shown last (see the end): expected failures and housekeeping are not what a column is
    # watched for.
    Rule("Unstable", r"unstable"),
    Rule("Reruns and leak checks", r"rerun_disabled_tests|mem_leak_check"),
    Rule(
        "Service jobs",
        r"get-label-type|job-filter|before-test|target.determination|llm-td|calculate-docker-image"
        r"|runner-determinator|get-changed-files|select-runner|check.labels|upload.test.stats|trymerge|close.stale",
    ),
    Rule("Lint", r"^\S*lint\b|lintrunner|bc.lint|workflow-checks"),
    Rule("Docs", r"(?<![a-z])docs?(?![a-z])"),
    # Deliverables, whatever they are built for.
    Rule("LibTorch", r"libtorch"),
    Rule("Wheels", r"wheel|-binary-"),
    Rule("Docker images", r"docker-(?:build|release|cache)"),
    # Parts of the product that have their own people.
    Rule("vLLM", r"vllm"),
    Rule("ExecuTorch and Android", r"executorch|android"),
    Rule("ONNX", r"onnx"),
    Rule("XLA", r"(?<![a-z])(?:xla|torch_?xla|tpu)(?![a-z])"),
    # Hardware that is not CUDA: everything on it is one team's.
    Rule(r"ROCm \1", r"rocm\S*?[-_](mi[0-9]+x?|gfx[0-9a-f]+|navi[0-9]+)"),
    Rule("ROCm", r"rocm"),
    Rule("XPU", r"xpu"),
    Rule("macOS MPS", r"(?<![a-z])mps(?![a-z])"),
    Rule("macOS", r"(?<![a-z])mac(?:os)?(?![a-z])"),
    Rule("Windows CUDA", r"(?<![a-z_])win(?:dows)?[-_]\S*cuda"),
    Rule("Windows CPU", r"(?<![a-z_])win(?:dows)?[-_]"),
    # Run only now and then, so apart from the columns that every commit fills.
    Rule("Periodic", r"^periodic"),
    Rule("Slow tests", r"^slow|(?<![a-z])slow(?:_?gradcheck)?(?![a-z])"),
    Rule("Inductor benchmarks", r"inductor.*(?:torchbench|huggingface|timm|perf|smoketest|benchmark)"),
    Rule("Benchmarks", r"benchmark|torchbench"),
    Rule("Inductor CPU", r"inductor.*(?:cpu|amx|avx|aarch64|halide)"),
    Rule("Inductor CUDA", r"inductor"),
    Rule("Dynamo", r"dynamo"),
    Rule("Distributed", r"distributed|multigpu|symm.mem|nccl"),
    Rule("ASan", r"(?<![a-z])[at]san(?![a-z])"),
    Rule(r"CUDA \1 \2", r"cuda([0-9]+\.[0-9]+)\S*[-_](sm[0-9]+a?)(?![0-9a-z])"),
    Rule(r"CUDA \1", r"cuda([0-9]+\.[0-9]+)"),
    Rule("CUDA", r"cuda|(?<![a-z])[abh][12]00(?![0-9])"),
    Rule("Linux aarch64", r"aarch64|arm64"),
    Rule("s390x and RISC-V", r"s390x|riscv"),
    Rule(r"Linux \1 \2", r"linux-[a-z]+-(py3\.[0-9]+t?)-((?:gcc|clang)[0-9]+)"),
    Rule("Linux", r"linux|ubuntu"),
    Rule("Unstable", r"unstable"),
    Rule("Reruns and leak checks", r"rerun_disabled_tests|mem_leak_check"),
    Rule("Service jobs", r"get-label-type|job-filter"),
)
"""For pytorch/pytorch as of 2026: some 400 configurations in about 30 groups."""
