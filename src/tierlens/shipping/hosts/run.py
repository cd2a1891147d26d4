"""Shipping as a process's only work: once, or for as long as there is somebody to ship for."""

from __future__ import annotations

import gc
import os
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tierlens import presence
from tierlens.errors import DeliveryError
from tierlens.journal.lock import FileLock
from tierlens.journal.segment import SHIPPER_LOCK, create_directory
from tierlens.shipping import handover
from tierlens.shipping.clock import Clock, SystemClock
from tierlens.shipping.health import Health
from tierlens.shipping.limits import Limits
from tierlens.shipping.shipper import Shipper
from tierlens.shipping.tally import OpenTally, no_tally
from tierlens.sinks.base import Sink

_POLL_S = 0.1
# While a burst passes, what a flush asks for lies there unread: whoever flushes pays for every look too late.
_POLL_IN_BURST_S = 0.01
_HANDOVER_POLL_S = 0.25
_STANDBY_S = 0.5
_GRACE_S = 2.0
_HANDOVER_S = 5.0
_SETTLE_S = 10.0
_LAST_S = 3.0


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did.

    Attributes:
        stored: spans the sink took.
        drained: nothing that can be sent was left.
        missing: spans that the sink had taken and, asked a moment later, did not hold; they were sent again.
        busy: another process ships from this directory, so this one did nothing.
        refusal: why all that is left has to wait for a person; None where that is not so.
    """

    stored: int
    drained: bool
    busy: bool = False
    missing: int = 0
    refusal: DeliveryError | None = None


def collect_rarely() -> None:
    """For a process that does nothing but ship.

    What a request is made of lives until it is sent, and holds no cycles: the collector would go through it
    again and again, at a fifth of the CPU of delivery, and find nothing.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def run_once(
    directory: Path,
    sink: Sink,
    *,
    patience_s: float = 30.0,
    limits: Limits | None = None,
    clock: Clock | None = None,
    open_tally: OpenTally = no_tally,
) -> RunReport:
    """Ship what lies there, the dead's open spans included, and return.

    A shipping process that a dead agent left behind makes way, wherever it was trying to deliver to; one that
    ships for a living agent does not.

    Args:
        patience_s: how long to go on without the sink's taking anything; not at all where it refuses all that is
            left, as no further try would help.
        open_tally: called once this process ships; counts for metrics.
    """
    clock = clock or SystemClock()
    lock = FileLock(directory / SHIPPER_LOCK)
    if not presence.is_dir(directory):
        return RunReport(0, drained=True)
    if not _taken_over(directory, lock, clock):
        return RunReport(0, drained=False, busy=True)
    try:
        with closing(Shipper(directory, sink, limits=limits, clock=clock, tally=open_tally())) as shipper:
            shipper.urgent = True
            return _drain(shipper, clock, patience_s)
    finally:
        lock.release()


def _taken_over(directory: Path, lock: FileLock, clock: Clock) -> bool:
    never = threading.Event()
    until = clock.monotonic() + _HANDOVER_S
    try:
        while not lock.acquire():
            if clock.monotonic() >= until:
                return False
            handover.want_to_ship(directory)
            clock.wait(never, _HANDOVER_POLL_S)
        return True
    finally:
        handover.clear_wish(directory)


def _drain(shipper: Shipper, clock: Clock, patience_s: float) -> RunReport:
    never = threading.Event()
    taken, since = shipper.stored, clock.monotonic()
    shipper.settle()
    shipper.look()
    shipper.look()
    while True:
        quiet = shipper.step()
        if shipper.stored != taken:
            taken, since = shipper.stored, clock.monotonic()
        if quiet and shipper.drained:
            shipper.look()
            if shipper.settled or (shipper.drained and clock.monotonic() - since >= _SETTLE_S):
                return RunReport(shipper.stored, drained=True, missing=shipper.missing)
        if quiet and not shipper.drained and (refusal := shipper.refusal):
            return RunReport(shipper.stored, drained=False, missing=shipper.missing, refusal=refusal)
        if quiet and clock.monotonic() - since >= patience_s:
            return RunReport(shipper.stored, shipper.drained, missing=shipper.missing)
        if quiet:
            clock.wait(never, quiet)


def run_forever(
    directory: Path,
    sink: Sink,
    stop: threading.Event,
    *,
    alone_s: float | None = None,
    lock: FileLock | None = None,
    standby_s: float | None = None,
    destination: str = "",
    limits: Limits | None = None,
    clock: Clock | None = None,
    open_tally: OpenTally = no_tally,
) -> RunReport:
    """Ship until ``stop`` is set, standing by while another process ships from the directory.

    Args:
        alone_s: return as well once no writer is alive and everything is delivered, or somebody else wants to
            ship, or once no writer has been alive for so long.
        lock: the directory's shipper lock, where it is held already.
        standby_s: how long to wait for it otherwise; for ever by default.
        destination: stands for where the sink delivers to, for those who would ship elsewhere.
        open_tally: called once this process ships; counts for metrics.
    """
    clock = clock or SystemClock()
    stored = 0
    while True:
        create_directory(directory)
        held = lock or _locked(directory, stop, standby_s, clock)
        if held is None:
            return RunReport(stored, drained=False, busy=True)
        report = _serve(directory, sink, stop, alone_s, held, destination, limits, clock, open_tally)
        stored, lock = stored + report.stored, None
        if stop.is_set() or alone_s is not None:
            return replace(report, stored=stored)


def _locked(directory: Path, stop: threading.Event, standby_s: float | None, clock: Clock) -> FileLock | None:
    lock, until = FileLock(directory / SHIPPER_LOCK), clock.monotonic() + (standby_s or float("inf"))
    while not lock.acquire():
        if clock.monotonic() >= until or clock.wait(stop, _STANDBY_S):
            return None
    if standby_s:
        # It was for this one that whoever shipped has made way.
        handover.clear_wish(directory)
    return lock


def _serve(
    directory: Path,
    sink: Sink,
    stop: threading.Event,
    alone_s: float | None,
    lock: FileLock,
    destination: str,
    limits: Limits | None,
    clock: Clock,
    open_tally: OpenTally,
) -> RunReport:
    """Ship until told to stop, until nobody is left to ship for, or until the lock is another file's."""
    tell = partial(_tell, directory, lock, destination)
    tell(Health())
    try:
        with closing(Shipper(directory, sink, limits=limits, clock=clock, tell=tell, tally=open_tally())) as shipper:
            return _Service(shipper, directory, lock, destination, clock).run(stop, alone_s)
    finally:
        if not lock.lost:
            handover.clear(directory)
            handover.take_flush_wish(directory)
        lock.release()


def _tell(directory: Path, lock: FileLock, destination: str, health: Health) -> None:
    # In a folder that took this one's place, that is whoever ships there to say.
    if not lock.lost:
        handover.put_state(directory, handover.ShipperState(os.getpid(), destination, health))


class _Service:
    """A shipper at work, and at the call of those it ships for."""

    def __init__(self, shipper: Shipper, directory: Path, lock: FileLock, destination: str, clock: Clock) -> None:
        self._shipper, self._directory, self._destination, self._clock = shipper, directory, destination, clock
        self._lock = lock
        self._company = clock.monotonic()

    def run(self, stop: threading.Event, alone_s: float | None) -> RunReport:
        while not stop.is_set():
            quiet = self._shipper.step()
            if self._lock.lost or (alone_s is not None and self._leaves(alone_s)):
                break
            if quiet:
                self._rest(stop, min(quiet, _POLL_S))
        else:
            self._finish()
        return RunReport(self._shipper.stored, self._shipper.drained, missing=self._shipper.missing)

    def _rest(self, stop: threading.Event, seconds: float) -> None:
        """Wait, unless somebody waits for what lies there."""
        until = self._clock.monotonic() + seconds
        while not self._hurries() and (left := until - self._clock.monotonic()) > 0:
            if self._clock.wait(stop, min(left, _POLL_IN_BURST_S) if self._shipper.holds_back else left):
                return

    def _finish(self) -> None:
        """Deliver what lies there when the end is near, as far as that goes quickly."""
        never, until = threading.Event(), self._clock.monotonic() + _LAST_S
        self._shipper.hurry()
        while True:
            quiet = self._shipper.step()
            if self._shipper.drained or self._shipper.health.failing or self._clock.monotonic() >= until:
                return
            self._clock.wait(never, min(quiet, _POLL_S))

    def _hurries(self) -> bool:
        """Whether somebody waits who did not a moment ago."""
        if handover.take_flush_wish(self._directory):
            self._shipper.hurry()
            return True
        self._shipper.calm_down()
        return False

    def _leaves(self, alone_s: float) -> bool:
        now = self._clock.monotonic()
        living = self._shipper.living > 0
        if living:
            self._company = now
        if handover.is_in_the_way(self._directory, self._destination, alone=not living):
            return True
        alone_for = now - self._company
        if not self._shipper.drained:
            return alone_for >= alone_s
        self._shipper.settle(soon=not living)
        if alone_for < (_GRACE_S if self._shipper.settled else _SETTLE_S):
            return False
        # The dead whose lines came to be stored since the last look have open spans, which are nobody's yet.
        self._shipper.look()
        return self._shipper.drained
