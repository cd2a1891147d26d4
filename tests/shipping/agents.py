"""Agents whose journal a child process ships, and an MLflow that takes what arrives."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tierlens.journal import Journal
from tierlens.journal.lock import is_orphan
from tierlens.journal.segment import SHIPPER_LOCK
from tierlens.shipping.handover import state
from tierlens.shipping.hosts.process import ShippingProcess
from tierlens.shipping.hosts.spawn import beginnings
from tierlens.shipping.hosts.thread import ShippingThread
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.testing.mlflow_stub import MlflowStub

REPOSITORY = Path(__file__).parents[2]
SLOW_START_S = 30.0
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Agent:
    """A process's journal, and who ships it."""

    journal: Journal
    shipping: ShippingProcess

    def end(self) -> None:
        self.shipping.close()
        self.journal.close()


def agent(directory: Path, uri: str, executable: str | None = None, **variables: str) -> Agent:
    """One whose settings say ``uri``, as its Lens would make it."""
    journal = Journal(directory, resource={"service.name": "app"})
    begin = beginnings({**os.environ, "MLFLOW_TRACKING_URI": uri, **variables})

    def in_thread() -> ShippingThread:
        return ShippingThread(journal, lambda: MlflowHttpSink(uri))

    return Agent(journal, ShippingProcess(journal, begin, in_thread, executable=executable))


def shipper(directory: Path) -> int | None:
    """The process that ships."""
    said = state(directory)
    return said.pid if said is not None and not is_orphan(directory / SHIPPER_LOCK) else None


def shipper_ended(directory: Path) -> Callable[[], bool]:
    return lambda: is_orphan(directory / SHIPPER_LOCK)


def numbers(stub: MlflowStub) -> set[int]:
    """Of the spans that arrived."""
    return {int(span_id, 16) for span_id in list(stub.spans)}


@contextmanager
def no_shipper_left(directory: Path) -> Iterator[None]:
    """Nobody ships from the directory any more afterwards, whatever happened."""
    try:
        yield
    finally:
        until = time.monotonic() + SLOW_START_S
        while not (directory.exists() and is_orphan(directory / SHIPPER_LOCK)) and time.monotonic() < until:
            if not directory.exists():
                break
            if (pid := shipper(directory)) is not None:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
