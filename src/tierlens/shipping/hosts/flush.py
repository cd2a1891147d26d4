"""How far delivery has come, read from the cursor: right whichever process ships."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from tierlens.journal.append import End
from tierlens.journal.cursor import Cursor, read_cursor
from tierlens.journal.segment import cursor_path, writers
from tierlens.journal.writer import Journal
from tierlens.shipping.clock import Clock
from tierlens.shipping.report import FlushReport

_SOONEST_S = 0.02
_LATEST_S = 0.2
_SHARE = 0.05


def report(journal: Journal) -> FlushReport:
    """What has become of this process's spans so far."""
    return _report(journal, journal.end())


def flush(journal: Journal, timeout_s: float, clock: Clock, give_up: Callable[[], bool] = lambda: False) -> FlushReport:
    """Wait until what was accepted before this call is stored or refused, until the time is over, or
    ``give_up``."""
    began = clock.monotonic()
    deadline = began + timeout_s
    until = journal.end()
    never = threading.Event()
    while True:
        found = _report(journal, until)
        now = clock.monotonic()
        if not found.pending or now >= deadline or give_up():
            return report(journal)
        # The longer it has taken, the less a look too late matters.
        pause = min(max(_SOONEST_S, _SHARE * (now - began)), _LATEST_S)
        clock.wait(never, min(pause, deadline - now))


def _report(journal: Journal, until: End) -> FlushReport:
    accepted = journal.counts().accepted
    cursor = read_cursor(cursor_path(journal.directory, until.writer)) if until.writer else None
    if cursor is None:
        cursor = Cursor(stored=accepted if _shipped_and_gone(journal, until) else 0)
    refused = Counter(cursor.refused)
    left = accepted - cursor.stored - refused.total()
    # A damaged line is never counted as stored, but a position behind it leaves nothing to wait for.
    acknowledged = cursor.position >= (until.segment, until.offset) > (0, 0)
    refused.update(journal.counts().refused)
    return FlushReport(accepted, cursor.stored, 0 if acknowledged else max(left, 0), dict(refused))


def _shipped_and_gone(journal: Journal, end: End) -> bool:
    """A closed journal whose files another process has shipped and removed."""
    return journal.closed and all(found.name != end.writer for found in writers(journal.directory))
