"""A journal, a sink to look into and a clock to turn, for tests of the shipper."""

from __future__ import annotations

import random
from pathlib import Path

from tests.journal.spans import EXPERIMENT, span
from tierlens.journal import Journal
from tierlens.shipping.limits import Limits
from tierlens.shipping.shipper import Shipper
from tierlens.sinks.base import Sink
from tierlens.spans import Metric, Routing
from tierlens.testing.clock import FakeClock
from tierlens.testing.sinks import MemorySink

BRAND = "Kisqali"


class Scene:
    """One journal directory with writers, and shippers that come and go.

    Attributes:
        sink: what finally holds the spans; ``ship`` may put another in front of it.
    """

    def __init__(self, directory: Path, **limits: float) -> None:
        self.directory, self.clock, self.sink = directory, FakeClock(), MemorySink()
        self.limits = Limits(**{"delay_s": 0.0, **limits})  # type: ignore[arg-type]
        self.journals: list[Journal] = []
        self.shippers: list[Shipper] = []
        self._named = 0

    def journal(self, segment_bytes: int = 1 << 20) -> Journal:
        journal = Journal(
            self.directory, resource={"service.name": "app"}, segment_bytes=segment_bytes, new_name=self._name
        )
        self.journals.append(journal)
        return journal

    def _name(self) -> str:
        """Writer names in order, so that a test that fails once fails again."""
        self._named += 1
        return f"20260101T000000-1-{self._named:08x}"

    def shipper(self, sink: Sink | None = None) -> Shipper:
        shipper = Shipper(self.directory, sink or self.sink, limits=self.limits, clock=self.clock, rng=random.Random(7))
        self.shippers.append(shipper)
        return shipper

    def run(self, shipper: Shipper, seconds: float = 0.0) -> None:
        """Let the shipper work until it has nothing to do, and so on until so much time has passed."""
        until = self.clock.monotonic() + seconds
        while True:
            quiet = shipper.step()
            if quiet == 0.0:
                continue
            left = until - self.clock.monotonic()
            if left <= 0:
                return
            self.clock.turn(min(quiet, left))

    def crash(self, shipper: Shipper) -> None:
        """The shipper's process is gone, whatever it had not acknowledged."""
        shipper.abandon()
        self.shippers.remove(shipper)

    def stored(self) -> set[int]:
        return {int(span_id, 16) for span_id in self.sink.spans}

    def close(self) -> None:
        for shipper in self.shippers:
            shipper.close()
        for journal in self.journals:
            journal.close()


def append_trace(
    journal: Journal,
    trace: int,
    children: int = 2,
    *,
    text: str = "",
    root: bool = True,
    metrics: dict[str, Metric] | None = None,
    experiment: str = EXPERIMENT,
) -> list[int]:
    """Append a trace's children and then its root; the root's number is the trace's times 1,000."""
    numbers = [trace * 1_000 + child for child in range(1, children + 1)]
    for number in numbers:
        journal.append(span(number, trace=trace, parent=trace * 1_000, text=text), Routing(experiment, BRAND))
    if root:
        numbers.append(trace * 1_000)
        routing = Routing(experiment, BRAND, root=True, metrics=metrics or {})
        journal.append(span(trace * 1_000, trace=trace, text=text), routing)
    return numbers
