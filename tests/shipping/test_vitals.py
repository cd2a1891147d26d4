"""How a journal is doing, asked again and again while it is written, shipped and taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journal.spans import ROUTING, START_NS, filled, span
from tests.shipping.harness import Scene, append_trace
from tierlens.errors import JournalRefused, Rejected, Unavailable
from tierlens.journal import Journal
from tierlens.shipping.vitals import Vitals, VitalSigns
from tierlens.testing.sinks import FlakySink
from tierlens.upkeep.survey import survey


class Beside:
    """A scene, and somebody who looks at it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._ns = START_NS + 5
        self.signs = VitalSigns(scene.directory, lambda: self._ns)

    def look(self, after_s: float = 1.0) -> Vitals:
        self._ns += int(after_s * 1e9)
        return self.signs.look()


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Beside]:
    scene = Scene(tmp_path / "journal")
    yield Beside(scene)
    scene.close()


def test_a_journal_that_is_not_there_is_empty(beside: Beside) -> None:
    assert beside.look() == Vitals()


def test_pending_and_lag_grow_while_the_backend_is_down_and_fall_when_it_is_back(beside: Beside) -> None:
    scene = beside.scene
    sink = FlakySink(scene.sink, rule=lambda request: Unavailable("down", 503))
    journal, shipper = scene.journal(), scene.shipper(sink)
    seen = []
    for trace in (1, 2, 3):
        append_trace(journal, trace)
        scene.run(shipper, seconds=2)
        seen.append(beside.look(after_s=60))

    assert [(one.accepted, one.stored, one.pending) for one in seen] == [(3, 0, 3), (6, 0, 6), (9, 0, 9)]
    assert [one.lag_s for one in seen] == [60, 120, 180]
    assert seen[0].size < seen[1].size < seen[2].size

    sink.rule = lambda request: None
    scene.run(shipper, seconds=120)

    after = beside.look()
    assert (after.accepted, after.stored, after.pending, after.lag_s) == (9, 9, 0, 0.0)


def test_what_was_counted_stays_so_when_the_files_are_gone(beside: Beside) -> None:
    scene = beside.scene
    journal, shipper = scene.journal(), scene.shipper()
    append_trace(journal, 1)
    scene.run(shipper)
    before = beside.look()

    journal.close()
    scene.run(shipper, seconds=5)

    after = beside.look()
    assert list(scene.directory.glob("*.jsonl")) == []
    assert (before.accepted, before.stored) == (after.accepted, after.stored) == (3, 3)


def test_every_look_says_what_a_survey_says(beside: Beside) -> None:
    scene = beside.scene
    journal, other, shipper = scene.journal(segment_bytes=2_000), scene.journal(), scene.shipper()
    for trace in range(1, 30):
        append_trace(journal if trace % 3 else other, trace, text="x" * 200)
        if trace % 4 == 0:
            scene.run(shipper)
        found, whole = beside.look(), survey(scene.directory)
        assert (found.stored, found.pending) == (whole.stored, whole.pending)
        assert found.accepted == 3 * trace


def test_spans_that_nobody_takes_are_refused_and_not_pending(beside: Beside) -> None:
    scene = beside.scene
    sink = FlakySink(scene.sink, rule=lambda request: Rejected("no", 422))
    append_trace(scene.journal(), 1)

    scene.run(scene.shipper(sink), seconds=20)

    found = beside.look()
    assert (found.accepted, found.stored, found.pending, found.refused) == (3, 0, 0, {"rejected": 3})


def test_a_refusal_stays_counted_when_the_span_is_taken_after_all(beside: Beside) -> None:
    scene = beside.scene
    sink = FlakySink(scene.sink, rule=lambda request: Rejected("no", 422))
    append_trace(scene.journal(), 1)
    shipper = scene.shipper(sink)
    scene.run(shipper, seconds=20)
    beside.look()

    sink.rule = lambda request: None
    scene.run(shipper, seconds=300)

    found = beside.look()
    assert (found.accepted, found.stored, found.pending, found.refused) == (3, 3, 0, {"rejected": 3})


def test_what_a_full_journal_refuses_is_seen_before_anything_is_delivered(beside: Beside) -> None:
    journal = Journal(beside.scene.directory, resource={}, quota_bytes=100_000, segment_bytes=50_000)
    beside.look()
    accepted, refused = 0, 0
    for number in range(60):
        try:
            journal.append(filled(number, 4_000), ROUTING)
            accepted += 1
        except JournalRefused:
            refused += 1
    journal.close()

    found = beside.look()

    assert refused > 0
    assert (found.accepted, found.pending, found.refused) == (accepted, accepted, {"quota": refused})


def test_a_damaged_line_is_not_waited_for(beside: Beside) -> None:
    scene = beside.scene
    journal = scene.journal()
    append_trace(journal, 1)
    (segment,) = scene.directory.glob("*.jsonl")
    content = bytearray(segment.read_bytes())
    content[200] ^= 1
    segment.write_bytes(content)
    journal.append(span(9, trace=1), ROUTING)

    scene.run(scene.shipper(), seconds=5)

    found = beside.look()
    assert (found.stored, found.pending, found.lag_s) == (3, 0, 0.0)


def test_answers_are_kept_for_half_a_second(beside: Beside) -> None:
    journal = beside.scene.journal()
    append_trace(journal, 1)
    assert beside.look().pending == 3
    append_trace(journal, 2)

    assert beside.look(after_s=0.4).pending == 3
    assert beside.look(after_s=0.2).pending == 6
