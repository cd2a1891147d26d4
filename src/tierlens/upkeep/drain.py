"""Having delivered what lies in a journal now: by oneself, the process that a dead agent left making way, or, where one
ships for agents that live, by that one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tierlens.journal.cursor import Ends, read_cursor
from tierlens.journal.segment import cursor_path, writers
from tierlens.journal.totals import read_totals
from tierlens.shipping import handover
from tierlens.shipping.clock import Clock, SystemClock
from tierlens.shipping.hosts.run import RunReport, run_once
from tierlens.shipping.tally import OpenTally, no_tally
from tierlens.sinks.base import Sink
from tierlens.upkeep.survey import ends, unread_bytes

_LOOK_S: Final = 0.1
_ASK_S: Final = 1.0


def drain(
    directory: Path,
    sink: Callable[[], Sink],
    *,
    patience_s: float = 30.0,
    clock: Clock | None = None,
    open_tally: OpenTally = no_tally,
) -> RunReport:
    """Deliver what lies there at this moment, and return.

    Where a process ships for agents that live, it is left to that process: it is asked to hurry, and waited for.

    Args:
        sink: called once, and closed; sinks connect to nothing before they are used.
        patience_s: how long to go on without anything being taken.
        open_tally: called only if this process ships; counts for metrics.
    """
    clock = clock or SystemClock()
    until = ends(directory)
    opened = sink()
    try:
        report = run_once(directory, opened, patience_s=patience_s, clock=clock, open_tally=open_tally)
    finally:
        opened.close()
    return _by_another(directory, until, patience_s, clock) if report.busy else report


def _by_another(directory: Path, until: Ends, patience_s: float, clock: Clock) -> RunReport:
    never = threading.Event()
    stored = _stored(directory)
    left, since, asked = unread_bytes(directory, until), clock.monotonic(), float("-inf")
    while left:
        now = clock.monotonic()
        if now - since >= patience_s:
            return RunReport(max(_stored(directory) - stored, 0), drained=False, busy=True)
        if now - asked >= _ASK_S:
            handover.want_flush(directory)
            asked = now
        clock.wait(never, _LOOK_S)
        before, left = left, unread_bytes(directory, until)
        since = clock.monotonic() if left < before else since
    return RunReport(max(_stored(directory) - stored, 0), drained=True, busy=True)


def _stored(directory: Path) -> int:
    """Spans stored, of all writers there have been."""
    cursors = [read_cursor(cursor_path(directory, writer.name)) for writer in writers(directory)]
    return read_totals(directory).stored + sum(cursor.stored for cursor in cursors if cursor)
