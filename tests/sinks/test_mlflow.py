"""Against the stub: what the server does not do when asked nicely."""

from __future__ import annotations

import threading

import httpx
import orjson
import pytest

from tests.journal.spans import span
from tests.sinks.traces import COST, agent_trace, batch
from tierlens import keys
from tierlens.errors import Forbidden, Rejected, TooLarge, Unavailable
from tierlens.sinks.credentials import Credentials
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.testing.http_stub import HttpStub, Reply
from tierlens.testing.mlflow_stub import MlflowStub

EXPERIMENT = "app/Kisqali"


@pytest.fixture
def stub():
    with MlflowStub() as stub:
        yield stub


@pytest.fixture
def sink(stub):
    sink = MlflowHttpSink(stub.uri, credentials=Credentials(), timeout=httpx.Timeout(5))
    yield sink
    sink.close()


def sent(stub, sink, **finish):
    trace = agent_trace()
    sink.send(batch(EXPERIMENT, *trace.spans, **finish))
    return trace


def test_an_unhappy_answer_is_the_senders_to_handle(stub, sink):
    for status, kind in [(429, Unavailable), (401, Forbidden), (413, TooLarge), (422, Rejected)]:
        stub.then(Reply(status))

        with pytest.raises(kind):
            sent(stub, sink)
    assert not stub.spans


def test_a_nul_is_kept_where_it_is_taken_and_replaced_where_it_is_refused(stub, sink):
    question = span(1, trace=1, text="a\0b")
    sink.send(batch(EXPERIMENT, question))
    stub.then(Reply(500, body=b'{"message": "A string literal cannot contain NUL (0x00) characters."}'))
    sink.send(batch(EXPERIMENT, question._replace(span_id="2" * 16)))

    kept, replaced = (one["attributes"]["mlflow.spanInputs"] for one in stub.spans.values())
    assert (kept, replaced) == ("a\0b", "a\ufffdb")


def test_a_nul_in_nothing_of_ours_is_the_senders_to_handle(stub, sink):
    stub.then(Reply(500, body=b'{"message": "A string literal cannot contain NUL (0x00) characters."}'))

    with pytest.raises(Rejected, match="NUL"):
        sent(stub, sink)


def test_the_cost_of_a_model_call_is_told_with_its_span(stub, sink):
    trace = sent(stub, sink)

    told = {span["name"]: span["attributes"].get(keys.COST) for span in stub.spans.values()}
    assert orjson.loads(told.pop("model-0")) == COST
    assert set(told.values()) == {None}
    assert trace.named("model-0").attributes.keys().isdisjoint({keys.COST})


@pytest.mark.parametrize("odd", ["null", "[1]", "not json", "7"])
def test_what_cannot_be_a_cost_is_not_sent_since_mlflow_would_answer_500_for_ever(stub, sink, odd):
    trace = agent_trace()
    spans = [span._replace(attributes={**span.attributes, keys.COST: odd}) for span in trace.spans]

    sink.send(batch(EXPERIMENT, *spans))

    costs = [span["attributes"].get(keys.COST) for span in stub.spans.values()]
    assert len(costs) == len(spans)
    assert not any(cost == odd for cost in costs)


def test_a_batch_whose_answer_was_lost_is_sent_again_into_the_same_rows(stub, sink):
    trace = agent_trace()
    stub.then(Reply(close=True))

    with pytest.raises(Unavailable):
        sink.send(batch(EXPERIMENT, *trace.spans))
    assert len(stub.spans) == len(trace.spans)
    sink.send(batch(EXPERIMENT, *trace.spans))

    assert len(stub.spans) == len(trace.spans)
    assert stub.span_requests == 2


def test_nothing_is_imported_from_mlflow(stub):
    import subprocess
    import sys

    program = (
        "import sys; from tierlens.sinks.base import Batch; from tierlens.sinks.opening import open_sink;"
        f"open_sink({stub.uri!r}).send(Batch('x', b'{{}}', []));"
        "assert not {m for m in sys.modules if m.split('.')[0] == 'mlflow'}"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_experiment_is_asked_for_again_after_an_outage_since_another_database_may_be_there(stub, sink):
    sent(stub, sink)
    stub.then(Reply(close=True))
    with pytest.raises(Unavailable):
        sent(stub, sink)

    sent(stub, sink)

    assert sum("get-by-name" in request.path for request in stub.requests) == 2


def test_the_experiment_is_asked_for_once(stub, sink):
    for _ in range(3):
        sent(stub, sink)

    assert [r.path for r in stub.requests].count("/api/2.0/mlflow/experiments/create") == 1


def test_an_experiment_id_that_is_unknown_is_looked_up_once_more(stub, sink):
    sent(stub, sink)
    gone = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No Experiment with id=1 exists"}
    stub.then(Reply(404, body=orjson.dumps(gone)))

    trace = sent(stub, sink)

    assert trace.root.span_id in stub.spans


def test_an_experiment_that_stays_unknown_waits_for_a_person(stub, sink):
    gone = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No Experiment with id=1 exists"}
    stub.then(otherwise=Reply(404, body=orjson.dumps(gone)))

    with pytest.raises(Forbidden, match="No Experiment"):
        sent(stub, sink)


def test_metrics_that_fail_fail_the_batch(stub):
    class Failing(MlflowStub):
        def reply_to(self, request):
            failing = request.path.endswith("/traces") and "/api/3.0/" in request.path
            return Reply(503, {"Retry-After": "9"}) if failing else super().reply_to(request)

    with Failing() as stub:
        sink = MlflowHttpSink(stub.uri, credentials=Credentials())
        trace = agent_trace()
        finish = trace.finish(EXPERIMENT, {"gap": 1.0, "drift": 2.0})

        with pytest.raises(Unavailable) as caught:
            sink.send(batch(EXPERIMENT, *trace.spans, finishes=[finish]))

    assert caught.value.retry_after_s == 9.0


def test_metrics_of_many_traces_are_under_way_together():
    meeting = threading.Barrier(4, timeout=20)

    class Meeting(MlflowStub):
        def reply_to(self, request):
            if request.path == "/api/3.0/mlflow/traces":
                meeting.wait()
            return super().reply_to(request)

    with Meeting() as stub:
        sink = MlflowHttpSink(stub.uri, credentials=Credentials(), width=4)
        traces = [agent_trace() for _ in range(4)]
        finishes = [trace.finish(EXPERIMENT, {"gap": 1.0, "drift": 2.0}) for trace in traces]

        sink.send(batch(EXPERIMENT, *[s for t in traces for s in t.spans], finishes=finishes))

    assert len(stub.assessments) == 8


def test_a_trace_without_metrics_costs_one_request(stub, sink):
    sent(stub, sink)
    stub.requests.clear()

    trace = agent_trace()
    sink.send(batch(EXPERIMENT, *trace.spans, finishes=[trace.finish(EXPERIMENT)]))
    sink.finish(trace.finish(EXPERIMENT))

    assert [request.path for request in stub.requests] == ["/v1/traces"]


def test_what_is_not_mlflow_is_not_taken_for_it():
    with HttpStub() as stub:
        sink = MlflowHttpSink(stub.uri, credentials=Credentials())

        with pytest.raises(Unavailable, match="does not answer like MLflow"):
            sent(stub, sink)
