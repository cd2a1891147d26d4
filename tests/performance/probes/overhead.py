"""What a tracer adds to one invocation of the reference graph: python -m tests.performance.probes.overhead NAME N

The bare graph and the traced one take turns, block by block, each in a process of its own: a machine that is twice as
slow for some seconds is so for both. Each traced block is flushed before the bare graph's turn, so that what a tracer
delivers is in the way of its own graph alone, and of nobody's once it has ended.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from tests.performance import database
from tests.performance.probes.bare import Bare, Block, block
from tests.performance.probes.tracers import open_tracer
from tests.performance.reference import workload

try:  # before memory is looked at, which it would be part of
    import psutil
except ImportError:  # the peers' environment has none, and no peer starts a process
    psutil = None

WARM_UP = 10
BLOCK = 50
FIRST = 5
NONE: dict[str, Any] = {}


class Turns(NamedTuple):
    """Blocks bare and traced, in pairs, and how long the traced ones took until they were delivered."""

    pairs: list[tuple[Block, Block]]
    seconds: float


def take_turns(graph: Any, config: dict[str, Any], flush: Callable[[], object], bare: Bare, n: int) -> Turns:
    """``n`` invocations of each."""
    pairs, seconds = [], 0.0
    for _ in range(max(2, n // BLOCK)):
        without = bare.block(BLOCK)
        start = time.perf_counter()
        pairs.append((without, block(graph, config, BLOCK)))
        flush()
        seconds += time.perf_counter() - start
    return Turns(pairs, seconds)


def added_ms(pairs: list[tuple[Block, Block]]) -> dict[str, float]:
    """What is added to an invocation: p50 as the median of the pairs' differences, which drift does not touch."""
    bare, traced = (sorted(wall for pair in pairs for wall in pair[side].walls) for side in (0, 1))
    return {
        "bare_p50_ms": percentile(bare, 0.5),
        "added_p50_ms": median(median(with_it.walls) - median(without.walls) for without, with_it in pairs),
        "added_p99_ms": percentile(traced, 0.99) - percentile(bare, 0.99),
        "added_thread_cpu_ms": mean(with_it.cpu - without.cpu for without, with_it in pairs),
    }


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def own_cpu_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e3


def children(but: int) -> list[Any]:
    """The processes that the tracer has started and that run; not ``but``."""
    found: list[Any] = psutil.Process().children(recursive=True) if psutil is not None else []
    return [child for child in found if child.pid != but]


def children_cpu_ms(but: int) -> float:
    """Of the children that ended and of those that live, a shipping process for one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = [child.cpu_times() for child in children(but)]
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
    bare, graph = Bare(), workload.build()
    block(graph, NONE, n)
    rss = peak_mb()
    tracer = open_tracer(name)
    config = {"callbacks": tracer.callbacks} if tracer.callbacks else NONE
    block(graph, config, FIRST)
    tracer.flush()
    bare.block(WARM_UP)
    block(graph, config, WARM_UP)
    tracer.flush()
    gc.collect()
    before, own, others = _stored(), own_cpu_ms(), children_cpu_ms(bare.pid)
    pairs, took = take_turns(graph, config, tracer.flush, bare, n)
    own, others = own_cpu_ms() - own, children_cpu_ms(bare.pid) - others
    invocations = len(pairs) * BLOCK
    bare_cpu = mean(without.cpu for without, _ in pairs)
    figures = {
        "variant": name,
        "n": n,
        **added_ms(pairs),
        "added_cpu_ms": (own + others) / invocations - bare_cpu,
        "added_cpu_own_ms": own / invocations - bare_cpu,
        "rss_added_mb": peak_mb() - rss,
        "rss_children_mb": sum(peak_mb(child.pid) for child in children(bare.pid)),
        "mlflow_imported": "mlflow" in sys.modules,
    }
    figures |= _delivered(before, invocations, took)
    tracer.close()
    for child in children(bare.pid):
        # It would go on for a while, and be in the way of the next measurement.
        child.terminate()
        child.wait()
    bare.close()
    return figures


def _delivered(before: database.Stored | None, emitted: int, took_s: float) -> dict[str, float]:
    after = _stored()
    if before is None or after is None:
        return {}
    whole = after.since(before).whole
    return {"emitted": emitted, "stored": whole, "stored_per_s": whole / took_s}


def _stored() -> database.Stored | None:
    path = os.environ.get("BENCH_DATABASE")
    return database.stored(Path(path)) if path else None


if __name__ == "__main__":
    os.environ["LANGSMITH_TRACING"] = "false"
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]))), flush=True)
    # Some peers hold up the exit for minutes when their server is gone.
    os._exit(0)
