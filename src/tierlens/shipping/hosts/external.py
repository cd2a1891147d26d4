"""Shipping left to somebody else: a sidecar, a job, a person."""

from __future__ import annotations

from tierlens.journal.writer import Journal
from tierlens.shipping import handover
from tierlens.shipping.clock import Clock, SystemClock
from tierlens.shipping.hosts.flush import flush, report
from tierlens.shipping.report import FlushReport


class ExternalShipping:
    """Starts nothing; ``tierlens ship`` delivers, and its cursor says how far it has come."""

    def __init__(self, journal: Journal, *, clock: Clock | None = None) -> None:
        self._journal, self._clock = journal, clock or SystemClock()

    def start(self) -> None:
        """Nothing to start."""

    def flush(self, timeout_s: float) -> FlushReport:
        """Wait until somebody has delivered what was accepted so far, but never longer than ``timeout_s``."""
        if self._journal.writer:
            handover.want_flush(self._journal.directory)
        return flush(self._journal, timeout_s, self._clock)

    def close(self, timeout_s: float = 5.0) -> FlushReport:
        """Nothing to end, and nobody to wait for."""
        return report(self._journal)
