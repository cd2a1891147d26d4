"""The small examples, run as a user runs them, into a real MLflow server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from examples.brand_analytics.brands import BRANDS
from examples.brand_analytics.notes import queries
from examples.search_with_mlflow import TRIALS

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.server


@pytest.fixture
def run_example(mlflow_server, experiment: str, tmp_path: Path):
    def run(name: str) -> str:
        environment = {
            **{name: value for name, value in os.environ.items() if name != "ANTHROPIC_API_KEY"},
            "MLFLOW_TRACKING_URI": mlflow_server.uri,
            "MLFLOW_EXPERIMENT_NAME": f"{experiment}/{{brand}}",
            "STUDY_EXPERIMENT": f"{experiment}/study",
            "TIERLENS_JOURNAL_DIR": str(tmp_path / "journal"),
            "COLUMNS": "120",
        }
        command = [sys.executable, "-m", f"examples.{name}"]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def stored(output: str) -> tuple[int, int]:
    """Spans accepted and stored, by the report that an example prints last."""
    (report,) = re.findall(r"FlushReport\(accepted=(\d+), stored=(\d+)", output)
    return int(report[0]), int(report[1])


def test_the_small_agent_calls_its_tool_and_is_stored_as_one_trace(run_example, mlflow_server, experiment):
    output = run_example("agent_with_mlflow")
    accepted, delivered = stored(output)
    assert "Sample size per arm is 91" in output
    assert accepted == delivered > 0
    (trace_id,) = mlflow_server.trace_ids(f"{experiment}/Kisqali")
    spans = {span["name"]: span["attributes"] for span in mlflow_server.spans(trace_id)}
    assert "TOOL" in spans["sample_size"]["mlflow.spanType"]
    usage, _cost = mlflow_server.totals(trace_id)
    assert usage["total_tokens"] > 0


def test_the_retrieval_comparison_stores_a_judged_trace_per_search(run_example, mlflow_server, experiment):
    output = run_example("rag_with_mlflow")
    accepted, delivered = stored(output)
    assert all(strategy in output for strategy in ("bm25", "tfidf", "fusion"))
    assert accepted == delivered
    by_brand = {brand: mlflow_server.trace_ids(f"{experiment}/{brand}") for brand in BRANDS}
    assert {brand: len(ids) for brand, ids in by_brand.items()} == {
        brand: 3 * sum(each.brand == brand for each in queries("test")) for brand in BRANDS
    }
    trace_ids = by_brand["Kisqali"]
    names = sorted(span["name"] for span in mlflow_server.spans(min(trace_ids)))
    assert "search" in names
    judged = {each["assessment_name"] for each in mlflow_server.trace(min(trace_ids))["assessments"]}
    assert judged == {"ndcg_at_5", "recall_at_5", "reciprocal_rank"}


def test_the_study_is_a_run_with_a_run_for_each_trial_of_which_the_best_is_selected(
    run_example, mlflow_server, experiment
):
    output = run_example("search_with_mlflow")
    runs = MlflowClient(mlflow_server.uri).search_runs(
        [mlflow_server.experiment(f"{experiment}/study")["experiment_id"]], max_results=200
    )
    (study,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    trials = {run.info.run_name: run for run in runs if run is not study}
    assert len(trials) == TRIALS
    best = max(trials.values(), key=lambda run: run.data.metrics["ndcg_at_5"])
    selected = trials[f"trial {study.data.tags['selected_trial']}"]
    assert selected.data.metrics["ndcg_at_5"] == best.data.metrics["ndcg_at_5"] == study.data.metrics["best_ndcg_at_5"]
    assert study.data.params["best_strategy"] == selected.data.params["strategy"]
    assert f"strategy='{selected.data.params['strategy']}'" in output
    assert 0 < study.data.metrics["held_out_ndcg_at_5"] <= 1
