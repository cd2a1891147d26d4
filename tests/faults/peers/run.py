"""The faults of other tracing clients, row by row.

    python -m tests.faults.peers FOLDER [--only 1,4] [--peer otel] [--jobs 3] [--json FILE]

FOLDER holds one environment a peer, named as it is: ``make faults-peers`` sets them up. Most of a row is waiting, so
that ``--jobs`` peers take their turns at once. Progress goes to stderr; the table and one JSON line to stdout.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.faults.backend import Backend, sqlite_backend
from tests.faults.peers import report
from tests.faults.peers.destinations import SPEECHES, Destination, RealMlflow, Received
from tests.faults.peers.report import PeerResult
from tests.faults.peers.rows import ROWS, PeerRow
from tests.faults.peers.scene import Peer, PeerScene
from tests.faults.run import say

PEERS: Final = ("mlflow", "otel", "langfuse", "langsmith", "opik")


class Run:
    """The rows of each peer, one after the other; MLflow's server is started for the first that wants it."""

    def __init__(self, rows: Sequence[PeerRow], folder: Path, stack: ExitStack) -> None:
        self._rows, self._folder, self._stack = rows, folder, stack
        self._backend: Backend | None = None
        self._lock = threading.Lock()

    def results(self, peer: Peer) -> list[PeerResult]:
        return [self._result(peer, row) for row in self._rows]

    def _result(self, peer: Peer, row: PeerRow) -> PeerResult:
        say(f"{peer.name}, row {row.key}: {row.fault}")
        scene = PeerScene(peer, row.key, self._folder / f"{peer.name}-{row.key}", self._destination(peer))
        try:
            with scene:
                finding, broke = row.run(scene), ""
        except Exception as error:  # one row's failure must not cost the others
            traceback.print_exc()
            say(scene.log())
            finding, broke = None, f"{type(error).__name__}: {error}"
        result = PeerResult(peer.name, scene.versions, row.key, row.fault, finding, broke)
        say(f"{peer.name}, row {row.key}: {result.in_words()}")
        return result

    def _destination(self, peer: Peer) -> Destination:
        if peer.name != "mlflow":
            return Received(SPEECHES[peer.name])
        with self._lock:
            if self._backend is None:
                self._backend = self._stack.enter_context(sqlite_backend(self._folder / "mlflow-server"))
            return RealMlflow(self._backend)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environments", type=Path, metavar="FOLDER", help="one environment a peer, by its name")
    parser.add_argument("--only", type=_numbers, default=None, metavar="1,4", help="these rows")
    parser.add_argument("--peer", choices=PEERS, action="append", help="this peer; again for more")
    parser.add_argument("--jobs", type=int, default=3, help="peers at the same time")
    parser.add_argument("--json", type=Path, help="write the JSON there too")
    given = parser.parse_args()
    rows = [row for row in ROWS if not given.only or row.number in given.only]
    peers = [Peer(name, given.environments.absolute() / name / "bin" / "python") for name in given.peer or PEERS]
    if missing := [str(peer.python) for peer in peers if not peer.python.exists()]:
        parser.error(f"no environment at {', '.join(missing)}: make faults-peers sets them up")
    with tempfile.TemporaryDirectory(prefix="tierlens-faults-") as folder, ExitStack() as stack:
        run = Run(rows, Path(folder), stack)
        with ThreadPoolExecutor(given.jobs) as slots:
            found = [result for of_one in slots.map(run.results, peers) for result in of_one]
    report.show(found)
    line = json.dumps(report.as_json(found))
    print(line)
    if given.json:
        given.json.write_text(line + "\n")
    return int(any(result.finding is None for result in found))


def _numbers(text: str) -> frozenset[int]:
    return frozenset(int(number) for number in text.split(","))
