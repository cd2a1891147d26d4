"""A real MLflow, over HTTP and as a database, asked what it holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sinks.traces import Trace, agent_trace, batch
from tierlens import keys
from tierlens.errors import Rejected
from tierlens.sinks.base import Sink
from tierlens.sinks.fanout import FanOut
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.sinks.mlflow_store import MlflowStoreSink
from tierlens.sinks.witness import Request, Told, witness_of
from tierlens.testing.sinks import KnowingSink, MemorySink


def over_http(request: pytest.FixtureRequest, folder: Path) -> Sink:
    return MlflowHttpSink(request.getfixturevalue("mlflow_server").uri)


def as_a_database(request: pytest.FixtureRequest, folder: Path) -> Sink:
    return MlflowStoreSink(f"sqlite:///{folder}/mlflow.db")


@pytest.fixture(scope="module", params=[pytest.param(over_http, marks=pytest.mark.server), as_a_database])
def sink(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MlflowHttpSink | MlflowStoreSink]:
    opening: Callable[..., Any] = request.param
    sink = opening(request, tmp_path_factory.mktemp("witness"))
    yield sink
    sink.close()


def sent(sink: Sink, experiment: str, *traces: Trace, delivery: str) -> Request:
    spans = [span for trace in traces for span in trace.spans]
    tags = {trace.id: {keys.DELIVERY: delivery, keys.COMPLETE: "false"} for trace in traces}
    sink.send(replace(batch(experiment, *spans), tags=tags))
    return Request(experiment, delivery, time.time_ns(), time.time_ns())


def test_the_spans_of_a_requests_traces_are_counted(sink: Any, experiment: str) -> None:
    first = sent(sink, experiment, agent_trace(), agent_trace(agents=2), delivery="a1")
    second = sent(sink, experiment, agent_trace(), delivery="b2")

    assert (sink.count(first), sink.count(second)) == (8, 3)
    assert sink.count(replace(first, delivery="c3")) == 0


def test_spans_that_came_with_another_request_count_with_their_root(sink: Any, experiment: str) -> None:
    trace = agent_trace()
    sink.send(batch(experiment, *trace.spans[1:]))
    request = sent(sink, experiment, Trace(trace.spans[:1]), delivery="d4")

    assert sink.count(request) == 3


def test_a_trace_sent_again_counts_with_its_latest_request(sink: Any, experiment: str) -> None:
    trace = agent_trace()
    first = sent(sink, experiment, trace, delivery="e5")
    second = sent(sink, experiment, trace, delivery="f6")

    assert (sink.count(first), sink.count(second)) == (0, 3)


def test_a_traces_spans_are_named_and_a_missing_trace_has_none(sink: Any, experiment: str) -> None:
    trace, nowhere = agent_trace(), agent_trace()
    sent(sink, experiment, trace, delivery="a7")

    assert sink.held([trace.id, nowhere.id]) == {trace.id: {span.span_id for span in trace.spans}, nowhere.id: set()}


def test_a_trace_can_be_tagged_anew(sink: Any, experiment: str) -> None:
    trace = agent_trace()
    sent(sink, experiment, trace, delivery="a8")

    sink.tag(trace.id, {keys.COMPLETE: "true"})

    [found] = sink._backend.trace_infos([f"tr-{trace.id}"])
    assert found["tags"][keys.COMPLETE] == "true"
    assert found["tags"][keys.DELIVERY] == "a8"


def test_of_two_destinations_the_first_is_asked() -> None:
    knowing = KnowingSink()
    both = FanOut(knowing, MemorySink())

    assert witness_of(both) is knowing
    assert witness_of(FanOut(MemorySink(), knowing)) is None


def test_a_trace_that_is_gone_cannot_be_tagged_and_all_else_can_be_asked(sink: Any) -> None:
    with pytest.raises(Rejected):
        sink.tag(agent_trace().id, {keys.COMPLETE: "true"})


def test_a_trace_says_whether_its_root_is_there_and_what_it_was_tagged_with(sink: Any, experiment: str) -> None:
    trace = agent_trace()
    assert sink.told(trace.id) is None
    sink.send(batch(experiment, *trace.spans[1:]))
    assert sink.told(trace.id) == Told(rooted=False, started=None, complete=None)

    sink.tag(trace.id, {keys.COMPLETE: "false", keys.SPANS: "2 of ?", "user": "anna", "mlflow.traceName": "known"})
    assert sink.told(trace.id) == Told(rooted=False, started=None, complete=False)
    found = next(one for one in sink.incomplete(500) if one.trace_id == f"tr-{trace.id}")
    assert (found.name, found.stored) == ("known", 2)

    said = {keys.COMPLETE: "true", keys.SPANS: "3 of 3"}
    sink.send(replace(batch(experiment, trace.root), tags={trace.id: said}))
    assert sink.told(trace.id) == Told(rooted=True, started=3, complete=True)
