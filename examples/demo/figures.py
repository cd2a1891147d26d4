"""The figures of a run, from the traces that MLflow holds of it. Nothing here asks anybody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from .stored import StoredSpan, StoredTrace

_USAGE: Final = "mlflow.chat.tokenUsage"
_COST: Final = "mlflow.llm.cost"
_TIER: Final = "tierlens.tier"


@dataclass(frozen=True, slots=True)
class Brand:
    """One brand's traces. Latencies in seconds, cost in US dollars."""

    brand: str
    experiment_id: str
    traces: int
    agents: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    p50_s: float
    p95_s: float


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent's work in all traces; what its model calls used counts as its own.

    Attributes:
        calls: how often it worked; a pause for a person ends one call, resuming begins another.
        model_calls: how often it asked Claude.
        errors: calls that failed.
    """

    agent: str
    tier: int
    calls: int
    model_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    errors: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token totals; input with what was read from the cache and written to it."""

    input: int
    output: int

    def __sub__(self, other: Tokens) -> Tokens:
        return Tokens(self.input - other.input, self.output - other.output)


def by_brand(traces: Iterable[StoredTrace]) -> list[Brand]:
    """A row for every brand and experiment there is, in order of first trace; there should be one a brand."""
    groups: defaultdict[tuple[str, str], list[StoredTrace]] = defaultdict(list)
    for trace in traces:
        groups[trace.tags.get("brand", ""), trace.experiment_id].append(trace)
    return [total(found, brand, experiment) for (brand, experiment), found in groups.items()]


def total(traces: Sequence[StoredTrace], brand: str = "all", experiment_id: str = "") -> Brand:
    """One row for all of ``traces``."""
    used = tokens(traces)
    p50, p95 = latencies(traces)
    return Brand(
        brand=brand,
        experiment_id=experiment_id,
        traces=len(traces),
        agents=len({span.name for trace in traces for span in trace.spans if span.kind == "AGENT"}),
        input_tokens=used.input,
        output_tokens=used.output,
        cost_usd=sum(trace.cost for trace in traces),
        p50_s=p50,
        p95_s=p95,
    )


def by_agent(traces: Iterable[StoredTrace]) -> list[Agent]:
    """A row for every agent, in order of tier and name; model calls outside of agents make a row named "-"."""
    worked: defaultdict[str, list[StoredSpan]] = defaultdict(list)
    asked: defaultdict[str, list[StoredSpan]] = defaultdict(list)
    for trace in traces:
        spans = {span.span_id: span for span in trace.spans}
        for span in trace.spans:
            if span.kind == "AGENT":
                worked[span.name].append(span)
            elif _USAGE in span.attributes:
                asked[_agent_of(span, spans)].append(span)
    rows = [_agent(name, worked[name], asked[name]) for name in {*worked, *asked}]
    return sorted(rows, key=lambda row: (row.tier, row.agent))


def _agent_of(span: StoredSpan, spans: Mapping[str, StoredSpan]) -> str:
    here: StoredSpan | None = span
    while here is not None and here.kind != "AGENT":
        here = spans.get(here.parent_id or "")
    return here.name if here else "-"


def _agent(name: str, worked: Sequence[StoredSpan], asked: Sequence[StoredSpan]) -> Agent:
    return Agent(
        agent=name,
        tier=max((int(span.attributes.get(_TIER, 0)) for span in worked), default=0),
        calls=len(worked),
        model_calls=len(asked),
        input_tokens=sum(span.attributes[_USAGE]["input_tokens"] for span in asked),
        output_tokens=sum(span.attributes[_USAGE]["output_tokens"] for span in asked),
        cost_usd=sum(span.attributes.get(_COST, {}).get("total_cost", 0.0) for span in asked),
        errors=sum(span.failed for span in worked),
    )


def tokens(traces: Iterable[StoredTrace]) -> Tokens:
    """MLflow's own totals, summed over traces."""
    found = [trace.tokens for trace in traces]
    return Tokens(
        sum(each.get("input_tokens", 0) for each in found), sum(each.get("output_tokens", 0) for each in found)
    )


def latencies(traces: Iterable[StoredTrace]) -> tuple[float, float]:
    """Median and 95th percentile of the traces' durations, in seconds; 0 where there are none."""
    seconds = [trace.seconds for trace in traces] or [0.0]
    p50, p95 = np.percentile(seconds, [50, 95])
    return float(p50), float(p95)


def ledger_tokens(ledger: Mapping[str, Any]) -> Tokens:
    """What the endpoint has billed, in MLflow's terms."""
    totals = ledger["totals"]
    return Tokens(totals["all_input_tokens"], totals["output_tokens"])


def as_json(row: Brand | Agent | Tokens) -> dict[str, Any]:
    """A row as JSON has it."""
    return asdict(row)
