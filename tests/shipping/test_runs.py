"""What spans say to runs: gathered, sent, and only then acknowledged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.projection.invocations import routed
from tests.shipping.harness import Scene
from tierlens.errors import DeliveryError, Rejected, Unavailable
from tierlens.journal.cursor import read_cursor
from tierlens.negotiated import Negotiated
from tierlens.projection.prices import PUBLISHED, PriceBook
from tierlens.projection.runs import Record
from tierlens.shipping.deadletter import DeadLetters
from tierlens.testing.sinks import MemorySink


class Runs(MemorySink):
    """A MemorySink that has runs; ``refusals`` are raised one by one, and ``poison`` for its trace for good."""

    def __init__(self, *, prices: PriceBook = PUBLISHED) -> None:
        super().__init__(prices=prices)
        self.calls: list[list[str]] = []
        self.figures: list[Mapping[str, float]] = []
        self.refusals: list[DeliveryError] = []
        self.poison: DeliveryError | None = None
        self.poisoned = ""

    def log_runs(self, experiment: str, records: Sequence[Record]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        traces = [record.trace_id for record in records]
        if self.poison and self.poisoned in traces:
            raise self.poison
        self.calls.append(traces)
        self.figures += [record.metrics for record in records]


def append(scene: Scene, *traces: int) -> list[str]:
    journal = scene.journals[0] if scene.journals else scene.journal()
    ids = []
    for trace in traces:
        span, routing = routed(trace, trace=trace)
        journal.append(span, routing)
        journal.append(*routed(1_000 + trace, trace=trace, root=True, calls=()))
        ids.append(span.trace_id)
    return ids


def acknowledged(directory: Path) -> int:
    """Spans behind the cursors' positions."""
    cursors = [read_cursor(path) for path in directory.glob("*.cursor")]
    return sum(cursor.stored for cursor in cursors if cursor)


def test_runs_are_told_what_calls_cost_by_their_sinks_prices(scene: Scene) -> None:
    sink = Runs(prices=PriceBook([Negotiated("*", "claude-*", 1_000.0, 0.0, cache_read=0.0)]))
    append(scene, 1)

    scene.run(scene.shipper(sink), seconds=5)

    assert [metrics["cost_usd"] for metrics in sink.figures] == [pytest.approx(0.04)]


def test_several_traces_make_one_call_once_they_have_waited(scene: Scene) -> None:
    sink, ids = Runs(), append(scene, 1, 2, 3)
    shipper = scene.shipper(sink)

    scene.run(shipper, seconds=1)
    assert (len(sink.spans), sink.calls, shipper.drained) == (6, [], False)
    scene.run(shipper, seconds=5)

    assert sink.calls == [ids]
    assert shipper.drained


def test_what_a_flush_waits_for_is_sent_at_once(scene: Scene) -> None:
    sink, ids = Runs(), append(scene, 1, 2)
    shipper = scene.shipper(sink)
    shipper.urgent = True

    scene.run(shipper)

    assert sink.calls == [ids]


def test_nothing_is_acknowledged_before_its_run_has_it(scene: Scene) -> None:
    sink, ids = Runs(), append(scene, 1, 2)
    first = scene.shipper(sink)
    scene.run(first)
    assert (len(sink.spans), acknowledged(scene.directory)) == (4, 0)
    scene.crash(first)

    scene.run(scene.shipper(sink), seconds=5)

    assert sink.calls == [ids]
    assert acknowledged(scene.directory) == 4


def test_an_outage_is_waited_out(scene: Scene) -> None:
    sink, ids = Runs(), append(scene, 1)
    sink.refusals = [Unavailable("down")] * 5

    scene.run(scene.shipper(sink), seconds=60)

    assert sink.calls == [ids]


def test_what_no_run_takes_is_set_aside_alone_and_tried_again(scene: Scene) -> None:
    sink, ids = Runs(), append(scene, 1, 2, 3, 4)
    sink.poison, sink.poisoned = Rejected("params cannot change", 400), ids[1]
    shipper = scene.shipper(sink)

    scene.run(shipper, seconds=10)
    letters = [(letter.part, line.trace) for _, letter, line in DeadLetters(scene.directory).all()]
    sink.poison = None
    scene.run(shipper, seconds=200)

    assert letters == [("run", ids[1])]
    assert sorted(trace for call in sink.calls for trace in call) == sorted(ids)
    assert list(DeadLetters(scene.directory).all()) == []
    assert acknowledged(scene.directory) == 8


def test_a_sink_without_runs_has_nothing_to_wait_for(scene: Scene) -> None:
    class Traces:
        """Takes spans, as an OTLP endpoint does, and has no runs."""

        send, finish, close = scene.sink.send, scene.sink.finish, scene.sink.close

    append(scene, 1)

    scene.run(shipper := scene.shipper(Traces()))

    assert shipper.drained
    assert acknowledged(scene.directory) == 2
