"""What a flush reports is what has become of this process's spans."""

from __future__ import annotations

from tests.journal.spans import EXPERIMENT, span
from tests.shipping.harness import BRAND, Scene, append_trace
from tests.shipping.test_shipper import rejecting
from tierlens.shipping import FlushReport
from tierlens.shipping.hosts.external import ExternalShipping
from tierlens.shipping.hosts.flush import flush, report
from tierlens.spans import Routing
from tierlens.testing.sinks import FlakySink


def test_nothing_was_accepted_and_nothing_is_pending(scene: Scene) -> None:
    assert report(scene.journal()) == FlushReport(0, 0, 0, {})


def test_what_is_not_acknowledged_is_pending(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    assert report(journal) == FlushReport(accepted=3, stored=0, pending=3)

    scene.run(scene.shipper())
    append_trace(journal, 2)

    assert report(journal) == FlushReport(accepted=6, stored=3, pending=3)


def test_another_writers_spans_are_not_ours(scene: Scene) -> None:
    ours, theirs = scene.journal(), scene.journal()
    append_trace(ours, 1)
    append_trace(theirs, 2, children=9)

    scene.run(scene.shipper())

    assert report(ours) == FlushReport(accepted=3, stored=3, pending=0)


def test_what_no_sink_takes_is_refused_by_reason(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    sink = FlakySink(scene.sink, rule=rejecting(1_001))
    shipper = scene.shipper(sink)
    scene.run(shipper, seconds=2)
    assert report(journal) == FlushReport(accepted=3, stored=2, pending=0, refused={"rejected": 1})

    sink.rule = lambda request: None
    scene.run(shipper, seconds=120)

    assert report(journal) == FlushReport(accepted=3, stored=3, pending=0)


def test_damage_leaves_nothing_to_wait_for(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    (segment,) = scene.directory.glob("*.jsonl")
    content = bytearray(segment.read_bytes())
    content[60] ^= 1
    segment.write_bytes(content)

    scene.run(scene.shipper(), seconds=2)

    assert report(journal) == FlushReport(accepted=3, stored=2, pending=0)


def test_records_of_open_spans_leave_nothing_to_wait_for(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    journal.append_start(span(5, end_ns=0), Routing(EXPERIMENT, BRAND))

    scene.run(scene.shipper())

    assert report(journal).pending == 0


def test_a_closed_journal_that_was_delivered_and_removed_is_stored(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    journal.close()
    assert report(journal).pending == 3

    scene.run(scene.shipper(), seconds=5)

    assert list(scene.directory.glob("*.jsonl")) == []
    assert report(journal) == FlushReport(accepted=3, stored=3, pending=0)


def test_a_flush_ends_on_time(scene: Scene) -> None:
    append_trace(scene.journal(), 1)
    before = scene.clock.monotonic()

    found = flush(scene.journals[0], 2.5, scene.clock)

    assert found.pending == 3
    assert 2.5 <= scene.clock.monotonic() - before < 2.53


def test_somebody_else_ships(scene: Scene) -> None:
    journal = scene.journal()
    shipping = ExternalShipping(journal, clock=scene.clock)
    append_trace(journal, 1)
    scene.run(scene.shipper())

    assert shipping.flush(5.0) == FlushReport(accepted=3, stored=3, pending=0)
    assert shipping.close() == FlushReport(accepted=3, stored=3, pending=0)
