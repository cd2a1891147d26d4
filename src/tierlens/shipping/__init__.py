"""Behind the disk: read the journal, send, acknowledge last.

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
