"""Processes that fork while they record."""

from __future__ import annotations

import os
import threading
import time

from tests.faults.workers.orders import Orders
from tests.faults.workers.recording import Recording


def parent_of_a_survivor(orders: Orders, calls: int) -> None:
    """Fork a child that goes on recording, record a burst, and wait to be killed."""
    recording = Recording(orders, shipper="thread")
    if os.fork() == 0:
        recording.receipts.note("survives", pid=os.getpid())
        while True:
            recording.call("from the child")
            time.sleep(0.05)
    for number in range(calls):
        recording.call(f"from the parent, {number}")
    recording.receipts.note("emitted", pid=os.getpid())
    threading.Event().wait()
