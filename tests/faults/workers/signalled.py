"""Hosts that are told to end by a signal."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

from tests.faults.workers.orders import Orders
from tests.faults.workers.recording import Recording

OWN_EXIT = 7
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGPIPE)


def told_to_end(orders: Orders, calls: int, handles: bool) -> None:
    """Record, and wait for SIGTERM: with a handler of the host's own, or without."""
    if handles:
        signal.signal(signal.SIGTERM, _own)
    before = [signal.getsignal(number) for number in _SIGNALS]
    recording = Recording(orders)
    for number in range(calls):
        recording.call(f"call {number}")
    after = [signal.getsignal(number) for number in _SIGNALS]
    recording.receipts.note("recorded", pid=os.getpid(), untouched=before == after)
    while True:
        threading.Event().wait(1.0)


def _own(number: int, frame: FrameType | None) -> None:
    os._exit(OWN_EXIT)
