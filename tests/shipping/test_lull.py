"""Delivery lets a burst pass, without ever letting it wait for long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.journal.processes import eventually
from tests.shipping.harness import Scene, append_trace
from tierlens.journal import Journal
from tierlens.journal.lock import is_orphan
from tierlens.journal.segment import SHIPPER_LOCK
from tierlens.shipping.clock import SystemClock
from tierlens.shipping.hosts.external import ExternalShipping
from tierlens.shipping.hosts.run import run_forever
from tierlens.shipping.hosts.thread import ShippingThread
from tierlens.shipping.limits import Limits, limits_from, limits_of_thread
from tierlens.shipping.shipper import Shipper
from tierlens.testing.sinks import MemorySink


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "journal", delay_s=5.0, quiet_s=0.25)
    yield made
    made.close()


def write_on(scene: Scene, shipper: Shipper, seconds: float, first: int = 1, segment_bytes: int = 1 << 20) -> float:
    """Append a trace every tenth of a second; how long it took until one was stored, or infinity."""
    journal = scene.journal(segment_bytes)
    began, trace = scene.clock.monotonic(), first
    while scene.clock.monotonic() - began < seconds:
        append_trace(journal, trace)
        trace += 1
        scene.run(shipper, 0.1)
        if scene.sink.batches:
            return scene.clock.monotonic() - began
    return float("inf")


def test_nothing_is_sent_while_an_agent_writes_on(busy: Scene) -> None:
    shipper = busy.shipper()

    assert write_on(busy, shipper, 4.5) == float("inf")


def test_a_segment_that_follows_is_writing_too(busy: Scene) -> None:
    shipper = busy.shipper()

    assert write_on(busy, shipper, 4.5, segment_bytes=6_000) == float("inf")
    assert max(busy.journals[0].end().segment, 0) > 5


def test_all_of_it_is_sent_once_the_agent_rests(busy: Scene) -> None:
    shipper = busy.shipper()
    write_on(busy, shipper, 1.0)

    busy.run(shipper, 0.3)

    assert len(busy.stored()) == 30
    assert len(busy.sink.batches) == 1


def test_an_agent_that_never_rests_is_not_waited_for_longer(busy: Scene) -> None:
    shipper = busy.shipper()

    assert 5.0 <= write_on(busy, shipper, 8.0) <= 5.3


def test_what_is_written_meanwhile_waits_for_the_next_time(busy: Scene) -> None:
    shipper = busy.shipper()
    write_on(busy, shipper, 8.0)
    sent = len(busy.sink.batches)

    append_trace(busy.journals[0], 900)
    busy.run(shipper, 0.2)
    assert len(busy.sink.batches) == sent

    busy.run(shipper, 0.2)
    assert len(busy.sink.batches) == sent + 1


def test_who_waits_for_a_flush_does_not_wait_for_the_agent(busy: Scene) -> None:
    shipper = busy.shipper()
    append_trace(busy.journal(), 1)

    shipper.urgent = True
    busy.run(shipper)

    assert len(busy.stored()) == 3


def test_what_the_dead_left_is_sent_while_others_write(busy: Scene) -> None:
    dead = busy.journal()
    append_trace(dead, 700)
    dead.close()
    shipper = busy.shipper()

    assert write_on(busy, shipper, 4.5) <= 2.5
    assert {700_000, 700_001, 700_002} <= busy.stored()


def test_what_would_fill_the_journal_does_not_wait(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "journal", delay_s=5.0, delay_bytes=20_000)

    took = write_on(scene, scene.shipper(), 4.5, segment_bytes=6_000)

    assert 0.5 <= took <= 2.0
    scene.close()


def test_no_delay_sends_at_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "journal", delay_s=0.0)
    append_trace(scene.journal(), 1)

    scene.run(scene.shipper())

    assert len(scene.stored()) == 3
    scene.close()


def test_the_settings_say_how_long() -> None:
    assert limits_from({"TIERLENS_DELIVERY_DELAY_S": "0.5"}).delay_s == 0.5
    assert limits_from({"TIERLENS_JOURNAL_QUOTA_MB": "8"}).delay_bytes == 2 << 20
    assert limits_of_thread({"TIERLENS_DELIVERY_DELAY_S": "0"}).delay_s == 0.0
    assert limits_from({}) == Limits()


def test_who_is_told_to_stop_delivers_what_lies_there(busy: Scene) -> None:
    stop = threading.Event()
    append_trace(busy.journal(), 1)
    stop.set()

    report = run_forever(busy.directory, busy.sink, stop, limits=busy.limits, clock=busy.clock)

    assert (report.stored, report.drained) == (3, True)


def test_what_the_lull_holds_back_is_not_drained(busy: Scene) -> None:
    shipper = busy.shipper()
    busy.run(shipper, 0.5)
    assert shipper.drained

    append_trace(busy.journal(), 1)
    shipper.look()
    shipper.step()

    assert not shipper.drained


@pytest.mark.parametrize("ways", [("thread", "thread"), ("thread", "external")])
def test_a_flush_hurries_whoever_ships(tmp_path: Path, ways: tuple[str, str]) -> None:
    memory, clock = MemorySink(), SystemClock()
    limits = replace(limits_of_thread({}), delay_s=600.0, quiet_s=600.0)
    ships, waits = (Journal(tmp_path / "journal", resource={}) for _ in range(2))
    shipping = ShippingThread(ships, lambda: memory, limits=limits)
    append_trace(ships, 1)
    eventually(lambda: not is_orphan(tmp_path / "journal" / SHIPPER_LOCK))
    other = ExternalShipping(waits) if ways[1] == "external" else ShippingThread(waits, lambda: memory)
    append_trace(waits, 2)

    began = clock.monotonic()
    report = other.flush(20.0)
    took = clock.monotonic() - began
    for shipper in (other, shipping):
        shipper.close()
    for journal in (ships, waits):
        journal.close()

    assert (report.stored, report.pending) == (3, 0)
    assert took < 15.0


def test_a_hurry_is_over_once_what_it_was_for_is_stored(busy: Scene) -> None:
    journal, shipper = busy.journal(), busy.shipper()
    append_trace(journal, 1)

    shipper.hurry()
    shipper.calm_down()
    assert shipper.urgent

    busy.run(shipper)
    append_trace(journal, 2)
    shipper.calm_down()
    busy.run(shipper)
    assert not shipper.urgent
    assert busy.stored() == {1_000, 1_001, 1_002}
