"""``mlflow server`` as a child process on a data folder, with settings that suit one machine.

The folder holds all there is, so it can be moved, copied and deleted as one:

    mlflow.db or postgres/    traces, experiments, runs
    artifacts/                files
    mlflow-server.log         what the server says
    server.json, server.lock  who serves the folder now
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from tierlens.errors import ServerNotStarted
from tierlens.local.ports import free_port, is_free
from tierlens.local.postgres import Postgres
from tierlens.local.sqlite import log_ahead, settle
from tierlens.local.tenancy import Tenancy

FIRST_PORT: Final = 5000
_POLL_S: Final = 0.1
# Our death, even by SIGKILL, closes the pipe at the server's standard input: its whole group ends then.
_TIED_TO_US: Final = 'exec 3<&0; (read -r _ <&3; kill -TERM 0) & exec "$@" 3<&- </dev/null'
# Read by the server, and wrong for it where they are meant for this machine's clients.
_CLIENT_ONLY: Final = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_BACKEND_STORE_URI",
    "MLFLOW_DEFAULT_ARTIFACT_ROOT",
    "MLFLOW_ARTIFACTS_DESTINATION",
    "MLFLOW_HOST",
    "MLFLOW_PORT",
    # Has MLflow check every database session, at a cost.
    "PYTEST_CURRENT_TEST",
)


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """What to serve, and where.

    Attributes:
        data: the folder; made if missing.
        port: None takes 5000 or the next free one; 0 any free one; another must be free.
        workers: server processes of 260 MB. One is best for SQLite, which writes one transaction at a time, and
            behind several each small answer takes 40 ms longer.
        postgres: keep data in a PostgreSQL of our own instead of SQLite.
        allowed_hosts: names, beyond localhost and private addresses, that browsers may call the server by.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int | None = None
    workers: int = 1
    postgres: bool = False
    allowed_hosts: str = ""
    start_timeout_s: float = 180.0


def command(plan: ServerPlan, port: int, backend: str) -> list[str]:
    """The command line of the server."""
    hosts = ["--allowed-hosts", plan.allowed_hosts] if plan.allowed_hosts else []
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", backend),
        *("--artifacts-destination", str(plan.data / "artifacts"), "--serve-artifacts"),
        *("--host", plan.host, "--port", str(port), "--workers", str(plan.workers)),
        *hosts,
    ]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The server's environment: no job runners (8 processes of 400 MB), no calls to the outside."""
    return {
        **{name: value for name, value in environ.items() if name not in _CLIENT_ONLY},
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # Empty: no price list from the network, which blocks ingest for 6 s a provider where there is none.
        "MLFLOW_MODEL_CATALOG_URI": environ.get("MLFLOW_MODEL_CATALOG_URI", ""),
        "GIT_PYTHON_REFRESH": "quiet",
    }


class MlflowServer:
    """A running server; ``with MlflowServer(plan) as server: server.uri``."""

    def __init__(self, plan: ServerPlan) -> None:
        self._plan = plan
        self._tenancy = Tenancy(plan.data)
        self._postgres = Postgres(plan.data / "postgres") if plan.postgres else None
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = ""
        self.log = plan.data / "mlflow-server.log"

    def start(self) -> Self:
        """Start, and return once it answers.

        Raises:
            ServerNotStarted: the folder cannot be used or is being served already, the port is taken, or the server
                gave up.
        """
        try:
            self._plan.data.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise ServerNotStarted(f"{self._plan.data} cannot be a data folder ({e.strerror}): give another") from e
        self._tenancy.acquire()
        try:
            backend = self._postgres.start() if self._postgres else f"sqlite:///{self._database}"
            if self._postgres is None:
                log_ahead(self._database)
            port = self._port()
            self.uri = f"http://{_reachable(self._plan.host)}:{port}"
            self._process = self._spawned(command(self._plan, port, backend))
            self._tenancy.note(self._process.pid, self.uri)
            self._await_health()
        except BaseException:
            self.stop()
            raise
        return self

    def _spawned(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # our own interpreter, our own arguments
                ["/bin/sh", "-c", _TIED_TO_US, "sh", *arguments],
                env=environment(os.environ),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A group of its own: Ctrl-C reaches us alone, and we end the whole group.
                start_new_session=True,
            )

    def stop(self, grace_s: float = 10.0) -> None:
        """End the server with all its children, and the database after it."""
        if self._process is not None:
            end_group(self._process, grace_s)
            self._process = None
        if self._postgres is not None:
            self._postgres.stop()
        else:
            settle(self._database)
        self._tenancy.release()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """The server's exit status once it ends by itself; None where it still runs after ``timeout_s``."""
        if self._process is None:
            return 0
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    @property
    def pid(self) -> int:
        """The server's process, which leads its process group; 0 where none runs."""
        return self._process.pid if self._process else 0

    def log_tail(self, lines: int = 15) -> str:
        """The end of the server's log."""
        text = self.log.read_bytes()[-20_000:] if self.log.exists() else b""
        return "\n".join(text.decode("utf-8", "replace").splitlines()[-lines:])

    @property
    def _data(self) -> Path:
        return self._plan.data.absolute()

    @property
    def _database(self) -> Path:
        return self._data / "mlflow.db"

    def _port(self) -> int:
        wanted = self._plan.port
        if not wanted:
            return free_port(self._plan.host, FIRST_PORT if wanted is None else 0)
        if is_free(self._plan.host, wanted):
            return wanted
        raise ServerNotStarted(f"port {wanted} is taken; give another with --port, or none to have one found")

    def _await_health(self) -> None:
        deadline = time.monotonic() + self._plan.start_timeout_s
        with httpx.Client(base_url=self.uri, trust_env=False, timeout=5) as client:
            while time.monotonic() < deadline:
                if self.wait(_POLL_S) is not None:
                    raise ServerNotStarted(f"mlflow server ended while starting:\n{self.log_tail()}")
                # Only the head is read: whatever it is that answers there, its answer need not end.
                with contextlib.suppress(httpx.HTTPError), client.stream("GET", "/health") as answer:
                    if answer.status_code == 200:
                        return
        raise ServerNotStarted(f"no answer in {self._plan.start_timeout_s:.0f} s:\n{self.log_tail()}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def end_group(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """SIGTERM to a process that leads its group, SIGKILL to what is left of the group after ``grace_s``."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    # The leader may be gone before its workers are.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104  # compared, not bound
