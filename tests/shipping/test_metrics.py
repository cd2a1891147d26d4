"""Who ships offers metrics, and nobody else; whatever is wrong with them, spans are delivered."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.journal.processes import eventually, start
from tests.scraping import Scrape, scrape_until
from tests.shipping.agents import SLOW_START_S, agent, no_shipper_left
from tests.shipping.harness import append_trace
from tierlens.errors import SettingsError
from tierlens.journal import Journal
from tierlens.local.ports import free_port, is_free
from tierlens.negotiated import VARIABLE
from tierlens.projection import instruments
from tierlens.shipping.hosts.thread import ShippingThread
from tierlens.shipping.metrics import tally_from
from tierlens.sinks.metrics_plan import MetricsPlan, plan_from
from tierlens.testing.http_stub import HttpStub
from tierlens.testing.mlflow_stub import MlflowStub
from tierlens.testing.sinks import MemorySink

HOST = "127.0.0.1"
STORED = "tierlens_spans_stored_total"


@pytest.fixture
def port() -> int:
    return free_port(HOST, 0)


def in_thread(directory: Path, **variables: str) -> tuple[Journal, ShippingThread]:
    journal = Journal(directory, resource={})
    return journal, ShippingThread(journal, MemorySink, open_tally=tally_from(variables, directory))


def test_nothing_is_offered_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert tally_from({"TIERLENS_METRICS_HOST": HOST, "TIERLENS_METRICS_INTERVAL_S": "30.0"}, tmp_path)() is None


def test_the_variables_say_what_is_offered() -> None:
    plan = plan_from(
        {
            "TIERLENS_METRICS_PORT": "9464",
            "TIERLENS_METRICS_HOST": "0.0.0.0",
            "TIERLENS_METRICS_INTERVAL_S": "5",
            "TIERLENS_METRICS_LABEL_VALUES": "7",
            "TIERLENS_JOURNAL_QUOTA_MB": "2",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4318/v1/metrics",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "key=a%20b",
        }
    )

    assert plan == MetricsPlan(9464, "0.0.0.0", "http://collector:4318/v1/metrics", {"key": "a b"}, 5.0, 7, 2 << 20)


def test_headers_of_all_signals_go_with_metrics_where_there_are_none_of_their_own() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4318/v1/metrics"}

    plan = plan_from({**endpoint, "OTEL_EXPORTER_OTLP_HEADERS": "key=1"})

    assert plan is not None
    assert plan.headers == {"key": "1"}


def test_an_endpoint_of_another_protocol_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    environ = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "collector:4317"}

    assert tally_from(environ, tmp_path)() is None
    assert "'collector:4317' is no address of OTLP over HTTP" in caplog.text
    with pytest.raises(SettingsError):
        tally_from(environ, tmp_path, strict=True)()


def test_prices_that_are_not_ours_are_a_warning_and_asked_for_expressly_a_refusal(
    tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {"TIERLENS_METRICS_PORT": str(port), VARIABLE: "cheap"}

    assert tally_from(environ, tmp_path)() is None
    assert "there are no metrics" in caplog.text
    assert "write config/prices.yaml" in caplog.text
    with pytest.raises(SettingsError):
        tally_from(environ, tmp_path, strict=True)()


@pytest.mark.parametrize("missing", ["prometheus_client", "opentelemetry.exporter.otlp.proto.http.metric_exporter"])
def test_a_package_that_is_missing_is_a_warning_that_says_what_to_install(
    tmp_path: Path, port: int, missing: str
) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
from pathlib import Path
from tierlens.shipping.metrics import tally_from
variables = {{"TIERLENS_METRICS_PORT": "{port}", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9/v1/metrics"}}
print(tally_from(variables, Path({str(tmp_path)!r}))())
"""

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "None\n"
    assert "pip install 'tierlens[metrics]'" in ran.stderr


def test_importing_what_ships_imports_no_exporter() -> None:
    code = "import sys, tierlens.shipping.metrics; print({'prometheus_client', 'opentelemetry.sdk'} & set(sys.modules))"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "set()\n"


def test_a_thread_offers_metrics_while_it_ships_and_frees_the_port_at_its_end(tmp_path: Path, port: int) -> None:
    journal, shipping = in_thread(tmp_path, TIERLENS_METRICS_PORT=str(port))
    append_trace(journal, 1)
    shipping.flush(timeout_s=10)
    found = scrape_until(port, lambda one: one.sum(STORED) == 3)
    assert found.sum(STORED) == 3

    shipping.close()
    journal.close()

    eventually(lambda: is_free(HOST, port))


def test_a_thread_pushes_what_is_left_when_it_is_closed(tmp_path: Path) -> None:
    with HttpStub() as receiver:
        endpoint = f"{receiver.uri}/v1/metrics"
        journal, shipping = in_thread(tmp_path, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=endpoint)
        append_trace(journal, 1)

        shipping.close(timeout_s=10)

        eventually(lambda: bool(receiver.requests))
        journal.close()
    push = ExportMetricsServiceRequest.FromString(receiver.requests[-1].body)
    scopes = [scope for resource in push.resource_metrics for scope in resource.scope_metrics]
    assert instruments.WORKFLOWS in {metric.name for scope in scopes for metric in scope.metrics}


def test_of_several_that_could_ship_only_the_one_that_does_takes_the_port(
    tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    workers = [in_thread(tmp_path, TIERLENS_METRICS_PORT=str(port)) for _ in range(3)]
    for number, (journal, _) in enumerate(workers):
        append_trace(journal, number + 1)

    found = scrape_until(port, lambda one: one.sum(STORED) == 9)

    assert found.sum(STORED) == 9
    assert "metrics" not in caplog.text
    for journal, shipping in workers:
        shipping.close()
        journal.close()


def test_when_the_process_that_ships_is_killed_another_takes_its_port_over(tmp_path: Path, port: int) -> None:
    variables = {"TIERLENS_METRICS_PORT": str(port), "TIERLENS_METRICS_INTERVAL_S": "0.2"}

    def first(say: Callable[[int], None]) -> None:
        journal, shipping = in_thread(tmp_path, **variables)
        append_trace(journal, 1)
        shipping.flush(timeout_s=10)
        say(1)
        threading.Event().wait(60)

    worker = start(first)
    worker.hear(1)
    journal, shipping = in_thread(tmp_path, **variables)
    append_trace(journal, 2)
    before = scrape_until(port, lambda one: one.sum(STORED) == 6)
    worker.kill()

    after = scrape_until(port, lambda one: pid(one) == str(os.getpid()))

    assert (pid(before), pid(after)) == (str(worker.pid), str(os.getpid()))
    assert after.sum(STORED) == 6
    shipping.close()
    journal.close()


def pid(found: Scrape) -> str:
    (target,) = found.named("target_info")
    return target.labels["process_pid"]


def test_a_child_process_offers_the_metrics_of_its_agents(tmp_path: Path, port: int) -> None:
    directory = tmp_path / "journal"
    with no_shipper_left(directory), MlflowStub() as mlflow:
        beside = agent(directory, mlflow.uri, TIERLENS_METRICS_PORT=str(port))
        append_trace(beside.journal, 1)
        assert beside.shipping.flush(SLOW_START_S).pending == 0

        found = scrape_until(port, lambda one: one.sum(STORED) == 3)

        assert pid(found) not in ("", str(os.getpid()))
        beside.end()
