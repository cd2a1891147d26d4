"""An agent whose appends are timed while it is told what to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from tests.faults.workers.emitting import RESOURCE, Emitter
from tests.faults.workers.orders import Orders
from tierlens.journal import Journal


def paced(orders: Orders, told: Connection, per_s: float) -> None:
    """For each number of seconds told: append at a steady pace for so long, and answer with what each took, in µs."""
    emitter = Emitter.under(orders, Journal(orders.journal, resource=RESOURCE))
    while seconds := told.recv():
        emitter.took_us = took_us = list[float]()
        steadily(emitter.emit, 1 / per_s, seconds, pause=_spin_until)
        told.send(took_us)


def _sleep_until(due: float) -> None:
    time.sleep(max(0.0, due - time.monotonic()))


def _spin_until(due: float) -> None:
    """A processor that slept would be slower the less else there is to do, which is not what is timed."""
    while time.monotonic() < due:
        pass


def steadily(
    work: Callable[[], object], every_s: float, seconds: float, pause: Callable[[float], None] = _sleep_until
) -> None:
    """Do the same at a steady pace: at once, and then after each pause."""
    due = time.monotonic()
    until = due + seconds
    while due < until:
        work()
        due += every_s
        pause(due)
