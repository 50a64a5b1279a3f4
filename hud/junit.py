"""JUnit XML, in whatever zip it comes. Pure, and wary: zips that unpack without end, XML that reads files or grows.

Of one test told several times (retries) the best counts, so that the order of files does not matter.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Final
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

PACKED_MAX: Final = 50_000_000  # bytes
UNPACKED_MAX: Final = 200_000_000
FILE_MAX: Final = 64_000_000  # a test's output may be one text, which has to be held
MOST_FILES: Final = 5_000
MOST_TESTS: Final = 300_000
LONGEST_NAME, LONGEST_MESSAGE = 500, 500


class BadReport(ValueError):  # noqa: N818 - `except BadReport` reads better
    """An artifact that can't be used, with the reason in words."""


@dataclass
class Tests:
    """What reports say, by test: `file::class::name`."""

    failed: dict[str, str] = field(default_factory=dict)  # with the message
    passed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    broken_files: int = 0

    def settle(self) -> None:
        """A test that also passed was tried again; one that also ran was not skipped."""
        self.failed = {test: said for test, said in sorted(self.failed.items()) if test not in self.passed}
        self.skipped -= self.passed | self.failed.keys()


def read_zip(packed: bytes) -> Tests:
    """The tests of all XML files in a zip. Raises `BadReport`."""
    _check_directory(packed)
    found, left = Tests(), _Left(UNPACKED_MAX)
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            for member in sorted(archive.infolist(), key=lambda one: one.filename):
                if member.filename.lower().endswith(".xml") and not member.is_dir():
                    with archive.open(member) as stream:
                        _read(_Bounded(stream, left), found)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
        struct.error,
    ) as error:
        raise BadReport(f"the zip can't be read: {type(error).__name__}") from None
    found.settle()
    return found


def read_xml(text: bytes) -> Tests:
    """The tests of one file."""
    found = Tests()
    _read(_Bounded(io.BytesIO(text), _Left(UNPACKED_MAX)), found)
    found.settle()
    return found


def _check_directory(packed: bytes) -> None:
    """Refuse a zip of too many files before its directory is read: a small zip may hold a million."""
    at = packed.rfind(b"PK\x05\x06", max(0, len(packed) - 66_000))
    if at < 0 or len(packed) < at + 22:
        raise BadReport("it is not a zip")
    _, _, _, _, files, size, _, _ = struct.unpack("<4s4H2LH", packed[at : at + 22])
    if files > MOST_FILES or size > MOST_FILES * 1_000:
        raise BadReport(f"the zip has more than {MOST_FILES} files")


@dataclass
class _Left:
    bytes: int


class _Bounded:
    """A file that may be read so far and no further."""

    def __init__(self, stream: IO[bytes], left: _Left) -> None:
        self._stream, self._left, self._mine = stream, left, FILE_MAX

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(min(size, 65_536) if size > 0 else 65_536)
        self._left.bytes -= len(piece)
        self._mine -= len(piece)
        if self._mine < 0:
            raise ValueError("one of its files is too long")
        if self._left.bytes < 0:
            raise BadReport(f"it unpacks to more than {UNPACKED_MAX // 1_000_000} MB")
        return piece


def _read(stream: _Bounded, into: Tests) -> None:
    """Add a file's tests; a file that is no good XML adds none."""
    target = _Target()
    parser = DefusedXMLParser(target=target, forbid_dtd=True)
    try:
        while piece := stream.read():
            parser.feed(piece)
        parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        if isinstance(error, BadReport):
            raise
        into.broken_files += 1
        return
    for test, message in target.found.failed.items():
        into.failed[test] = min(message, into.failed.get(test, message))
    into.passed |= target.found.passed
    into.skipped |= target.found.skipped
    if len(into.failed) + len(into.passed) + len(into.skipped) > MOST_TESTS:
        raise BadReport(f"it tells of more than {MOST_TESTS} tests")


class _Target:
    """What a parser tells its elements to: of all the text, only the beginning of a failure's is kept."""

    def __init__(self) -> None:
        self.found = Tests()
        self._files: list[str] = []  # of the suites that are open
        self._case: dict[str, str] | None = None
        self._outcome = "passed"
        self._message = ""
        self._text: str | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition("}")[2]
        if tag in ("testsuite", "testsuites"):
            self._files.append(attributes.get("file") or (self._files[-1] if self._files else ""))
        elif tag == "testcase":
            self._case, self._outcome, self._message = attributes, "passed", ""
        elif self._case is not None and tag in ("failure", "error"):
            self._outcome, self._text = "failed", ""
            self._message = self._message or attributes.get("message", "")[: 4 * LONGEST_MESSAGE]
        elif self._case is not None and tag == "skipped" and self._outcome == "passed":
            self._outcome = "skipped"

    def data(self, text: str) -> None:
        if self._text is not None and len(self._text) < 4 * LONGEST_MESSAGE:
            self._text += text[: 4 * LONGEST_MESSAGE]

    def end(self, tag: str) -> None:
        tag = tag.rpartition("}")[2]
        if tag in ("failure", "error"):
            self._message, self._text = self._message or self._text or "", None
        elif tag == "testcase" and self._case is not None:
            self._add(_name(self._case, self._files[-1] if self._files else ""))
            self._case = None
        elif tag in ("testsuite", "testsuites") and self._files:
            self._files.pop()

    def close(self) -> None:
        """Nothing is left to do."""

    def _add(self, test: str) -> None:
        if self._outcome == "failed":
            message = _clean((self._message.strip().splitlines() or [""])[0], LONGEST_MESSAGE)
            self.found.failed[test] = min(message, self.found.failed.get(test, message))
        else:
            (self.found.passed if self._outcome == "passed" else self.found.skipped).add(test)


def _name(attributes: dict[str, str], suite_file: str) -> str:
    """`file::class::name`, as pytest names a test and as logs do; without a file, the class's full name."""
    file = (attributes.get("file") or suite_file).replace("\\", "/").removeprefix("./")
    owner, name = attributes.get("classname", ""), attributes.get("name", "")
    if file:
        last = owner.rpartition(".")[2]
        parts = [file, last if last != PurePosixPath(file).stem else "", name]
    else:
        parts = [owner, name]
    return _clean("::".join(part for part in parts if part), LONGEST_NAME)


def _clean(text: str, limit: int) -> str:
    return " ".join(text.replace("\0", "\ufffd").split())[:limit]
