"""A finished trace as a tree of what happened: names, durations, tokens, cost, outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tierlens import keys
from tierlens.projection.attributes import Json, attributes_of, counts
from tierlens.projection.prices import PriceBook

_STATUS: Final = {1: "OK", 2: "ERROR"}


@dataclass(slots=True, eq=False)
class Node:
    """One span and those below it, in the order in which they began.

    Attributes:
        kind: MLflow's span type.
        duration_s: seconds.
        tokens: of this span alone, as ``mlflow.chat.tokenUsage`` has them.
        cost: of this span alone, USD; None where it has none.
        price_date, price_source: the day whose price it is, and where that is from; "" where nobody says.
        outcome: ``tierlens.outcome``, or "".
        message: of an error.
    """

    span_id: str
    name: str
    kind: str
    start_ns: int
    duration_s: float
    status: str
    outcome: str
    message: str
    model: str
    tokens: Mapping[str, int]
    cost: float | None
    price_date: str
    price_source: str
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TraceTree:
    """A trace as far as one process saw it.

    Attributes:
        roots: the root first; then spans whose parent is not there, such as a span whose parent was refused.
        spans: how many there are.
        tokens, cost: of all spans together; None where nothing has a cost.
    """

    trace_id: str
    experiment: str
    brand: str
    roots: tuple[Node, ...]
    spans: int
    tokens: Mapping[str, int]
    cost: float | None


def tree(
    trace_id: str, experiment: str, brand: str, root_id: str, spans: Iterable[Json], prices: PriceBook
) -> TraceTree:
    """Build the tree of a trace's spans, given as OTLP JSON; a span given twice counts once, as given last.

    A call that does not say what it cost is priced by ``prices``.
    """
    found = {span["spanId"]: span for span in spans}
    nodes = {span_id: _node(span, prices) for span_id, span in found.items()}
    roots: list[Node] = []
    for span_id, node in sorted(nodes.items(), key=lambda pair: pair[1].start_ns):
        parent = nodes.get(found[span_id].get("parentSpanId", ""))
        (roots if parent is None or span_id == root_id else parent.children).append(node)
    roots.sort(key=lambda node: node.span_id != root_id)
    tokens: dict[str, int] = {}
    for node in nodes.values():
        for name, count in node.tokens.items():
            tokens[name] = tokens.get(name, 0) + count
    costs = [node.cost for node in nodes.values() if node.cost is not None]
    total = round(sum(costs), 9) if costs else None
    return TraceTree(trace_id, experiment, brand, tuple(roots), len(nodes), tokens, total)


def _node(span: Json, prices: PriceBook) -> Node:
    attributes = attributes_of(span)
    paid = prices.paid(span, attributes)
    start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    status = span.get("status", {})
    return Node(
        span["spanId"],
        span.get("name", ""),
        str(attributes.get(keys.SPAN_TYPE, "")),
        start,
        max(end - start, 0) / 1e9,
        _STATUS.get(status.get("code", 0), "UNSET"),
        str(attributes.get(keys.OUTCOME, "")),
        status.get("message", ""),
        str(attributes.get(keys.MODEL, "")),
        counts(attributes.get(keys.TOKEN_USAGE)),
        paid.usd if paid else None,
        paid.date if paid else "",
        paid.source if paid else "",
    )
