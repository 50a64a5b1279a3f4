"""The one normaliser of job names: what makes two jobs the same configuration.

A matrix job spells its shard and its machine into its name: `linux-jammy / test (default, 3, 5,
linux.2xlarge)`. A configuration, a signal and a break are about `linux-jammy / test (default)`
(design/rules/verdicts.md, "signal"), so every part of the product that compares names comes here.

The shape read is PyTorch's, `(config, shard, num_shards, runner, *markers)`, plus the ways other projects
write a shard: `(1/4)`, `[2 of 5]`, `Test shard 2 of 5`. Only the shard and the runner go. Joining two
different things under one name would hide a failure behind the other's success, while keeping one thing under
two names only costs a column; so whatever is in doubt stays in the name. Every step is linear in the name's
length, for names come from strangers.
"""

import re

MARKERS_WITHOUT_SIGNAL = ("unstable", "mem_leak_check", "rerun_disabled_tests")
"""Words in a job's name that say its failures are expected: such jobs are shown, but never make signals."""

MOST_SHARDS = 256
"""GitHub's limit of jobs in one matrix. `(2022, 2024)` is a pair of years, not a shard."""

_WORD = r"(?:shard|partition|part|group|chunk|split|slice|bucket)"

# A shard inside a bracket, as one of its comma-separated parts: `2/5`, `2 of 5`, `shard 2 of 5`.
_PART = re.compile(rf"(?:{_WORD}[ _:#-]{{0,2}})?([0-9]{{1,3}})[ _-]?(?:/|of)[ _-]?([0-9]{{1,3}})", re.IGNORECASE)

# A shard outside round brackets, with the separator before: [2/5]; shard 2 of 5, shard-2-of-5; 2/5, 2 of 5.
_LOOSE = re.compile(
    rf"""
      [ ]{{0,2}} \[ [ ]? (?:{_WORD}[ _:#-]{{0,2}})? ([0-9]{{1,3}}) [ ]? (?:/|of) [ ]? ([0-9]{{1,3}}) [ ]? \]
    | (?:^|[ _:,#|-]{{1,3}}) {_WORD} [ _:#-]{{0,2}}
        ([0-9]{{1,3}}) [ _-]? (?:/|of) [ _-]? ([0-9]{{1,3}}) (?![\w./])
    | (?:^|[ ]{{1,3}}) ([0-9]{{1,3}}) (?:/|[ ]of[ ]) ([0-9]{{1,3}}) (?![\w./-])
    """,
    re.IGNORECASE | re.VERBOSE,
)

# Without one of these, nothing in a name can be a shard. Bounded, so that a long run of digits stays linear.
_HINT = re.compile(r"[0-9][ _-]?(?:,|/|of)[ _-]?[0-9]", re.IGNORECASE)

# A machine by its words, as segments of a label: `linux.g5.4xlarge.nvidia.gpu`, `lf.linux.2xlarge`,
# `macos-m1-stable`, `ubuntu-latest`, `[self-hosted]`, and the bare `runner` of examples.
_MACHINE = re.compile(
    r"(?:^|[^a-z0-9])(?:linux|ubuntu|debian|windows|macos|osx|hosted|runners?|[0-9]*xlarge|nonephemeral)(?![a-z])",
    re.IGNORECASE,
)
# A machine by its shape: letters and digits in several segments, as in `mt-l-x86iavx512-29-115-t4` or
# `dgx-b200`.
_FLEET = re.compile(r"(?=[^0-9]*[0-9])[a-z][\w]*(?:[.-][\w]+)+", re.IGNORECASE)
# … but one name with one version is a version: `py3.11`, `cuda12.1`, `gcc-11`.
_VERSION = re.compile(r"[a-z+]*[ -]?[0-9]+(?:\.[0-9]+)*[a-z]?", re.IGNORECASE)
# A size of machine and nothing else, so surely no hardware that the job is about: `lf.linux.2xlarge`,
# `linux.24_04.4x`.
_PLAIN_MACHINE = re.compile(r"(?:[a-z0-9]+\.){0,2}(?:linux|windows)(?:\.[0-9][0-9_]*(?:x|xl|xlarge)?)+", re.IGNORECASE)

# The shape of nearly all of PyTorch's names, read in one match; `_shorten` would say the same, only later.
_USUAL = re.compile(
    r"([^(),]+ \([A-Za-z][\w.+-]*), ([0-9]{1,3}), ([0-9]{1,3}), "
    r"(?:(?:[a-z0-9]+\.)?(?:linux|windows|macos)[.-][\w.-]*|(?:mt-)?l-b?(?:x86|arm64)[\w-]*)"
    r"((?:, [A-Za-z][\w:-]*)*\))"
)

_SEPARATORS = " /:,-"

_LETTER = re.compile(r"[^\W\d_]")
_COUNT = re.compile(r"[0-9]{1,3}")
_PUNCTUATION = re.compile(r"[(),]")

Shard = tuple[int, int]


def configuration_name(raw: str) -> str:
    """The name under which all shards of a job, on whatever machine they ran, are one configuration.

    >>> configuration_name("linux-jammy / test (default, 3, 5, linux.2xlarge)")
    'linux-jammy / test (default)'

    Idempotent, and never empty unless `raw` is. A name from which a shard could be taken twice is left as it
    is: it can't be known which of the two was the shard.
    """
    return _read(raw)[0]


def shard(raw: str) -> Shard | None:
    """Which shard of how many the name says it is, e.g. `(3, 5)`; None if it says nothing that can be
    trusted."""
    return _read(raw)[1]


def is_unstable(raw: str) -> bool:
    """Whether the name (of job or workflow) says unstable: shown apart, and never a signal."""
    return "unstable" in raw.casefold()


def makes_signal(raw: str) -> bool:
    """Whether this job's results say anything about trunk. Unstable jobs, re-runs of disabled tests and leak
    checks fail by design; they stay configurations of their own, as their markers stay in the name."""
    folded = raw.casefold()
    return not any(marker in folded for marker in MARKERS_WITHOUT_SIGNAL)


def _read(raw: str) -> tuple[str, Shard | None]:
    name = raw.strip()
    if (usual := _USUAL.fullmatch(name)) and (pair := _as_shard(usual[2], usual[3])):
        short = usual[1] + usual[4]
        if not _HINT.search(short):
            return short, pair
    short, found = _shorten(name)
    if short == name:
        return name or raw, None
    # What is left must have nothing more to give, or else the second reading would be as good as the first.
    if not short or _shorten(short)[0] != short:
        return name, None
    return short, found


def _shorten(name: str) -> tuple[str, Shard | None]:
    """One pass over the name, bracket by bracket. Brackets inside brackets belong to the part that they stand
    in."""
    hinted = _HINT.search(name) is not None
    if not hinted and "." not in name:
        return name, None
    pieces: list[str] = []
    found: Shard | None = None
    depth = done = opened = start = 0
    parts: list[str] = []

    def close(end: int) -> None:
        nonlocal done, found
        kept, pair = _without_shard([*parts, name[start : end - 1] if end <= len(name) else name[start:]])
        if kept is None:
            return
        before, loose = _without_loose_shard(name[done:opened])
        pieces.append(f"{before}({', '.join(kept)})" if kept else before.rstrip())
        found = found or pair or loose
        done = end

    for mark in _PUNCTUATION.finditer(name):
        sign, at = mark.group(), mark.start()
        if sign == "(":
            if depth == 0:
                opened, start, parts = at, at + 1, []
            depth += 1
        elif depth == 1:
            if sign == ",":
                parts.append(name[start:at])
                start = at + 1
            else:
                depth = 0
                close(at + 1)
        elif depth and sign == ")":
            depth -= 1
    if depth == 1:  # cut off: GitHub shortens long matrix names
        close(len(name) + 1)
    rest, loose = _without_loose_shard(name[done:]) if hinted else (name[done:], None)
    if not pieces:
        return (rest.strip(_SEPARATORS), loose) if loose else (name, None)
    return "".join([*pieces, rest]).strip(), found or loose


def _without_shard(parts: list[str]) -> tuple[list[str] | None, Shard | None]:
    """A bracket's parts without shard and runner, and the shard; None for the parts if there is nothing to
    take."""
    parts = [part.strip() for part in parts]
    pair: Shard | None = None
    first = after = 0
    # From the right: in `(18, 1, 4)` the first number is a version, and so it reads the same in every shard.
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if not part[-1:].isdigit():
            continue
        if (match := _PART.fullmatch(part)) and (pair := _as_shard(*match.groups())):
            first, after = index, index + 1
            break
        if index and (pair := _as_shard(parts[index - 1], part)):
            first, after = index - 1, index + 1
            break
    if pair:
        config, markers = parts[:first], parts[after:]
        # The runner only goes if a named config stays; `(1, 2, windows-latest)` would have nothing left.
        if markers and _is_runner(markers[0]) and _is_named(config):
            del markers[0]
        parts = config + markers
    # (config, runner): here the runner may be what the job is about, so only a mere size of machine goes.
    if len(parts) > 1 and _PLAIN_MACHINE.fullmatch(parts[-1]) and _is_named(parts[:-1]):
        return parts[:-1], pair
    return (parts if pair else None), pair


def _without_loose_shard(text: str) -> tuple[str, Shard | None]:
    found: Shard | None = None

    def take(match: re.Match[str]) -> str:
        nonlocal found
        index, total = (group for group in match.groups() if group is not None)
        pair = _as_shard(index, total)
        found = found or pair
        return "" if pair else match.group()

    return _LOOSE.sub(take, text), found


def _as_shard(index: str, total: str) -> Shard | None:
    if not (_COUNT.fullmatch(index) and _COUNT.fullmatch(total)):
        return None
    pair = int(index), int(total)
    return pair if pair[0] <= pair[1] and 1 <= pair[1] <= MOST_SHARDS else None


def _is_named(config: list[str]) -> bool:
    return any(_LETTER.search(part) for part in config)


def _is_runner(label: str) -> bool:
    if ":" in label:  # `oncall:distributed` names an owner
        return False
    if _VERSION.fullmatch(label):  # `ubuntu-22.04` is a version in shape only
        return bool(_MACHINE.match(label))
    return bool(_MACHINE.search(label) or _FLEET.fullmatch(label))
