"""Prices of one's own, in config/prices.yaml, come before the published ones, on the days they hold."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.sinks.traces import agent_trace, batch
from tierlens import config, keys, settings
from tierlens.cli import app
from tierlens.config.prices import own_prices
from tierlens.errors import ConfigError, SettingsError
from tierlens.negotiated import VARIABLE, Negotiated, dump, load
from tierlens.projection.prices import Price, price, use
from tierlens.settings import Settings
from tierlens.shipping.spawn import beginnings
from tierlens.sinks.configured import sink_for, sink_from
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


@pytest.fixture(autouse=True)
def published() -> Iterator[None]:
    yield
    use(())


def folder(path: Path, text: str) -> Path:
    path = path / "config"
    path.mkdir(exist_ok=True)
    (path / "prices.yaml").write_text(text)
    return path


def on(day: str, model: str = "claude-sonnet-4-5-20250929", share: float = 1.0) -> Price:
    moment = int(dt.datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()) * 10**9
    found = price("anthropic", model, USAGE, moment, share)
    assert found is not None
    return found


def test_a_price_of_ones_own_comes_first_on_its_days_both_included(tmp_path: Path) -> None:
    use(own_prices(folder(tmp_path, FULL)))

    expected = (500_000 * 2 + 200_000 * 0.2 + 200_000 * 2.5 + 100_000 * 4 + 100_000 * 10) / 1e6
    for day in ("2026-01-01", "2026-06-30", "2026-12-31"):
        assert on(day).cost["total_cost"] == pytest.approx(expected)
        assert (on(day).source, on(day).date) == ("config/prices.yaml", day)
    for day in ("2025-12-31", "2027-01-01"):
        assert on(day).source.startswith("genai-prices ")
    assert on("2026-06-30", "claude-haiku-4-5").source.startswith("genai-prices ")


def test_a_batch_pays_the_share_that_was_negotiated(tmp_path: Path) -> None:
    use(own_prices(folder(tmp_path, FULL)))
    whole, part = (on("2026-06-30", share=share).cost["total_cost"] for share in (1.0, 0.5))
    assert part == pytest.approx(0.4 * whole)

    use(own_prices(folder(tmp_path, FULL.replace("    batch: 0.4\n", ""))))
    assert on("2026-06-30", share=0.5).cost["total_cost"] == pytest.approx(0.5 * whole)


def test_what_is_left_out_costs_as_input(tmp_path: Path) -> None:
    use(own_prices(folder(tmp_path, "prices: [{model: 'claude-*', input: 2, output: 10}]")))

    assert on("2026-06-30").cost == pytest.approx({"input_cost": 2.0, "output_cost": 1.0, "total_cost": 3.0})


def test_of_several_that_hold_the_first_counts(tmp_path: Path) -> None:
    two = "prices: [{model: '*sonnet*', input: 1, output: 1}, {model: '*', input: 9, output: 9}]"
    use(own_prices(folder(tmp_path, two)))

    assert on("2026-06-30").cost["output_cost"] == pytest.approx(0.1)
    assert on("2026-06-30", "in-house-7b").cost["output_cost"] == pytest.approx(0.9)


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
    assert json.loads(told[keys.PRICE])["source"] == "config/prices.yaml"


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
