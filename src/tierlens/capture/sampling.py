"""Which traces and agents are kept: decided by their ids, so that the same trace always decides the same."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from tierlens.capture.trace import Hold
from tierlens.policy import AgentPolicy, Keep
from tierlens.spans import Routing, Span

Emit = Callable[[Span, Routing], None]
MAX_HELD = 10_000


def sampled(trace_id: str, unit: str, share: float) -> bool:
    """Whether the share of traces that is kept includes this one, for this unit (an agent, or "" for the trace)."""
    return share >= 1.0 or zlib.crc32(f"{trace_id}/{unit}".encode()) < share * 2**32


def wants_hold(policy: AgentPolicy) -> bool:
    """Whether spans that sampling drops must be held back: only where something might still have them kept."""
    return policy.keep != Keep()


def emit(span: Span, routing: Routing, hold: Hold | None, write: Emit, *, last: bool = False) -> None:
    """Write ``span``, or hold it back with the rest of its unit; what a dropped unit still ends is dropped too.

    Args:
        last: it is the unit's own, which ends last and for which there is always room.
    """
    while hold is not None and hold.decided is True:
        hold = hold.outer
    if hold is None:
        write(span, routing)
    elif hold.decided is None and (last or len(hold.spans) < MAX_HELD):
        hold.spans.append((span, routing))
    elif hold.decided is None:
        hold.lost += 1


def decide(hold: Hold, kept: bool, write: Emit) -> None:
    """End a unit: release its spans in their order, or forget them."""
    hold.decided = kept
    held, hold.spans = hold.spans, []
    if kept:
        for span, routing in held:
            emit(span, routing, hold.outer, write)
