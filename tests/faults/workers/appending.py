"""Agents' processes reduced to their journal: they append, and deliver nothing."""

from __future__ import annotations

import math
import os
import threading
import time
from typing import Any

import psutil

from tests.faults.workers.emitting import RESOURCE, Emitter
from tests.faults.workers.histogram import Histogram
from tests.faults.workers.orders import Orders
from tests.faults.workers.pacing import steadily
from tierlens.journal import Journal


def for_ever(orders: Orders, per_s: float, **arguments: Any) -> None:
    """Append at a steady pace until killed."""
    emitter = Emitter.under(orders, Journal(orders.journal, resource=RESOURCE), took_us=Histogram(), **arguments)
    steadily(emitter.emit, 1 / per_s, math.inf)


def for_a_while(orders: Orders, count: int, seconds: float, quota_bytes: int) -> None:
    """Append so many in so many seconds, and tell by how many MB this process has grown."""
    journal = Journal(orders.journal, resource=RESOURCE, quota_bytes=quota_bytes)
    emitter = Emitter.under(orders, journal, took_us=Histogram())
    emitter.emit(100)
    before, due = _resident_mb(), time.monotonic()
    for _ in range(count - 100):
        emitter.emit()
        due += seconds / count
        if (early := due - time.monotonic()) > 0:
            time.sleep(early)
    journal.close()
    orders.receipts().note("appended", mb=_resident_mb() - before, refused=emitter.refused)


def _resident_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


def flat_out(orders: Orders, **arguments: Any) -> None:
    """Append without a pause until killed."""
    emitter = Emitter.under(orders, Journal(orders.journal, resource=RESOURCE, quota_bytes=1 << 40), **arguments)
    orders.receipts().note("began", pid=os.getpid())
    while True:
        emitter.emit()


def some(orders: Orders, count: int, **arguments: Any) -> None:
    """Append so many, and end."""
    journal = Journal(orders.journal, resource=RESOURCE)
    Emitter.under(orders, journal, **arguments).emit(count)
    journal.close()


def one_large_among_many(orders: Orders, count: int, size: int, large: int) -> None:
    """Append so many of a size, with a larger one in their midst, and end."""
    journal = Journal(orders.journal, resource=RESOURCE)
    many, one = (Emitter.under(orders, journal, size=bytes_, spans_a_trace=1) for bytes_ in (size, large))
    many.emit(count // 2)
    orders.receipts().note("large", span=one.emit_trace().span_id)
    many.emit(count - count // 2)
    journal.close()


def some_then_wait(orders: Orders, count: int, **arguments: Any) -> None:
    """Append so many, say so, and live on until killed."""
    journal = Journal(orders.journal, resource=RESOURCE)
    Emitter.under(orders, journal, **arguments).emit(count)
    orders.receipts().note("appended", writer=journal.writer, pid=os.getpid())
    threading.Event().wait()
