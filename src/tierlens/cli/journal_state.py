"""What lies in a journal, for commands that show it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tierlens.journal.cursor import read_cursor
from tierlens.journal.lock import is_orphan
from tierlens.journal.quota import usage
from tierlens.journal.segment import (
    DEAD_LETTER,
    SHIPPER_LOCK,
    Writer,
    cursor_path,
    lock_path,
    segment_path,
    writers,
)

# As each span's line has it near its beginning; inside a JSON string the quotes would be escaped.
_SPAN: Final = b'"kind":"span"'
_PIECE: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class JournalState:
    """A journal at one moment.

    Attributes:
        living, orphaned: writers whose process lives, and whose process does not.
        pending: finished spans that nobody has acknowledged.
        dead_letters: lines that no sink would take.
        size: bytes of all files.
        free: bytes left on the disk.
        shipped: whether a process ships from it just now.
    """

    living: int
    orphaned: int
    pending: int
    dead_letters: int
    size: int
    free: int
    shipped: bool


def journal_state(directory: Path) -> JournalState:
    """Look at a journal that exists, without a lock: what is written meanwhile may be counted or not.

    Raises:
        OSError: it cannot be looked at.
    """
    found = writers(directory)
    orphaned = sum(is_orphan(lock_path(directory, writer.name)) for writer in found)
    letters = directory / DEAD_LETTER
    return JournalState(
        living=len(found) - orphaned,
        orphaned=orphaned,
        pending=sum(_spans(path, offset) for path, offset in _unread(directory, found)),
        dead_letters=sum(1 for path in letters.iterdir() if path.suffix == ".jsonl") if letters.is_dir() else 0,
        size=usage(directory),
        free=shutil.disk_usage(directory).free,
        shipped=not is_orphan(directory / SHIPPER_LOCK),
    )


def unread_bytes(directory: Path) -> int:
    """How much of the segments lies behind their cursors."""
    return sum(max(_size(path) - offset, 0) for path, offset in _unread(directory, writers(directory)))


def _unread(directory: Path, found: Sequence[Writer]) -> Iterator[tuple[Path, int]]:
    """The segments that are not wholly acknowledged, and from which byte on."""
    for writer in found:
        cursor = read_cursor(cursor_path(directory, writer.name))
        done, offset = (cursor.segment, cursor.offset) if cursor else (0, 0)
        for number in writer.segments:
            if number >= done:
                yield segment_path(directory, writer.name, number), offset if number == done else 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _spans(path: Path, offset: int) -> int:
    count, rest = 0, b""
    try:
        with path.open("rb") as segment:
            segment.seek(offset)
            while piece := segment.read(_PIECE):
                count += (rest + piece).count(_SPAN)
                rest = piece[1 - len(_SPAN) :]
    except FileNotFoundError:
        # The shipper has acknowledged it since the folder was listed.
        return 0
    return count
