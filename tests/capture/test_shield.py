"""What goes wrong inside stays inside, is counted, and is said once a minute."""

from __future__ import annotations

import logging

import pytest

from tierlens.capture.measuring import measure
from tierlens.capture.outcomes import FINE
from tierlens.capture.recorder import Recorder
from tierlens.capture.shield import Shield, shielded
from tierlens.capture.trace import Context
from tierlens.policy import Policies
from tierlens.spans import Span
from tierlens.testing.clock import FakeClock
from tierlens.testing.memory_journal import MemoryJournal


class Broken:
    def __init__(self, shield: Shield) -> None:
        self.shield = shield

    @shielded
    def act(self, fails: bool) -> str:
        if fails:
            raise ValueError("broken")
        return "fine"


def test_a_failure_is_counted_and_does_not_come_out() -> None:
    broken = Broken(Shield(strict=False))
    assert [broken.act(False), broken.act(True), broken.act(True)] == ["fine", None, None]
    assert broken.shield.failures == {"Broken.act: ValueError": 2}


def test_each_cause_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    shield = Shield(strict=False, clock=clock.monotonic)
    with caplog.at_level(logging.WARNING, "tierlens"):
        for seconds in (0, 30, 29, 2):
            clock.turn(seconds)
            shield.report("here", ValueError("broken"))
        shield.report("there", ValueError("broken"))
    said = [record.getMessage() for record in caplog.records]
    assert ["here" in said[0], "(4 times" in said[1], "there" in said[2], len(said)] == [True, True, True, 3]


def test_refused_metrics_of_one_name_are_counted_into_the_next_warning(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    recorder = Recorder(MemoryJournal(), Policies(), Shield(strict=False, clock=clock.monotonic))
    opened = recorder.start("run", "agent", "AGENT", parent=None, context=Context())
    with caplog.at_level(logging.WARNING, "tierlens"):
        for value in (float("nan"), object(), [1]):
            measure(recorder, opened, "confidence", value)
        clock.turn(61)
        measure(recorder, opened, "confidence", {})
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "nan is no finite number" in said[0]
    assert said[1].endswith(
        "a value of type dict is no finite number, bool or text (and 2 more since the last warning)"
    )


def test_a_strict_one_lets_it_out() -> None:
    with pytest.raises(ValueError, match="broken"):
        Broken(Shield(strict=True)).act(True)


def test_what_stops_the_process_is_not_held_back() -> None:
    class Stopping(Broken):
        @shielded
        def act(self, fails: bool) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stopping(Shield(strict=False)).act(True)


def test_a_step_that_raises_costs_no_more_than_the_span_it_raised_at() -> None:
    def step(span: Span) -> Span:
        if span.name == "left open":
            raise LookupError("of the user's own")
        return span

    journal, shield = MemoryJournal(), Shield(strict=False)
    recorder = Recorder(journal, Policies(), shield, steps=(step,))
    root = recorder.start("root", "root", "CHAIN", parent=None, context=Context())
    recorder.start("left", "left open", "TASK", parent=root, context=Context())

    recorder.finish(root, FINE)

    assert [span.name for span in journal.spans.values()] == ["root"]
    assert list(shield.failures.values()) == [1]


def test_causes_are_forgotten_when_there_are_very_many(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    shield = Shield(strict=False, clock=lambda: now[0])
    with caplog.at_level(logging.WARNING, "tierlens"):
        for number in range(3_000):
            now[0] += 1.0
            shield.warn(f"metric {number}", "was not recorded")
    assert len(caplog.records) == 3_000
    assert len(shield._said) <= 1_000
