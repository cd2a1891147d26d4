"""``tierlens journal deadletter``: what would not be taken, and trying it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.journals import JOURNAL, recorded
from tests.cli.running import tierlens
from tests.sinks.traces import Trace
from tierlens.errors import Rejected
from tierlens.shipping.deadletter import DeadLetters
from tierlens.testing.sinks import FlakySink, MemorySink
from tierlens.upkeep.drain import drain


@pytest.fixture
def traces(tmp_path: Path) -> list[Trace]:
    """Delivered to a sink that takes no model call."""
    made = recorded(tmp_path, "x")
    refusing = FlakySink(
        MemorySink(),
        rule=lambda request: Rejected("no models", 422) if any(b"CHAT_MODEL" in s for s in request.spans) else None,
    )
    drain(tmp_path / JOURNAL, lambda: refusing, patience_s=2)
    return made


def test_list_says_why(tmp_path: Path, traces: list[Trace]) -> None:
    listed = tierlens(tmp_path, "journal", "deadletter", "list", "--json").json

    assert {letter["span"] for letter in listed} == {trace.named("model-0").span_id for trace in traces}
    assert {(letter["reason"], letter["status"], letter["detail"]) for letter in listed} == {
        ("rejected", 422, "no models")
    }
    assert tierlens(tmp_path, "journal", "deadletter", "list", "--reason", "too_large", "--json").json == []


def test_show_shows_one_whole_by_the_beginning_of_its_name(tmp_path: Path, traces: list[Trace]) -> None:
    shown = tierlens(tmp_path, "journal", "deadletter", "show", traces[0].id[:12], "--json").json

    assert shown["trace"] == traces[0].id
    assert shown["payload"]["name"] == "model-0"


def test_a_name_that_is_none_is_refused(tmp_path: Path, traces: list[Trace]) -> None:
    ran = tierlens(tmp_path, "journal", "deadletter", "show", "zz")

    assert ran.code == 2
    assert "'zz' is no dead letter's name" in ran.err


@pytest.mark.parametrize(("arguments", "count"), [(("--all",), 2), (("--reason", "rejected"), 2), (("one",), 1)])
def test_retry_has_them_delivered_again(
    tmp_path: Path, traces: list[Trace], arguments: tuple[str, ...], count: int
) -> None:
    arguments = (traces[0].id,) if arguments == ("one",) else arguments

    ran = tierlens(tmp_path, "journal", "deadletter", "retry", *arguments, "--json")

    sink = MemorySink()
    assert (ran.code, len(ran.json["put_back"])) == (0, count)
    assert len(DeadLetters(tmp_path / JOURNAL).names()) == 2 - count
    assert drain(tmp_path / JOURNAL, lambda: sink).drained
    assert sink.spans.keys() == {trace.named("model-0").span_id for trace in traces[:count]} or len(sink.spans) == 2


def test_retry_wants_to_know_which(tmp_path: Path, traces: list[Trace]) -> None:
    assert tierlens(tmp_path, "journal", "deadletter", "retry").code == 2
