"""Which line of a failed job's log says why it failed. Pure.

Rules are asked in their order: the best-ranked one that matches anywhere wins, and of its lines the last, because the
summary stands at the end: what failed first may have been tried again, what is said last is what the job ended with.

A log may have 300,000 lines, so a rule's expression is tried only on lines that contain what it cannot match without
(its needles, read off the expression itself); a block of lines is searched for them at once. Logs are hostile: lines
are cut before anything is matched, and the time that one log may take is bounded.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate, islice
from typing import Final, Protocol

from hud.pattern_cost import needles

LONGEST_LINE: Final = 2_000  # characters of a line that are looked at
KEPT_LINE: Final = 500
CONTEXT: Final = 5  # lines kept before the found one, and after it
BLOCK: Final = 2_000  # lines
SECONDS: Final = 5.0  # of CPU for one log; what has been found until then counts
RULE_SECONDS: Final = 1.0  # and for one rule in it
MOST_ERRORS: Final = 100  # lines that a log's page jumps between

CATEGORIES: Final = ("test", "build", "lint", "infra", "timeout", "resource", "generic")

ANSI: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-Z\\-_]?)|[\x00-\x08\x0b-\x1f\x7f]"
)
"""Escape sequences and control characters, within a line."""

STAMP: Final = re.compile(r"\ufeff?[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?Z ?")
"""What GitHub puts before each line."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Lines in which `pattern` is found tell of a failure. What its brackets catch makes the failure's key.

    A bracket named `test` catches a test's name, which is kept as it is; the others lose what differs from run to run.
    """

    name: str
    category: str
    pattern: str


class Told(Protocol):
    """What is known of a failure, wherever it is kept."""

    @property
    def key(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def line(self) -> str: ...


@dataclass(frozen=True)
class Found:
    """The line that says why, without its time and colours."""

    rule: str
    category: str
    line_number: int  # counted from 1
    line: str
    captures: tuple[str, ...]
    test: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    @cached_property
    def key(self) -> str:
        """See `key`."""
        return key(self)


class Rules:
    """Rules ready to use. `hud.pattern_cost.check` is asked before a person's rules are kept, not here."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self.compiled = tuple(re.compile(rule.pattern) for rule in rules)
        by_needle: dict[str, list[int]] = {}
        self.everywhere: list[int] = []  # rules that no needle announces
        for number, rule in enumerate(rules):
            found = needles(rule.pattern)
            if not found:
                self.everywhere.append(number)
            for needle in found:
                by_needle.setdefault(needle, []).append(number)
        # A needle inside another one is searched for once, in the shorter form.
        self.needles = [
            (needle, tuple(sorted(set(numbers))))
            for needle, numbers in sorted(by_needle.items(), key=lambda one: min(one[1]))
        ]


class Finder:
    """Reads a log block by block, then says what was found."""

    def __init__(self, rules: Rules, *, seconds: float = SECONDS) -> None:
        self._rules = rules
        self._best = len(rules.rules)
        self._seconds = seconds
        self._left = dict.fromkeys(range(len(rules.rules)), RULE_SECONDS)
        self._tail: list[str] = []
        self._found: tuple[re.Match[str], int, str] | None = None
        self._before: list[str] = []
        self._after: list[str] = []
        self._same: list[int] = []  # lines of the winning rule
        self._marked: list[int] = []  # lines that GitHub marks as errors
        self.hurried = False

    def feed(self, first: int, lines: Sequence[str]) -> None:
        """The next lines; `first` is the number of the first of them."""
        text = "\n".join([line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] for line in lines])
        if "\x1b" in text or "\b" in text or "\r" in text:
            text = ANSI.sub("", text)
        if len(self._after) < CONTEXT and self._found:
            self._after += [_bare(line) for line in text.split("\n", CONTEXT)[: CONTEXT - len(self._after)]]
        if self._seconds > 0:
            started = time.process_time()
            self._search(first, text)
            self._seconds -= time.process_time() - started
        else:
            self.hurried = True
        self._tail = (self._tail + text.rsplit("\n", CONTEXT)[-CONTEXT:])[-CONTEXT:]

    def result(self) -> Found | None:
        """What the best-ranked rule found last."""
        if self._found is None:
            return None
        match, number, line = self._found
        rule = self._rules.rules[self._best]
        test = match.groupdict().get("test") or ""
        return Found(
            rule.name,
            rule.category,
            number,
            line[:KEPT_LINE],
            tuple(caught[:KEPT_LINE] for caught in match.groups() if caught)[:8],
            test[:KEPT_LINE],
            tuple(line[:KEPT_LINE] for line in self._before),
            tuple(line[:KEPT_LINE] for line in self._after[:CONTEXT]),
        )

    @property
    def errors(self) -> list[int]:
        """Numbers of the lines worth jumping to: those of the winning rule, and those that GitHub marks."""
        return sorted({*self._same[-MOST_ERRORS:], *self._marked[-MOST_ERRORS:]})

    def _search(self, first: int, text: str) -> None:
        low = text.lower()
        starts: list[int] = []
        lines: list[str] = []
        candidates: dict[int, set[int]] = {}
        for needle, numbers in (("##[error]", (-1,)), *self._rules.needles):
            if numbers[0] > self._best:
                break  # they are sorted: nothing after this one could win
            at = low.find(needle)
            if at < 0:
                continue
            if not starts:
                starts = [0, *accumulate(len(line) + 1 for line in low.split("\n"))]
                lines = text.split("\n")
            hit = set()
            while at >= 0:
                index = bisect_right(starts, at) - 1
                hit.add(index)
                at = low.find(needle, starts[index + 1])
            for number in numbers:
                if number <= self._best:
                    candidates.setdefault(number, set()).update(hit)
        self._marked = (self._marked + sorted(first + index for index in candidates.pop(-1, ())))[-MOST_ERRORS:]
        for number in self._rules.everywhere:
            lines = lines or text.split("\n")
            candidates[number] = set(range(len(lines)))
        for number in sorted(candidates):
            if number <= self._best and self._try(number, first, lines, sorted(candidates[number], reverse=True)):
                return

    def _try(self, number: int, first: int, lines: list[str], indexes: list[int]) -> bool:
        """Whether the rule matches one of these lines, looked at from the last one on."""
        pattern = self._rules.compiled[number]
        started = time.process_time()
        found: list[int] = []
        for tried, index in enumerate(indexes):
            if self._left[number] <= 0 or len(found) >= MOST_ERRORS:
                break
            line = _bare(lines[index])
            if match := pattern.search(line):
                found.append(first + index)
                if len(found) == 1:
                    self._keep(number, match, first + index, line, index, lines)
            if tried % 64 == 63:
                now = time.process_time()
                self._left[number] -= now - started
                started = now
        if not found:
            return False
        self._same = (self._same + found[::-1])[-MOST_ERRORS:]
        return True

    def _keep(self, number: int, match: re.Match[str], at: int, line: str, index: int, lines: list[str]) -> None:
        if number != self._best:
            self._same = []
        self._best = number
        self._found = match, at, line
        before = [*self._tail, *lines[max(0, index - CONTEXT) : index]][-CONTEXT:]
        self._before = [_bare(one) for one in before]
        self._after = [_bare(one) for one in lines[index + 1 : index + 1 + CONTEXT]]


def find(lines: Iterable[str], rules: Rules) -> Found | None:
    """The line that says why, of a whole log."""
    finder = Finder(rules)
    first = 1
    for block in _blocks(lines):
        finder.feed(first, block)
        first += len(block)
    return finder.result()


def key(found: Found) -> str:
    """32 hex digits that failures of one cause share, on whatever commit, machine and shard they happened."""
    return blake2b(f"{found.rule}\n{essence(found)}".encode(), digest_size=16).hexdigest()


def essence(found: Found) -> str:
    """What of a failure does not differ from run to run."""
    if not found.captures:
        return same(found.line)
    return "\n".join(one if one == found.test else same(one) for one in found.captures)


def alike(a: Told, b: Told) -> bool:
    """Whether two failures look like the same one. Two that only say that something failed never do."""
    if a.rule != b.rule or says_little(a.rule):
        return False
    if a.key == b.key:
        return True
    left, right = set(_WORD.findall(same(a.line))), set(_WORD.findall(same(b.line)))
    # Different tests fail in the same words; a word in five may differ, a name may not.
    return len(left & right) >= 0.8 * len(left | right) and _names(a.line) == _names(b.line)


def says_little(rule: str) -> bool:
    """Whether a rule's lines say nothing of a cause, so that two of them have nothing in common."""
    return rule in (EXIT_CODE, CANCELED)


def same(text: str) -> str:
    """The text without what differs from run to run: times, numbers, addresses, temporary paths, machines."""
    text = text.replace("\\", "/")
    for pattern, instead in _SAME:
        text = pattern.sub(instead, text)
    return " ".join(text.split())[:300]


def _names(line: str) -> set[str]:
    return set(_TEST_NAME.findall(line))


def _bare(line: str) -> str:
    """A line without the time that GitHub puts before it."""
    stamp = STAMP.match(line)
    return line[stamp.end() :] if stamp else line


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    source = iter(lines)
    while block := list(islice(source, BLOCK)):
        yield block


_WORD = re.compile(r"[A-Za-z_]{2,}")
_TEST_NAME = re.compile(r"\S+::\S+|\b[Tt]est\w*|\S+\.(?:c|cc|cpp|cu|h|py|rs|go)\b")
_SAME = (
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.,]+(?:Z|[+-][0-9:]+)?"), "T"),
    (re.compile(r"(?:/tmp|/var/folders|/private/tmp|[A-Za-z]:/[^ ]{0,60}?/Temp)/[^\s'\":,)]+"), "P"),
    # Where a checkout stands: on GitHub's machines, in containers, on Windows, on PyTorch's machines.
    (
        re.compile(
            r"(?:/home/[^/\s]+/(?:actions-runner/_)?work|/__w|[A-Z]:/a|[A-Z]:/actions-runner/_work)/[^/\s]+/[^/\s]+/"
            r"|/var/lib/jenkins/workspace/"
        ),
        "",
    ),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"), "H"),
    (re.compile(r"0x[0-9a-fA-F]+|\b(?=[a-f]*[0-9])[0-9a-f]{8,64}\b"), "H"),
    (re.compile(r"\bgw[0-9]+\b"), "gwN"),
    (re.compile(r"\[gw?[0-9]+\]|\bshard[ _:-]?[0-9]+(?:[ _-]?(?:/|of)[ _-]?[0-9]+)?", re.IGNORECASE), "shard"),
    (re.compile(r"(?<![A-Za-z_0-9])[-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?"), "N"),
)

EXIT_CODE: Final = "exit code"
CANCELED: Final = "canceled"

_C = r"(?<!\S)(?:##\[error\])?((?:[A-Za-z]:)?[^\s:]+\.(?:c|cc|cpp|cxx|cu|cuh|h|hpp|inl|m|mm|metal|hip))"

SHIPPED: Final = (
    # What kills a job kills its report too: whatever else the log says is what was going on by then.
    Rule("runner lost", "infra", r"(runner lost communication with the server)"),
    Rule("runner shut down", "infra", r"(The runner has received a shutdown signal)"),
    Rule("runner error", "infra", r"(The hosted runner encountered an error|Job was abandoned|The runner has crashed)"),
    Rule("disk full", "resource", r"(No space left on device|There is not enough space on the disk)"),
    Rule("job timeout", "timeout", r"(The job running on runner) .{0,200}(has exceeded the maximum execution time)"),
    Rule("step timeout", "timeout", r"(The action '[^']{1,200}' has timed out after)"),
    # Tests that say their name.
    Rule("pytest", "test", r"^(?:##\[error\])?FAILED (?:\[[0-9.]+s\] )?(?P<test>[^\s:]+\.py::[^\s]+)(?: - (.+))?"),
    Rule("pytest collection", "test", r"^ERROR (?P<test>[^\s:]+\.py(?:::\S+)?)(?: - (.+))?$"),
    Rule("unittest", "test", r"^(?:FAIL: |ERROR: )(?P<test>\w+ \([\w.]+)"),
    Rule("GoogleTest", "test", r"^\[  FAILED  \] (?P<test>[\w/]+\.[\w/]+)"),
    Rule("CTest", "test", r"^\s*[0-9]+ - (?P<test>\S+) \((?:Failed|Timeout|SEGFAULT|Subprocess aborted|Not Run)\)"),
    Rule("cargo test", "test", r"^test (?P<test>[\w:]+) \.\.\. FAILED"),
    Rule("Rust panic", "test", r"^thread '(?P<test>[^']+)' (?:\([0-9]+\) )?(panicked at .*)"),
    Rule("go test", "test", r"^\s*--- FAIL: (?P<test>\S+)"),
    Rule("Jest", "test", r"^\s*● (?P<test>.+ › .+)$"),
    Rule("Vitest", "test", r"^\s*FAIL\s+(?P<test>\S+\.[cm]?[jt]sx? > .+)$"),
    Rule("pytest, running", "test", r"^(?P<test>[^\s:]+\.py::\S+) FAILED\b"),
    # Crashes and lack of memory.
    Rule("sanitizer", "test", r"(ERROR: \w{2,20}Sanitizer: [\w-]+|WARNING: ThreadSanitizer: [\w ]+"
         r"|SUMMARY: UndefinedBehaviorSanitizer.*)"),
    Rule("CUDA out of memory", "resource", r"(CUDA out of memory|HIP out of memory|MPS backend out of memory)"),
    Rule("out of memory", "resource", r"(Out of memory: Killed process|oom-kill|Cannot allocate memory|std::bad_alloc"
         r"|Killed signal terminated program|fatal error C1060|exit code 137\b|OutOfMemoryError: Java heap space)"),
    Rule("CUDA error", "test", r"(CUDA error: [^.]+|CU(?:BLAS|DNN)_STATUS_\w+|NCCL error.*)"),
    Rule("crash", "test", r"(Fatal Python error: .*|Segmentation fault|core dumped|SIGSEGV|SIGABRT|Bus error)"),
    # Lint before the compiler, whose form it shares.
    Rule("lintrunner", "lint", r"^\s*>>> Lint for ([^\s:]+)(?::[0-9]{1,9})?:?(.*)"),
    Rule("lintrunner message", "lint", r"^ {0,9}((?:Error \(|Warning \()[A-Z_]{2,20}\) .+)"),
    Rule("clang-tidy", "lint", rf"{_C}:[0-9]{{1,9}}:[0-9]{{1,9}}(?:: error: |: warning: )(.+ \[[\w.]+-[\w.,-]+\])"),
    Rule("mypy", "lint", r"^([^\s:]+\.pyi?):[0-9]+:(?:[0-9]+:)? error: (.+)"),
    Rule("ruff or flake8", "lint", r"^([^\s:]+\.py):[0-9]+:[0-9]+:? ([A-Z]{1,4}[0-9]{3,4}) (.+)"),
    # Builds.
    Rule("linker", "build", r"((?:undefined reference to |undefined symbol: |error LNK[0-9]{4}|ld: error: "
         r"|ld: cannot find |ld: symbol|Undefined symbols for architecture).*)"),
    Rule("compiler", "build", rf"{_C}:[0-9]{{1,9}}(?::[0-9]{{1,9}})?: (?:fatal )?error: (.+)"),
    Rule("MSVC", "build", r"(?<!\S)([^\s(]+)\([0-9,]+\): (?:fatal )?error (C[0-9]{4}: .+)"),
    Rule("nvcc", "build", r"(?<!\S)([^\s(]+\.cuh?)\([0-9]{1,9}\): (error: .+|error #[0-9-]{1,9}: .+)"),
    Rule("rustc", "build", r"^(error\[E[0-9]{4}\]: .+|error: .+)"),
    Rule("CMake", "build", r"(CMake Error(?: at [\w./+-]+)?)(?::[0-9]+)?(.*)"),
    Rule("ninja", "build", r"^FAILED: (?:\[code=[0-9]+\] )?(\S+)"),
    Rule("make", "build", r"make(?:\[[0-9]+\])?: \*\*\* (.+)"),
    # The network is often in trouble and tried again, so it is to blame only if nothing above is.
    Rule("name resolution", "infra", r"(Could not resolve host|Temporary failure in name resolution|getaddrinfo )(.*)"),
    Rule("connection", "infra", r"(Connection reset|Connection refused|Connection timed out|Could not connect to \S+"
         r"|Read timed out|Network is unreachable|unexpected EOF|RPC failed|ETIMEDOUT|ECONNRESET)"),
    Rule("TLS", "infra", r"(TLS handshake|SSL: \w+|SSL_ERROR_\w+|certificate verify failed|gnutls_handshake)"),
    Rule("server error", "infra",
         r"(?:HTTP [Ee]rror|HTTP/[12][.01]{0,2}|status code|returned error)[: ]{1,3}(5[0-9]{2})\b(.*)"),
    Rule("registry limit", "infra", r"(toomanyrequests|429 Too Many Requests|API rate limit exceeded)"),
    Rule("Docker", "infra", r"(Error response from daemon: .+|failed to solve: .+)"),
    Rule("git", "infra", r"(fatal: (?:unable to access|couldn't find remote|early EOF|the remote end).*)"),
    # What is left says that something failed, and sometimes what.
    Rule("Python exception", "generic",
         r"^(?:E +)?([A-Za-z_][\w.]{0,150}(?:Error: |Exception: |Interrupt: |Exit: ))(.+)"),
    Rule("error mark", "generic", r"^##\[error\](?!Process completed|The operation was cancel)(.+)"),
    Rule(CANCELED, "generic", r"(The operation was canceled|The run was canceled)"),
    Rule(EXIT_CODE, "generic", r"##\[error\]Process completed with exit code ([0-9]+)"),
)  # fmt: skip
"""For a repository without rules of its own."""
