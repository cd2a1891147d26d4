"""The shipper against the server's own limit, and whether everything arrives."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from tests.performance.rows import Reading
from tests.performance.stage import Backend, Stage, say

TRACES = 300
BURST = 300
METRICS = 3
INVOCATIONS = 100


def limit(stage: Stage) -> dict[str, Reading]:
    """Share of what the server takes of a bare client that the shipper reaches, without and with metrics.

    MLflow grows slower with each trace it holds, so what the shipper reaches is compared with what the bare client
    did just before and just after, and each round begins with an empty database.
    """
    with stage.backend("limit-kinds") as backend:
        rates = _posted(stage, backend)
    best = max(rates, key=lambda kind: rates[kind])
    shares: dict[int, list[float]] = {0: [], METRICS: []}
    most: list[float] = []
    for turn in range(stage.rounds):
        say(f"limit, round {turn + 1} of {stage.rounds}")
        with stage.backend(f"limit-{turn}") as backend:
            before = _posted(stage, backend, best)[best]
            most.append(before)
            for metrics, reached in shares.items():
                shipped = _shipped(stage, backend, _journal(stage, backend, metrics))
                after = _posted(stage, backend, best)[best]
                reached.append(shipped / statistics.mean((before, after)))
                before = after
    how = f"of the bare client's just before and after: {best} traces a request, {statistics.median(most):.0f} spans/s"
    beside = {0: f"with a file for each agent, and so runs, {_share_with_runs(stage, best):.2f}", METRICS: ""}
    rows = (("limit_share", 0), ("limit_share_metrics", METRICS))
    return {row: Reading(tuple(shares[metrics]), how, beside[metrics]) for row, metrics in rows}


def _share_with_runs(stage: Stage, best: str) -> float:
    with stage.backend("limit-runs") as backend:
        before = _posted(stage, backend, best)[best]
        shipped = _shipped(stage, backend, _journal(stage, backend, config=stage.configured()))
        return shipped / statistics.mean((before, _posted(stage, backend, best)[best]))


def _posted(stage: Stage, backend: Backend, *kinds: str) -> dict[str, float]:
    """Spans a second of a bare client, by kind of request."""
    found: dict[str, float] = stage.probe("posting", _journal(stage, backend), *kinds, backend=backend)["rates"]
    return found


def _journal(stage: Stage, backend: Backend, metrics: int = 0, config: Path | None = None) -> Path:
    """A new journal that nobody ships."""
    journal = stage.scratch("journal")
    environ = {"TIERLENS_JOURNAL_DIR": str(journal)}
    if config is not None:
        environ["TIERLENS_CONFIG_DIR"] = str(config)
    stage.probe("emit", "tierlens-external", TRACES, "--metrics", metrics, backend=backend, environ=environ)
    return journal


def _shipped(stage: Stage, backend: Backend, journal: Path) -> float:
    found: dict[str, Any] = stage.probe("draining", journal, backend=backend)
    if found["whole"] != TRACES:
        raise AssertionError(f"{found['whole']} of {TRACES} traces are whole")
    return float(found["spans_per_s"])


def stored(stage: Stage) -> dict[str, Reading]:
    """Of 300 traces emitted back to back, how many are whole in the database."""
    ours, theirs = [], []
    with stage.backend("stored") as backend:
        for turn in range(stage.rounds):
            say(f"stored, round {turn + 1} of {stage.rounds}")
            ours.append(stage.probe("emit", "tierlens", BURST, backend=backend))
            theirs.append(stage.probe("emit", "mlflow", BURST, backend=backend))
    whole = tuple(float(figures["stored"]) for figures in ours)
    autolog = statistics.median(figures["stored"] for figures in theirs)
    partly = statistics.median(figures["traces"] for figures in theirs) - autolog
    beside = f"autolog {autolog:.0f}, and {partly:.0f} in part"
    return {"stored_of_300": Reading(whole, "traces with all 25 spans in the database", beside)}


def runs(stage: Stage) -> dict[str, Reading]:
    """Runs of single invocations a second, of the log-batch calls a second that a bare client makes; one round."""
    with stage.backend("runs") as backend:
        found = stage.probe("runs", INVOCATIONS, stage.scratch("journal"), backend=backend)
    if found["complete"] != found["runs"]:
        raise AssertionError(f"{found['complete']} of {found['runs']} runs are complete")
    share = found["runs_per_s"] / found["batches_per_s"]
    how = f"{INVOCATIONS} graph calls of 2 agents: {found['runs']} runs, all complete"
    beside = f"{found['runs_per_s']:.0f} runs/s, {found['batches_per_s']:.0f} bare log-batch calls/s"
    return {"runs_share": Reading((share,), how, beside)}
