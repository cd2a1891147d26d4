"""Runs of single invocations: python -m tests.performance.probes.runs INVOCATIONS JOURNAL

A graph call of two agents is three runs, each with params, tags, metrics, times and a parent. They are set against
what the same server takes of log-batch calls alone, with the same metrics, made by a bare client.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx

from tests.performance.probes.posting import experiment_id
from tests.projection.invocations import CALL, line, routed
from tierlens.journal import Journal
from tierlens.projection.prices import PUBLISHED
from tierlens.projection.runs import Record, record
from tierlens.shipping.hosts.run import collect_rarely, run_once
from tierlens.sinks.mlflow_http import WIDTH, MlflowHttpSink

EXPERIMENT = "bench/runs"
BATCHES = 1_000
METRICS = {"causal_confidence": 0.83, "gap_score": 0.4, "uplift": 1.2}


class Clocked(MlflowHttpSink):
    """Knows when its first runs were asked for, and when it had the last."""

    began = done = 0.0

    def log_runs(self, experiment: str, records: Sequence[Record]) -> None:
        self.began = self.began or time.perf_counter()
        super().log_runs(experiment, records)
        self.done = time.perf_counter()


def write(directory: Path, invocations: int) -> None:
    told = {"experiment": EXPERIMENT, "runs": "per_invocation"}
    with closing(Journal(directory, resource={"service.name": "bench"})) as journal:
        for trace in range(1, invocations + 1):
            start = time.time_ns() + trace * 1_000_000
            for agent in (1, 2):
                number = trace * 10 + agent
                journal.append(*routed(number, trace=trace, start_ns=start, metrics=METRICS, **told))
            root = {"root": True, "calls": (), "inner": (CALL, CALL), "start_ns": start}
            journal.append(*routed(trace * 10, trace=trace, **root, **told))


def complete(database: Path) -> int:
    """Runs that have ended and have all of their metrics and params."""
    condition = "SELECT COUNT(*) FROM runs r WHERE r.end_time IS NOT NULL"
    for table in ("latest_metrics", "params"):
        condition += f" AND (SELECT COUNT(*) FROM {table} m WHERE m.run_uuid = r.run_uuid) >= 4"
    with sqlite3.connect(database) as connection:
        return int(connection.execute(condition).fetchone()[0])


def bare(client: httpx.Client) -> float:
    """Log-batch calls a second, on a run that is there."""
    body = {"experiment_id": experiment_id(client, "bare"), "run_name": "bare"}
    run = client.post("/api/2.0/mlflow/runs/create", json=body).raise_for_status().json()["run"]["info"]["run_id"]
    told = record(line(metrics=METRICS), PUBLISHED)
    assert told is not None

    def log(step: int) -> None:
        points = [{"key": p.key, "value": p.value, "timestamp": p.timestamp_ms, "step": step} for p in told.points(0)]
        client.post("/api/2.0/mlflow/runs/log-batch", json={"run_id": run, "metrics": points}).raise_for_status()

    log(0)
    start = time.perf_counter()
    with ThreadPoolExecutor(WIDTH) as pool:
        list(pool.map(log, range(1, BATCHES + 1)))
    return BATCHES / (time.perf_counter() - start)


def main() -> None:
    invocations, directory = int(sys.argv[1]), Path(sys.argv[2])
    collect_rarely()
    with httpx.Client(base_url=os.environ["MLFLOW_TRACKING_URI"], timeout=300) as client:
        rates = [bare(client)]
        write(directory, invocations)
        sink = Clocked(os.environ["MLFLOW_TRACKING_URI"])
        report = run_once(directory, sink)
        sink.close()
        rates.append(bare(client))
    if not report.drained:
        raise SystemExit(f"the journal was not drained: {report}")
    runs = 3 * invocations
    figures = {"runs": runs, "complete": complete(Path(os.environ["BENCH_DATABASE"]))}
    print(json.dumps(figures | {"runs_per_s": runs / (sink.done - sink.began), "batches_per_s": max(rates)}))


if __name__ == "__main__":
    main()
