"""What a tracer adds to one invocation of the reference graph: python -m tests.performance.probes.overhead NAME N

First the bare graph, then the same graph traced, in one process: every figure is a difference inside it, so that
the machine's drift cancels.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from tests.performance import database
from tests.performance.probes.tracers import open_tracer
from tests.performance.reference import workload

try:  # before memory is looked at, which it would be part of
    import psutil
except ImportError:  # the peers' environment has none, and no peer starts a process
    psutil = None

QUESTION = {"q": "Why did new starts fall in Q3?", "notes": []}
WARM_UP = 10
FIRST = 5


def measure(graph: Any, config: dict[str, Any], n: int) -> tuple[list[float], float]:
    """Sorted wall times of ``n`` invocations, and the main thread's CPU for one; milliseconds."""
    for _ in range(WARM_UP):
        graph.invoke(QUESTION, config)
    gc.collect()
    walls, cpu = [], time.thread_time()
    for _ in range(n):
        start = time.perf_counter()
        graph.invoke(QUESTION, config)
        walls.append((time.perf_counter() - start) * 1e3)
    return sorted(walls), (time.thread_time() - cpu) / n * 1e3


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def own_cpu_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e3


def children() -> list[Any]:
    """The processes that the tracer has started and that run."""
    found: list[Any] = psutil.Process().children(recursive=True) if psutil is not None else []
    return found


def children_cpu_ms() -> float:
    """Of the children that ended and of those that live, a shipping process for one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = [child.cpu_times() for child in children()]
    return (used.ru_utime + used.ru_stime + sum(each.user + each.system for each in living)) * 1e3


def peak_mb(pid: int | str = "self") -> float:
    """The most memory a process, this one by default, has had resident.

    Linux hands ``ru_maxrss`` on from the process that started this one, which then hides what is added.
    """
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(name: str, n: int) -> dict[str, Any]:
    """One tracer's figures, delivery included."""
    graph = workload.build()
    bare, bare_cpu = measure(graph, {}, n)
    rss = peak_mb()
    tracer = open_tracer(name)
    config = {"callbacks": tracer.callbacks} if tracer.callbacks else {}
    for _ in range(FIRST):
        graph.invoke(QUESTION, config)
    tracer.flush()
    before = _stored()
    own, others, start = own_cpu_ms(), children_cpu_ms(), time.perf_counter()
    traced, traced_cpu = measure(graph, config, n)
    own_emitting = own_cpu_ms() - own
    tracer.flush()
    took = time.perf_counter() - start
    own, others = own_cpu_ms() - own, children_cpu_ms() - others
    invocations = n + WARM_UP
    figures = {
        "variant": name,
        "n": n,
        "bare_p50_ms": percentile(bare, 0.5),
        "added_p50_ms": percentile(traced, 0.5) - percentile(bare, 0.5),
        "added_p99_ms": percentile(traced, 0.99) - percentile(bare, 0.99),
        "added_thread_cpu_ms": traced_cpu - bare_cpu,
        "added_cpu_ms": (own + others) / invocations - bare_cpu,
        "added_cpu_own_ms": own / invocations - bare_cpu,
        "added_cpu_until_flush_ms": own_emitting / invocations - bare_cpu,
        "rss_added_mb": peak_mb() - rss,
        "rss_children_mb": sum(peak_mb(child.pid) for child in children()),
        "mlflow_imported": "mlflow" in sys.modules,
    }
    if before is not None and (after := _stored()) is not None:
        whole = after.since(before).whole
        figures |= {"emitted": invocations, "stored": whole, "stored_per_s": whole / took}
    tracer.close()
    for child in children():
        # It would go on for a while, and be in the way of the next measurement.
        child.terminate()
        child.wait()
    return figures


def _stored() -> database.Stored | None:
    path = os.environ.get("BENCH_DATABASE")
    return database.stored(Path(path)) if path else None


if __name__ == "__main__":
    os.environ["LANGSMITH_TRACING"] = "false"
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]))), flush=True)
    # Some peers hold up the exit for minutes when their server is gone.
    os._exit(0)
