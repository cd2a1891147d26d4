"""Behind the disk: read the journal, send, acknowledge last.

A line's way, in the order in which it passes:

    feed, intake, died   one writer's lines, and all writers'; what a dead process left open
    lull, supply   when to read on, and how much
    entry   lines, gathered into traces
    finishes, runs   metrics and files, and what runs are to know, held until the spans are stored
    parcel, outbox, sieve   what goes into one request, which is next, and what was erased from it
    delivery, retry   one request, and what follows from its answer
    deadletter, letters   spans that were refused on their own, and when they are tried again
    taken, audit, keeping, rootless   whether the sink holds what it took, asked a moment later
    blobrest   artifacts' bytes after their delivery

Around it:

    shipper   all of that, a step at a time
    hosts, handover, configured   who runs a shipper, and what those say to each other
    tally, metrics, vitals   figures for metrics
    alarm, clock, health, limits, report   a person is told, time, how it goes, numbers, what a flush came to

Importing the package imports nothing that ships: an agent whose child does it needs none of that.
"""

from __future__ import annotations

from typing import Protocol

from tierlens.shipping.report import FlushReport

__all__ = ["FlushReport", "Shipping"]


class Shipping(Protocol):
    """Sees to it that a journal is delivered: by a thread, by a process, or by nobody here."""

    def start(self) -> None: ...

    def flush(self, timeout_s: float) -> FlushReport: ...

    def close(self, timeout_s: float = 5.0) -> FlushReport: ...
