"""Processes whose disk is too small.

As a program it runs where it may mount: unshare -m python -m tests.faults.workers.cramped ORDERS
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import tierlens
from tests.faults.workers.emitting import RESOURCE, Emitter
from tests.faults.workers.orders import Orders
from tests.faults.workers.recording import answer
from tests.journal.reading import read
from tierlens.journal import Journal

DISK = "8m"
CALLS = 200
REFUSALS = 1_000
_BALLAST = 1 << 20
_SIZE = 2_000


def on_a_full_disk(orders: Orders) -> None:
    """Fill a small disk while nothing can be delivered, ask for more, and go on once there is room.

    Then append one span for each line of standard input, until that ends.
    """
    small, receipts = orders.journal.parent / "small", orders.receipts()
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(small)], check=True)
    (small / "ballast").write_bytes(bytes(_BALLAST))
    orders = replace(orders, journal=small / "journal")
    journal = Journal(orders.journal, resource=RESOURCE, segment_bytes=1 << 20)
    emitter = Emitter.under(orders, journal, size=_SIZE)
    ship = subprocess.Popen([sys.executable, "-m", "tierlens", "ship", "--journal-dir", str(orders.journal)])
    while sum(emitter.refused.values()) < REFUSALS:
        emitter.emit()
    receipts.note("full", reasons=list(emitter.refused))
    _call_as_a_host(replace(orders, journal=small / "host"))
    (small / "ballast").unlink()
    receipts.note("room", after_s=_until_accepted(emitter))
    emitter.emit(50)
    _tell_of_losses(orders, journal)
    for _ in sys.stdin:
        emitter.emit_trace()
    ship.kill()
    ship.wait()


def _call_as_a_host(orders: Orders) -> None:
    """Calls of a host that records on the full disk: whatever became of their spans, they return what they
    would."""
    lens = tierlens.init(
        tracking_uri=orders.uri,
        journal_dir=orders.journal,
        config_dir=Path.cwd(),
        mlflow_experiment=f"host/{orders.experiment}",
        shipper="external",
    )
    good = sum(answer(f"call {number}") == {"answer": f"found: call {number}"} for number in range(CALLS))
    orders.receipts().note("host", good=good, refused=sum(lens.flush(0).refused.values()))


def _until_accepted(emitter: Emitter) -> float:
    """Seconds until an append is accepted."""
    began, refused = time.monotonic(), sum(emitter.refused.values())
    while True:
        emitter.emit()
        if sum(emitter.refused.values()) == refused:
            return time.monotonic() - began
        refused += 1
        time.sleep(0.02)


def _tell_of_losses(orders: Orders, journal: Journal) -> None:
    found, _ = read(orders.journal)
    marked = sum(sum(line.refused.values()) for line in found if line.refused)
    orders.receipts().note("losses", marked=marked, counted=sum(journal.counts().refused.values()))


def with_short_files(orders: Orders, count: int) -> None:
    """Append more than the kernel lets one file hold."""
    journal = Journal(orders.journal, resource=RESOURCE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, 256 << 10))
    emitter = Emitter.under(orders, journal, size=_SIZE)
    emitter.emit(count)
    journal.close()
    orders.receipts().note("short files", refused=sum(emitter.refused.values()))


def within_a_quota(orders: Orders, quota_bytes: int, segment_bytes: int, refusals: int) -> None:
    """Append until so many spans were refused, and tell how many."""
    journal = Journal(orders.journal, resource=RESOURCE, quota_bytes=quota_bytes, segment_bytes=segment_bytes)
    emitter = Emitter.under(orders, journal, size=_SIZE)
    while sum(emitter.refused.values()) < refusals:
        emitter.emit()
    counted = dict(journal.counts().refused)
    journal.close()
    orders.receipts().note("quota reached", refused=emitter.refused, counted=counted, pid=os.getpid())


if __name__ == "__main__":
    on_a_full_disk(Orders.from_json(sys.argv[1]))
