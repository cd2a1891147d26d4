"""What the agent's own process feels: streams, imports, appends."""

from __future__ import annotations

import statistics

from tests.performance.rows import Reading
from tests.performance.stage import Stage, say

STREAMS = 100
IMPORTS = 3


def streaming(stage: Stage) -> dict[str, Reading]:
    """Milliseconds added to a stream of 400 tokens."""
    ours, theirs = [], []
    with stage.backend("streaming") as backend:
        for turn in range(stage.rounds):
            say(f"streaming, round {turn + 1} of {stage.rounds}")
            ours.append(stage.probe("streaming", "tierlens", STREAMS, backend=backend))
            theirs.append(stage.probe("streaming", "mlflow", STREAMS // 4, backend=backend))
    bare, cpu = (statistics.median(figures[key] for figures in ours) for key in ("bare_p50_ms", "added_cpu_ms"))
    autolog = statistics.median(figures["added_p50_ms"] for figures in theirs)
    samples = tuple(figures["added_p50_ms"] for figures in ours)
    how = f"{STREAMS} turns of one without and one with, {bare:.1f} ms without"
    return {"streaming_ms": Reading(samples, how, f"{cpu:.2f} ms of CPU; autolog {autolog:.1f} ms")}


def importing(stage: Stage) -> dict[str, Reading]:
    """Milliseconds that ``import tierlens`` takes, bytecode compiled, in fresh processes."""
    stage.probe("importing")
    found = [stage.probe("importing") for _ in range(IMPORTS * stage.rounds)]
    # What every agent uses is imported with it; a name that waits for its first use must not flatter the figure.
    took = tuple(figures["ready_ms"] for figures in found)
    bare = statistics.median(figures["import_ms"] for figures in found)
    beside = f"the import statement alone {bare:.1f} ms; {found[0]['modules']} modules"
    imported = tuple(float(figures["mlflow_imported"]) for figures in found)
    return {
        "import_ms": Reading(took, "fresh processes, names of every agent used", beside),
        "imports_mlflow": Reading(imported, "0: sys.modules has no mlflow"),
    }


def append(stage: Stage) -> dict[str, Reading]:
    """Microseconds to encode and append a span of 3 KB."""
    found = [stage.probe("appending") for _ in range(stage.rounds)]
    how = "20,000 spans of 3 KB, one thread"
    return {row: Reading(tuple(figures[row] for figures in found), how) for row in ("append_p50_us", "append_p99_us")}


def redaction(stage: Stage) -> dict[str, Reading]:
    """Microseconds of CPU to redact a KB with all rules on: spans of the reference workload, JSON, code, Markdown."""
    found = [stage.probe("redacting") for _ in range(stage.rounds)]
    each = ", ".join(f"{kind} {statistics.median(one[kind] for one in found):.1f}" for kind in sorted(found[0]))
    return {"redaction_us_kb": Reading(tuple(one["all"] for one in found), "CPU, least of 30 turns", each)}
