"""Agents' processes reduced to their journal: they append, and deliver nothing."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from tests.faults.workers.emitting import RESOURCE, Emitter
from tests.faults.workers.orders import Orders
from tierlens.journal import Journal


def for_ever(orders: Orders, per_s: float, **arguments: Any) -> None:
    """Append at a steady pace until killed."""
    emitter = Emitter.under(orders, Journal(orders.journal, resource=RESOURCE), **arguments)
    orders.receipts().note("began", pid=os.getpid())
    due = time.monotonic()
    while True:
        emitter.emit()
        due += 1 / per_s
        time.sleep(max(0.0, due - time.monotonic()))


def flat_out(orders: Orders, **arguments: Any) -> None:
    """Append without a pause until killed."""
    emitter = Emitter.under(orders, Journal(orders.journal, resource=RESOURCE, quota_bytes=1 << 40), **arguments)
    orders.receipts().note("began", pid=os.getpid())
    while True:
        emitter.emit()


def some_then_wait(orders: Orders, count: int, **arguments: Any) -> None:
    """Append so many, say so, and live on until killed."""
    journal = Journal(orders.journal, resource=RESOURCE)
    Emitter.under(orders, journal, **arguments).emit(count)
    orders.receipts().note("appended", writer=journal.writer, pid=os.getpid())
    threading.Event().wait()
