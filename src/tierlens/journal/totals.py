"""What became of the spans of writers whose files are gone, added up: ``totals``.

    {"v":1,"writers":12,"last":"20261121T000000-4711-0f3a9c1e","stored":9120,"refused":{"rejected":1},
     "lost":{"quota":3},"damaged":2}

``last`` is the writer added last: one that is removed twice, because of a crash in between, counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from tierlens.journal.cursor import Cursor
from tierlens.journal.segment import TOTALS, replace_durably


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts as in a cursor, of ``writers`` writers together."""

    writers: int = 0
    last: str = ""
    stored: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    damaged: int = 0

    def plus(self, writer: str, cursor: Cursor) -> Totals:
        """These and a finished writer's."""
        if writer == self.last:
            return self
        return Totals(
            self.writers + 1,
            writer,
            self.stored + cursor.stored,
            dict(Counter(self.refused) + Counter(cursor.refused)),
            dict(Counter(self.lost) + Counter(cursor.lost)),
            self.damaged + cursor.damaged,
        )


def read_totals(directory: Path) -> Totals:
    """The totals; all zero where there are none, or none that can be read."""
    try:
        found = orjson.loads((directory / TOTALS).read_bytes())
        return Totals(
            int(found["writers"]),
            str(found["last"]),
            int(found["stored"]),
            _counts(found["refused"]),
            _counts(found["lost"]),
            int(found["damaged"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Totals()


def write_totals(directory: Path, totals: Totals) -> None:
    """Replace them durably; only the holder of the shipper's lock may.

    Raises:
        OSError: they could not be written; the old ones still stand.
    """
    replace_durably(directory / TOTALS, b'{"v":1,%b' % orjson.dumps(totals)[1:])


def _counts(found: Mapping[str, int]) -> dict[str, int]:
    return {str(reason): int(count) for reason, count in found.items()}
