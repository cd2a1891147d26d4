"""Shipping from a thread of the agent's own process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing, suppress

from tierlens.journal.forks import follow_forks
from tierlens.journal.lock import FileLock
from tierlens.journal.segment import SHIPPER_LOCK, create_directory
from tierlens.journal.writer import Journal
from tierlens.projection import prices
from tierlens.shipping import handover
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.clock import Clock, SystemClock
from tierlens.shipping.health import Standing, hopeless
from tierlens.shipping.hosts.flush import flush
from tierlens.shipping.limits import Limits, limits_of_thread
from tierlens.shipping.report import FlushReport
from tierlens.shipping.shipper import Shipper
from tierlens.shipping.tally import OpenTally, Tally, no_tally
from tierlens.sinks.base import Sink

_SOONEST_S = 0.1
_LATEST_S = 0.5
_STANDBY_S = 0.5
_MISHAP_S = 2.0
_URGENT_S = 0.01
_SLOWER = 1.3
_IMPORTS_S = 10.0


class ShippingThread:
    """Ships the journal's directory while its process lives, unless another process does so already.

    The thread starts with the process's first append, and again with a forked child's first. It is a daemon:
    it never holds up the interpreter's exit by itself. It costs ``append`` nothing: it looks for new lines
    every 100 ms while there are some, every 500 ms while there are none.

    Args:
        journal: what to ship; other writers in its directory are shipped too, adopted ones included.
        open_sink: called in the thread, once in each process: connections must not be shared with a child. What it
            imports, the process is not forked in the midst of.
        destination: stands for where that delivers to; a shipping process left behind by others that delivers
            elsewhere is asked to make way.
        open_tally: called in the thread whenever it begins to ship; counts for metrics.
    """

    def __init__(
        self,
        journal: Journal,
        open_sink: Callable[[], Sink],
        *,
        destination: str = "",
        limits: Limits | None = None,
        clock: Clock | None = None,
        open_tally: OpenTally = no_tally,
    ) -> None:
        self._open_tally = open_tally
        self._journal, self._open_sink, self._destination = journal, open_sink, destination
        self._limits = limits or limits_of_thread({})
        self._clock = clock or SystemClock()
        self._alarms = Alarms(self._clock)
        self._closed = False
        self._begin()
        follow_forks(self)
        journal.when_opened(self.start)

    def _begin(self) -> None:
        self._lock = FileLock(self._journal.directory / SHIPPER_LOCK)
        self._state = threading.RLock()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._shipper: Shipper | None = None
        self._standby = False
        self._flushing = 0
        self._claim = handover.Claim(self._journal.directory, self._destination, self._alarms)

    def start(self) -> None:
        """Start the thread if it does not run; does nothing after ``close``, or where no thread can be
        started."""
        with self._state:
            if self._closed or (self._thread is not None and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._run, name="tierlens-shipping", daemon=True)
            with suppress(RuntimeError):
                self._thread.start()

    @property
    def standby(self) -> bool:
        """Whether another process ships from the directory."""
        return self._standby

    def flush(self, timeout_s: float) -> FlushReport:
        """Wait until what was accepted so far is stored or refused, but never longer than ``timeout_s``."""
        return self._flush(timeout_s, lambda: False)

    def close(self, timeout_s: float = 5.0, silence_s: float = 0.5) -> FlushReport:
        """Deliver what is left, and end the thread. What cannot be delivered stays for whoever ships next.

        Args:
            timeout_s: the most it may take.
            silence_s: how long a request may stay unanswered before it is given up; four times as long if the
                last answer was good. A sink that fails, or another process that ships, is not waited for.
        """
        began = self._clock.monotonic()
        deadline = began + timeout_s
        found = self._flush(timeout_s, lambda: hopeless(self._standing(), began, self._clock.monotonic(), silence_s))
        self._closed = True
        self._stop.set()
        self._wake.set()
        if self._thread is not None and self._shipper is not None and self._shipper.health.asked_at is None:
            self._thread.join(max(0.0, min(silence_s, deadline - self._clock.monotonic())))
        return found

    def before_fork(self) -> None:
        self._state.acquire(timeout=_IMPORTS_S)

    def after_fork_in_parent(self) -> None:
        with suppress(RuntimeError):
            self._state.release()

    def after_fork_in_child(self) -> None:
        self._lock.drop()
        if self._shipper is not None:
            self._shipper.abandon()
        self._begin()

    def _flush(self, timeout_s: float, give_up: Callable[[], bool]) -> FlushReport:
        self._flushing += 1
        self._wake.set()
        if not self._lock.held and self._journal.writer:
            handover.want_flush(self._journal.directory)
        try:
            return flush(self._journal, timeout_s, self._clock, give_up)
        finally:
            self._flushing -= 1

    def _standing(self) -> Standing:
        shipper = self._shipper
        alive = self._thread is not None and self._thread.is_alive()
        return Standing(alive and not self._standby, shipper.health if shipper is not None else None)

    def _run(self) -> None:
        stop = self._stop
        while not stop.is_set():
            try:
                self._standby = not self._take_lock()
                if self._standby:
                    self._claim.press()
                    self._rest(_STANDBY_S)
                else:
                    self._ship(stop)
            except Exception as error:
                self._alarms.warn("thread", f"shipping stopped, and begins anew in {_MISHAP_S} s: {error!r}")
                self._rest(_MISHAP_S)
        with self._state:
            self._lock.release()

    def _take_lock(self) -> bool:
        with self._state:
            if self._lock.lost:
                self._lock.drop()
            if not self._lock.held:
                create_directory(self._journal.directory)
                if not self._lock.acquire():
                    return False
                handover.clear(self._journal.directory)
            return True

    def _ship(self, stop: threading.Event) -> None:
        # A child forked in the midst of an import could never import that module: its lock would stay held.
        with self._state:
            prices.load()
            sink = self._open_sink()
        with closing(sink):
            with self._state:
                tally = self._open_tally()
            with closing(self._shipper_of(sink, tally)) as shipper:
                self._go_on(shipper, stop)

    def _shipper_of(self, sink: Sink, tally: Tally | None) -> Shipper:
        try:
            return Shipper(self._journal.directory, sink, limits=self._limits, clock=self._clock, tally=tally)
        except BaseException:
            # It is tried again, and whoever counts may hold a port.
            if tally is not None:
                tally.close()
            raise

    def _go_on(self, shipper: Shipper, stop: threading.Event) -> None:
        self._shipper = shipper
        pause = _SOONEST_S
        try:
            while not (stop.is_set() or self._lock.lost):
                if handover.take_flush_wish(self._journal.directory):
                    shipper.hurry()
                elif self._flushing:
                    shipper.urgent = True
                else:
                    shipper.calm_down()
                quiet = shipper.step()
                if not quiet:
                    pause = _SOONEST_S
                    continue
                self._rest(min(quiet, _URGENT_S if self._flushing else pause))
                pause = min(pause * _SLOWER, _LATEST_S)
        finally:
            self._shipper = None

    def _rest(self, seconds: float) -> None:
        if self._clock.wait(self._wake, seconds) and not self._stop.is_set():
            self._wake.clear()
