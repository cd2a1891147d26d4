"""Journal lines of agents and roots that have something to say to runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from tests.journal.spans import START_NS
from tierlens import keys
from tierlens.journal.codec import Line, decode, encode, encode_resource
from tierlens.spans import NONE, Invocation, Metric, Routing, RunsMode, Span

USAGE = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120, "cache_read_input_tokens": 60}
COST = 0.000438
"""What USAGE costs, by claude-sonnet-4-5's published price: 40 in, 60 from the cache, 20 out."""
CALL = ("anthropic", "claude-sonnet-4-5", 0.2, 400, START_NS, USAGE, 1.0)


def routed(
    number: int = 1,
    *,
    trace: int = 1,
    agent: str = "causal_impact",
    runs: RunsMode = "per_version",
    version: str = "b41939fc32d4",
    experiment: str = "app/Kisqali",
    calls: tuple[tuple[object, ...], ...] = (CALL,),
    inner: tuple[tuple[object, ...], ...] = (),
    outcome: str = "ok",
    root: bool = False,
    metrics: Mapping[str, Metric] = NONE,
    start_ns: int = START_NS,
    brand: str = "Kisqali",
) -> tuple[Span, Routing]:
    """An agent's span of 1.5 s, or with ``root`` a graph's."""
    kind = {keys.SPAN_TYPE: "CHAIN"} if root else {keys.SPAN_TYPE: "AGENT", keys.AGENT: agent, keys.TIER: 2}
    span = Span(
        hashlib.sha256(b"%d" % trace).hexdigest()[:32],
        f"{number:016x}",
        None if root else "f" * 16,
        agent,
        start_ns,
        start_ns + 1_500_000_000,
        {**kind, keys.OUTCOME: outcome},
    )
    return span, Routing(experiment, brand, root, metrics, (), Invocation(version, runs, "", calls, inner))


def line(number: int = 1, app: str = "", **told: object) -> Line:
    """The same as the shipper reads it."""
    span, routing = routed(number, **told)  # type: ignore[arg-type]
    resource = encode_resource({"service.name": app} if app else {})
    return decode(encode(span, routing, resource)[:-1])
