"""What lies in the journal is read in turn, within bounds, and gathered into whole traces."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.shipping.harness import Scene, append_trace
from tierlens.errors import Unavailable
from tierlens.journal.segment import cursor_path
from tierlens.testing.sinks import FlakySink


def test_one_writers_backlog_keeps_no_other_waiting(scene: Scene) -> None:
    journal = scene.journal()
    for trace in range(1, 2_001):
        append_trace(journal, trace)
    shipper = scene.shipper()
    scene.clock.turn(1.0)
    for _ in range(5):
        shipper.step()
    late = append_trace(scene.journal(), 5_000)
    scene.clock.turn(1.0)
    sent = len(scene.sink.batches)

    while not scene.stored() >= set(late):
        shipper.step()

    assert len(scene.sink.batches) - sent <= 8


def test_many_writers_backlogs_keep_no_other_waiting(tmp_path: Path) -> None:
    scene = Scene(tmp_path, bytes_per_request=100_000, slice_bytes=1)
    old = {trace * 1_000 for trace in range(1, 401)}
    for number in range(40):
        journal = scene.journal()
        for trace in range(number * 10 + 1, number * 10 + 11):
            append_trace(journal, trace, children=0, text="x" * 40_000)
    shipper = scene.shipper()
    scene.clock.turn(1.0)
    shipper.step()
    late = append_trace(scene.journal(), 5_000, children=1)
    scene.clock.turn(1.0)
    sent = len(scene.sink.batches)

    while not scene.stored() >= set(late):
        shipper.step()

    assert len(scene.sink.batches) - sent <= 5
    scene.run(shipper)
    assert scene.stored() >= old
    scene.close()


def test_little_that_keeps_coming_keeps_no_backlog_waiting(tmp_path: Path) -> None:
    scene = Scene(tmp_path, bytes_per_request=1, slice_bytes=1)
    behind, busy = scene.journal(), scene.journal()
    for trace in range(1, 11):
        append_trace(behind, trace, text="x" * 40_000)
    shipper = scene.shipper()
    scene.clock.turn(1.0)

    for trace in range(100, 200):
        append_trace(busy, trace, children=1)
        shipper.step()

    assert 5_000 in scene.stored()
    scene.close()


def test_a_trace_whose_rest_lies_unread_is_not_torn(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "journal", delay_s=5.0, quiet_s=0.25)
    journal, shipper = scene.journal(), scene.shipper()
    append_trace(journal, 1, root=False)
    scene.run(shipper, 0.3)

    append_trace(journal, 1, children=0)
    for trace in range(2, 80):
        append_trace(journal, trace)
        scene.run(shipper, 0.1)
        if scene.sink.batches:
            break

    assert {1_000, 1_001, 1_002} <= scene.stored()
    assert [batch for batch in scene.sink.batches if len(batch.spans) < 3] == []
    scene.close()


def test_a_trace_read_in_two_halves_is_said_to_be_complete(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "journal", slice_bytes=400, traces_per_request=2)
    journal = scene.journal()
    for trace in range(1, 30):
        append_trace(journal, trace, children=3)
    shipper = scene.shipper()

    shipper.urgent = True
    scene.run(shipper)

    assert len(scene.stored()) == 29 * 4
    assert all(len(batch.spans) % 4 == 0 for batch in scene.sink.batches)
    scene.close()


def test_memory_is_bounded_while_nothing_can_be_sent(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pending_bytes=100_000)
    journal = scene.journal()
    for trace in range(1, 200):
        append_trace(journal, trace, text="x" * 1_000)
    sink = FlakySink(scene.sink, rule=lambda request: Unavailable("down"))
    shipper = scene.shipper(sink)
    scene.run(shipper, seconds=60)

    assert shipper.pending_bytes <= 100_000 + scene.limits.slice_bytes
    sink.rule = lambda request: None
    scene.run(shipper, seconds=30)
    assert len(scene.stored()) == 597
    scene.close()


def test_foreign_and_unreadable_files_are_left_alone(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    (scene.directory / "notes.txt").write_text("mine")
    os.mkfifo(scene.directory / "20260101T000000-1-00000000.000001.jsonl")
    (scene.directory / "20260101T000000-2-00000000.000001.jsonl").symlink_to(scene.directory / "notes.txt")

    scene.run(scene.shipper(), seconds=5)

    assert scene.stored() == {1_000, 1_001, 1_002}
    assert "20260101T000000-1-00000000" in caplog.text
    assert len(list(scene.directory.glob("*-00000000.000001.jsonl"))) == 2
    assert (scene.directory / "notes.txt").read_text() == "mine"


def test_a_missing_directory_is_no_reason_to_stop(scene: Scene) -> None:
    shipper = scene.shipper()
    scene.run(shipper, seconds=5)
    append_trace(scene.journal(), 1)

    scene.run(shipper, seconds=5)

    assert len(scene.stored()) == 3


def test_damaged_lines_are_counted_and_cost_nothing_else(scene: Scene) -> None:
    journal = scene.journal()
    append_trace(journal, 1)
    (segment,) = scene.directory.glob("*.jsonl")
    with segment.open("ab") as file:
        file.write(b'{"tierlens":{"v":1,"crc":"00000000","kind":"span"\n')
    append_trace(journal, 2)

    scene.run(scene.shipper(), seconds=2)

    assert len(scene.stored()) == 6
    assert b'"damaged":1' in cursor_path(scene.directory, journal.writer).read_bytes()
