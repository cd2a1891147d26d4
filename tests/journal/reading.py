"""What a journal directory holds, read as a shipper would."""

from __future__ import annotations

from pathlib import Path

from tierlens.journal.chain import Chain
from tierlens.journal.codec import Line
from tierlens.journal.segment import writers


def lines(directory: Path) -> list[Line]:
    """Every undamaged line of every writer."""
    found, _ = read(directory)
    return found


def read(directory: Path) -> tuple[list[Line], int]:
    """Every undamaged line, and how many damaged ones there are."""
    found, damaged = [], 0
    for writer in writers(directory):
        chain = Chain(directory, writer.name, 0, 0)
        chain.look(writer.segments, complete=True)
        while records := chain.read(1 << 16):
            found += [record.line for record in records]
        damaged += chain.damaged
        chain.close()
    return found, damaged


def numbers(directory: Path, kind: str = "span") -> list[int]:
    """The numbers of all spans of a kind, in order."""
    return sorted(int(line.span, 16) for line in lines(directory) if line.kind == kind)
