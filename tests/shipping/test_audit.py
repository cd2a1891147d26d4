"""The sink says that it took something: what it does not hold a moment later is sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path

import orjson
import pytest

from tests.journal.spans import EXPERIMENT, span
from tests.shipping.harness import BRAND, Scene, append_trace
from tierlens import keys
from tierlens.errors import DeliveryError, Forbidden, Rejected, Unavailable
from tierlens.journal import Journal
from tierlens.journal.cursor import read_cursor
from tierlens.journal.segment import cursor_path, writers
from tierlens.shipping.deadletter import DeadLetters
from tierlens.sinks.base import Batch
from tierlens.sinks.witness import Request
from tierlens.spans import Routing
from tierlens.testing.sinks import FlakySink, KnowingSink, MemorySink

ROOT = Routing(EXPERIMENT, BRAND, root=True)


def every(number: int) -> Callable[[Batch], bool]:
    """A sink that lies about one request in so many, the first among them."""
    count = iter(range(1_000_000))
    return lambda batch: next(count) % number == 0


@pytest.fixture
def sink(scene: Scene) -> KnowingSink:
    scene.sink = KnowingSink()
    return scene.sink


def rooted(journal: Journal, trace: int, started: int, children: int = 2) -> None:
    """A trace whose root says how many spans were started."""
    append_trace(journal, trace, children, root=False)
    made = span(trace * 1_000, trace=trace)
    said = {keys.SPANS_STARTED: started}
    journal.append(made._replace(attributes={**made.attributes, **said}), ROOT)


def segments(scene: Scene) -> list[Path]:
    return sorted(scene.directory.glob("*.jsonl"))


def test_spans_that_were_taken_and_not_stored_are_sent_again(scene: Scene, sink: KnowingSink) -> None:
    sink.lies = every(3)
    journal, shipper = scene.journal(), scene.shipper()
    appended: set[int] = set()
    for trace in range(1, 40):
        appended.update(append_trace(journal, trace))
        scene.run(shipper, seconds=0.2)
    journal.close()

    scene.run(shipper, seconds=40)

    assert scene.stored() == appended
    assert shipper.missing > 0
    assert shipper.settled


def test_one_question_speaks_for_all_traces_of_a_request(scene: Scene, sink: KnowingSink) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    for trace in range(1, 20):
        append_trace(journal, trace)

    scene.run(shipper, seconds=5)

    assert (len(sink.batches), sink.questions) == (1, 1)


@pytest.mark.parametrize("between_s", [0.0, 30.0], ids=["in one request", "in two"])
def test_a_span_that_is_said_again_is_stored_as_said_last_and_leaves_nothing_behind(
    scene: Scene, sink: KnowingSink, between_s: float
) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    failed = span(1_001, trace=1, parent=1_000)._replace(name="failed")
    journal.append(failed, Routing(EXPERIMENT, BRAND))
    scene.run(shipper, seconds=between_s)
    journal.append(failed._replace(name="tried again"), Routing(EXPERIMENT, BRAND))
    journal.append(span(1_000, trace=1), ROOT)
    journal.close()

    scene.run(shipper, seconds=60)

    sent = [orjson.loads(payload)["name"] for batch in sink.batches for payload in batch.spans]
    assert sent.count("tried again") == 1
    assert sent.count("failed") == (1 if between_s else 0)
    assert shipper.settled
    assert not writers(scene.directory)


def test_a_span_said_any_number_of_times_is_one(scene: Scene, sink: KnowingSink) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    for number in range(1_500):
        said = span(1_001, trace=1, parent=1_000)._replace(name=f"{number}")
        journal.append(said, Routing(EXPERIMENT, BRAND))
    journal.append(span(1_000, trace=1), ROOT)
    journal.close()

    scene.run(shipper, seconds=60)

    assert [len(batch.spans) for batch in sink.batches] == [2]
    assert not writers(scene.directory)


def test_spans_that_came_before_their_root_are_vouched_for_with_it(scene: Scene, sink: KnowingSink) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    append_trace(journal, 1, root=False)
    scene.run(shipper, seconds=3)
    append_trace(journal, 1, children=0)

    scene.run(shipper, seconds=3)

    assert (len(sink.batches), sink.questions) == (2, 1)
    assert shipper.settled


def test_a_part_of_a_trace_that_was_lost_is_sent_again(scene: Scene, sink: KnowingSink) -> None:
    sink.lies = every(100)
    journal, shipper = scene.journal(), scene.shipper()
    children = append_trace(journal, 1, root=False)
    scene.run(shipper, seconds=3)
    assert scene.stored() == set()
    root = append_trace(journal, 1, children=0)

    scene.run(shipper, seconds=20)

    assert scene.stored() == {*children, *root}
    assert shipper.missing == len(children)


def test_a_segment_stays_until_its_spans_were_seen(scene: Scene, sink: KnowingSink) -> None:
    sink.silent = Unavailable("asleep", 503)
    journal, shipper = scene.journal(segment_bytes=1_000), scene.shipper()
    for trace in range(1, 6):
        append_trace(journal, trace)
    scene.run(shipper, seconds=3)
    before = segments(scene)
    assert len(before) > 2

    sink.silent = None
    scene.run(shipper, seconds=30)

    assert segments(scene) == before[-1:]


def test_a_shipper_that_died_leaves_its_questions_to_the_next(scene: Scene, sink: KnowingSink) -> None:
    sink.lies = every(1)
    journal, first = scene.journal(), scene.shipper()
    appended = append_trace(journal, 1)
    scene.run(first)
    scene.crash(first)
    sink.lies = lambda batch: False

    scene.run(scene.shipper(), seconds=10)

    assert scene.stored() == set(appended)


def test_what_was_seen_is_not_asked_for_again_by_the_next(scene: Scene, sink: KnowingSink) -> None:
    journal, first = scene.journal(), scene.shipper()
    append_trace(journal, 1)
    scene.run(first, seconds=5)
    cursor = read_cursor(cursor_path(scene.directory, journal.writer))
    first.close()
    asked = sink.questions

    scene.run(scene.shipper(), seconds=5)

    assert cursor is not None
    assert cursor.seen == (cursor.segment, cursor.offset)
    assert sink.questions == asked


def test_a_span_that_is_never_there_becomes_a_dead_letter(scene: Scene, sink: KnowingSink) -> None:
    sink.lies = lambda batch: True
    journal, shipper = scene.journal(), scene.shipper()
    append_trace(journal, 1, children=0)

    scene.run(shipper, seconds=20)

    [(_, letter, line)] = DeadLetters(scene.directory).all()
    assert int(line.span, 16) == 1_000
    assert "not there" in letter.detail


def test_a_sink_that_cannot_be_asked_is_believed(scene: Scene, sink: KnowingSink) -> None:
    sink.silent = Forbidden("no such page", 404)
    journal, shipper = scene.journal(), scene.shipper()
    append_trace(journal, 1)

    scene.run(shipper, seconds=5)

    assert sink.questions == 1
    assert shipper.settled


def test_a_trace_of_which_all_was_stored_says_so(scene: Scene, sink: KnowingSink) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    rooted(journal, 1, started=3)

    scene.run(shipper, seconds=5)

    [tags] = sink.tags.values()
    assert (tags[keys.COMPLETE], tags[keys.SPANS]) == ("true", "3 of 3")


def test_a_trace_that_goes_in_two_parts_of_one_request_is_whole(scene: Scene, sink: KnowingSink) -> None:
    flaky = FlakySink(sink, [Unavailable("503", 503, retry_after_s=4.0)])
    journal, shipper = scene.journal(), scene.shipper(flaky)
    rooted(journal, 9, started=3)
    append_trace(journal, 1, root=False)
    scene.run(shipper, seconds=3)
    rooted(journal, 1, started=3, children=0)

    scene.run(shipper, seconds=10)

    assert sorted(len(batch.spans) for batch in sink.batches) == [3, 3]
    assert {tags[keys.COMPLETE] for tags in sink.tags.values()} == {"true"}


def test_a_trace_that_lacks_spans_says_so(scene: Scene, sink: KnowingSink) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    rooted(journal, 1, started=5)

    scene.run(shipper, seconds=5)

    [tags] = sink.tags.values()
    assert (tags[keys.COMPLETE], tags[keys.SPANS]) == ("false", "3 of 5")


def test_spans_that_come_late_complete_their_trace(scene: Scene, sink: KnowingSink) -> None:
    journal, shipper = scene.journal(), scene.shipper()
    rooted(journal, 1, started=4)
    scene.run(shipper, seconds=5)

    journal.append(span(77, trace=1, parent=1_000), Routing(EXPERIMENT, BRAND))
    scene.run(shipper, seconds=5)

    [tags] = sink.tags.values()
    assert (tags[keys.COMPLETE], tags[keys.SPANS]) == ("true", "4 of 4")


def test_a_shipper_that_began_in_the_middle_of_a_trace_asks_how_much_of_it_is_there(
    scene: Scene, sink: KnowingSink
) -> None:
    journal, first = scene.journal(), scene.shipper()
    append_trace(journal, 1, root=False)
    scene.run(first, seconds=40)
    first.close()
    rooted(journal, 1, started=3, children=0)

    scene.run(scene.shipper(), seconds=5)

    [tags] = sink.tags.values()
    assert (tags[keys.COMPLETE], tags[keys.SPANS]) == ("true", "3 of 3")


def test_without_anybody_to_ask_nothing_is_kept(scene: Scene) -> None:
    journal, shipper = scene.journal(segment_bytes=1_000), scene.shipper(MemorySink())
    for trace in range(1, 6):
        append_trace(journal, trace)

    scene.run(shipper)

    assert len(segments(scene)) == 1
    assert shipper.settled


class Choking(KnowingSink):
    """Cannot say anything of some requests and traces."""

    def __init__(self, *traces: int, error: DeliveryError, requests: bool = False) -> None:
        super().__init__()
        self.error, self._requests = error, requests
        self._traces = {f"{trace:032x}" for trace in traces}

    def count(self, request: Request) -> int:
        if self._requests and any(self.tags[trace][keys.DELIVERY] == request.delivery for trace in self._traces):
            raise self.error
        return super().count(request)

    def held(self, trace_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        if not self._requests and self._traces & set(trace_ids):
            raise self.error
        return super().held(trace_ids)


@pytest.mark.parametrize("error", [Unavailable("500", 500), Rejected("too much to compare")], ids=["500", "rejected"])
def test_a_trace_that_cannot_be_asked_about_holds_up_no_other(scene: Scene, error: DeliveryError) -> None:
    scene.sink = Choking(1, error=error)
    journal, shipper = scene.journal(segment_bytes=1_000), scene.shipper()
    append_trace(journal, 1, root=False)

    for trace in range(2, 20):
        append_trace(journal, trace, root=False)
        scene.run(shipper, seconds=20)
    scene.run(shipper, seconds=60)

    assert shipper.settled
    assert len(segments(scene)) == 1


def test_a_request_that_cannot_be_asked_about_is_asked_about_trace_by_trace(scene: Scene) -> None:
    scene.sink = Choking(1, error=Unavailable("500", 500), requests=True)
    journal, shipper = scene.journal(), scene.shipper()
    for trace in range(1, 20):
        append_trace(journal, trace)
        scene.run(shipper, seconds=10)

    assert shipper.settled
    assert shipper.missing == 0


def test_an_outage_is_not_taken_for_an_answer(scene: Scene, sink: KnowingSink) -> None:
    sink.silent = Unavailable("asleep", 503)
    journal, shipper = scene.journal(), scene.shipper()
    append_trace(journal, 1)
    append_trace(journal, 2, root=False)

    scene.run(shipper, seconds=3_000)

    assert not shipper.settled
