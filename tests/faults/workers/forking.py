"""Processes that fork while they record."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable

from tests.faults.workers.orders import Orders
from tests.faults.workers.recording import Recording
from tierlens.journal.segment import writers

_AT_ONCE = 4


def parent_of_a_survivor(orders: Orders, calls: int, shipper: str, delay_s: float) -> None:
    """Record, fork a child that goes on recording, record a burst, and wait to be killed."""
    recording, parent = Recording(orders, shipper=shipper), os.getpid()
    recording.call("before the fork")
    time.sleep(delay_s)
    if os.fork() == 0:
        recording.receipts.note("survives", parent=parent, pid=os.getpid())
        while True:
            recording.call("from the child")
            time.sleep(0.05)
    for number in range(calls):
        recording.call(f"from the parent, {number}")
    recording.receipts.note("emitted", parent=parent)
    threading.Event().wait()


def parent_of_eight(orders: Orders, calls: int, shipper: str) -> None:
    """Fork eight children while a thread records; every other one closes its lens before its end."""
    recording = Recording(orders, shipper=shipper)
    stop = threading.Event()
    thread = threading.Thread(target=_record_until, args=(recording, stop))
    thread.start()
    children = [_forked(lambda closes=child % 2: _child(recording, calls, closes)) for child in range(8)]  # type: ignore[misc]
    began = time.monotonic()
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    stop.set()
    thread.join()
    recording.receipts.note("forked", codes=codes, took_s=time.monotonic() - began)
    recording.lens.flush(30)


def _record_until(recording: Recording, stop: threading.Event) -> None:
    while not stop.is_set():
        recording.call("from the parent's thread")
        time.sleep(0.005)


def _child(recording: Recording, calls: int, closes: bool) -> None:
    for number in range(calls):
        recording.call(f"from a child, {number}")
    own = [found.name for found in writers(recording.lens.settings.journal_dir) if f"-{os.getpid()}-" in found.name]
    recording.receipts.note("child", own_segments=len(own))
    if closes:
        recording.lens.close()


def _forked(work: Callable[[], None]) -> int:
    """A child that does its work and ends without any cleaning up; its pid."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def one_task_each(orders: Orders, tasks: int) -> None:
    """Have each task done by a child that multiprocessing forks, and that ends by ``os._exit`` after it."""
    recording = Recording(orders)
    recording.call("from the parent")
    fork = multiprocessing.get_context("fork")
    for first in range(0, tasks, _AT_ONCE):
        batch = range(first, min(first + _AT_ONCE, tasks))
        children = [fork.Process(target=recording.call, args=(f"task {task}",)) for task in batch]
        for child in children:
            child.start()
        for child in children:
            child.join()
    recording.receipts.note("done", tasks=tasks)
    recording.lens.flush(30)
