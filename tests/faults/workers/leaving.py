"""A host that records and comes to its end: python -m tests.faults.workers.leaving ORDERS CALLS SHIPPER

The last thing it does before its end is to say when that was.
"""

from __future__ import annotations

import sys
import time

from tests.faults.workers.orders import Orders
from tests.faults.workers.recording import Recording


def main(orders: Orders, calls: int, shipper: str) -> None:
    recording = Recording(orders, shipper=shipper)
    for number in range(calls):
        recording.call(f"call {number}")
    recording.receipts.note("ends", at=time.monotonic())


if __name__ == "__main__":
    main(Orders.from_json(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
