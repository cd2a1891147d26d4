"""An agent with many threads that records for hours."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial

import psutil

from tests.faults.workers.emitting import RESOURCE, Emitter
from tests.faults.workers.histogram import Both, Histogram
from tests.faults.workers.orders import Orders
from tests.faults.workers.pacing import steadily
from tierlens.journal import Journal

_LOOK_S = 0.5
_SPANS_AN_INVOCATION = 25
_LINE = b"x" * 1_000


def soak(orders: Orders, threads: int, per_s: float, seconds: float) -> None:
    """Record invocations at a steady pace in all threads together; tell of memory as it goes, and of the appends at the
    end."""
    journal, receipts = Journal(orders.journal, resource=RESOURCE), orders.receipts()
    spans, starts, every = Histogram(), Histogram(), Histogram()
    emitters = [
        Emitter.under(orders, journal, took_us=Both(spans, every), spans_a_trace=_SPANS_AN_INVOCATION)
        for _ in range(threads)
    ]
    work = _begun([partial(emitter.emit_invocation, Both(starts, every)) for emitter in emitters], per_s, seconds)
    process, began = psutil.Process(), time.monotonic()
    while any(thread.is_alive() for thread in work):
        receipts.note("memory", mb=process.memory_info().rss / 1e6, at=time.monotonic() - began)
        time.sleep(_LOOK_S)
    refused = sum(sum(emitter.refused.values()) for emitter in emitters)
    receipts.note("soaked", refused=refused, every=_told(every), spans=_told(spans), starts=_told(starts))
    journal.close()


def bare(orders: Orders, threads: int, per_s: float, seconds: float) -> None:
    """At the same pace, write as many lines of as many bytes, which nobody has encoded, to a file: what the machine
    takes of it."""
    took = Histogram()
    with tempfile.TemporaryFile(dir=orders.journal.parent, buffering=0) as file:
        for thread in _begun([partial(_write, file.fileno(), took)] * threads, per_s, seconds):
            thread.join()
    orders.receipts().note("bare", **_told(took))


def _begun(calls: list[Callable[[], None]], per_s: float, seconds: float) -> list[threading.Thread]:
    threads = []
    for call in calls:
        every_s = _SPANS_AN_INVOCATION * len(calls) / per_s
        threads.append(threading.Thread(target=steadily, args=(call, every_s, seconds)))
        threads[-1].start()
        # Invocations that begin in the same instant for two hours would be a rhythm of ours, not of agents.
        time.sleep(_SPANS_AN_INVOCATION / per_s)
    return threads


def _write(descriptor: int, took: Histogram) -> None:
    for _ in range(_SPANS_AN_INVOCATION):
        began = time.perf_counter_ns()
        os.write(descriptor, _LINE)
        took.append((time.perf_counter_ns() - began) / 1e3)


def _told(took: Histogram) -> dict[str, float]:
    return {"p50_us": took.percentile(50), "p99_us": took.percentile(99), "count": took.count}
