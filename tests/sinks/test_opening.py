from __future__ import annotations

import orjson
import pytest

from tests.sinks.traces import agent_trace, batch
from tierlens import keys
from tierlens.errors import ConfigError
from tierlens.negotiated import Negotiated
from tierlens.projection.prices import PriceBook
from tierlens.sinks.fanout import FanOut
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.sinks.mlflow_store import MlflowStoreSink
from tierlens.sinks.opening import open_sink
from tierlens.sinks.otlp import OtlpSink
from tierlens.sinks.runs import run_sink_of
from tierlens.testing.http_stub import HttpStub
from tierlens.testing.mlflow_stub import MlflowStub


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("http://localhost:5000", MlflowHttpSink),
        ("HTTPS://mlflow.example/team", MlflowHttpSink),
        ("sqlite:///mlflow.db", MlflowStoreSink),
        ("postgresql://user@host/mlflow", MlflowStoreSink),
        ("postgresql+psycopg2://user@host/mlflow", MlflowStoreSink),
        ("mysql+pymysql://user@host/mlflow", MlflowStoreSink),
        ("otlp+http://localhost:4318", OtlpSink),
    ],
)
def test_each_kind_of_address_has_its_sink(uri, kind):
    assert isinstance(open_sink(uri), kind)


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "/data/mlruns", "file:///data/mlruns", ""])
def test_a_folder_is_refused_and_told_what_to_use(uri):
    with pytest.raises(ConfigError, match=r"is a folder.*tierlens up.*sqlite:///mlflow\.db"):
        open_sink(uri)


@pytest.mark.parametrize("uri", ["localhost:5000", "127.0.0.1:5000/", "mlflow.example.com:80/path"])
def test_an_address_without_a_scheme_is_told_which_is_meant(uri):
    with pytest.raises(ConfigError, match=f"did you mean http://{uri}"):
        open_sink(uri)


@pytest.mark.parametrize("uri", ["databricks", "databricks://profile", "databricks-uc"])
def test_databricks_is_said_to_be_unsupported(uri):
    with pytest.raises(ConfigError, match=r"supported \(Databricks\)"):
        open_sink(uri)


def test_an_unknown_address_is_refused_without_its_password():
    with pytest.raises(ConfigError, match="ftp://") as caught:
        open_sink("ftp://ann:s3cret@host/x")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["http://", "http:///x", "http://[::1", "otlp+http://"])
def test_an_address_without_a_host_is_refused(uri):
    with pytest.raises(ConfigError):
        open_sink(uri)


def test_an_otlp_address_without_a_path_gets_the_usual_one():
    with HttpStub() as stub:
        open_sink(f"otlp+{stub.uri}").send(batch("x", *agent_trace().spans))
        open_sink(f"otlp+{stub.uri}/custom").send(batch("x", *agent_trace().spans))

    assert [request.path for request in stub.requests] == ["/v1/traces", "/custom"]


BOOKS = [PriceBook([Negotiated("*", "claude-*", rate, 0.0, cache_read=0.0)]) for rate in (1_000.0, 2_000.0)]
COSTS = [0.04, 0.08]
"""Of the one model call of ``agent_trace``, 40 tokens in, by each of the books."""


def delivered_cost(attributes):
    return orjson.loads(attributes[keys.COST])["total_cost"]


@pytest.mark.parametrize("redactor", ["", "tests.sinks.test_rewriting:without"])
def test_two_sinks_of_one_process_each_deliver_by_their_own_prices(redactor):
    with MlflowStub() as stub:
        sinks = [open_sink(stub.uri, redactor=redactor, prices=book) for book in BOOKS]
        traces = [agent_trace() for _ in range(4)]
        for trace, sink in zip(traces, sinks * 2, strict=True):
            sink.send(batch("x", *trace.spans))
        for sink in sinks:
            sink.close()

        told = [delivered_cost(stub.spans[trace.named("model-0").span_id]["attributes"]) for trace in traces]

    assert told == pytest.approx(COSTS * 2)
    assert [run_sink_of(sink).prices for sink in sinks] == BOOKS


def test_both_destinations_are_told_the_same_cost():
    with MlflowStub() as stub, HttpStub() as collector:
        sink = open_sink(stub.uri, otlp_endpoint=f"{collector.uri}/v1/traces", prices=BOOKS[0])
        trace = agent_trace()
        sink.send(batch("x", *trace.spans))
        sink.close()
        told = stub.spans[trace.named("model-0").span_id]["attributes"]

    [copy] = collector.requests
    assert told[keys.COST].encode() in copy.body
    assert delivered_cost(told) == pytest.approx(COSTS[0])
    assert run_sink_of(sink).prices is BOOKS[0]


def test_an_otlp_endpoint_is_told_the_cost_by_the_prices_given():
    with HttpStub() as stub:
        for book in BOOKS:
            open_sink(f"otlp+{stub.uri}", prices=book).send(batch("x", *agent_trace().spans))

    assert len(stub.requests) == len(COSTS)
    assert all(b'"total_cost":%g' % cost in request.body for cost, request in zip(COSTS, stub.requests, strict=True))


def test_a_second_destination_is_one_more_argument():
    sink = open_sink("http://localhost:5000", otlp_endpoint="http://localhost:4318/v1/traces")

    assert isinstance(sink, FanOut)
    sink.close()
