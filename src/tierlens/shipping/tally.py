"""What stored spans say to metrics, each span once, and each model call with the agent it was made in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from tierlens.journal.codec import Line
from tierlens.projection.measurements import Agent, Kin, Measured, Sample, kin_of, measured
from tierlens.projection.prices import PriceBook
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.clock import Clock, SystemClock

_REMEMBERED: Final = 20_000
_DEEPEST: Final = 1_000
_NOBODY: Final = Agent()

StartOf = Callable[[str], Line | None]
"""The start record of a span, by its id, if it is open."""


OpenTally = Callable[[], "Tally | None"]
"""Called by whoever begins to ship, and by nobody else: it may open a port."""


class Meter(Protocol):
    """Takes values for metrics, and never raises."""

    def record(self, points: Iterable[Sample]) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class _Waiting(NamedTuple):
    """A model call whose agent is above a span that has not come yet, nor been begun for long enough."""

    figures: Measured
    until: float


class Tally:
    """Counts spans that a sink has taken, however often they are sent, for as long as it remembers them.

    It remembers the 20,000 it has seen last; one shipper's memory is not the next one's.

    Args:
        prices: of model calls.
        patience_s: how long a model call waits to learn which agent it was made in; then it has none.
    """

    def __init__(
        self, meter: Meter, prices: PriceBook, *, patience_s: float = 600.0, clock: Clock | None = None
    ) -> None:
        self._meter, self._prices = meter, prices
        self._patience_s, self._clock = patience_s, clock or SystemClock()
        self._alarms = Alarms(self._clock)
        self._kin: OrderedDict[str, Kin] = OrderedDict()
        # Whether each had counted tokens: a stream that outlives its trace is journalled a second time, with them.
        self._counted: OrderedDict[str, bool] = OrderedDict()
        self._waiting: OrderedDict[str, list[_Waiting]] = OrderedDict()
        self._points: list[Sample] = []

    def taken(self, lines: Iterable[Line], start_of: StartOf) -> None:
        """These spans are stored. Never raises: figures are not worth a delivery."""
        try:
            self._take({line.span: line for line in lines}, start_of)
            self._pass_on()
        except Exception as error:
            self._missing("spans are", error)

    def close(self) -> None:
        """Count what still waits, and stop; whoever is pushed to gets the last of it. Never raises."""
        try:
            self._give_up(float("inf"))
            self._pass_on()
            self._meter.close()
        except Exception as error:
            self._missing("the last spans are", error)

    def abandon(self) -> None:
        """Leave all to the process this one was forked from."""
        self._meter.abandon()

    def _missing(self, what: str, error: Exception) -> None:
        self._alarms.warn("metrics", f"{what} stored, and missing in metrics: {error!r}")

    def _take(self, lines: Mapping[str, Line], start_of: StartOf) -> None:
        found = [figures for line in lines.values() if (figures := self._read(line)) is not None]
        for figures in found:
            self._count(figures, start_of)
        self._reconsider(lines.keys(), start_of)
        self._give_up(self._clock.monotonic())

    def _pass_on(self) -> None:
        points, self._points = self._points, []
        if points:
            self._meter.record(points)

    def _read(self, line: Line) -> Measured | None:
        try:
            self._kin[line.span] = kin_of(line)
            if len(self._kin) > _REMEMBERED:
                self._kin.popitem(last=False)
            return measured(line, self._prices)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._missing(f"span {line.span} is", error)
            return None

    def _count(self, figures: Measured, start_of: StartOf) -> None:
        before = self._counted.get(figures.span)
        if before is not None and (before or not figures.tokens):
            return
        self._counted[figures.span] = bool(figures.tokens)
        if len(self._counted) > _REMEMBERED:
            self._counted.popitem(last=False)
        if before is not None:
            figures = replace(figures, known=True)
        if self._kin[figures.span].model:
            self._place(_Waiting(figures, self._clock.monotonic() + self._patience_s), figures.span, start_of)
        else:
            self._points.extend(figures.points())

    def _place(self, waiting: _Waiting, below: str, start_of: StartOf) -> None:
        """Count a model call for the agent that is nearest above, or wait until one is known.

        One inside another that has counted nothing is another library's account of it, and no call of its own.
        """
        at = below
        for _ in range(_DEEPEST):
            kin = self._kin.get(at) or self._opened(at, start_of)
            if kin is None:
                self._waiting.setdefault(at, []).append(waiting)
                return
            if kin.model and at != waiting.figures.span and not waiting.figures.tokens:
                return
            if kin.agent is not None or not kin.parent:
                self._points.extend(waiting.figures.points(kin.agent or _NOBODY))
                return
            at = kin.parent
        self._points.extend(waiting.figures.points(_NOBODY))

    def _opened(self, span: str, start_of: StartOf) -> Kin | None:
        start = start_of(span)
        return kin_of(start) if start is not None else None

    def _reconsider(self, spans: Iterable[str], start_of: StartOf) -> None:
        for span in spans:
            for waiting in self._waiting.pop(span, ()):
                self._place(waiting, span, start_of)

    def _give_up(self, now: float) -> None:
        """Count what has waited long enough, or is too much to wait, without an agent."""
        while self._waiting:
            first = next(iter(self._waiting))
            if self._waiting[first][0].until > now and len(self._waiting) <= _REMEMBERED:
                return
            for waiting in self._waiting.pop(first):
                self._points.extend(waiting.figures.points(_NOBODY))


def no_tally() -> None:
    """Nobody asks for metrics."""
