from __future__ import annotations

import pytest

from tests.sinks.traces import agent_trace, batch
from tierlens.errors import ConfigError
from tierlens.sinks.fanout import FanOut
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.sinks.mlflow_store import MlflowStoreSink
from tierlens.sinks.opening import open_sink
from tierlens.sinks.otlp import OtlpSink
from tierlens.testing.http_stub import HttpStub


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


def test_a_second_destination_is_one_more_argument():
    sink = open_sink("http://localhost:5000", otlp_endpoint="http://localhost:4318/v1/traces")

    assert isinstance(sink, FanOut)
    sink.close()
