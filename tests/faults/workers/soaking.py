"""An agent with many threads that records for hours."""

from __future__ import annotations

import threading
import time

import psutil

from tests.faults.workers.emitting import RESOURCE, Emitter
from tests.faults.workers.histogram import Histogram
from tests.faults.workers.orders import Orders
from tests.faults.workers.pacing import steadily
from tierlens.journal import Journal

_LOOK_S = 0.5
_SPANS_AN_INVOCATION = 25


def soak(orders: Orders, threads: int, per_s: float, seconds: float) -> None:
    """Append at a steady pace in all threads together; tell of memory as it goes, and of the appends at the end."""
    journal, receipts, took = Journal(orders.journal, resource=RESOURCE), orders.receipts(), Histogram()
    emitters = [
        Emitter.under(orders, journal, took_us=took, spans_a_trace=_SPANS_AN_INVOCATION) for _ in range(threads)
    ]
    pace = {"per_s": per_s / threads, "seconds": seconds, "at_once": _SPANS_AN_INVOCATION}
    work = [threading.Thread(target=steadily, args=(emitter,), kwargs=pace) for emitter in emitters]
    process, began = psutil.Process(), time.monotonic()
    for thread in work:
        thread.start()
        # Invocations that begin in the same instant for two hours would be a rhythm of ours, not of agents.
        time.sleep(_SPANS_AN_INVOCATION / per_s)
    while any(thread.is_alive() for thread in work):
        receipts.note("memory", mb=process.memory_info().rss / 1e6, at=time.monotonic() - began)
        time.sleep(_LOOK_S)
    refused = sum(sum(emitter.refused.values()) for emitter in emitters)
    receipts.note("soaked", p50_us=took.percentile(50), p99_us=took.percentile(99), count=took.count, refused=refused)
    journal.close()
