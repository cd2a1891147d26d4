"""Shipping from a child process, which outlives its parent for as long as it takes to deliver what that
left."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tierlens.journal.forks import follow_forks
from tierlens.journal.lock import is_orphan
from tierlens.journal.segment import SHIP_LOG, SHIPPER_LOCK, writers
from tierlens.journal.writer import Journal
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.clock import Clock, SystemClock
from tierlens.shipping.flush import flush, report
from tierlens.shipping.report import FlushReport

_LOOK_S = 2.0


def ship_command(directory: Path) -> list[str]:
    """The command that ships a journal until its writers are gone and everything is delivered."""
    return [sys.executable, "-m", "tierlens", "ship", "--journal-dir", str(directory), "--until-alone"]


class ShippingProcess:
    """Keeps one shipping process alive beside this one, from the first append on.

    The child leads a session of its own, so that what ends the parent's terminal or process group does not
    end it. It is nobody's in particular: every process that writes to the directory sees to it that somebody
    ships.

    Args:
        command: what to run; ``ship_command`` by default.
        environment: the child's environment, this process's by default.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._journal = journal
        self._command = list(command or ship_command(journal.directory))
        self._environment = dict(environment) if environment is not None else None
        self._clock = clock or SystemClock()
        self._alarms = Alarms(self._clock)
        self._begin()
        follow_forks(self)
        journal.when_opened(self.start)

    def _begin(self) -> None:
        self._state = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The shipping process that this one started last."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """See to it that there is a shipper while there is something to ship; does nothing after
        ``close``."""
        with self._state:
            if self._stop.is_set() or (self._thread is not None and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._run, name="tierlens-shipping", daemon=True)
            with suppress(RuntimeError):
                self._thread.start()

    def flush(self, timeout_s: float) -> FlushReport:
        """Wait until what was accepted so far is stored or refused, but never longer than ``timeout_s``."""
        return flush(self._journal, timeout_s, self._clock)

    def close(self, timeout_s: float = 5.0) -> FlushReport:
        """Leave the rest to the child, which ends by itself once everything is delivered; nothing is waited
        for."""
        self._stop.set()
        return report(self._journal)

    def before_fork(self) -> None:
        self._state.acquire(timeout=1.0)

    def after_fork_in_parent(self) -> None:
        with suppress(RuntimeError):
            self._state.release()

    def after_fork_in_child(self) -> None:
        if self._child is not None:
            # It is the parent's child: for this process there is nothing to wait for.
            self._child.returncode = 0
        self._begin()

    def _run(self) -> None:
        stop = self._stop
        while not stop.is_set():
            try:
                self._see_to_it()
            except OSError as error:
                self._alarms.warn("process", f"no shipping process can be started: {error}")
            self._clock.wait(stop, _LOOK_S)

    def _see_to_it(self) -> None:
        if self._child is not None and self._child.poll() is None:
            return
        # A shipper with nobody to ship for ends by itself, and would only be started over and over again.
        if writers(self._journal.directory) and is_orphan(self._journal.directory / SHIPPER_LOCK):
            with self._state:
                self._child = self._spawned()

    def _spawned(self) -> subprocess.Popen[bytes]:
        with open(self._journal.directory / SHIP_LOG, "ab", opener=_private) as log:
            return subprocess.Popen(  # noqa: S603  # the command is ours or our caller's
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                # Not the parent's own: whoever waits for the end of its output would wait for the child's as
                # well.
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
