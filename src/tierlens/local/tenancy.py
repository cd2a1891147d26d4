"""One server to a folder: who holds it, and what a killed one left behind.

``server.lock`` is locked for as long as we live, and by the kernel's hand no longer. ``server.json`` says
which process group serves the folder and where: ``{"pid": 4711, "uri": "http://127.0.0.1:5000"}``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, Final

import orjson

from tierlens.errors import ServerNotStarted

_LEFT_BEHIND_GRACE_S: Final = 10.0
# Linux has this, and in small images no `ps`; macOS has `ps` alone.
_PROC: Final = Path("/proc")


class Tenancy:
    """The right to serve a folder."""

    def __init__(self, data: Path) -> None:
        self._lock_path, self._note_path = data / "server.lock", data / "server.json"
        self._lock: IO[bytes] | None = None

    def acquire(self) -> None:
        """Take the folder, and end a server whose own parent was killed.

        Raises:
            ServerNotStarted: another process serves it.
        """
        lock = self._lock_path.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            lock.close()
            uri = self.noted().get("uri", "another process")
            raise ServerNotStarted(f"{self._lock_path.parent} is served already, by {uri}") from e
        self._lock = lock
        self._end_orphan()

    def note(self, pid: int, uri: str) -> None:
        self._note_path.write_bytes(orjson.dumps({"pid": pid, "uri": uri}))

    def noted(self) -> dict[str, object]:
        """What the last holder noted; empty where it is missing or damaged."""
        try:
            found = orjson.loads(self._note_path.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    def release(self) -> None:
        if self._lock is None:
            return
        self._note_path.unlink(missing_ok=True)
        self._lock.close()
        self._lock = None

    def _end_orphan(self) -> None:
        pid = self.noted().get("pid")
        # Pids are used again: only a server of this very folder is ours to end.
        if not isinstance(pid, int) or pid <= 1 or str(self._lock_path.parent.absolute()) not in _arguments(pid):
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)
            deadline = time.monotonic() + _LEFT_BEHIND_GRACE_S
            while time.monotonic() < deadline and _arguments(pid):
                time.sleep(0.05)
            os.killpg(pid, signal.SIGKILL)


def _arguments(pid: int) -> str:
    """The command line of a process that runs; "" for one that ended, also where nobody has noticed yet."""
    if (_PROC / "self").exists():
        with contextlib.suppress(OSError):
            return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        return ""
    shown = subprocess.run(  # noqa: S603  # a fixed command and a number
        ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "" if "<defunct>" in shown.stdout else shown.stdout.strip()
