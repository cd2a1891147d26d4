"""Prices of one's own, in config/prices.yaml, come before the published ones, on the days they hold."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from typer.testing import CliRunner

from tests.cli.journals import JOURNAL
from tests.cli.running import tierlens
from tests.journal.processes import eventually
from tests.journal.spans import START_NS
from tests.projection.invocations import routed
from tests.projection.works import MODEL, work
from tests.projection.works import USAGE as CALLED
from tests.shipping.agents import SLOW_START_S, no_shipper_left
from tests.sinks.traces import agent_trace, batch
from tierlens import config, keys, settings
from tierlens.cli import app
from tierlens.config.environment import environment_of
from tierlens.config.prices import own_prices
from tierlens.errors import ConfigError, SettingsError
from tierlens.journal import Journal
from tierlens.negotiated import VARIABLE, Negotiated, dump, load
from tierlens.projection import instruments
from tierlens.projection.prices import Price, PriceBook
from tierlens.settings import Settings
from tierlens.shipping.configured import shipping_for
from tierlens.shipping.hosts.run import run_once
from tierlens.shipping.hosts.spawn import beginnings
from tierlens.shipping.metrics import tally_from
from tierlens.sinks.configured import sink_for, sink_from
from tierlens.testing.http_stub import HttpStub
from tierlens.testing.mlflow_stub import MlflowStub

USAGE = {
    "input_tokens": 1_000_000, "output_tokens": 100_000, "total_tokens": 1_100_000,
    "cache_read_input_tokens": 200_000,
    "cache_creation_input_tokens": 300_000, "cache_creation_input_tokens_above_1hr": 100_000,
}  # fmt: skip
FULL = """\
prices:
  - provider: anthropic
    model: claude-sonnet-4-5*
    input: 2
    output: 10
    cache_read: 0.2
    cache_write: 2.5
    cache_write_1h: 4
    batch: 0.4
    valid_from: 2026-01-01
    valid_until: 2026-12-31
"""
AGREED = "prices: [{model: 'claude-*', input: 1000, output: 0, cache_read: 0, cache_write: 0}]"
AGREED_COST = 0.03
"""What a call of ``tests.projection.works`` costs by it: 30 tokens in that were neither read nor written."""


def folder(path: Path, text: str) -> Path:
    path = path / "config"
    path.mkdir(exist_ok=True)
    (path / "prices.yaml").write_text(text)
    return path


def book(path: Path, text: str) -> PriceBook:
    return PriceBook(own_prices(folder(path, text)))


def on(day: str, prices: PriceBook, model: str = "claude-sonnet-4-5-20250929", share: float = 1.0) -> Price:
    moment = int(dt.datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()) * 10**9
    found = prices.price("anthropic", model, USAGE, moment, share)
    assert found is not None
    return found


def test_a_price_of_ones_own_comes_first_on_its_days_both_included(tmp_path: Path) -> None:
    prices = book(tmp_path, FULL)

    expected = (500_000 * 2 + 200_000 * 0.2 + 200_000 * 2.5 + 100_000 * 4 + 100_000 * 10) / 1e6
    for day in ("2026-01-01", "2026-06-30", "2026-12-31"):
        assert on(day, prices).cost["total_cost"] == pytest.approx(expected)
        assert (on(day, prices).source, on(day, prices).date) == ("config/prices.yaml", day)
    for day in ("2025-12-31", "2027-01-01"):
        assert on(day, prices).source.startswith("genai-prices ")
    assert on("2026-06-30", prices, "claude-haiku-4-5").source.startswith("genai-prices ")


def test_a_batch_pays_the_share_that_was_negotiated(tmp_path: Path) -> None:
    prices = book(tmp_path, FULL)
    whole, part = (on("2026-06-30", prices, share=share).cost["total_cost"] for share in (1.0, 0.5))
    assert part == pytest.approx(0.4 * whole)

    assert on("2026-06-30", prices, share=0.55).cost["total_cost"] == pytest.approx(0.4 * 1.1 * whole)
    assert on("2026-06-30", prices, share=1.1).cost["total_cost"] == pytest.approx(1.1 * whole)

    prices = book(tmp_path, FULL.replace("    batch: 0.4\n", ""))
    assert on("2026-06-30", prices, share=0.5).cost["total_cost"] == pytest.approx(0.5 * whole)


def test_what_is_left_out_costs_as_input(tmp_path: Path) -> None:
    prices = book(tmp_path, "prices: [{model: 'claude-*', input: 2, output: 10}]")

    assert on("2026-06-30", prices).cost == pytest.approx({"input_cost": 2.0, "output_cost": 1.0, "total_cost": 3.0})


def test_of_several_that_hold_the_first_counts(tmp_path: Path) -> None:
    two = "prices: [{model: '*sonnet*', input: 1, output: 1}, {model: '*', input: 9, output: 9}]"
    prices = book(tmp_path, two)

    assert on("2026-06-30", prices).cost["output_cost"] == pytest.approx(0.1)
    assert on("2026-06-30", prices, "in-house-7b").cost["output_cost"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "prices:\n  - model: x\n    input: -1\n    output: 1\n",
            "prices.yaml:3: prices[0].input: -1 is not a price in",
        ),
        ("prices:\n  - model: x\n    output: 1\n", "prices.yaml:2: prices[0].input: nothing is given"),
        ("prices:\n  - model: x\n    input: 1\n    output: .nan\n", "prices.yaml:4: prices[0].output: nan is not"),
        (
            "prices:\n  - model: x\n    input: 1\n    output: 1\n    cached: 1\n",
            "prices.yaml:5: prices[0]: cached is not",
        ),
        (
            "prices:\n  - model: x\n    input: 1\n    output: 1\n    valid_from: soon\n",
            "is not a date such as 2026-01-31",
        ),
        ("prices:\n  - {model: x, input: 1, output: 1, batch: 2}\n", "2 is not a share between 0 and 1"),
        (
            "prices:\n  - {model: x, input: 1, output: 1,\n  valid_from: 2026-02-01,\n  valid_until: 2026-01-31}\n",
            "prices.yaml:4: prices[0].valid_until: 2026-01-31 is before valid_from, 2026-02-01",
        ),
        ("price: []\n", "price is not a known key; did you mean prices?"),
        ("prices:\n- {model: m, input: 1, output: 1, otput: 2}", "prices[0]: otput is not a known key; did you mean"),
    ],
)
def test_a_bad_file_is_refused_with_path_line_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = folder(tmp_path, text)

    (error,) = config.check(path)

    assert complaint in str(error)
    with pytest.raises(ConfigError):
        own_prices(path)
    with pytest.raises(ConfigError):
        config.load_policies(path)
    checked = CliRunner().invoke(app, ["check", "--config-dir", str(path)])
    assert (checked.exit_code, complaint in checked.output) == (1, True)


def stored_cost(stub: MlflowStub) -> float:
    """USD, of the one model call that MLflow has."""
    (told,) = (span["attributes"][keys.COST] for span in stub.spans.values() if keys.COST in span["attributes"])
    return float(json.loads(told)["total_cost"])


def test_whoever_delivers_prices_by_the_file(tmp_path: Path) -> None:
    path = folder(tmp_path, "prices: [{model: '*', input: 1000, output: 0}]")
    with MlflowStub() as stub:
        found = settings.load(environ={}, env_file=None, tracking_uri=stub.uri, config_dir=path)
        sink = sink_for(found, {})
        trace = agent_trace()
        sink.send(batch("app/Kisqali", *trace.spans))
        sink.close()
        told = next(span["attributes"] for span in stub.spans.values() if span["name"] == "model-0")

    counted = json.loads(told[keys.TOKEN_USAGE])
    assert json.loads(told[keys.COST])["total_cost"] == pytest.approx(counted["input_tokens"] / 1000)
    day = dt.datetime.now(dt.UTC).date().isoformat()
    assert (told[keys.PRICE], told[keys.PRICE_SOURCE]) == (day, "config/prices.yaml")


def journalled(directory: Path) -> Journal:
    """A model call, its agent, which has a run, and the graph around both."""
    call = ("anthropic", "claude-sonnet-4-5", None, None, START_NS, CALLED, 1.0)
    agent, routing = routed(2, calls=(call,))
    journal = Journal(directory, resource={})
    journal.append(*work(3, "CHAT_MODEL", parent=2, said=MODEL))
    journal.append(agent._replace(trace_id=f"{1:032x}", parent_id=f"{1:016x}"), routing)
    journal.append(*work(1, root=True))
    return journal


def pushed_cost(receiver: HttpStub) -> float:
    """USD, by the last push of metrics; 0 before."""
    if not receiver.requests:
        return 0.0
    found = ExportMetricsServiceRequest.FromString(receiver.requests[-1].body)
    metrics = (metric for one in found.resource_metrics for scope in one.scope_metrics for metric in scope.metrics)
    return sum(point.as_double for one in metrics if one.name == instruments.COST for point in one.sum.data_points)


def test_spans_runs_and_metrics_of_one_delivery_cost_the_same(tmp_path: Path) -> None:
    path, database, directory = folder(tmp_path, AGREED), f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "journal"
    journalled(directory).close()

    with HttpStub() as receiver:
        told = {"tracking_uri": database, "metrics_endpoint": f"{receiver.uri}/v1/metrics"}
        environ = environment_of(settings.load(environ={}, env_file=None, config_dir=path, **told), {})
        with closing(sink_from(environ)) as sink:
            assert run_once(directory, sink, open_tally=tally_from(environ, directory)).drained

        client = MlflowClient(database)
        (trace,) = client.search_traces([client.get_experiment_by_name("app/Kisqali").experiment_id])
        (run,) = client.search_runs([client.get_experiment_by_name("app/Kisqali").experiment_id])
        costs = [trace.info.cost["total_cost"], run.data.metrics["cost_usd"], pushed_cost(receiver)]

    assert costs == pytest.approx([AGREED_COST] * 3)


@pytest.mark.parametrize("shipper", ["thread", "process"])
def test_whoever_ships_for_an_agent_does_so_by_the_prices_it_started_with(tmp_path: Path, shipper: str) -> None:
    path, directory = folder(tmp_path, AGREED), tmp_path / "journal"
    with no_shipper_left(directory), MlflowStub() as stub, HttpStub() as receiver:
        found = settings.load(
            environ={}, env_file=None, config_dir=path, shipper=shipper, tracking_uri=stub.uri,
            metrics_endpoint=f"{receiver.uri}/v1/metrics", metrics_interval_s=0.2,
        )  # fmt: skip
        journal = Journal(directory, resource={})
        shipping = shipping_for(found, journal, "1")
        folder(tmp_path, "prices: []")
        journal.append(*work(1, "CHAT_MODEL", root=True, said=MODEL))
        assert shipping.flush(SLOW_START_S).pending == 0

        eventually(lambda: pushed_cost(receiver) > 0)
        costs = [stored_cost(stub), pushed_cost(receiver)]
        shipping.close()
        journal.close()

    assert costs == pytest.approx([AGREED_COST] * 2)


@pytest.mark.parametrize("command", [("ship", "--once"), ("journal", "drain")], ids=["ship", "drain"])
def test_a_command_that_delivers_tells_spans_and_metrics_the_same_cost(tmp_path: Path, command: Sequence[str]) -> None:
    folder(tmp_path, AGREED)
    with closing(Journal(tmp_path / JOURNAL, resource={})) as journal:
        journal.append(*work(1, "CHAT_MODEL", root=True, said=MODEL))

    with MlflowStub() as stub, HttpStub() as receiver:
        where = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{receiver.uri}/v1/metrics"}
        ran = tierlens(tmp_path, *command, MLFLOW_TRACKING_URI=stub.uri, **where)
        costs = [stored_cost(stub), pushed_cost(receiver)]

    assert (ran.code, costs) == (0, pytest.approx([AGREED_COST] * 2))


def test_a_shipper_by_other_prices_makes_way() -> None:
    plain = {"MLFLOW_TRACKING_URI": "http://localhost:5000"}
    one, other = (plain | {VARIABLE: dump([Negotiated("*", "*", rate, rate)])} for rate in (1.0, 2.0))

    assert len({beginnings(each, "1", []).destination for each in (plain, one, other)}) == 3


def test_a_variable_that_is_not_ours_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"write config/prices\.yaml"):
        sink_from({**Settings().as_environment(), VARIABLE: "cheap"})


@given(st.builds(Negotiated, provider=st.text(), model=st.text(), input=st.floats(0, 1e6), output=st.floats(0, 1e6)))
def test_what_a_shipper_is_told_is_what_was_read(own: Any) -> None:
    assert load(dump([own])) == (own,)
    assert load("") == ()
