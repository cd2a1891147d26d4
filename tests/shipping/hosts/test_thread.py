"""Shipping beside the agent: soon, without holding anything up, and once only."""

from __future__ import annotations

import importlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journal.processes import eventually, start
from tests.shipping.harness import append_trace
from tierlens.errors import DeliveryError, Unavailable
from tierlens.journal import Journal
from tierlens.journal.lock import FileLock, is_orphan
from tierlens.journal.segment import SHIPPER_LOCK
from tierlens.shipping.hosts.run import run_once
from tierlens.shipping.hosts.thread import ShippingThread
from tierlens.testing.sinks import FlakySink, MemorySink


class Beside:
    """A journal with a thread that ships it."""

    def __init__(self, directory: Path, rule: Callable[[object], DeliveryError | None] = lambda request: None) -> None:
        self.memory = MemorySink()
        self.sink = FlakySink(self.memory, rule=rule)
        self.journal = Journal(directory, resource={"service.name": "app"})
        self.shipping = ShippingThread(self.journal, lambda: self.sink)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def beside(directory: Path) -> Iterator[Beside]:
    made = Beside(directory)
    yield made
    made.shipping.close()
    made.journal.close()


def shipping_threads() -> int:
    return sum(thread.name == "tierlens-shipping" for thread in threading.enumerate())


def test_there_is_no_thread_before_the_first_span(beside: Beside) -> None:
    before = shipping_threads()
    append_trace(beside.journal, 1)

    assert shipping_threads() == before + 1


def test_spans_arrive_by_themselves(beside: Beside) -> None:
    append_trace(beside.journal, 1)

    eventually(lambda: len(beside.memory.spans) == 3)


def test_a_flush_does_not_wait_for_roots(beside: Beside) -> None:
    append_trace(beside.journal, 1, root=False)

    report = beside.shipping.flush(5.0)

    assert (report.accepted, report.stored, report.pending) == (2, 2, 0)


def test_many_segments_arrive_in_one_flush(directory: Path) -> None:
    memory = MemorySink()
    journal = Journal(directory, resource={}, segment_bytes=3_000)
    shipping = ShippingThread(journal, lambda: memory)
    for trace in range(1, 300):
        append_trace(journal, trace)

    report = shipping.flush(10.0)

    assert (report.stored, report.pending) == (897, 0)
    # What is acknowledged is removed a moment later.
    eventually(lambda: len(list(directory.glob("*.jsonl"))) == 1)
    shipping.close()
    journal.close()


def test_an_exit_is_not_delayed_by_a_sink_that_is_down_and_loses_nothing(directory: Path) -> None:
    beside = Beside(directory, rule=lambda request: Unavailable("connection refused"))
    append_trace(beside.journal, 1)
    before = time.monotonic()

    report = beside.shipping.close()
    beside.journal.close()

    assert time.monotonic() - before <= 0.5
    assert report.pending == 3
    later = MemorySink()
    assert run_once(directory, later).drained
    assert len(later.spans) == 3


def test_an_exit_is_not_delayed_by_a_sink_that_does_not_answer(directory: Path) -> None:
    answer = threading.Event()

    def silent(request: object) -> None:
        answer.wait(30)

    beside = Beside(directory, rule=silent)
    append_trace(beside.journal, 1)
    before = time.monotonic()

    beside.shipping.close()

    assert time.monotonic() - before <= 0.8
    answer.set()
    beside.journal.close()


def test_an_exit_delivers_what_is_left_while_the_sink_takes_it(directory: Path) -> None:
    def slow(request: object) -> None:
        time.sleep(0.1)

    beside = Beside(directory, rule=slow)
    for trace in range(1, 100):
        append_trace(beside.journal, trace)

    report = beside.shipping.close(timeout_s=5.0)
    beside.journal.close()

    assert (report.stored, report.pending) == (297, 0)
    assert not shipping_threads()


def test_a_slow_sink_does_not_slow_the_agent(directory: Path) -> None:
    asked, answer = threading.Event(), threading.Event()

    def waiting(request: object) -> None:
        asked.set()
        answer.wait(10)

    beside = Beside(directory, rule=waiting)
    append_trace(beside.journal, 1)
    assert asked.wait(5)
    before = time.perf_counter()
    for trace in range(2, 200):
        append_trace(beside.journal, trace)

    assert (time.perf_counter() - before) / 600 < 0.001
    answer.set()
    beside.shipping.close()
    beside.journal.close()


def test_a_forked_child_ships_once_its_parent_does_not(directory: Path) -> None:
    beside = Beside(directory)
    append_trace(beside.journal, 1)
    assert beside.shipping.flush(5.0).pending == 0

    def child(say: Callable[[int], None]) -> None:
        for trace in range(2, 30):
            say(sum(append_trace(beside.journal, trace)))
        assert beside.shipping.flush(5.0).pending == 0
        say(1)

    said = start(child).wait()

    assert said[-1] == 1
    eventually(lambda: len(beside.memory.spans) == 87)
    beside.shipping.close()
    beside.journal.close()


def test_a_child_forked_while_the_sink_is_imported_can_ship(directory: Path) -> None:
    opens, memory = threading.Event(), MemorySink()

    def open_sink() -> MemorySink:
        opens.set()
        importlib.import_module("tests.shipping.slowly_imported")
        return memory

    journal = Journal(directory, resource={})
    shipping = ShippingThread(journal, open_sink)

    def child(say: Callable[[int], None]) -> None:
        eventually(lambda: is_orphan(directory / SHIPPER_LOCK))
        append_trace(journal, 2)
        eventually(lambda: f"{2_000:016x}" in memory.spans)
        say(1)

    append_trace(journal, 1)
    assert opens.wait(5)
    forked = start(child)
    shipping.close(timeout_s=0)

    assert forked.wait() == [1]
    journal.close()


def test_a_second_shipper_stands_by_and_takes_over(beside: Beside, directory: Path) -> None:
    directory.mkdir()
    other = FileLock(directory / SHIPPER_LOCK)
    other.acquire()
    append_trace(beside.journal, 1)
    assert beside.shipping.flush(0.3).pending == 3
    before = time.monotonic()
    assert not beside.memory.spans

    other.release()

    eventually(lambda: len(beside.memory.spans) == 3, seconds=5)
    assert time.monotonic() - before < 3


def test_a_thread_whose_folder_was_deleted_holds_the_lock_of_the_next(beside: Beside, directory: Path) -> None:
    append_trace(beside.journal, 1)
    eventually(lambda: len(beside.memory.spans) == 3, seconds=5)

    # At once, or what the thread writes meanwhile keeps the folder from being empty.
    shutil.rmtree(directory.rename(directory.with_name("deleted")))

    def stored_again() -> bool:
        append_trace(beside.journal, 2)
        return len(beside.memory.spans) == 6

    eventually(stored_again, seconds=10)
    assert not is_orphan(directory / SHIPPER_LOCK)


def test_an_exit_does_not_wait_for_another_processs_shipper(directory: Path) -> None:
    directory.mkdir()
    other = FileLock(directory / SHIPPER_LOCK)
    other.acquire()
    beside = Beside(directory)
    append_trace(beside.journal, 1)
    eventually(lambda: beside.shipping.standby)
    before = time.monotonic()

    beside.shipping.close()

    assert time.monotonic() - before < 0.5
    beside.journal.close()
    other.release()


def test_a_sink_that_cannot_be_opened_is_opened_later(directory: Path) -> None:
    memory = MemorySink()
    tries: list[int] = []

    def opening() -> MemorySink:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no route")
        return memory

    journal = Journal(directory, resource={})
    shipping = ShippingThread(journal, opening)
    append_trace(journal, 1)

    assert shipping.flush(10.0).pending == 0
    assert len(memory.spans) == 3
    shipping.close()
    journal.close()


def test_nobody_is_asked_after_close(beside: Beside) -> None:
    append_trace(beside.journal, 1)
    beside.shipping.close()
    asked = len(beside.sink.requests)

    append_trace(beside.journal, 2)
    beside.shipping.start()

    assert not shipping_threads()
    assert len(beside.sink.requests) == asked
