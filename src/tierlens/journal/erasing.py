"""Taking traces out of segments, those of living writers too.

A line is overwritten in its place by a record of the same length that says nothing: no offset changes, so neither
the writer, which only appends, nor whoever ships need be stopped, cursors stay right, and no other line is touched,
whenever a crash comes. What a crash leaves half overwritten is known by how it begins, and finished by the next run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final
from zlib import crc32

from tierlens.errors import DamagedLine
from tierlens.journal.codec import PREFIX, Line, decode, undamaged
from tierlens.journal.forgotten import Subject, subjects_of
from tierlens.journal.lock import is_orphan
from tierlens.journal.mending import mended
from tierlens.journal.segment import PUT_BACK, lock_path, open_for_reading, segment_path, writers

_COVERED: Final = len(PREFIX) + 9
_OPENING: Final = b',"kind":"loss","refused":{}}'
_LEAST: Final = _COVERED + len(_OPENING) + 1
_TRACE: Final = re.compile(rb'(?:"trace":|"spans":\[\{"traceId":)"([0-9a-f]{32})"')
_WRITE: Final = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_SLICE: Final = 1 << 22


@dataclass(slots=True)
class Erased:
    """What was taken out of segments, or would be.

    Attributes:
        lines: spans and start records, damaged ones included.
        blobs: files (SHA-256) that the lines referred to.
        kept_blobs: files that other lines refer to.
    """

    lines: int = 0
    blobs: set[str] = field(default_factory=set)
    kept_blobs: set[str] = field(default_factory=set)


def traces_of(directory: Path, wanted: Callable[[Subject], bool]) -> set[str]:
    """Traces of which a span in some segment names a session or user that is wanted.

    Raises:
        OSError: a segment cannot be read.
    """
    lines = (line for path in segments(directory) for _, raw in _pieces(path) for line in _read(raw))
    return {line.trace for line in lines if any(wanted(subject) for subject, _ in subjects_of(line))}


def erase(directory: Path, gone: Callable[[str], bool], *, write: bool) -> Erased:
    """Overwrite all lines of the traces (32 hex digits) that are ``gone``; without ``write``, only count them.

    A line that its living writer has not ended yet is not looked at.

    Raises:
        OSError: a segment cannot be read or written.
    """
    done = Erased()
    for path in segments(directory):
        torn = False
        for start, raw in _pieces(path):
            lines = _read(raw)
            hit = any(gone(line.trace) for line in lines) or (not lines and _is_rest(raw, torn))
            torn = hit and not undamaged(raw)
            done.lines += hit
            if hit and write:
                _overwrite(path, start, len(raw))
            found = done.blobs if hit else done.kept_blobs
            found.update(artifact.sha256 for line in lines for artifact in line.artifacts)
    return done


def segments(directory: Path) -> Iterator[Path]:
    """All segments of all writers, and what was on its way back into the journal when a crash came."""
    for writer in writers(directory):
        for number in writer.segments:
            yield segment_path(directory, writer.name, number)
    yield from sorted(directory.glob(f"{PUT_BACK}*.jsonl"))


def nothing(length: int) -> bytes:
    """A record of ``length`` bytes, its newline not counted, that readers pass over; blanks where it is too short."""
    if length < _LEAST:
        return b" " * length
    covered = _OPENING + b" " * (length - _LEAST) + b"}"
    return b'%b%08x"%b' % (PREFIX, crc32(covered), covered)


def is_nothing(raw: bytes) -> bool:
    """Whether a line, without its newline, was erased."""
    return raw == nothing(len(raw))


def _is_rest(raw: bytes, torn: bool) -> bool:
    """Whether this is what a crash left of a line half erased, or the rest of a line that damage has put a newline
    into: ``torn`` says that what it follows was a damaged one of theirs."""
    if not raw.strip() or is_nothing(raw):
        return False
    return raw[_COVERED:].startswith(_OPENING) or (torn and not raw.startswith(PREFIX))


def _pieces(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line with its offset, without its newline; each of those that damage has glued together."""
    for start, raw in _raw_lines(path):
        bounds = [0]
        if not undamaged(raw):
            while (found := raw.find(PREFIX, bounds[-1] + 1)) > 0:
                bounds.append(found)
        for begin, end in pairwise([*bounds, len(raw)]):
            yield start + begin, raw[begin:end]


def _raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        descriptor = open_for_reading(path)
    except FileNotFoundError:
        # Whoever ships has delivered and removed it.
        return
    final = is_orphan(lock_path(path.parent, path.name.partition(".")[0]))
    with open(descriptor, "rb", buffering=_SLICE) as file:
        start = 0
        for raw in file:
            if final or raw.endswith(b"\n"):
                yield start, raw.rstrip(b"\n")
            start += len(raw)


def _read(raw: bytes) -> list[Line]:
    """The line; or what it was, where that can be found out. None in a record without a trace."""
    try:
        lines = [decode(raw)]
    except DamagedLine:
        lines = mended(raw) or [line for line in (_named(raw),) if line]
    return [line for line in lines if line.trace]


def _named(raw: bytes) -> Line | None:
    """Of a line damaged for good, its trace, if it still says it."""
    match = _TRACE.search(raw)
    return Line("span", match[1].decode("ascii")) if match else None


def _overwrite(path: Path, start: int, length: int) -> None:
    try:
        descriptor = os.open(path, _WRITE)
    except FileNotFoundError:
        return
    try:
        os.pwrite(descriptor, nothing(length), start)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
