"""How fast the shipper delivers a journal that lies there: python -m tests.performance.probes.draining JOURNAL"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.performance import database
from tierlens.projection.runs import Record
from tierlens.shipping.hosts.run import collect_rarely, run_once
from tierlens.sinks.base import Batch, Finish
from tierlens.sinks.mlflow_http import MlflowHttpSink


class Clocked(MlflowHttpSink):
    """Knows when it had stored what it was given last: what is asked of MLflow afterwards is no delivery."""

    done = 0.0

    def send(self, batch: Batch) -> None:
        super().send(batch)
        self.done = time.perf_counter()

    def finish(self, finish: Finish) -> None:
        super().finish(finish)
        self.done = time.perf_counter()

    def log_runs(self, experiment: str, records: Sequence[Record]) -> None:
        super().log_runs(experiment, records)
        self.done = time.perf_counter()


def main() -> None:
    journal, path = Path(sys.argv[1]), Path(os.environ["BENCH_DATABASE"])
    sink = Clocked(os.environ["MLFLOW_TRACKING_URI"])
    collect_rarely()
    before = database.stored(path)
    start, cpu = time.perf_counter(), time.process_time()
    report = run_once(journal, sink)
    took, cpu = sink.done - start, time.process_time() - cpu
    sink.close()
    if not report.drained:
        raise SystemExit(f"the journal was not drained: {report}")
    added = database.stored(path).since(before)
    figures = {"spans": added.spans, "whole": added.whole, "seconds": took, "spans_per_s": added.spans / took}
    print(json.dumps(figures | {"cpu_ms_a_trace": cpu * 1e3 / max(added.traces, 1)}))


if __name__ == "__main__":
    main()
