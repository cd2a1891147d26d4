"""What the dead leave behind is delivered, and then nothing of them is left."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from tests.journal.processes import start
from tests.journal.spans import EXPERIMENT, START_NS, span
from tests.shipping.harness import BRAND, Scene, append_trace
from tierlens.errors import Unavailable
from tierlens.journal import Journal
from tierlens.journal.segment import writers
from tierlens.spans import Routing
from tierlens.testing.sinks import FlakySink

Say = Callable[[int], None]
ROUTING = Routing(EXPERIMENT, BRAND)
ROOT = Routing(EXPERIMENT, BRAND, root=True)


def dying(scene: Scene, work: Callable[[Journal], None]) -> None:
    """A process that does the work in a journal of its own, and is killed."""

    def live(say: Say) -> None:
        work(Journal(scene.directory, resource={"service.name": "app"}, segment_bytes=4_000))
        say(1)
        threading.Event().wait(60)

    worker = start(live)
    worker.hear(1)
    worker.kill()


def test_a_dead_writers_spans_are_adopted_within_five_seconds(scene: Scene) -> None:
    dying(scene, lambda journal: [append_trace(journal, trace) for trace in range(1, 30)] and None)

    scene.run(scene.shipper(), seconds=5)

    assert len(scene.stored()) == 87


def test_nothing_is_left_of_a_writer_that_was_delivered(scene: Scene) -> None:
    dying(scene, lambda journal: [append_trace(journal, trace) for trace in range(1, 30)] and None)

    scene.run(scene.shipper(), seconds=5)

    assert list(scene.directory.glob("*.*")) == []


def test_an_open_span_becomes_an_error_that_keeps_its_prompt(scene: Scene) -> None:
    def work(journal: Journal) -> None:
        journal.append_start(span(1_000, trace=1, end_ns=0), ROOT)
        journal.append_start(span(1_001, trace=1, parent=1_000, end_ns=0, text="the prompt"), ROUTING)
        journal.append(span(1_002, trace=1, parent=1_000, end_ns=START_NS + 7_000), ROUTING)

    dying(scene, work)

    scene.run(scene.shipper(), seconds=5)

    assert scene.stored() == {1_000, 1_001, 1_002}
    for number in (1_000, 1_001):
        told = scene.sink.spans[f"{number:016x}"]
        assert told["status"] == {"code": 2, "message": "process died"}
        assert int(told["endTimeUnixNano"]) == START_NS + 7_000
    assert scene.sink.attributes(f"{1_000:016x}")["mlflow.traceTag.outcome"] == "error"
    attributes = scene.sink.attributes(f"{1_001:016x}")
    assert attributes["mlflow.spanInputs"] == "the prompt"
    assert attributes["tierlens.outcome"] == "error"
    assert "status" not in scene.sink.spans[f"{1_002:016x}"] or not scene.sink.spans[f"{1_002:016x}"]["status"]


def test_a_span_that_ended_before_its_process_died_is_no_error(scene: Scene) -> None:
    def work(journal: Journal) -> None:
        journal.append_start(span(1_000, trace=1, end_ns=0), ROOT)
        journal.append(span(1_000, trace=1), ROOT)

    dying(scene, work)

    scene.run(scene.shipper(), seconds=5)

    assert not scene.sink.spans[f"{1_000:016x}"]["status"]


def test_a_living_writers_open_spans_are_left_alone(scene: Scene) -> None:
    journal = scene.journal()
    journal.append_start(span(1_000, trace=1, end_ns=0), ROOT)

    scene.run(scene.shipper(), seconds=60)

    assert not scene.sink.spans


def test_a_long_span_is_known_although_all_around_it_is_acknowledged(scene: Scene) -> None:
    journal = scene.journal(segment_bytes=2_000)
    journal.append_start(span(1_000, trace=1, end_ns=0, text="long ago"), ROOT)
    for trace in range(2, 30):
        append_trace(journal, trace)
    first = scene.shipper()
    scene.run(first, seconds=2)
    assert len(writers(scene.directory)[0].segments) == 2
    scene.crash(first)
    journal.close()

    scene.run(scene.shipper(), seconds=5)

    assert scene.sink.attributes(f"{1_000:016x}")["mlflow.spanInputs"] == "long ago"
    assert list(scene.directory.glob("*.*")) == []


def test_a_span_that_ends_in_a_forked_child_is_not_taken_for_dead(scene: Scene) -> None:
    def parent(say: Say) -> None:
        journal = Journal(scene.directory, resource={})
        journal.append_start(span(1_000, trace=1, end_ns=0), ROOT)
        child = os.fork()
        if child == 0:
            journal.append(span(1_000, trace=1), ROOT)
            os._exit(0)
        os.waitpid(child, 0)
        say(1)
        threading.Event().wait(60)

    worker = start(parent)
    worker.hear(1)
    worker.kill()

    scene.run(scene.shipper(), seconds=5)

    assert not scene.sink.spans[f"{1_000:016x}"]["status"]


def test_metrics_of_a_trace_whose_process_died_arrive(scene: Scene) -> None:
    def work(journal: Journal) -> None:
        journal.append_start(span(1_000, trace=1, end_ns=0), ROOT)
        journal.append(span(1_001, trace=1, parent=1_000), Routing(EXPERIMENT, BRAND, metrics={"gap": 0.4}))
        journal.append(span(2_001, trace=2, parent=2_000), Routing(EXPERIMENT, BRAND, metrics={"gap": 0.5}))

    dying(scene, work)

    scene.run(scene.shipper(), seconds=20)

    assert scene.sink.metrics == {(f"{1_001:016x}", "gap"): 0.4, (f"{2_001:016x}", "gap"): 0.5}
    assert list(scene.directory.glob("*.*")) == []


@pytest.mark.parametrize("torn", [b"\0" * 100, b'{"tierlens":{"v":1,"crc":"0123'])
def test_a_torn_last_line_of_the_dead_is_counted_and_passed(scene: Scene, torn: bytes) -> None:
    dying(scene, lambda journal: append_trace(journal, 1) and None)
    (segment,) = scene.directory.glob("*.jsonl")
    with segment.open("ab") as file:
        file.write(torn)

    scene.run(scene.shipper(), seconds=5)

    assert len(scene.stored()) == 3
    assert list(scene.directory.glob("*.*")) == []


def test_the_dead_wait_for_the_sink_too(scene: Scene) -> None:
    dying(scene, lambda journal: append_trace(journal, 1) and None)
    sink = FlakySink(scene.sink, rule=lambda request: Unavailable("down"))
    first = scene.shipper(sink)
    scene.run(first, seconds=60)
    scene.crash(first)

    scene.run(scene.shipper(), seconds=5)

    assert len(scene.stored()) == 3
