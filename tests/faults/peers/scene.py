"""What a peer's row plays on: a ledger, hosts that use the peer's client, and a backend that comes and goes."""

from __future__ import annotations

import json
import math
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.faults.gate import no_answer
from tests.faults.peers.destinations import Destination, Listening, stored_of
from tests.faults.receipts import Ledger
from tests.faults.verdict import Comparison, compare
from tierlens.local.ports import free_port

ROOT: Final = Path(__file__).parents[3]
HOST: Final = "127.0.0.1"
_FOREIGN: Final = ("MLFLOW_", "TIERLENS_", "OTEL_", "PYTEST_", "LANGFUSE_", "LANGSMITH_", "LANGCHAIN_", "OPIK_")
_FRESH_S: Final = 30.0
_QUIET_S: Final = 3.0
_READY_S: Final = 90.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A client under test, and the interpreter that has it installed."""

    name: str
    python: Path


class Host:
    """A running host that has its client open, and waits to be told to go on."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def go(self) -> None:
        """Let it begin its work."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def ended(self, timeout_s: float) -> int | None:
        """Its exit code; None if it has not ended by then, and had to be killed."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


class PeerScene:
    """One row of one peer; all that was started on it has ended when it is left.

    Attributes:
        ledger: what hosts said.
        experiment: where MLflow's client sends them.
        versions: of the peer's packages, once a host has told.
    """

    def __init__(self, peer: Peer, row: str, folder: Path, destination: Destination) -> None:
        self.peer, self.folder = peer, folder
        self.experiment = f"faults/{peer.name}-{row}-{secrets.token_hex(4)}"
        self.versions: dict[str, str] = {}
        self._destination, self._port = destination, free_port(HOST, 0)
        self._listening: Listening | None = None
        self._hosts: list[Host] = []

    def __enter__(self) -> Self:
        (self.folder / "home").mkdir(parents=True)
        self.ledger = Ledger(self.folder / "receipts").__enter__()
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self._hosts:
            host.process.kill()
            host.process.wait()
        self.close()
        self.ledger.__exit__(kind, error, trace)

    def open(self) -> None:
        """The backend listens."""
        self._listening = self._destination.listen(self._port)
        self._listening.__enter__()

    def close(self) -> None:
        """The backend is gone: its port is closed, and so is every connection to it."""
        if self._listening is not None:
            self._listening.rule = no_answer
            self._listening.__exit__(None, None, None)
            self._listening = None

    def start(self, work: str, **arguments: Any) -> Host:
        """A host that is ready: its client is open, and has delivered one call."""
        module = "tests.faults.peers.worker"
        told = [self.peer.name, str(self.ledger.pipe), f"http://{HOST}:{self._port}", self.experiment]
        command = [str(self.peer.python), "-m", module, *told, work, json.dumps(arguments)]
        with (self.folder / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=self._environment(), cwd=self.folder
            )
        self._hosts.append(Host(process))
        ready = self.ledger.wait_until(lambda: self._said_by(process), f"ready ({work})", _READY_S)
        self.versions = ready["versions"]
        return self._hosts[-1]

    def _said_by(self, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        if process.poll() is not None:
            raise RuntimeError(f"the host ended with {process.returncode} before it was ready")
        return next((note for note in self.ledger.noted("ready") if note["pid"] == process.pid), None)

    def run(self, work: str, timeout_s: float, **arguments: Any) -> int | None:
        """A host's whole life; its exit code, None if it had to be killed."""
        host = self.start(work, **arguments)
        host.go()
        return host.ended(timeout_s)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """The backend is gone for as long as this lasts."""
        self.close()
        try:
            yield
        finally:
            self.open()

    def fresh(self) -> float:
        """Seconds that one more call, by a host of its own that flushes it, takes to be stored; inf if it never is."""
        host = self.start("fresh")
        before = len(self.ledger.accepted)
        host.go()
        self.ledger.wait_until(lambda: len(self.ledger.accepted) > before, "that a fresh call was accepted")
        key = list(self.ledger.accepted)[-1]
        deadline = time.monotonic() + _FRESH_S
        while time.monotonic() < deadline:
            if any(span.span_id == key for span in self._stored()):
                return time.monotonic() - float(self.ledger.noted("fresh")[-1]["at"])
            time.sleep(0.02)
        return math.inf

    def verdict(self) -> Comparison:
        """What was accepted against what is stored, once nothing more has come for a while."""
        self.ledger.settle()
        stored, moved = -1, time.monotonic()
        while time.monotonic() - moved < _QUIET_S:
            if (found := len(self._stored())) != stored:
                stored, moved = found, time.monotonic()
            time.sleep(0.1)
        return compare(self.ledger.accepted, self.ledger.announced.keys(), self._stored())

    def log(self) -> str:
        """The end of what hosts wrote to their terminals."""
        with suppress(FileNotFoundError):
            return (self.folder / "workers.log").read_text(errors="replace")[-2_000:]
        return ""

    def _stored(self) -> list[Any]:
        return stored_of(self._destination.names(self.experiment))

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        return inherited | quiet | {"PYTHONPATH": str(ROOT), "HOME": str(self.folder / "home")}
