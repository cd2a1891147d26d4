"""Behind the disk: read the journal, send, acknowledge last."""

from __future__ import annotations

from typing import Protocol

from tierlens.shipping.external import ExternalShipping
from tierlens.shipping.limits import Limits
from tierlens.shipping.process import ShippingProcess
from tierlens.shipping.report import FlushReport
from tierlens.shipping.run import RunReport, run_forever, run_once
from tierlens.shipping.shipper import Shipper
from tierlens.shipping.thread import ShippingThread

__all__ = [
    "ExternalShipping",
    "FlushReport",
    "Limits",
    "RunReport",
    "Shipper",
    "Shipping",
    "ShippingProcess",
    "ShippingThread",
    "run_forever",
    "run_once",
]


class Shipping(Protocol):
    """Sees to it that a journal is delivered: by a thread, by a process, or by nobody here."""

    def start(self) -> None: ...

    def flush(self, timeout_s: float) -> FlushReport: ...

    def close(self, timeout_s: float = 5.0) -> FlushReport: ...
