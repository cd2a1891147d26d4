"""What a run of the demo comes to: read from MLflow, compared with the ledger, linked into the UI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tierlens.shipping import FlushReport

from .figures import Agent, Brand, Tokens, as_json, by_agent, by_brand, tokens, total
from .recording import RUN_TAG, Recorded
from .stored import StoredTrace, StoredTraces


@dataclass(frozen=True, slots=True)
class Link:
    """A page of MLflow's UI."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Attributes:
    run: tag of the run's traces.
    experiments: names by id, of those the run's traces lie in.
    total: of all brands.
    stored: MLflow's token totals over the run.
    ledger: the endpoint's, or None where it was the real Claude.
    faults: what should not be; empty after a good run.
    """

    run: str
    claude: str
    seconds: float
    brands: Sequence[Brand]
    total: Brand
    agents: Sequence[Agent]
    experiments: dict[str, str]
    stored: Tokens
    ledger: Tokens | None
    report: FlushReport
    links: Sequence[Link]
    faults: Sequence[str]


def summarize(uri: str, run: str, recorded: Recorded, seconds: float) -> Summary:
    """Ask MLflow what it holds of a run."""
    with StoredTraces(uri) as mlflow:
        traces, names = mlflow.tagged(RUN_TAG, run), mlflow.experiments()
    brands, stored = by_brand(traces), tokens(traces)
    return Summary(
        run=run,
        claude=recorded.claude,
        seconds=seconds,
        brands=brands,
        total=total(traces),
        agents=by_agent(traces),
        experiments={brand.experiment_id: names[brand.experiment_id] for brand in brands},
        stored=stored,
        ledger=recorded.ledger,
        report=recorded.report,
        links=links(uri, brands, traces),
        faults=faults(traces, brands, stored, recorded),
    )


def faults(traces: Sequence[StoredTrace], brands: Sequence[Brand], stored: Tokens, recorded: Recorded) -> list[str]:
    """What should not be after a run, in words."""
    found = []
    if not traces:
        found.append("MLflow holds nothing of this run; is tierlens turned off, by TIERLENS_ENABLED for example?")
    if len({brand.brand for brand in brands}) < len(brands):
        found.append("a brand's traces lie in several experiments")
    if recorded.report.pending:
        found.append(f"{recorded.report.pending} spans are not delivered yet; they stay in the journal")
    if recorded.report.refused:
        found.append(f"spans were refused: {dict(recorded.report.refused)}")
    if recorded.ledger is not None and stored != recorded.ledger:
        found.append("MLflow's token totals are not the ledger's")
    return found


def links(uri: str, brands: Sequence[Brand], traces: Sequence[StoredTrace]) -> list[Link]:
    """Each brand's traces, and for one brand a trace, its conversation and its custom metrics."""
    pages = [Link(f"{brand.brand}'s traces", f"{uri}/#/experiments/{brand.experiment_id}/traces") for brand in brands]
    if not traces:
        return pages
    shown = max(traces, key=lambda trace: (trace.tags.get("outcome") == "ok", len(trace.spans)))
    home = f"{uri}/#/experiments/{shown.experiment_id}"
    return [
        *pages,
        Link("one trace", f"{home}/traces?selectedEvaluationId={shown.trace_id}"),
        Link("its conversation", f"{home}/chat-sessions/{shown.tags.get('session', '')}"),
        Link("custom metrics", f"{home}/overview/quality"),
        Link("tokens and cost", f"{home}/overview/usage"),
    ]


def as_document(summary: Summary) -> dict[str, Any]:
    """The summary as JSON has it."""
    difference = summary.stored - summary.ledger if summary.ledger else None
    return {
        "run": summary.run,
        "claude": summary.claude,
        "seconds": round(summary.seconds, 1),
        "brands": [
            {**as_json(brand), "experiment": summary.experiments[brand.experiment_id]} for brand in summary.brands
        ],
        "agents": [as_json(agent) for agent in summary.agents],
        "tokens": {
            "mlflow": as_json(summary.stored),
            "ledger": as_json(summary.ledger) if summary.ledger else None,
            "difference": as_json(difference) if difference else None,
        },
        "delivery": {
            "accepted": summary.report.accepted,
            "stored": summary.report.stored,
            "pending": summary.report.pending,
            "refused": dict(summary.report.refused),
        },
        "links": {link.label: link.url for link in summary.links},
        "faults": list(summary.faults),
    }
