"""A process that writes and ships, and dies before a given call that changes the disk."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable
from typing import Any, Final

from tests.faults.workers.emitting import RESOURCE, Emitter
from tests.faults.workers.orders import Orders
from tierlens.journal import Journal
from tierlens.shipping.hosts.run import run_once
from tierlens.shipping.shipper import Shipper
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.spans import Artifact, Routing

_OF_OS: Final = ("open", "write", "fsync", "close", "replace", "rename", "unlink", "mkdir", "truncate", "utime")
_SEGMENT: Final = 4_000
_QUIET_S: Final = 0.2
_TOO_LONG_FOR_MLFLOW: Final = "s" * 400


class Crash:
    """Counts the calls of this process that change the disk, and kills it before one of them.

    Args:
        at: the call, from 1 on; 0 for none.
        torn: where the call is a write, half of it is written first.
        unless: a descriptor whose writes are not counted.
    """

    def __init__(self, at: int, torn: bool, unless: int) -> None:
        self._at, self._torn, self._unless = at, torn, unless
        self.steps = 0

    def install(self) -> None:
        """From now on; for the life of this process, which is all there is of it."""
        for name in _OF_OS:
            setattr(os, name, self._counted(getattr(os, name), name))
        fcntl.flock = self._counted(fcntl.flock, "flock")

    def _counted(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            if name == "write" and arguments[0] == self._unless:
                return call(*arguments)
            self.steps += 1
            if self.steps == self._at:
                if name == "write" and self._torn:
                    call(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return counted


def write_and_ship(orders: Orders, at: int, torn: bool) -> None:
    """All that journal and shipper do to the disk: segments, blobs, a start record, a cursor, a dead letter, a
    writer's end."""
    receipts, sink = orders.receipts(), MlflowHttpSink(orders.uri)
    crash = Crash(at, torn, receipts.fileno())
    crash.install()
    journal = Journal(orders.journal, resource=RESOURCE, segment_bytes=_SEGMENT)
    emitter = Emitter(journal, receipts, orders.experiment, spans_a_trace=4, metrics={"confidence": 0.5, "good": True})
    shipper = Shipper(orders.journal, sink)
    emitter.emit_trace()
    _ship(shipper)
    emitter.open_span()
    emitter.end_open_spans()
    _append_with_a_file(orders, journal, emitter)
    receipts.note("poison", span=_append_poison(journal, emitter), journal=str(orders.journal))
    _ship(shipper)
    emitter.emit_trace()
    journal.close()
    _ship(shipper, looks=3)
    shipper.close()
    receipts.note("steps", steps=crash.steps)


def _ship(shipper: Shipper, looks: int = 1) -> None:
    for _ in range(looks):
        shipper.look()
        while not shipper.drained:
            shipper.step()


def _append_with_a_file(orders: Orders, journal: Journal, emitter: Emitter) -> None:
    span, _ = emitter.next()
    content = span.span_id.encode()
    file = Artifact("note.txt", journal.store_blob(content), len(content), "text/plain")
    emitter.append(span, Routing(orders.experiment, artifacts=(file,)))


def _append_poison(journal: Journal, emitter: Emitter) -> str:
    """A span that MLflow refuses for good; its id."""
    span, routing = emitter.next()
    poison = span._replace(attributes={**span.attributes, "session.id": _TOO_LONG_FOR_MLFLOW})
    journal.append(poison, routing)
    return poison.span_id


def recover(orders: Orders, at: int) -> None:
    """What a fresh shipper does with what is left; it dies too, if told to."""
    receipts, sink = orders.receipts(), MlflowHttpSink(orders.uri)
    crash = Crash(at, False, receipts.fileno())
    crash.install()
    report = run_once(orders.journal, sink, patience_s=20)
    if not at:
        left = [path.name for path in orders.journal.glob("*.*") if path.name != "shipper.lock"]
        receipts.note("recovered", drained=report.drained, left=len(left), names=left[:3])
