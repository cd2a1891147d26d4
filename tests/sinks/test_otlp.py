from __future__ import annotations

import pytest

from tests.sinks.traces import agent_trace, batch
from tierlens.errors import SettingsError, Unavailable
from tierlens.sinks.otlp import OtlpSink, parse_headers
from tierlens.testing.http_stub import HttpStub, Reply


def test_spans_are_posted_as_protobuf_with_the_headers_given():
    with HttpStub() as stub:
        sink = OtlpSink(f"{stub.uri}/v1/traces", headers={"api-key": "k"})
        sink.send(batch("x", *agent_trace().spans))
        sink.close()

    [request] = stub.requests
    assert (request.method, request.path) == ("POST", "/v1/traces")
    assert request.headers["content-type"] == "application/x-protobuf"
    assert request.headers["api-key"] == "k"
    assert b"agent-0" in request.body
    assert b'"total_cost":0.000468' in request.body


def test_an_unhappy_answer_is_the_senders_to_handle():
    with HttpStub(Reply(503)) as stub, pytest.raises(Unavailable):
        OtlpSink(stub.uri).send(batch("x", *agent_trace().spans))


def test_mlflow_itself_is_an_otlp_endpoint(mlflow_server, experiment):
    made = mlflow_server.post("/api/2.0/mlflow/experiments/create", {"name": experiment})
    trace = agent_trace()
    headers = {"x-mlflow-experiment-id": made["experiment_id"]}

    OtlpSink(f"{mlflow_server.uri}/v1/traces", headers=headers).send(batch("unused", *trace.spans))

    assert mlflow_server.trace_ids(experiment) == {trace.id}


def test_headers_are_read_as_opentelemetry_writes_them():
    assert parse_headers("api-key=a%20b, x=1,") == {"api-key": "a b", "x": "1"}
    assert parse_headers("api-key=a\n") == parse_headers("api-key=a%0A") == {"api-key": "a"}
    assert parse_headers("") == {}


@pytest.mark.parametrize("text", ["s3cret", "=s3cret", "api-key=s3cret%0Ax", "api-key=s3cret\u2019"])
def test_headers_that_are_none_are_refused_without_being_shown(text):
    with pytest.raises(SettingsError) as caught:
        parse_headers(text)
    assert "s3cret" not in str(caught.value)
