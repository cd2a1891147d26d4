"""What is counted of what was stored, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.projection.works import COST, MODEL, line, work
from tests.shipping.harness import Scene
from tierlens import keys
from tierlens.errors import Rejected, Unavailable
from tierlens.journal import Journal
from tierlens.journal.codec import Line
from tierlens.negotiated import Negotiated
from tierlens.projection import instruments
from tierlens.projection.measurements import AGENT, OUTCOME, TIER, Sample
from tierlens.projection.prices import PUBLISHED, PriceBook
from tierlens.shipping.shipper import Shipper
from tierlens.shipping.tally import Tally
from tierlens.testing.clock import FakeClock
from tierlens.testing.sinks import AnswerLost, FlakySink, KnowingSink


class Notes:
    """A meter that keeps what it is told."""

    def __init__(self) -> None:
        self.points: list[Sample] = []
        self.ended = ""

    def record(self, points: Iterable[Sample]) -> None:
        self.points.extend(points)

    def close(self) -> None:
        self.ended = "closed"

    def abandon(self) -> None:
        self.ended = "abandoned"

    def of(self, metric: str = instruments.CALLS, *labels: str) -> Counter[tuple[str, ...]]:
        """How often each combination of these labels was told of."""
        names = labels or (AGENT, TIER)
        told = [one for one in self.points if one.metric == metric]
        return Counter(tuple(one.labels.get(name, "") for name in names) for one in told)

    def sum(self, metric: str = instruments.TOKENS) -> float:
        return sum(one.value for one in self.points if one.metric == metric)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tally(notes: Notes, clock: FakeClock) -> Tally:
    return Tally(notes, PUBLISHED, clock=clock)


def none_open(span: str) -> None:
    return None


def call(number: int, parent: int | None = None, **told: Any) -> Line:
    return line(number, "CHAT_MODEL", parent=parent, said=MODEL, **told)


def agent(number: int, parent: int | None = None, name: str = "explainer", **told: Any) -> Line:
    return line(number, "AGENT", parent=parent, name=name, said={keys.TIER: 5}, **told)


def opened(*lines: Line) -> Callable[[str], Line | None]:
    starts = {one.span: one for one in lines}
    return starts.get


def test_a_call_is_the_nearest_agents_however_deep_it_lies(tally: Tally, notes: Notes) -> None:
    trace = [call(5, 4), line(4, parent=3), agent(3, 2), agent(2, 1, "orchestrator"), line(1, root=True)]

    tally.taken(trace, none_open)

    assert notes.of() == {("explainer", "5"): 1}


def test_calls_cost_what_its_prices_say(notes: Notes) -> None:
    book = PriceBook([Negotiated("*", "claude-*", 1_000.0, 0.0, cache_read=0.0, cache_write=0.0)])

    for prices in (book, PUBLISHED):
        Tally(notes, prices).taken([call(2, 1), line(1, root=True)], none_open)

    assert [one.value for one in notes.points if one.metric == instruments.COST] == pytest.approx([0.03, COST])


def test_a_call_outside_of_any_agent_has_none(tally: Tally, notes: Notes) -> None:
    tally.taken([call(2, 1), line(1, root=True)], none_open)

    assert notes.of() == {("", ""): 1}


def test_a_call_that_is_delivered_before_its_agent_has_ended_is_its_agents(tally: Tally, notes: Notes) -> None:
    tally.taken([call(4, 3)], opened(line(3, parent=2, open_=True), agent(2, 1, open_=True)))

    assert notes.of() == {("explainer", "5"): 1}


def test_a_call_waits_for_an_agent_of_which_nothing_is_known_yet(tally: Tally, notes: Notes) -> None:
    tally.taken([call(4, 3)], none_open)
    assert notes.of() == {}
    tally.taken([line(3, parent=2)], none_open)
    assert notes.of() == {}

    tally.taken([agent(2, 1)], none_open)

    assert notes.of() == {("explainer", "5"): 1}


def test_a_call_that_has_waited_for_long_enough_is_counted_without_an_agent(
    tally: Tally, notes: Notes, clock: FakeClock
) -> None:
    tally.taken([call(4, 3)], none_open)
    clock.turn(601)

    tally.taken([line(9, root=True)], none_open)

    assert notes.of() == {("", ""): 1}


def test_what_waits_at_the_end_is_counted(tally: Tally, notes: Notes) -> None:
    tally.taken([call(4, 3)], none_open)

    tally.close()

    assert (notes.of(), notes.ended) == ({("", ""): 1}, "closed")


def test_a_span_that_is_sent_again_counts_once(tally: Tally, notes: Notes) -> None:
    trace = [call(3, 2), agent(2, 1), line(1, root=True)]
    tally.taken(trace, none_open)
    told = list(notes.points)

    tally.taken(trace, none_open)

    assert notes.points == told


def test_tokens_of_a_stream_that_outlived_its_trace_are_counted_and_its_call_is_not_again(
    tally: Tally, notes: Notes
) -> None:
    cut = line(2, "CHAT_MODEL", parent=1, said={keys.MODEL: "claude-sonnet-4-5", keys.OUTCOME: "abandoned"})
    tally.taken([cut, line(1, root=True)], none_open)
    assert notes.sum() == 0

    tally.taken([call(2, 1)], none_open)
    tally.taken([call(2, 1)], none_open)

    assert notes.sum() == 120
    assert notes.of(instruments.CALLS, OUTCOME) == {("abandoned",): 1}


def test_of_two_records_of_a_span_the_later_one_counts(tally: Tally, notes: Notes) -> None:
    failed = line(2, "AGENT", parent=1, error="ValueError", said={keys.OUTCOME: "error"})
    retried = line(2, "AGENT", parent=1, error="ValueError", said={keys.OUTCOME: "retried"})

    tally.taken([failed, retried, line(1, root=True)], none_open)

    assert notes.of(instruments.AGENTS, OUTCOME) == {("retried",): 1}


def test_a_second_account_of_a_call_inside_of_it_is_no_call(tally: Tally, notes: Notes) -> None:
    tally.taken([line(3, "CHAT_MODEL", parent=2), call(2, 1), line(1, root=True)], none_open)

    assert notes.of() == {("", ""): 1}


def test_tokens_counted_inside_of_a_model_that_asks_another_are_not_lost(tally: Tally, notes: Notes) -> None:
    tally.taken([call(3, 2), line(2, "CHAT_MODEL", parent=1), agent(1, root=True)], none_open)

    assert notes.of(instruments.TOKENS) == {("explainer", "5"): 2}


def test_parents_in_a_circle_end_the_search(tally: Tally, notes: Notes) -> None:
    tally.taken([call(4, 3), line(3, parent=2), line(2, parent=3)], none_open)

    assert notes.of() == {("", ""): 1}


def test_a_line_that_cannot_be_read_harms_nobody(tally: Tally, notes: Notes, caplog: pytest.LogCaptureFixture) -> None:
    broken = replace_payload(call(1), b'{"key":"mlflow.spanType","value":{"stringValue":"CHAT_MODEL"')
    tally.taken([broken, call(2, root=True)], none_open)

    assert notes.of() == {("", ""): 1}
    assert "missing in metrics" in caplog.text


def replace_payload(whole: Line, payload: bytes) -> Line:
    return whole._replace(payload=payload)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "journal")
    yield made
    made.close()


def ship(scene: Scene, notes: Notes, sink: Any = None) -> Shipper:
    shipper = Shipper(
        scene.directory,
        sink or scene.sink,
        limits=scene.limits,
        clock=scene.clock,
        tally=Tally(notes, PUBLISHED, clock=scene.clock),
    )
    scene.shippers.append(shipper)
    return shipper


def append_calls(journal: Journal) -> None:
    journal.append(*work(3, "CHAT_MODEL", parent=2, said=MODEL))
    journal.append(*work(2, "AGENT", parent=1, name="explainer"))
    journal.append(*work(1, root=True))


def test_nothing_counts_before_it_is_stored_nor_twice_when_the_answer_is_lost(scene: Scene, notes: Notes) -> None:
    sink = FlakySink(scene.sink, [Unavailable("down", 503), AnswerLost(Unavailable("cut off"))])
    append_calls(scene.journal())
    shipper = ship(scene, notes, sink)

    scene.run(shipper)
    assert notes.points == []
    scene.run(shipper, seconds=30)

    assert len(sink.requests) == 3
    assert notes.of() == {("explainer", ""): 1}


def test_what_mlflow_took_and_did_not_keep_counts_once_although_it_is_sent_again(scene: Scene, notes: Notes) -> None:
    lies = iter([True])
    sink = KnowingSink(lies=lambda batch: next(lies, False))
    append_calls(scene.journal())

    shipper = ship(scene, notes, sink)
    scene.run(shipper, seconds=30)

    assert (shipper.missing, len(sink.spans)) == (3, 3)
    assert notes.of() == {("explainer", ""): 1}


@pytest.mark.parametrize("steps", range(1, 8))
def test_each_call_counts_once_whenever_one_shipper_stops_and_the_next_goes_on(scene: Scene, steps: int) -> None:
    journal = scene.journal()
    # Its root is still to come, so the position stays before it, and all that is stored behind it is sent again.
    journal.append(*work(13, "CHAT_MODEL", parent=11, trace=2, said=MODEL))
    append_calls(journal)
    first, second = Notes(), Notes()

    shipper = ship(scene, first)
    for _ in range(steps):
        scene.clock.turn(0.4)
        shipper.step()
    scene.shippers.remove(shipper)
    shipper.close()
    journal.append(*work(11, trace=2, root=True))
    scene.run(ship(scene, second), seconds=5)

    assert first.of() + second.of() == {("explainer", ""): 1, ("", ""): 1}
    assert (first.of(instruments.AGENTS, AGENT) + second.of(instruments.AGENTS, AGENT)) == {("explainer",): 1}


def test_a_call_of_a_process_that_died_is_counted_as_failed_with_its_agent(scene: Scene, notes: Notes) -> None:
    journal = scene.journal()
    for span, routing in (
        work(1, root=True, open_=True),
        work(2, "AGENT", parent=1, name="explainer", open_=True),
        work(3, "CHAT_MODEL", parent=2, open_=True),
    ):
        journal.append_start(span, routing, lambda: True)
    journal.close()

    scene.run(ship(scene, notes), seconds=10)

    assert notes.of(instruments.CALLS, AGENT, OUTCOME) == {("explainer", "error"): 1}
    assert notes.of(instruments.WORKFLOWS, OUTCOME) == {("error",): 1}


def test_a_call_that_is_sent_while_its_agent_goes_on_is_its_agents(scene: Scene, notes: Notes) -> None:
    journal = scene.journal()
    journal.append_start(*work(2, "AGENT", parent=1, name="explainer", open_=True), lambda: True)
    journal.append(*work(3, "CHAT_MODEL", parent=2, said=MODEL))

    scene.run(ship(scene, notes), seconds=3)

    assert notes.of() == {("explainer", ""): 1}


@pytest.mark.parametrize("alive", [True, False])
def test_what_is_refused_counts_once_it_is_taken_after_all(scene: Scene, notes: Notes, alive: bool) -> None:
    refuse = [True]

    class Strict:
        def send(self, batch: Any) -> None:
            if refuse[0] and any(orjson.loads(span)["spanId"] == f"{3:016x}" for span in batch.spans):
                raise Rejected("no", 422)
            scene.sink.send(batch)

        def finish(self, finish: Any) -> None:
            scene.sink.finish(finish)

        def close(self) -> None:
            pass

    journal = scene.journal()
    append_calls(journal)
    if not alive:
        journal.close()
    shipper = ship(scene, notes, Strict())
    scene.run(shipper, seconds=30)
    assert (notes.of(), notes.of(instruments.AGENTS, AGENT)) == ({}, {("explainer",): 1})

    refuse[0] = False
    scene.run(shipper, seconds=200)

    assert notes.of() == {("explainer", ""): 1}


def test_a_forked_childs_shipper_leaves_the_port_to_its_parent(scene: Scene, notes: Notes) -> None:
    shipper = ship(scene, notes)

    scene.crash(shipper)

    assert notes.ended == "abandoned"
