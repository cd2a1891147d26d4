"""Invokes the reference graph with a tracer on, and says what MLflow then holds.

    python -m tests.performance.probes.emit NAME COUNT [--warm-up W] [--flush-every K] [--metrics M]

With metrics, each invocation runs inside a decorated function that sets them, which is one more span a trace.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.performance import database
from tests.performance.probes.bare import QUESTION
from tests.performance.probes.tracers import Tracer, open_tracer
from tests.performance.reference import workload


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("count", type=int)
    parser.add_argument("--warm-up", type=int, default=0)
    parser.add_argument("--flush-every", type=int, default=0, help="0: once, at the end")
    parser.add_argument("--metrics", type=int, default=0)
    given = parser.parse_args()
    tracer = open_tracer(given.name)
    invoke = _invocation(tracer, given.metrics)
    _emit(invoke, given.warm_up, tracer, given.flush_every)
    path = os.environ.get("BENCH_DATABASE")
    before = _state(path)
    start = time.perf_counter()
    _emit(invoke, given.count, tracer, given.flush_every)
    figures: dict[str, Any] = {"variant": given.name, "emitted": given.count, "seconds": time.perf_counter() - start}
    if before and (after := _state(path)):
        traces, whole, spans = after[0].since(before[0])
        figures |= {"traces": traces, "stored": whole, "spans": spans, "grown_bytes": after[1] - before[1]}
    tracer.close()
    print(json.dumps(figures), flush=True)
    os._exit(0)


def _invocation(tracer: Tracer, metrics: int) -> Callable[[], object]:
    graph = workload.build()
    config: Any = {"callbacks": tracer.callbacks} if tracer.callbacks else {}
    if not metrics:
        return lambda: graph.invoke(QUESTION, config)
    import tierlens

    @tierlens.agent("measured")
    def measured() -> None:
        graph.invoke(QUESTION, config)
        for number in range(metrics):
            tierlens.metric(f"metric_{number}", number / 7)

    return measured


def _emit(invoke: Callable[[], object], count: int, tracer: Tracer, flush_every: int) -> None:
    for number in range(count):
        invoke()
        if flush_every and not (number + 1) % flush_every:
            tracer.flush()
    tracer.flush()


def _state(path: str | None) -> tuple[database.Stored, int] | None:
    return (database.stored(Path(path)), database.size(Path(path))) if path else None


if __name__ == "__main__":
    main()
