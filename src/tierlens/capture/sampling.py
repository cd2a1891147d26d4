"""Which traces and agents are kept: decided by their ids, so that the same trace always decides the same."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from tierlens.capture.outcomes import Outcome
from tierlens.capture.shield import Shield
from tierlens.capture.trace import Hold, Open
from tierlens.policy import Keep
from tierlens.spans import Routing, Span

Emit = Callable[[Span, Routing], None]
MAX_HELD = 10_000


def sampled(trace_id: str, unit: str, share: float) -> bool:
    """Whether the share of traces that is kept includes this one, for this unit (an agent, or "" for the trace)."""
    return share >= 1.0 or zlib.crc32(f"{trace_id}/{unit}".encode()) < share * 2**32


def sample(opened: Open, unit: str = "") -> None:
    """Decide of a unit that begins with ``opened`` whether it is recorded, dropped, or held back: the last only where
    something might still have it kept."""
    policy = opened.policy
    if sampled(opened.trace.trace_id, unit, policy.sample):
        return
    if policy.keep != Keep():
        opened.own_hold = Hold(opened.hold)
    else:
        opened.recording = False


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


def conclude(opened: Open, hold: Hold, outcome: Outcome, write: Emit, shield: Shield) -> None:
    """A unit has ended, with the span that it began with: release what it held back, or forget it."""
    kept = opened.policy.keep.wants(outcome.status == "ERROR", (opened.end_ns - opened.start_ns) / 1e9)
    if not kept:
        opened.trace.spans -= hold.count
    elif hold.lost:
        held = f"of what sampling may still drop, {MAX_HELD} spans are held back"
        shield.warn("held", f"{hold.lost} spans of {opened.name} are not recorded: {held}")
    decide(hold, kept, write)


def decide(hold: Hold, kept: bool, write: Emit) -> None:
    """End a unit: release its spans in their order, or forget them."""
    hold.decided = kept
    held, hold.spans = hold.spans, []
    if kept:
        for span, routing in held:
            emit(span, routing, hold.outer, write)
