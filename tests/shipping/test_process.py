"""Shipping from a child process that outlives its parent for as long as it has to."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journal.processes import eventually, start
from tests.journal.spans import ROUTING, span
from tests.shipping.harness import append_trace
from tierlens.journal import Journal
from tierlens.journal.lock import is_orphan
from tierlens.journal.segment import SHIPPER_LOCK
from tierlens.shipping import ShippingProcess
from tierlens.shipping.process import ship_command

REPOSITORY = Path(__file__).parents[2]
SLOW_START_S = 30.0


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    return tmp_path / "taken"


def beside(directory: Path, taken: Path) -> tuple[Journal, ShippingProcess]:
    journal = Journal(directory, resource={})
    command = [sys.executable, "-m", "tests.shipping.sidecar", str(directory), str(taken)]
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    return journal, ShippingProcess(journal, command=command, environment=os.environ | {"PYTHONPATH": paths})


def numbers(taken: Path) -> set[int]:
    return {int(line) for line in taken.read_text().split()} if taken.exists() else set()


def shipper_ended(directory: Path) -> Callable[[], bool]:
    return lambda: is_orphan(directory / SHIPPER_LOCK)


def test_a_child_process_delivers_and_ends_once_its_parent_has(directory: Path, taken: Path) -> None:
    journal, shipping = beside(directory, taken)
    append_trace(journal, 1)

    assert shipping.flush(SLOW_START_S).pending == 0
    append_trace(journal, 2)
    shipping.close()
    journal.close()

    eventually(lambda: len(numbers(taken)) == 6, seconds=SLOW_START_S)
    eventually(shipper_ended(directory), seconds=SLOW_START_S)
    assert list(directory.glob("*.jsonl")) == []


def test_a_killed_parents_spans_are_delivered(directory: Path, taken: Path) -> None:
    def parent(say: Callable[[int], None]) -> None:
        journal, shipping = beside(directory, taken)
        append_trace(journal, 1)
        shipping.flush(SLOW_START_S)
        append_trace(journal, 2)
        journal.append_start(span(5, end_ns=0), ROUTING)
        say(1)
        threading.Event().wait(60)

    worker = start(parent)
    worker.hear(1)
    worker.kill()

    eventually(lambda: len(numbers(taken)) == 7, seconds=SLOW_START_S)
    eventually(shipper_ended(directory), seconds=SLOW_START_S)


def test_a_child_process_that_dies_is_replaced(directory: Path, taken: Path) -> None:
    journal, shipping = beside(directory, taken)
    append_trace(journal, 1)
    assert shipping.flush(SLOW_START_S).pending == 0
    first = shipping.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    append_trace(journal, 2)

    assert shipping.flush(SLOW_START_S).pending == 0

    assert shipping.pid != first
    shipping.close()
    journal.close()
    eventually(shipper_ended(directory), seconds=SLOW_START_S)


def test_the_command_is_the_products_own(directory: Path) -> None:
    assert ship_command(directory)[1:4] == ["-m", "tierlens", "ship"]


def test_no_child_process_is_started_where_there_is_nothing_to_ship(directory: Path, taken: Path) -> None:
    journal, shipping = beside(directory, taken)
    shipping.start()

    assert shipping.flush(1.0).pending == 0
    assert shipping.pid is None
    shipping.close()
    journal.close()
