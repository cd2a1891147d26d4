"""Metrics against what others counted: the offline Claude's ledger, MLflow's own spans."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from anthropic import BadRequestError

import tierlens
from examples.brand_analytics.app import run
from examples.brand_analytics.claude import chat
from examples.brand_analytics.graph import build
from examples.brand_analytics.questions import QUESTIONS
from examples.brand_analytics.routes import AGENTS
from tests.conftest import StoredMlflow
from tests.scraping import AGENTS as AGENT_SECONDS
from tests.scraping import CALLS, FIRST_CHUNK, TOKENS, WORKFLOWS, Scrape, scrape_until
from tests.shipping.harness import append_trace
from tierlens import keys
from tierlens.journal import Journal
from tierlens.local.ports import free_port
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.http_stub import Reply
from tierlens.testing.mlflow_stub import MlflowStub

ROOT = Path(__file__).parents[1]
PENDING = "tierlens_spans_pending"
STORED = "tierlens_spans_stored_total"
LAG = "tierlens_delivery_lag_seconds"
FAILING = "tierlens_delivery_failing"


@contextmanager
def sidecar(journal: Path, uri: str, port: int, **variables: str) -> Iterator[None]:
    """``tierlens ship`` beside a journal, offering metrics."""
    command = [sys.executable, "-m", "tierlens", "ship", "--journal-dir", str(journal), "--metrics-port", str(port)]
    environ = {**os.environ, "MLFLOW_TRACKING_URI": uri, **variables}
    with subprocess.Popen(command, cwd=journal.parent, env=environ, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def record(journal: Path, endpoint: ClaudeEndpoint, experiment: str) -> int:
    """Every example question of every brand, a streamed call and one that is refused; how many spans that is."""
    llm = chat(base_url=endpoint.base_url, api_key="offline")
    lens = tierlens.init(
        config_dir=ROOT / "config",
        journal_dir=journal,
        shipper="external",
        mlflow_experiment=f"{experiment}/{{brand}}",
    )
    with closing(lens):
        run(QUESTIONS, graph=build(llm), callbacks=lambda q: [lens.callback(brand=q.brand, session=q.thread)])
        assert list(llm.stream("How is Kisqali doing?", {"callbacks": [lens.callback(brand="Kisqali")]}))
        endpoint.fail_next(400)
        with pytest.raises(BadRequestError):
            llm.invoke("And Fabhalta?", {"callbacks": [lens.callback(brand="Fabhalta")]})
        return lens.flush(timeout_s=0).accepted


def agents_of_calls(mlflow: StoredMlflow, experiments: list[str]) -> Counter[tuple[str, str, str]]:
    """Model calls by experiment, agent and tier, worked out from MLflow's spans by walking up from each."""
    found: Counter[tuple[str, str, str]] = Counter()
    for experiment in experiments:
        for trace in mlflow.trace_ids(experiment):
            spans = {span["span_id"]: span for span in mlflow.spans(trace)}
            for span in spans.values():
                if _said(span, keys.SPAN_TYPE) == "CHAT_MODEL":
                    found[experiment, *_agent(span, spans)] += 1
    return found


def _agent(span: dict[str, Any], spans: dict[str, dict[str, Any]]) -> tuple[str, str]:
    here: dict[str, Any] | None = span
    while here is not None:
        if _said(here, keys.SPAN_TYPE) == "AGENT":
            return str(_said(here, keys.AGENT) or here["name"]), str(_said(here, keys.TIER) or "")
        here = spans.get(here.get("parent_span_id") or "")
    return "", ""


def _said(span: dict[str, Any], key: str) -> Any:
    return span["attributes"].get(key)


def figures(found: Scrape) -> dict[str, float]:
    """All that must not change when everything is delivered a second time."""
    return {
        f"{one.name} {sorted(one.labels.items())}": one.value
        for one in found.samples
        if one.name.startswith(("gen_ai_", "tierlens_client_")) and not one.name.endswith("_created")
    }


@pytest.mark.server
def test_figures_equal_the_ledger_and_stay_so_when_everything_is_delivered_again(
    tmp_path: Path, mlflow_server: StoredMlflow, experiment: str
) -> None:
    journal, port = tmp_path / "journal", free_port("127.0.0.1", 0)
    with ClaudeEndpoint() as endpoint:
        accepted = record(journal, endpoint, experiment)
        book = endpoint.ledger()["totals"]
    (segment,) = journal.glob("*.jsonl")
    shutil.copy(segment, tmp_path / "again")

    with sidecar(journal, mlflow_server.uri, port):
        once = scrape_until(port, lambda found: found.sum(STORED) >= accepted and found.sum(PENDING) == 0)
        shutil.copy(tmp_path / "again", journal / f"20260101T000000-1-{'a' * 8}.000001.jsonl")
        twice = scrape_until(port, lambda found: found.sum(STORED) >= 2 * accepted and found.sum(PENDING) == 0)

    assert once.sum("tierlens_spans_accepted_total") == once.sum(STORED) == accepted
    assert once.sum(f"{TOKENS}_sum", gen_ai_token_type="input") == book["all_input_tokens"]
    assert once.sum(f"{TOKENS}_sum", gen_ai_token_type="output") == book["output_tokens"]
    assert once.sum(f"{CALLS}_count") == book["calls"] + book["refused"]
    assert once.by(f"{CALLS}_count", "tierlens_outcome") == {"ok": book["calls"], "error": 1}
    (refused,) = once.named(f"{CALLS}_count", tierlens_outcome="error")
    # Newer versions of langchain-anthropic raise a class of their own, derived from it.
    assert issubclass(resolve_name(refused.labels["error_type"]), BadRequestError)
    assert once.sum(f"{FIRST_CHUNK}_count") == 1
    assert once.by(f"{AGENT_SECONDS}_count", "gen_ai_agent_name").keys() == set(AGENTS)
    assert set(once.by(f"{WORKFLOWS}_count", "tierlens_outcome")) >= {"ok", "interrupted"}
    assert once.sum("tierlens_client_cost_usd_total") > 0
    walked = agents_of_calls(mlflow_server, [f"{experiment}/{b}" for b in ("Kisqali", "Fabhalta", "Remibrutinib")])
    counted = Counter()
    for sample in once.named(f"{CALLS}_count"):
        labels = sample.labels
        counted[f"{experiment}/{labels['tierlens_brand']}", labels["gen_ai_agent_name"], labels["tierlens_tier"]] += (
            int(sample.value)
        )
    assert counted == walked
    assert twice.sum(STORED) == 2 * accepted
    assert figures(twice) == figures(once)


def test_what_waits_and_for_how_long_grows_in_an_outage_and_falls_after_it(tmp_path: Path) -> None:
    journal, port = tmp_path / "journal", free_port("127.0.0.1", 0)
    writer = Journal(journal, resource={})
    with MlflowStub(otherwise=Reply(503)) as mlflow, sidecar(journal, mlflow.uri, port), closing(writer):
        append_trace(writer, 1)
        early = scrape_until(port, lambda found: found.sum(FAILING) == 1 and found.sum(LAG) > 0)
        append_trace(writer, 2)
        late = scrape_until(port, lambda found: found.sum(PENDING) == 6 and found.sum(LAG) > early.sum(LAG))

        mlflow.then()
        after = scrape_until(port, lambda found: found.sum(PENDING) == 0 and found.sum(FAILING) == 0)

    assert (early.sum(PENDING), early.sum(STORED), early.sum(FAILING)) == (3, 0, 1)
    assert (late.sum(PENDING), late.sum(STORED), late.sum(LAG) > early.sum(LAG)) == (6, 0, True)
    assert (after.sum(PENDING), after.sum(STORED), after.sum(LAG), after.sum(FAILING)) == (0, 6, 0, 0)
    assert late.sum(f"{WORKFLOWS}_count") == 0, "what is not stored does not count"
    assert after.sum(f"{WORKFLOWS}_count") == 2
