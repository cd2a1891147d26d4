"""Shipping as a process's only work: once, or for as long as there is somebody to ship for."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from pathlib import Path

from tierlens.journal.lock import FileLock
from tierlens.journal.segment import SHIPPER_LOCK, SHIPPER_WANTED, create_directory
from tierlens.shipping.clock import Clock, SystemClock
from tierlens.shipping.limits import Limits
from tierlens.shipping.shipper import Shipper
from tierlens.sinks.base import Sink

_POLL_S = 0.25
_STANDBY_S = 0.5
_GRACE_S = 2.0
_HANDOVER_S = 5.0


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did.

    Attributes:
        stored: spans the sink took.
        drained: nothing that can be sent was left.
        busy: another process ships from this directory, so this one did nothing.
    """

    stored: int
    drained: bool
    busy: bool = False


def run_once(
    directory: Path,
    sink: Sink,
    *,
    patience_s: float = 30.0,
    limits: Limits | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> RunReport:
    """Ship what lies there, the dead's open spans included, and return.

    A shipping process that a dead agent left behind makes way, wherever it was trying to deliver to; one that
    ships for a living agent does not.

    Args:
        patience_s: how long to go on without the sink's taking anything.
    """
    clock = clock or SystemClock()
    lock = FileLock(directory / SHIPPER_LOCK)
    if not directory.is_dir():
        return RunReport(0, drained=True)
    if not _taken_over(directory, lock, clock):
        return RunReport(0, drained=False, busy=True)
    shipper = Shipper(directory, sink, limits=limits, clock=clock, rng=rng)
    shipper.urgent = True
    try:
        return _drain(shipper, clock, patience_s)
    finally:
        shipper.close()
        lock.release()


def _taken_over(directory: Path, lock: FileLock, clock: Clock) -> bool:
    wanted, never = directory / SHIPPER_WANTED, threading.Event()
    until = clock.monotonic() + _HANDOVER_S
    try:
        while not lock.acquire():
            if clock.monotonic() >= until:
                return False
            wanted.touch(mode=0o600)
            clock.wait(never, _POLL_S)
        return True
    finally:
        wanted.unlink(missing_ok=True)


def _drain(shipper: Shipper, clock: Clock, patience_s: float) -> RunReport:
    never = threading.Event()
    taken, since = -1, clock.monotonic()
    shipper.look()
    shipper.look()
    while True:
        quiet = shipper.step()
        if shipper.stored != taken:
            taken, since = shipper.stored, clock.monotonic()
        if quiet and shipper.drained:
            shipper.look()
            if shipper.drained:
                return RunReport(shipper.stored, drained=True)
        if quiet and clock.monotonic() - since >= patience_s:
            return RunReport(shipper.stored, drained=False)
        if quiet:
            clock.wait(never, quiet)


def run_forever(
    directory: Path,
    sink: Sink,
    stop: threading.Event,
    *,
    alone_s: float | None = None,
    limits: Limits | None = None,
    clock: Clock | None = None,
) -> RunReport:
    """Ship until ``stop`` is set, standing by while another process ships from the directory.

    Args:
        alone_s: return as well once no writer is alive and everything is delivered, or another process wants to
            ship, or once no writer has been alive for so long.
    """
    clock = clock or SystemClock()
    create_directory(directory)
    lock = FileLock(directory / SHIPPER_LOCK)
    while not lock.acquire():
        if clock.wait(stop, _STANDBY_S):
            return RunReport(0, drained=False, busy=True)
    shipper = Shipper(directory, sink, limits=limits, clock=clock)
    try:
        return _serve(shipper, directory / SHIPPER_WANTED, clock, stop, alone_s)
    finally:
        shipper.close()
        lock.release()


def _serve(shipper: Shipper, wanted: Path, clock: Clock, stop: threading.Event, alone_s: float | None) -> RunReport:
    company = clock.monotonic()
    while not stop.is_set():
        quiet = shipper.step()
        now = clock.monotonic()
        if shipper.living:
            company = now
        elif alone_s is not None:
            done = shipper.drained and now - company >= _GRACE_S
            if done or now - company >= alone_s or wanted.exists():
                break
        if quiet:
            clock.wait(stop, min(quiet, _POLL_S))
    return RunReport(shipper.stored, shipper.drained)
