"""The figures of what lies in a journal, as a table: looked at without a lock, and without moving anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tierlens.journal.chain import Chain
from tierlens.journal.codec import Line
from tierlens.journal.lock import is_orphan
from tierlens.journal.segment import lock_path, writers
from tierlens.projection import instruments, measurements
from tierlens.projection.measurements import Sample
from tierlens.projection.prices import PriceBook
from tierlens.shipping.tally import Tally


class Whose(NamedTuple):
    """Who called which model; "" where that is not known, or there is none."""

    brand: str
    agent: str
    tier: str
    model: str


@dataclass(slots=True)
class Calls:
    """Model calls of one agent, model and brand.

    Attributes:
        outcomes: how many ended how.
        seconds: of all calls together.
        input, output: tokens; the cache's are input tokens.
        cost_usd: of the calls whose price is known; None where there are none.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    input: int = 0
    output: int = 0
    cost_usd: float | None = None

    @property
    def count(self) -> int:
        return self.outcomes.total()

    def add(self, point: Sample) -> None:
        """Take one value."""
        if point.metric == instruments.CALLS:
            self.outcomes[point.labels[measurements.OUTCOME]] += 1
            self.seconds += point.value
        elif point.metric == instruments.COST:
            self.cost_usd = (self.cost_usd or 0.0) + point.value
        elif point.metric == instruments.TOKENS and point.labels[measurements.TOKEN_TYPE] == "input":
            self.input += int(point.value)
        elif point.metric == instruments.TOKENS:
            self.output += int(point.value)


class _Tabulated:
    """A meter that sums."""

    def __init__(self) -> None:
        self.calls: dict[Whose, Calls] = {}

    def record(self, points: Iterable[Sample]) -> None:
        for point in points:
            if measurements.OPERATION in point.labels:
                said = point.labels.get
                names = (measurements.BRAND, measurements.AGENT, measurements.TIER, measurements.MODEL)
                self.calls.setdefault(Whose(*(said(name, "") for name in names)), Calls()).add(point)

    def close(self) -> None:
        """Nobody to tell."""

    def abandon(self) -> None:
        """Nothing to let go of."""


def tabulated(directory: Path, prices: PriceBook) -> dict[Whose, Calls]:
    """The model calls whose spans lie in the journal: all that wait, and those delivered but not yet removed.

    Raises:
        OSError: the directory cannot be listed.
    """
    table = _Tabulated()
    tally, starts = Tally(table, prices), dict[str, Line]()
    for lines in _lines(directory):
        starts.update((line.span, line) for line in lines if line.kind == "start")
        ended = [line for line in lines if line.kind == "span"]
        tally.taken(ended, starts.get)
        for line in ended:
            starts.pop(line.span, None)
    tally.close()
    return dict(sorted(table.calls.items()))


def _lines(directory: Path) -> Iterator[list[Line]]:
    for writer in writers(directory):
        chain = Chain(directory, writer.name, 0, 0)
        with suppress(OSError):  # what is removed meanwhile is not there any more
            chain.look(writer.segments, complete=is_orphan(lock_path(directory, writer.name)))
            for records in chain.slices():
                yield [record.line for record in records]
        chain.close()
