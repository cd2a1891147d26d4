"""Journals for the commands that look into one."""

from __future__ import annotations

from pathlib import Path

from tests.sinks.traces import Trace, agent_trace
from tierlens.journal.writer import Journal
from tierlens.spans import Routing

JOURNAL = "var/tierlens/journal"


def recorded(folder: Path, experiment: str, traces: int = 2, **trace: str) -> list[Trace]:
    """Traces in the journal of a project, whose process has ended."""
    journal = Journal(folder / JOURNAL, resource={"service.name": "tests"})
    made = [agent_trace(**trace) for _ in range(traces)]  # type: ignore[arg-type]  # statuses are text
    for made_one in made:
        write(journal, made_one, experiment)
    journal.close()
    return made


def write(journal: Journal, trace: Trace, experiment: str) -> None:
    """A trace's spans in the order in which they end: the root last."""
    for span in reversed(trace.spans):
        journal.append(span, Routing(experiment, "Kisqali", root=span.parent_id is None))
