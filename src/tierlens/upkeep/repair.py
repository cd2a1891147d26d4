"""What is damaged in a journal, and mending it without touching an undamaged line.

Nothing is rewritten in place: a line that can be mended is put back as a line of its own, for whoever ships next;
the damaged one stays where it is, and goes with its segment. ``repaired`` remembers what has been dealt with:

    {"v":1,"done":{"<segment's file name>":[<offset>, …]}}
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from tierlens.errors import DamagedLine
from tierlens.journal.codec import Line, decode
from tierlens.journal.cursor import read_cursor
from tierlens.journal.lock import FileLock, is_orphan
from tierlens.journal.mending import damages, mended
from tierlens.journal.segment import (
    REPAIRED,
    SHIPPER_LOCK,
    cursor_path,
    lock_path,
    replace_durably,
    segment_path,
    writers,
)
from tierlens.shipping.deadletter import DeadLetters
from tierlens.upkeep.postbox import put_back


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something damaged.

    Attributes:
        file: name of the file.
        offset: of the first damaged byte.
        size: damaged bytes.
        what: line | cursor | letter.
        lines: what it was, as far as that could be found out.
        done: mended, or given up, before.
    """

    file: str
    offset: int
    size: int
    what: str
    lines: tuple[Line, ...] = ()
    done: bool = False

    @property
    def mendable(self) -> bool:
        """Whether something is to be had from it: a cursor is made anew, a line's span sent after all."""
        return self.what == "cursor" or bool(self.lines)

    @property
    def remedy(self) -> str:
        """What mending it means."""
        if self.what == "cursor":
            return "removed: its writer is read from the beginning, and what MLflow has already lands on the same rows"
        if not self.lines:
            return "none: more than one bit is wrong, or the line was cut short"
        return "; ".join(_remedy(line) for line in self.lines)


def _remedy(line: Line) -> str:
    if line.kind != "span":
        return f"none needed: a {line.kind} record"
    return f"span {line.span} of trace {line.trace} is put back whole"


def flaws(directory: Path) -> list[Flaw]:
    """All that is damaged.

    Raises:
        OSError: the directory cannot be listed.
    """
    done = _done(directory)
    return [
        replace(flaw, done=flaw.offset in done.get(flaw.file, ())) if flaw.what == "line" else flaw
        for flaw in (*_in_segments(directory), *_in_cursors(directory), *_in_letters(directory))
    ]


def mend(directory: Path, found: Sequence[Flaw], now_ns: Callable[[], int] = time.time_ns) -> int:
    """Mend what can be mended, and remember all lines that were dealt with; returns how many spans were put back.

    Raises:
        OSError: something could not be written; nothing is lost, and mending can be tried again.
    """
    fresh = [flaw for flaw in found if not flaw.done]
    lines = [line for flaw in fresh if flaw.what == "line" for line in flaw.lines if line.kind == "span"]
    count = put_back(directory, lines)
    _remember(directory, [flaw for flaw in found if flaw.what == "line"])
    for flaw in fresh:
        if flaw.what == "cursor":
            _remove_cursor(directory, flaw.file)
        elif flaw.what == "letter" and flaw.lines:
            DeadLetters(directory).restore(flaw.file, flaw.lines[0], now_ns())
    return count


def _in_segments(directory: Path) -> Iterator[Flaw]:
    for writer in writers(directory):
        alive = not is_orphan(lock_path(directory, writer.name))
        for number in writer.segments:
            path = segment_path(directory, writer.name, number)
            with suppress(FileNotFoundError):
                final = not alive or number != writer.segments[-1]
                for damage in damages(path.read_bytes(), final):
                    yield Flaw(path.name, damage.offset, len(damage.raw), "line", tuple(mended(damage.raw)))


def _in_cursors(directory: Path) -> Iterator[Flaw]:
    for writer in writers(directory):
        path = cursor_path(directory, writer.name)
        if path.exists() and read_cursor(path) is None:
            yield Flaw(path.name, 0, path.stat().st_size, "cursor")


def _in_letters(directory: Path) -> Iterator[Flaw]:
    letters = DeadLetters(directory)
    for name in letters.names():
        try:
            letters.read(name)
        except FileNotFoundError:
            continue
        except DamagedLine:
            content = (letters.directory / name).read_bytes()
            _, _, raw = content.rstrip(b"\n").partition(b"\n")
            yield Flaw(name, 0, len(content), "letter", _lines(raw))


def _lines(raw: bytes) -> tuple[Line, ...]:
    try:
        return (decode(raw),)
    except DamagedLine:
        return tuple(mended(raw))


def _remove_cursor(directory: Path, name: str) -> None:
    """While somebody ships, it is that process's, which has read it and will write it anew."""
    lock = FileLock(directory / SHIPPER_LOCK)
    if lock.acquire():
        try:
            (directory / name).unlink(missing_ok=True)
        finally:
            lock.release()


def _done(directory: Path) -> dict[str, list[int]]:
    try:
        found = orjson.loads((directory / REPAIRED).read_bytes())["done"]
        return {str(name): [int(offset) for offset in offsets] for name, offsets in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _remember(directory: Path, lines: Sequence[Flaw]) -> None:
    """What is found anew at every look is all that needs to be remembered: segments that are gone are forgotten."""
    done: dict[str, list[int]] = {}
    for flaw in lines:
        done.setdefault(flaw.file, []).append(flaw.offset)
    if done or (directory / REPAIRED).exists():
        replace_durably(directory / REPAIRED, orjson.dumps({"v": 1, "done": done}))
