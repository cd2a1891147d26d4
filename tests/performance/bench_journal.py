"""Figures of the journal and the shipper on this machine: python tests/performance/bench_journal.py

The agent's share: encode + append of a 3 KB span, p50 and p99. The other side: CPU per line of reading alone,
and of shipping to a sink that does nothing.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tierlens.journal import Journal
from tierlens.journal.chain import Chain
from tierlens.journal.segment import writers
from tierlens.shipping.shipper import Shipper
from tierlens.sinks.base import Batch, Finish
from tierlens.spans import Routing, Span

SPANS = 20_000
PER_TRACE = 50
TEXT = "The quick brown fox jumps over the lazy dog. " * 28


class NullSink:
    """Takes everything and keeps nothing."""

    def send(self, batch: Batch) -> None:
        """Forget the batch."""

    def finish(self, finish: Finish) -> None:
        """Forget the finish."""

    def close(self) -> None:
        """Nothing to close."""


def span(number: int) -> Span:
    """A model span of about 3 KB, fourteen attributes."""
    attributes: dict[str, str | bool | int | float] = {f"tierlens.attribute_{i}": "value " * 4 for i in range(9)}
    attributes["mlflow.spanInputs"] = json.dumps({"messages": [{"role": "user", "content": TEXT}]})
    attributes["mlflow.spanOutputs"] = json.dumps({"content": TEXT[:500]})
    attributes |= {"tierlens.tier": 2, "tierlens.llm.time_to_first_token_ms": 412.5, "cached": True}
    trace = f"{number // PER_TRACE:032x}"
    parent = None if number % PER_TRACE == PER_TRACE - 1 else "0" * 16
    return Span(trace, f"{number:016x}", parent, "ChatAnthropic", 1_700_000_000_000_000_000, 1, attributes, "OK")


def percentiles(act: Callable[[int], None], times: int) -> tuple[float, float]:
    """p50 and p99 in µs."""
    took = []
    for number in range(times):
        before = time.perf_counter_ns()
        act(number)
        took.append(time.perf_counter_ns() - before)
    took.sort()
    return took[times // 2] / 1e3, took[times * 99 // 100] / 1e3


def cpu_us(act: Callable[[], None], lines: int) -> float:
    before = time.process_time()
    act()
    return (time.process_time() - before) / lines * 1e6


def read_all(directory: Path) -> None:
    for writer in writers(directory):
        chain = Chain(directory, writer.name, 0, 0)
        chain.look(writer.segments, complete=True)
        while chain.read(128 << 10):
            pass
        chain.close()


def ship_all(directory: Path) -> None:
    shipper = Shipper(directory, NullSink())
    shipper.urgent = True
    while shipper.step() == 0.0:
        pass
    shipper.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(folder, resource={"service.name": "bench"})
        spans = [span(number) for number in range(SPANS)]
        routings = [Routing("app/Kisqali", "Kisqali", root=each.parent_id is None) for each in spans]
        p50, p99 = percentiles(lambda number: journal.append(spans[number], routings[number]), SPANS)
        read = cpu_us(lambda: read_all(Path(folder)), SPANS)
        ship = cpu_us(lambda: ship_all(Path(folder)), SPANS)
        journal.close()
    print(f"encode + append   p50 {p50:6.1f} µs   p99 {p99:6.1f} µs")
    print(f"read and check    {read:6.1f} µs of CPU a line, {1e6 / read:,.0f} lines/s")
    print(f"ship to nowhere   {ship:6.1f} µs of CPU a line, {1e6 / ship:,.0f} lines/s")
    figures = {"append_p50_us": p50, "append_p99_us": p99, "read_us": read, "ship_us": ship}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
