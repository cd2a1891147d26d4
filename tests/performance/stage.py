"""Where measurements take place: interpreters, a scratch folder, servers, and processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.performance.reference import workload
from tierlens.local import MlflowServer, ServerPlan

ROOT = Path(__file__).parents[2]
# The slowest takes a fifth of it; some peers' clients wait for ever for an answer that got lost.
TIMEOUT_S = 300.0
# What would change what is measured: other destinations, keys that reach for the network, uncompiled imports.
_FOREIGN = ("MLFLOW_", "TIERLENS_", "LANGSMITH_", "LANGFUSE_", "OPIK_", "TRACELOOP_", "OTEL_", "ANTHROPIC_")
_FOREIGN += ("PYTHONDONTWRITEBYTECODE", "PYTEST_CURRENT_TEST")
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "TRACELOOP_TELEMETRY": "false"}


class ProbeFailed(Exception):
    """A probe ended without its JSON line."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A running MLflow server and its SQLite file."""

    uri: str
    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "mlflow.db"


@dataclass(frozen=True, slots=True)
class Stage:
    """What a part needs to measure.

    Attributes:
        peers: the interpreter of the peers' environment, or None.
        sink_url: the loopback server the peers deliver to.
        n: invocations a variant.
        rounds: how often everything is measured, variant by variant in turn.
        folder: scratch.
    """

    peers: Path | None
    sink_url: str
    n: int
    rounds: int
    folder: Path

    @contextmanager
    def backend(self, name: str) -> Iterator[Backend]:
        """A fresh MLflow server with an empty database."""
        folder = self.folder / f"mlflow-{name}"
        with MlflowServer(ServerPlan(folder, port=0)) as server:
            yield Backend(server.uri, folder)

    def scratch(self, name: str) -> Path:
        """A new empty folder."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def configured(self) -> Path:
        """A new config folder with a file for each agent of the reference graph, so that each has runs."""
        folder = self.scratch("config")
        (folder / "agents").mkdir()
        for agent in workload.AGENTS:
            (folder / "agents" / f"{agent}.yaml").write_text(f"agent: {agent}\n")
        return folder

    def probe(
        self,
        name: str,
        *arguments: object,
        backend: Backend | None = None,
        peer: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Run ``tests.performance.probes.<name>`` in a process of its own and return what it printed.

        Raises:
            ProbeFailed: it ended without its line, or there is no environment to run it in.
        """
        if peer and self.peers is None:
            raise ProbeFailed("no environment of the peers: --peers PYTHON")
        python = str(self.peers) if peer else sys.executable
        home = self.scratch(name)
        command = [python, "-m", f"tests.performance.probes.{name}", *map(str, arguments)]
        say(f"  {name} {' '.join(Path(str(each)).name for each in arguments)}")
        try:
            ended = subprocess.run(
                command,
                env=self._environment(home, backend) | dict(environ or {}),
                cwd=home,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise ProbeFailed(f"{name}: no answer in {TIMEOUT_S:.0f} s") from error
        lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
        if not lines:
            raise ProbeFailed(f"{' '.join(command[2:])}: exit {ended.returncode}\n{ended.stderr[-1500:]}")
        found: dict[str, Any] = json.loads(lines[-1])
        return found

    def _environment(self, home: Path, backend: Backend | None) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        own = {
            "PYTHONPATH": str(ROOT),
            "SINK_URL": self.sink_url,
            "TIERLENS_JOURNAL_DIR": str(home / "journal"),
            "TIERLENS_CONFIG_DIR": str(home),
        }
        if backend is not None:
            own |= {"MLFLOW_TRACKING_URI": backend.uri, "BENCH_DATABASE": str(backend.database)}
        return inherited | _QUIET | own


def say(text: str) -> None:
    """A line of progress on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
