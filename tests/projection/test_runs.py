from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from tests.projection.invocations import CALL, COST, line
from tierlens.negotiated import Negotiated
from tierlens.projection.prices import PUBLISHED, PriceBook
from tierlens.projection.runs import APP, record, variant, yaml_of, yaml_tags
from tierlens.projection.work import metric_name


def test_an_agents_span_tells_latency_tokens_cost_outcome_and_custom_metrics():
    told = record(
        line(calls=(CALL, CALL), metrics={"causal_confidence": 0.83, "robust": True, "verdict": "uplift"}), PUBLISHED
    )

    assert told.metrics == {
        "latency_s": 1.5,
        "succeeded": 1.0,
        "model_calls": 2.0,
        "input_tokens": 200.0,
        "output_tokens": 40.0,
        "total_tokens": 240.0,
        "cache_read_tokens": 120.0,
        "cost_usd": pytest.approx(2 * COST),
        "causal_confidence": 0.83,
        "robust": 1.0,
        "verdict/uplift": 1.0,
    }
    assert told.run.params == {"agent": "causal_impact", "tier": "2", "version": "b41939fc32d4"}
    assert told.run.how == {"model": "claude-sonnet-4-5", "temperature": "0.2", "max_tokens": "400"}


def test_a_run_costs_what_the_prices_it_is_given_say():
    book = PriceBook([Negotiated("*", "claude-*", 1_000.0, 0.0, cache_read=0.0)])

    told = [record(line(calls=(CALL, CALL)), prices).metrics["cost_usd"] for prices in (book, PUBLISHED, book)]

    assert told == pytest.approx([2 * 0.04, 2 * COST, 2 * 0.04])


@pytest.mark.parametrize("outcome", ["error", "retried", "abandoned", "cancelled"])
def test_what_was_not_brought_to_an_end_did_not_succeed(outcome):
    told = record(line(outcome=outcome), PUBLISHED)

    assert (told.metrics["succeeded"], told.metrics[f"outcome/{outcome}"]) == (0.0, 1.0)


def test_a_custom_metric_of_a_name_that_runs_have_anyway_takes_nothing_from_them():
    told = record(
        line(calls=(CALL,), metrics={"cost_usd": 7.0, "latency_s": 0.1, "outcome/error": 1.0}), PUBLISHED
    ).metrics

    assert (told["cost_usd"], told["latency_s"]) == (pytest.approx(COST), 1.5)
    assert "outcome/error" not in told
    assert [told[f"own/{name}"] for name in ("cost_usd", "latency_s", "outcome/error")] == [7.0, 0.1, 1.0]


@pytest.mark.parametrize("outcome", ["interrupted", "resumed", "handed_off"])
def test_a_pause_is_no_failure(outcome):
    assert record(line(outcome=outcome), PUBLISHED).metrics["succeeded"] == 1.0


def test_what_no_call_reports_is_missing_and_what_has_no_price_is_counted():
    silent, unknown = (*CALL[:5], {}, 1.0), ("acme", "acme-1", None, None, *CALL[4:])

    told = record(line(calls=(silent, unknown)), PUBLISHED).metrics

    assert (told["model_calls"], told["input_tokens"], told["unpriced_calls"]) == (2.0, 100.0, 1.0)
    assert "cost_usd" not in told
    assert "input_tokens" not in record(line(calls=(silent,)), PUBLISHED).metrics


def test_one_application_brand_agent_and_version_are_one_run():
    first = record(line(1, trace=1), PUBLISHED).run.key

    assert record(line(2, trace=2, calls=()), PUBLISHED).run.key == first
    others = [record(line(**{name: "x"}), PUBLISHED).run.key for name in ("app", "brand", "agent", "version")]
    assert len({first, *others}) == 5


def test_a_model_asked_otherwise_is_a_variant_of_the_run():
    warm = (*CALL[:2], 0.9, *CALL[3:])
    runs = [record(line(calls=calls), PUBLISHED).run for calls in ((CALL,), (warm,), (warm, CALL))]

    assert len({run.key for run in runs}) == 1
    assert len({variant(run).key for run in runs}) == 3


@pytest.mark.parametrize("runs", ["per_version", "per_invocation"])
def test_a_run_says_which_application_it_is_of(runs):
    tags = [record(line(app=app, runs=runs), PUBLISHED).run.tags for app in ("shop", "stall", "")]

    assert [tag.get(APP) for tag in tags] == ["shop", "stall", None]


def test_a_root_that_did_nothing_itself_has_no_version():
    assert record(line(root=True, calls=()), PUBLISHED) is None
    assert record(line(root=True, calls=(CALL,)), PUBLISHED).metrics["model_calls"] == 1.0


def test_by_invocation_the_graphs_run_holds_those_of_its_agents():
    root = record(line(9, root=True, runs="per_invocation", calls=(CALL,), inner=(CALL, CALL)), PUBLISHED)
    agent = record(line(1, runs="per_invocation", metrics={"verdict": "uplift"}), PUBLISHED)

    assert (root.run.parent, agent.run.parent) == ("", root.run.key)
    assert (root.metrics["model_calls"], agent.metrics["model_calls"]) == (3.0, 1.0)
    assert agent.run.tags["label.verdict"] == "uplift"
    assert "verdict/uplift" not in agent.metrics
    assert [point.step for point in agent.points(0)] == [0] * len(agent.metrics)


def test_no_two_invocations_share_a_step():
    steps = {
        point.step
        for start in (1, 2)
        for point in record(line(start_ns=1_700_000_000_000_000_000 + start), PUBLISHED).points(1_700_000_000_000)
    }

    assert steps == {1, 2}


@given(st.text(max_size=400))
def test_mlflow_takes_every_metric_name(name):
    _validate_metric_name(metric_name(name), "metric")


@given(st.text(max_size=20_000))
def test_a_file_is_whole_again_from_a_runs_tags(text):
    tags = yaml_tags(text)

    assert yaml_of({**tags, "other": "x"}) == text
    assert all(len(piece) <= 4_000 for piece in tags.values())
