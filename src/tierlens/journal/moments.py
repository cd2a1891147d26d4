"""When a journal line's span ended, found without parsing its JSON."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from tierlens.journal.codec import Line

_END: Final = b'"endTimeUnixNano":"'
_START: Final = b'"startTimeUnixNano":"'


def latest_ns(line: Line) -> int:
    """The latest time in the line, Unix nanoseconds: its span's end, or its start where it is open; 0 if none."""
    for mark in (_END, _START):
        at = line.payload.find(mark)
        if at >= 0:
            with suppress(ValueError):
                at += len(mark)
                if found := int(line.payload[at : line.payload.index(b'"', at)]):
                    return found
    return 0
