"""What shippers and those they ship for say to each other."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from tests.shipping.harness import Scene, append_trace
from tierlens.journal.segment import SHIPPER_STATE
from tierlens.shipping import handover
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.handover import Claim, ShipperState
from tierlens.shipping.health import Health
from tierlens.shipping.hosts.run import run_forever
from tierlens.testing.clock import FakeClock
from tierlens.testing.sinks import MemorySink

HERE = ShipperState(4711, "here", Health(failing=True, answered_at=1.5, asked_at=None, ever_took=False))


def test_what_a_shipper_says_can_be_read(tmp_path: Path) -> None:
    assert handover.state(tmp_path) is None

    handover.put_state(tmp_path, HERE)

    assert handover.state(tmp_path) == HERE
    assert (tmp_path / SHIPPER_STATE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"[]", b'{"pid":1}', b'{"pid":1,"destination":"","health":{"x":1}}'])
def test_what_cannot_be_read_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SHIPPER_STATE).write_bytes(content)

    assert handover.state(tmp_path) is None


def test_a_shipper_makes_way_to_anybody_once_it_is_alone(tmp_path: Path) -> None:
    assert not handover.is_in_the_way(tmp_path, "here", alone=True)
    handover.want_to_ship(tmp_path)

    assert not handover.is_in_the_way(tmp_path, "here", alone=False)
    assert handover.is_in_the_way(tmp_path, "here", alone=True)


def test_a_shipper_makes_way_at_once_to_who_wants_another_destination(tmp_path: Path) -> None:
    handover.want_to_ship(tmp_path, "here")
    assert not handover.is_in_the_way(tmp_path, "here", alone=False)

    handover.want_to_ship(tmp_path, "there")

    assert handover.is_in_the_way(tmp_path, "here", alone=False)


def test_a_wish_to_flush_is_taken_once(tmp_path: Path) -> None:
    handover.want_flush(tmp_path)

    assert handover.take_flush_wish(tmp_path)
    assert not handover.take_flush_wish(tmp_path)


def test_a_process_has_its_say_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    claim = Claim(tmp_path, "there", Alarms(FakeClock()))
    claim.press()
    assert not claim.settled

    handover.put_state(tmp_path, HERE)
    claim.press()
    assert not claim.settled
    assert handover.is_in_the_way(tmp_path, "here", alone=False)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]

    handover.put_state(tmp_path, ShipperState(1, "there", Health()))
    claim.press()
    assert claim.settled
    handover.clear(tmp_path)
    handover.put_state(tmp_path, HERE)
    claim.press()
    assert not handover.is_in_the_way(tmp_path, "here", alone=True)


def test_who_does_not_say_where_to_has_no_say(tmp_path: Path) -> None:
    assert Claim(tmp_path, "", Alarms(FakeClock())).settled


def test_a_shipper_tells_how_it_fares_and_takes_it_back_in_the_end(scene: Scene) -> None:
    told: list[ShipperState | None] = []

    class Sink(MemorySink):
        def send(self, batch) -> None:
            told.append(handover.state(scene.directory))
            super().send(batch)

    journal = scene.journal()
    append_trace(journal, 1)
    journal.close()

    run_forever(scene.directory, Sink(), threading.Event(), alone_s=60, destination="here", clock=scene.clock)

    (during,) = told
    assert during is not None
    assert during.destination == "here"
    assert during.health.asked_at is not None
    assert handover.state(scene.directory) is None


def test_a_shipper_for_the_living_leaves_when_another_destination_is_wanted(scene: Scene) -> None:
    append_trace(scene.journal(), 1)
    handover.want_to_ship(scene.directory, "there")

    report = run_forever(
        scene.directory,
        scene.sink,
        threading.Event(),
        alone_s=60,
        destination="here",
        limits=scene.limits,
        clock=scene.clock,
    )

    assert report.stored == 3


def test_somebody_who_waits_need_not_wait_for_roots(scene: Scene) -> None:
    journal, stop = scene.journal(), threading.Event()
    append_trace(journal, 1, root=False)
    handover.want_flush(scene.directory)
    stored_at: list[float] = []

    class Sink(MemorySink):
        def send(self, batch) -> None:
            super().send(batch)
            stored_at.append(scene.clock.monotonic())
            stop.set()

    before = scene.clock.monotonic()
    run_forever(scene.directory, Sink(), stop, clock=scene.clock)

    assert stored_at[0] - before < scene.limits.root_patience_s / 2
