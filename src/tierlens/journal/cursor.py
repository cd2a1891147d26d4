"""How far a writer's lines have been acknowledged, as a small JSON file beside its segments.

    {"v":1,"crc":2596069104,"segment":3,"offset":81920,"stored":412,"refused":{"rejected":1},"lost":{},"damaged":0,
     "last_ns":…,"open":{"<span>":[2,512,3391]},"held":{"<span>":[3,77000,2100]},"seen":[3,64000]}

``crc`` is the CRC-32 of all that follows its comma. Everything before
``segment``/``offset`` has been dealt with, but for two kinds of line that are still needed: ``open`` are start records
whose span has not ended, ``held`` are finished spans whose metrics wait for their trace's root; each with its segment,
offset and length. What lies between ``seen`` and the position has been taken by the sink, and was not found there yet.
A segment is unlinked once both positions have left it and nothing in it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zlib import crc32

import orjson

from tierlens.journal.segment import replace_durably

_SUMMED: Final = re.compile(rb'\{"v":1,"crc":(\d+),')

Place = tuple[int, int, int]
Ends = Mapping[str, tuple[int, int]]
"""By writer, a segment and an offset in it."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """One writer's acknowledged position.

    Attributes:
        segment: number of the segment being read; 0 before the first.
        offset: of the first byte in it that is not yet dealt with.
        stored: finished spans before that position that a sink has taken.
        refused: finished spans before it that no sink would take, by reason.
        lost: spans that the writer itself had to refuse, by reason, as its loss records before it say.
        damaged: damaged lines before it.
        last_ns: the latest time found in a line: when the writer was last known to be alive.
        open, held: lines before that position that are still needed, by span id.
        seen: segment and offset up to which the sink was found to hold what it took; not behind the position.
    """

    segment: int = 0
    offset: int = 0
    stored: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    damaged: int = 0
    last_ns: int = 0
    open: Mapping[str, Place] = field(default_factory=dict)
    held: Mapping[str, Place] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    seen: tuple[int, int] = (0, 0)

    @property
    def position(self) -> tuple[int, int]:
        """Segment and offset of the first byte that is not yet dealt with."""
        return self.segment, self.offset


def read_cursor(path: Path) -> Cursor | None:
    """The cursor, or None where there is none or it is damaged: the writer is then read from its
    beginning."""
    try:
        content = path.read_bytes()
        summed = _SUMMED.match(content)
        # A flipped bit in a number would have lines passed over that nobody has sent.
        if summed is None or int(summed[1]) != crc32(content[summed.end() :]):
            return None
        found = orjson.loads(content)
        return Cursor(
            segment=int(found["segment"]),
            offset=int(found["offset"]),
            stored=int(found["stored"]),
            refused={str(reason): int(count) for reason, count in found["refused"].items()},
            damaged=int(found["damaged"]),
            last_ns=int(found["last_ns"]),
            open=_places(found["open"]),
            held=_places(found["held"]),
            lost={str(reason): int(count) for reason, count in found.get("lost", {}).items()},
            seen=_position(found.get("seen", (found["segment"], found["offset"]))),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_cursor(path: Path, cursor: Cursor) -> None:
    """Acknowledge durably.

    Raises:
        OSError: it could not be written; the old one still stands.
    """
    body = orjson.dumps(cursor)[1:]
    replace_durably(path, b'{"v":1,"crc":%d,%b' % (crc32(body), body))


def _position(found: tuple[int, int]) -> tuple[int, int]:
    segment, offset = found
    return int(segment), int(offset)


def _places(found: Mapping[str, tuple[int, int, int]]) -> dict[str, Place]:
    return {str(span): (int(segment), int(offset), int(length)) for span, (segment, offset, length) in found.items()}
