"""Spans of models, agents and graphs, and their journal lines, for tests of metrics."""

from __future__ import annotations

import json
from typing import Any

from tests.journal.spans import START_NS
from tierlens import keys
from tierlens.journal.codec import Line, decode, encode
from tierlens.spans import Event, Routing, Span

USAGE = {
    "input_tokens": 100,
    "output_tokens": 20,
    "total_tokens": 120,
    "cache_read_input_tokens": 60,
    "cache_creation_input_tokens": 10,
}
COST = 0.0004455
"""What USAGE costs by claude-sonnet-4-5's published price: 30 in, 60 read, 10 written, 20 out."""
MODEL = {keys.PROVIDER: "anthropic", keys.MODEL: "claude-sonnet-4-5", keys.TOKEN_USAGE: json.dumps(USAGE)}


def work(
    number: int,
    kind: str = "CHAIN",
    *,
    parent: int | None = None,
    trace: int = 1,
    seconds: float = 2.0,
    name: str = "",
    root: bool = False,
    brand: str = "Kisqali",
    error: str = "",
    said: dict[str, Any] | None = None,
    open_: bool = False,
) -> tuple[Span, Routing]:
    """A span whose id is its number; ``error`` is the type of the exception that it ended by."""
    raised = (Event("exception", START_NS, {"exception.type": error}),) if error else ()
    span = Span(
        f"{trace:032x}",
        f"{number:016x}",
        None if parent is None else f"{parent:016x}",
        name or f"span {number}",
        START_NS,
        0 if open_ else START_NS + int(seconds * 1e9),
        {keys.SPAN_TYPE: kind, **(said or {})},
        "ERROR" if error else "OK",
        events=raised,
    )
    return span, Routing(f"app/{brand}", brand, root)


def line(number: int, kind: str = "CHAIN", **told: Any) -> Line:
    """The same as the shipper reads it."""
    return decode(encode(*work(number, kind, **told), b"{}").rstrip(b"\n"))
