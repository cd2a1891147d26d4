"""Writers and a shipper on a machine whose wall clock is set by a day, forth and back."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Sequence
from typing import Final

import orjson

from tests.faults.workers.emitting import RESOURCE, Emitter
from tests.faults.workers.orders import Orders
from tierlens.journal import Journal
from tierlens.shipping.shipper import Shipper
from tierlens.sinks.base import Batch
from tierlens.sinks.mlflow_http import MlflowHttpSink

DAY_NS: Final = 86_400 * 10**9
_QUIET_S: Final = 1.5


class ShiftedClock:
    """The machine's clocks, the wall's set forth or back by ``shift_ns``."""

    def __init__(self) -> None:
        self.shift_ns = 0

    def monotonic(self) -> float:
        return time.monotonic()

    def time_ns(self) -> int:
        return time.time_ns() + self.shift_ns

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        return wake.wait(seconds)


class Ordering(MlflowHttpSink):
    """MLflow, and the order in which it was sent spans.

    Attributes:
        sent: span ids.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.sent: list[str] = []

    def send(self, batch: Batch) -> None:
        super().send(batch)
        self.sent += [orjson.loads(payload)["spanId"] for payload in batch.spans]


def shifted_by_a_day(orders: Orders, spans: int) -> None:
    """Begin a writer at each time of the wall clock, and have all append at each; tell what the shipper made of
    it."""
    clock, sink, receipts = ShiftedClock(), Ordering(orders.uri), orders.receipts()
    shipper = Shipper(orders.journal, sink, clock=clock)
    emitters: list[Emitter] = []
    order: list[list[str]] = []
    for clock.shift_ns in (0, DAY_NS, -DAY_NS, 0):
        journal = Journal(orders.journal, resource=RESOURCE, new_name=lambda: _writer_name(clock.time_ns()))
        emitters.append(Emitter.under(orders, journal, spans_a_trace=1, time_ns=clock.time_ns))
        order.append([])
        for emitter, appended in zip(emitters, order, strict=True):
            appended += [emitter.emit_trace().span_id for _ in range(spans)]
            emitter.open_span()
        _ship_for(shipper, _QUIET_S)
        receipts.note("shipped", living=shipper.living, writers=len(emitters))
    for emitter in emitters:
        emitter.close()
    _ship_for(shipper, 2 * _QUIET_S)
    _ship_until_drained(shipper)
    kept = sum(_is_in_order(appended, sink.sent) for appended in order)
    receipts.note("order", kept=kept, writers=len(emitters))
    shipper.close()


def _ship_for(shipper: Shipper, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if quiet := shipper.step():
            time.sleep(min(quiet, 0.05))


def _ship_until_drained(shipper: Shipper, patience_s: float = 60.0) -> None:
    until = time.monotonic() + patience_s
    while not shipper.drained and time.monotonic() < until:
        _ship_for(shipper, 0.05)


def _is_in_order(appended: Sequence[str], sent: Sequence[str]) -> bool:
    mine = set(appended)
    return [span for span in dict.fromkeys(sent) if span in mine] == list(appended)


def _writer_name(now_ns: int) -> str:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_ns // 10**9))
    return f"{stamp}-{os.getpid()}-{secrets.token_hex(4)}"
