"""Whose the artifacts were that rest after their delivery, when no line refers to them any more.

``blobs-delivered``, a line a delivery: ``{"sha256":"<64 hex>","trace":"<32 hex>","inode":…,"mtime_ns":…}``, the last
two as the artifact's file had them. Only whoever ships writes it; a line that cannot be read is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from tierlens.journal.segment import BLOBS_DELIVERED, replace_durably


@dataclass(frozen=True, slots=True)
class Resting:
    """An artifact at rest.

    Attributes:
        seen: inode and modification time (nanoseconds) of its file; others mean that it was stored again since.
        traces: those it was delivered for.
    """

    seen: tuple[int, int]
    traces: frozenset[str]


def resting(directory: Path) -> dict[str, Resting]:
    """The artifacts at rest, by their SHA-256."""
    found: dict[str, Resting] = {}
    try:
        lines = (directory / BLOBS_DELIVERED).read_bytes().splitlines()
    except OSError:
        return found
    for line in lines:
        with suppress(orjson.JSONDecodeError, KeyError, TypeError):
            told = orjson.loads(line)
            name, before = str(told["sha256"]), found.get(str(told["sha256"]))
            traces = before.traces if before is not None else frozenset[str]()
            found[name] = Resting((told["inode"], told["mtime_ns"]), traces | {str(told["trace"])})
    return found


def note(directory: Path, delivered: Mapping[str, Resting]) -> None:
    """Add what has come to rest.

    Raises:
        OSError: it cannot be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(directory / BLOBS_DELIVERED, flags, 0o600)
    try:
        os.write(file, b"".join(_lines(delivered.items())))
    finally:
        os.close(file)


def keep(directory: Path, known: Mapping[str, Resting]) -> None:
    """Write down ``known`` alone.

    Raises:
        OSError: it cannot be written.
    """
    if lines := b"".join(_lines(known.items())):
        replace_durably(directory / BLOBS_DELIVERED, lines)
    else:
        (directory / BLOBS_DELIVERED).unlink(missing_ok=True)


def _lines(known: Iterable[tuple[str, Resting]]) -> Iterable[bytes]:
    for sha256, one in known:
        inode, mtime_ns = one.seen
        for trace in sorted(one.traces):
            told = {"sha256": sha256, "trace": trace, "inode": inode, "mtime_ns": mtime_ns}
            yield orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)
