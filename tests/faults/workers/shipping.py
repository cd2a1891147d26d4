"""A shipping process whose clock is injected."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event

import psutil

from tests.faults.receipts import Receipts
from tests.faults.workers.clocks import HurriedClock
from tests.faults.workers.orders import Orders
from tierlens.shipping.hosts.run import run_forever
from tierlens.sinks.credentials import Credentials
from tierlens.sinks.mlflow_http import MlflowHttpSink

_LOOK_S = 0.2


class Telling(logging.Handler):
    """Says each alarm to the parent, with the injected time."""

    def __init__(self, receipts: Receipts, clock: HurriedClock) -> None:
        super().__init__(logging.WARNING)
        self._receipts, self._clock = receipts, clock

    def emit(self, record: logging.LogRecord) -> None:
        self._receipts.note("alarm", at=self._clock.monotonic(), text=record.getMessage()[:500])


def ship(orders: Orders, hurried: Event, speed: float, token: str = "") -> None:
    """Ship for ever, by a clock that runs ``speed`` times as fast while ``hurried`` is set; tell of memory."""
    receipts, clock, stop = orders.receipts(), HurriedClock(speed, hurried), threading.Event()
    logging.getLogger("tierlens").addHandler(Telling(receipts, clock))
    sink = MlflowHttpSink(orders.uri, credentials=Credentials(token=token))
    receipts.note("ships", pid=os.getpid(), at=clock.monotonic())
    threading.Thread(target=_tell_of_memory, args=(receipts, clock.monotonic), daemon=True).start()
    run_forever(orders.journal, sink, stop, clock=clock)


def _tell_of_memory(receipts: Receipts, monotonic: Callable[[], float]) -> None:
    process = psutil.Process()
    while True:
        receipts.note("memory", mb=process.memory_info().rss / 1e6, at=monotonic())
        time.sleep(_LOOK_S)
