"""Shipping from a child process, which outlives its parent for as long as it takes to deliver what that
left."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tierlens.journal.forks import follow_forks
from tierlens.journal.lock import FileLock, is_orphan
from tierlens.journal.segment import SHIP_LOG, SHIPPER_LOCK, writers
from tierlens.journal.writer import Journal
from tierlens.shipping import handover
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.clock import Clock, SystemClock
from tierlens.shipping.health import Standing, hopeless
from tierlens.shipping.hosts.flush import flush
from tierlens.shipping.hosts.relay import Relay
from tierlens.shipping.hosts.spawn import Beginnings, interpreter, spawn
from tierlens.shipping.report import FlushReport

if TYPE_CHECKING:
    from tierlens.shipping import Shipping

_LOOK_S: Final = 2.0
_INSIST_S: Final = 0.2
_CONNECT_S: Final = 0.3
_PORTS: Final = {"http": 80, "https": 443}
_FAILURES: Final = 2
# Somebody ended it, or the kernel, for want of memory: no reason to think that another one would fail.
_ENDED: Final = frozenset({0, -9, -15})


class ShippingProcess:
    """Keeps one shipping process alive beside this one, from the first append on.

    The child is nobody's in particular: every process that writes to the directory sees to it that somebody
    ships, and whoever takes the shipper's lock first starts a child and hands the lock over, so there is never
    more than one. One that was left behind and delivers to another place than this process wants is asked to
    make way. Where no child can be started, a thread ships.

    Args:
        begin: what the child is started with.
        in_thread: makes what ships where no child can be started.
        executable: the Python to run, by default the one that runs this process.
    """

    def __init__(
        self,
        journal: Journal,
        begin: Beginnings,
        in_thread: Callable[[], Shipping],
        *,
        executable: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._journal, self._begin_with, self._in_thread = journal, begin, in_thread
        self._executable = executable
        self._directory = journal.directory
        self._clock = clock or SystemClock()
        self._alarms = Alarms(self._clock)
        self._instead: Shipping | None = None
        self._begin()
        follow_forks(self)
        journal.when_opened(self._watch)

    def _begin(self) -> None:
        self._state = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = FileLock(self._directory / SHIPPER_LOCK)
        self._relay = Relay(self._directory)
        self._claim = handover.Claim(self._directory, self._begin_with.destination, self._alarms)
        self._reachable: bool | None = None
        self._failures = 0

    @property
    def pid(self) -> int | None:
        """The shipping process that this one started last."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """Have what lies there delivered, if anything does; the first append starts it as well."""
        try:
            anything = bool(writers(self._directory))
        except OSError:
            # Whoever watches says what is wrong with the folder, and goes on looking: that is no reason not to run.
            anything = True
        if anything:
            self._watch()

    def flush(self, timeout_s: float) -> FlushReport:
        """Wait until what was accepted so far is stored or refused, but never longer than ``timeout_s``."""
        if self._instead is not None:
            return self._instead.flush(timeout_s)
        return self._flush(timeout_s, lambda: False)

    def close(self, timeout_s: float = 5.0, silence_s: float = 0.5) -> FlushReport:
        """Wait while delivery goes well, and leave the rest to the child, which ends by itself once everything
        is delivered.

        A host that ends takes its container along, or its service's other processes, and the child with them;
        so what can be delivered now should be.

        Args:
            timeout_s: the most it may take.
            silence_s: how long to wait where nothing is heard of the sink. One that fails, or that cannot be
                reached, is not waited for.
        """
        began = self._clock.monotonic()
        if self._instead is None:
            found = self._flush(timeout_s, lambda: self._hopeless(began, silence_s))
        self._stop.set()
        if self._instead is not None:
            return self._instead.close(max(0.0, timeout_s - (self._clock.monotonic() - began)))
        if found.pending and not self._claim.settled:
            self._leave_successor()
        self._relay.pass_on()
        self._relay.drop()
        return found

    def _leave_successor(self) -> None:
        """Whoever ships was asked to make way, and will when this process is not there any more to follow on."""
        with suppress(OSError, ValueError), self._state:
            if self._child is None:
                self._child = spawn(self._directory, None, self._begin_with, interpreter(self._executable))

    def before_fork(self) -> None:
        self._state.acquire(timeout=1.0)

    def after_fork_in_parent(self) -> None:
        with suppress(RuntimeError):
            self._state.release()

    def after_fork_in_child(self) -> None:
        self._lock.drop()
        self._relay.drop()
        if self._child is not None:
            # It is the parent's child: for this process there is nothing to wait for.
            self._child.returncode = 0
        self._begin()

    def _watch(self) -> None:
        with self._state:
            if self._stop.is_set() or self._instead is not None:
                return
            if self._thread is not None and self._thread.is_alive():
                return
            self._thread = threading.Thread(target=self._run, name="tierlens-watch", daemon=True)
            with suppress(RuntimeError):
                self._thread.start()

    def _flush(self, timeout_s: float, give_up: Callable[[], bool]) -> FlushReport:
        if self._journal.writer:
            handover.want_flush(self._directory)
        return flush(self._journal, timeout_s, self._clock, give_up)

    def _hopeless(self, began: float, silence_s: float) -> bool:
        now = self._clock.monotonic()
        with suppress(OSError), self._state:
            if (said := handover.state(self._directory)) and not is_orphan(self._directory / SHIPPER_LOCK):
                return hopeless(Standing(True, said.health), began, now, silence_s)
        # It is only starting: worth waiting for if there is somebody to deliver to.
        return not self._reachable and (self._reachable is False or now - began > silence_s)

    def _run(self) -> None:
        stop = self._stop
        while not stop.is_set() and self._instead is None:
            try:
                self._see_to_it()
            except Exception as error:  # nobody else sees to it that somebody ships
                self._alarms.warn("process", f"whether anybody ships cannot be seen: {error}")
            self._relay.pass_on()
            self._clock.wait(stop, _LOOK_S if self._claim.settled else _INSIST_S)
        if self._child is not None:
            # Nobody else would, and a process that has ended stays in the system's table until then.
            self._child.wait()

    def _see_to_it(self) -> None:
        if self._child is not None and (code := self._child.poll()) is not None:
            self._child = None
            self._failures = self._failures + 1 if code not in _ENDED else 0
            if self._failures >= _FAILURES:
                self._ship_in_thread(f"it ended with {code} again; {self._directory / SHIP_LOG} says why")
                return
        # A shipper with nobody to ship for ends by itself, and would only be started over and over again.
        if writers(self._directory) and not self._spawned():
            self._claim.press()
        if self._reachable is None:
            self._reachable = reachable(self._begin_with.address)

    def _spawned(self) -> bool:
        """Start a child, unless somebody ships; False then."""
        # A fork meanwhile would keep the lock, since a forked process shares open files.
        with self._state:
            if not self._lock.acquire():
                return False
            handover.clear(self._directory)
            try:
                self._child = spawn(self._directory, self._lock, self._begin_with, interpreter(self._executable))
                self._claim.settled = True
            except (OSError, ValueError) as error:
                self._lock.drop()
                self._ship_in_thread(str(error))
            finally:
                self._lock.drop()
        return True

    def _ship_in_thread(self, why: str) -> None:
        self._alarms.warn("process", f"no shipping process can be started, so a thread ships: {why}")
        with self._state:
            if not self._stop.is_set():
                self._instead = self._in_thread()
                self._instead.start()


def reachable(address: str) -> bool:
    """Whether somebody takes connections at an ``http(s)://`` or ``otlp+http(s)://`` address; False for all
    others, which are not quickly asked."""
    try:
        parts = urlsplit(address.lower().removeprefix("otlp+"))
        default = _PORTS.get(parts.scheme)
        if default is None or not parts.hostname:
            return False
        socket.create_connection((parts.hostname, parts.port or default), _CONNECT_S).close()
    except Exception:
        # Whatever a resolver or codec raises: Python 3.13.0 has a SystemError where the working directory is gone.
        return False
    return True
