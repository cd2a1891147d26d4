"""A shipping process whose sink is a file: python -m tests.shipping.sidecar JOURNAL FILE"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import orjson

from tierlens.shipping import run_forever
from tierlens.sinks.base import Batch, Finish


class FileSink:
    """Writes down the number of each span it takes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, batch: Batch) -> None:
        with self._path.open("a") as file:
            for payload in batch.spans:
                file.write(f"{int(orjson.loads(payload)['spanId'], 16)}\n")

    def finish(self, finish: Finish) -> None:
        """Metrics are not looked at."""

    def close(self) -> None:
        """Nothing to close."""


if __name__ == "__main__":
    run_forever(Path(sys.argv[1]), FileSink(Path(sys.argv[2])), threading.Event(), alone_s=30.0)
