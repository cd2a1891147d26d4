"""Shipping as a process's only work."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.journal.spans import EXPERIMENT, span
from tests.shipping.harness import BRAND, Scene, append_trace
from tierlens.errors import Forbidden, Unavailable
from tierlens.journal.lock import FileLock, is_orphan
from tierlens.journal.segment import SHIPPER_LOCK
from tierlens.shipping.handover import ShipperState, put_state, want_flush
from tierlens.shipping.handover import state as shipper_state
from tierlens.shipping.health import Health
from tierlens.shipping.hosts.run import RunReport, run_forever, run_once
from tierlens.sinks.base import Batch
from tierlens.spans import Routing
from tierlens.testing.clock import FakeClock
from tierlens.testing.sinks import FlakySink, MemorySink, Said


def test_once_delivers_what_lies_there_and_the_deads_open_spans(scene: Scene) -> None:
    journal = scene.journal()
    journal.append_start(span(1_000, trace=1, end_ns=0), Routing(EXPERIMENT, BRAND, root=True))
    append_trace(journal, 2)
    append_trace(journal, 3, root=False)
    journal.close()

    report = run_once(scene.directory, scene.sink, clock=scene.clock)

    assert report == RunReport(stored=6, drained=True)
    assert scene.stored() == {1_000, 2_000, 2_001, 2_002, 3_001, 3_002}
    assert list(scene.directory.glob("*.jsonl")) == []


def test_once_delivers_the_metrics_of_a_trace_whose_root_died(scene: Scene) -> None:
    journal = scene.journal()
    journal.append(span(1_001, trace=1, parent=1_000), Routing(EXPERIMENT, BRAND, metrics={"score": 0.5}))
    journal.close()

    assert run_once(scene.directory, scene.sink, clock=scene.clock).drained

    assert scene.sink.metrics == {(f"{1_001:016x}", "score"): 0.5}
    assert list(scene.directory.glob("*.jsonl")) == []


def test_once_delivers_what_a_living_writer_has_written_so_far(scene: Scene) -> None:
    append_trace(scene.journal(), 1)

    assert run_once(scene.directory, scene.sink, clock=scene.clock).drained
    assert len(scene.stored()) == 3


def test_once_gives_up_on_a_sink_that_takes_nothing(scene: Scene) -> None:
    append_trace(scene.journal(), 1)
    sink = FlakySink(scene.sink, rule=lambda request: Unavailable("down"))
    before = scene.clock.monotonic()

    report = run_once(scene.directory, sink, patience_s=20.0, clock=scene.clock)

    assert report == RunReport(stored=0, drained=False)
    assert 20 <= scene.clock.monotonic() - before < 30


def test_once_gives_up_on_a_sink_that_keeps_silent_after_its_first_silence(scene: Scene) -> None:
    append_trace(scene.journal(), 1)

    def silence(request: Said) -> Unavailable:
        scene.clock.wait(threading.Event(), 60.0)
        return Unavailable("timed out")

    sink = FlakySink(scene.sink, rule=silence)
    before = scene.clock.monotonic()

    report = run_once(scene.directory, sink, patience_s=3.0, clock=scene.clock)

    assert report == RunReport(stored=0, drained=False)
    assert scene.clock.monotonic() - before < 70


def test_once_ends_at_a_refusal_when_all_else_is_delivered(scene: Scene) -> None:
    for trace, experiment in enumerate(("refused", EXPERIMENT, "refused", EXPERIMENT), start=1):
        append_trace(scene.journal(), trace, experiment=experiment)
    refusal = Forbidden("who is there?", 401)
    sink = FlakySink(
        scene.sink, [Unavailable("starting")], lambda said: refusal if said.experiment == "refused" else None
    )
    before = scene.clock.monotonic()

    report = run_once(scene.directory, sink, patience_s=30.0, clock=scene.clock)

    assert report == RunReport(stored=6, drained=False, refusal=refusal)
    assert scene.stored() == {2_000, 2_001, 2_002, 4_000, 4_001, 4_002}
    assert scene.clock.monotonic() - before < 2


def test_once_waits_for_an_outage_behind_a_refusal(scene: Scene) -> None:
    for trace, experiment in enumerate(("refused", EXPERIMENT), start=1):
        append_trace(scene.journal(), trace, experiment=experiment)
    answers = [Forbidden("no"), Unavailable("restarting"), Unavailable("restarting")]
    sink = FlakySink(scene.sink, answers, lambda said: Forbidden("no") if said.experiment == "refused" else None)

    assert run_once(scene.directory, sink, clock=scene.clock).stored == 3


def test_once_leaves_a_directory_alone_that_another_ships_from(scene: Scene) -> None:
    append_trace(scene.journal(), 1)
    other = FileLock(scene.directory / SHIPPER_LOCK)
    other.acquire()

    assert run_once(scene.directory, scene.sink, clock=scene.clock).busy
    assert not scene.sink.spans
    other.release()


def test_once_on_nothing_does_nothing(tmp_path: Path) -> None:
    assert run_once(tmp_path / "missing", MemorySink()) == RunReport(0, drained=True)
    assert not (tmp_path / "missing").exists()


def test_for_ever_ends_when_it_is_told_to(scene: Scene) -> None:
    append_trace(scene.journal(), 1)
    stop = threading.Event()

    class Stopping(MemorySink):
        def send(self, batch) -> None:
            super().send(batch)
            stop.set()

    sink = Stopping()
    report = run_forever(scene.directory, sink, stop, clock=scene.clock)

    assert report.stored == len(sink.spans) == 3


def test_for_ever_ends_by_itself_once_it_is_alone_and_all_is_delivered(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    journal.close()

    report = run_forever(scene.directory, scene.sink, threading.Event(), alone_s=3_600, clock=scene.clock)

    assert report == RunReport(stored=3, drained=True)


def test_for_ever_goes_on_in_a_folder_that_took_the_place_of_its_own(scene: Scene) -> None:
    append_trace(scene.journal(), 1)
    stop, locked = threading.Event(), list[bool]()

    class Sink(MemorySink):
        def send(self, batch: Batch) -> None:
            super().send(batch)
            if len(self.spans) == 3:
                scene.directory.rename(scene.directory.with_name("moved"))
                append_trace(scene.journal(), 2)
            else:
                locked.append(not is_orphan(scene.directory / SHIPPER_LOCK))
                stop.set()

    assert run_forever(scene.directory, Sink(), stop, clock=scene.clock).stored == 6
    assert locked == [True]


def test_a_shipper_leaves_a_folder_that_took_the_place_of_its_own_to_whoever_ships_there(scene: Scene) -> None:
    append_trace(scene.journal(), 1)
    theirs, state = FileLock(scene.directory / SHIPPER_LOCK), ShipperState(1, "there", Health())

    class Sink(MemorySink):
        def send(self, batch: Batch) -> None:
            super().send(batch)
            scene.directory.rename(scene.directory.with_name("moved"))
            append_trace(scene.journal(), 2)
            assert theirs.acquire()
            put_state(scene.directory, state)

    assert run_forever(scene.directory, Sink(), threading.Event(), alone_s=60, clock=scene.clock).stored == 3
    assert shipper_state(scene.directory) == state


def test_for_ever_hears_at_once_who_flushes_amid_a_burst(scene: Scene) -> None:
    journal, stop, waits = scene.journal(), threading.Event(), []
    append_trace(journal, 0)

    class Agent(FakeClock):
        """Writes whenever the shipper waits, and flushes after 0.13 seconds."""

        def wait(self, wake: threading.Event, seconds: float) -> bool:
            append_trace(journal, len(self.waits) + 1)
            before = self.monotonic()
            stopped = super().wait(wake, seconds)
            if before < began + 0.13 <= self.monotonic():
                want_flush(scene.directory)
            return stopped

    class Stopping(MemorySink):
        def send(self, batch: Batch) -> None:
            super().send(batch)
            waits.append(clock.monotonic() - began)
            stop.set()

    clock = Agent()
    began = clock.monotonic()
    run_forever(scene.directory, Stopping(), stop, clock=clock)

    assert 0.125 <= waits[0] <= 0.15


@pytest.mark.parametrize("took_s", [2.3, 2.6, 3.3, 4.6])
def test_for_ever_does_not_end_before_the_deads_open_spans_are_delivered(scene: Scene, took_s: float) -> None:
    journal = scene.journal()
    journal.append_start(span(1_000, trace=1, end_ns=0), Routing(EXPERIMENT, BRAND, root=True))
    journal.append(span(1_001, trace=1, parent=1_000), Routing(EXPERIMENT, BRAND))
    journal.close()
    sink = FlakySink(scene.sink, [Unavailable("503", 503, retry_after_s=took_s)])

    report = run_forever(scene.directory, sink, threading.Event(), alone_s=3_600, clock=scene.clock)

    assert scene.stored() == {1_000, 1_001}
    assert report == RunReport(stored=2, drained=True)


def test_alone_with_a_dead_sink_it_ends_in_the_end(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    journal.close()
    sink = FlakySink(scene.sink, rule=lambda request: Unavailable("down"))
    before = scene.clock.monotonic()

    report = run_forever(scene.directory, sink, threading.Event(), alone_s=600, clock=scene.clock)

    assert report == RunReport(stored=0, drained=False)
    assert 600 <= scene.clock.monotonic() - before < 620
