"""What a row plays on: a journal, a ledger, workers, a sidecar, and a real server behind it all."""

from __future__ import annotations

import math
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

from tests.faults.backend import Backend
from tests.faults.gate import Gate, Rule, fine
from tests.faults.nursery import Worker
from tests.faults.receipts import Ledger, Receipts
from tests.faults.verdict import Comparison, compare
from tests.faults.workers.emitting import RESOURCE, Emitter
from tests.faults.workers.orders import Orders
from tierlens.journal import Journal

ROOT: Final = Path(__file__).parents[2]
_FRESH_S: Final = 30.0
_FOREIGN: Final = ("MLFLOW_", "TIERLENS_", "OTEL_", "PYTEST_")


@dataclass(frozen=True, slots=True)
class Form:
    """Short or full; and how many seconds the hour of row 10 takes, 0 for as many as the form says."""

    full: bool = False
    hour_s: int = 0


class Scene:
    """One row's stage; everything started on it has ended when it is left.

    Attributes:
        full: the long form is wanted.
        hour_s: how long row 10's hour is to take; 0 for as long as its form says.
        ledger: what workers said.
        workers: all that were started.
        experiment: where their spans go; a name no other row's begins with.
    """

    def __init__(self, number: int, folder: Path, backend: Backend, say: Callable[[str], None], form: Form) -> None:
        self.folder, self.backend, self.say = folder, backend, say
        self.full, self.hour_s = form.full, form.hour_s
        self.journal = folder / "journal"
        self.experiment = f"faults/{number:02}-{secrets.token_hex(4)}"
        self._stack = ExitStack()
        self.workers: list[Worker] = []

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ledger = self._stack.enter_context(Ledger(self.folder / "receipts"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()
        self._stack.close()
        self._end_left_behind()

    def short_or_full(self, short: int, full: int) -> int:
        """A count, by the form that is wanted."""
        return full if self.full else short

    def orders(self, uri: str | None = None, journal: Path | None = None) -> Orders:
        """Orders for a worker; by default on the scene's journal and for its server."""
        return Orders(self.ledger.pipe, journal or self.journal, self.experiment, uri or self.backend.uri)

    def start(self, work: Callable[..., None], *arguments: Any, orders: Orders | None = None, **named: Any) -> Worker:
        """A worker that ends with the scene."""
        return self._ending(Worker.started(self._log, work, orders or self.orders(), *arguments, **named))

    def start_cold(self, work: Callable[..., None], *arguments: Any, orders: Orders | None = None) -> Worker:
        """The same in an interpreter of its own, where everything is still to be imported."""
        return self._ending(Worker.cold(self._log, work, orders or self.orders(), *arguments))

    @property
    def _log(self) -> Path:
        return self.folder / "workers.log"

    def _ending(self, worker: Worker) -> Worker:
        self.workers.append(worker)
        return worker

    def gate(self, rule: Rule = fine, port: int = 0) -> Gate:
        """A gate before the server, for as long as the scene lasts."""
        return self._stack.enter_context(Gate(self.backend.uri, rule, port))

    @contextmanager
    def sidecar(self, uri: str | None = None, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """``tierlens ship`` on the journal."""
        process = self.begin_sidecar(uri, **variables)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(30)

    def begin_sidecar(self, uri: str | None = None, **variables: str) -> subprocess.Popen[bytes]:
        """A sidecar that is the caller's to end."""
        environment = self.environment(uri) | variables
        with (self.folder / "sidecar.log").open("ab") as log:
            return subprocess.Popen(self._ship(), env=environment, stdout=log, stderr=log, cwd=self.folder)

    def tierlens(self, *arguments: str, uri: str | None = None) -> tuple[int, str]:
        """A command of the product's; its exit code, and the last line of what it said."""
        command = [sys.executable, "-m", "tierlens", *arguments]
        environment = self.environment(uri) | {"NO_COLOR": "1", "COLUMNS": "200"}
        ended = subprocess.run(command, env=environment, cwd=self.folder, check=False, capture_output=True, text=True)
        lines = [line.strip("│ ") for line in (ended.stdout + ended.stderr).splitlines()]
        return ended.returncode, next((line for line in reversed(lines) if line.strip("─╰╯ ")), "")

    def environment(self, uri: str | None = None) -> dict[str, str]:
        """Variables for a process of the product's own, with nothing of the caller's that would change it."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        path = os.pathsep.join([str(ROOT), *filter(None, [inherited.get("PYTHONPATH")])])
        return inherited | {"MLFLOW_TRACKING_URI": uri or self.backend.uri, "PYTHONPATH": path}

    def drain(self, timeout_s: float = 1800.0, stalled_s: float = 20.0) -> float:
        """Wait until there are as many rows as accepted spans, or none has come for a while; seconds it took."""
        self.ledger.settle()
        began = moved = told = time.monotonic()
        stored, wanted = -1, len(self.ledger.accepted)
        while (now := time.monotonic()) - began < timeout_s and now - moved < stalled_s:
            found = self.backend.count(self.experiment)
            if found >= wanted:
                break
            if found != stored:
                stored, moved = found, now
            if now - told > 5:
                told = now
                self.say(f"{found:,} of {wanted:,} stored")
            time.sleep(0.1 if wanted < 5_000 else 0.5)
        return time.monotonic() - began

    def fresh(self, since: float | None = None) -> float:
        """Append one span now: seconds from ``since`` (monotonic), or now, until it is stored; inf if it is not."""
        since = time.monotonic() if since is None else since
        trace_id = self.append_one()
        deadline = time.monotonic() + _FRESH_S
        while time.monotonic() < deadline:
            if self.backend.has(trace_id):
                return time.monotonic() - since
            time.sleep(0.02)
        return math.inf

    def until(self, so: Callable[[], bool], at_most_s: float = 120.0) -> float:
        """Wait until it is so; seconds it took, inf if it never was."""
        began = time.monotonic()
        while not so():
            if time.monotonic() - began > at_most_s:
                return math.inf
            time.sleep(0.02)
        return time.monotonic() - began

    def append_one(self) -> str:
        """One accepted span of a writer of its own, as a trace; the trace's id."""
        journal = Journal(self.journal, resource=RESOURCE)
        emitter = Emitter(journal, Receipts(self.ledger.pipe), self.experiment, spans_a_trace=1)
        root = emitter.emit_trace()
        journal.close()
        return root.trace_id

    def verdict(self, changed: Collection[str] = ()) -> Comparison:
        """What was accepted against what is stored now."""
        self.ledger.settle()
        rows = self.backend.spans(self.experiment)
        return compare(self.ledger.accepted, self.ledger.announced.keys(), rows, changed=changed)

    def _ship(self, *options: str) -> list[str]:
        return [sys.executable, "-m", "tierlens", "ship", "--journal-dir", str(self.journal), *options]

    def _end_left_behind(self) -> None:
        """Shipping processes outlive their agents on purpose; those of this scene have nobody to ship for now."""
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.folder) in part for part in process.info["cmdline"] or ()):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
