"""What the process that ships and those that it ships for say to each other, in small files of the journal.

    shipper.state    the shipper: {"pid":4711,"destination":"9f86d081884c7d65","health":{"failing":false,…}}
    shipper.wanted   somebody wants to ship: empty, once nobody writes any more; or a destination, at once if
                     it is another than the shipper's
    flush.wanted     empty: somebody waits for what was written so far

None of them has to survive a crash, and a reader takes what it cannot read for missing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from tierlens.journal.segment import FLUSH_WANTED, SHIPPER_STATE, SHIPPER_WANTED, temporary_path
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.health import Health


@dataclass(frozen=True, slots=True)
class ShipperState:
    """The process that ships.

    Attributes:
        destination: stands for where it delivers to, and with which credentials; "" if it does not say.
    """

    pid: int
    destination: str
    health: Health


def put_state(directory: Path, state: ShipperState) -> None:
    """Say how shipping is doing; only the holder of the shipper's lock may."""
    _put(directory / SHIPPER_STATE, orjson.dumps(state))


def state(directory: Path) -> ShipperState | None:
    """What the shipper last said. One that was killed has said nothing else: look at its lock as well."""
    try:
        found = orjson.loads((directory / SHIPPER_STATE).read_bytes())
        return ShipperState(int(found["pid"]), str(found["destination"]), Health(**found["health"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def want_to_ship(directory: Path, destination: str = "") -> None:
    """Ask whoever ships to make way: once nobody writes any more, or, given a ``destination``, unless it
    delivers there."""
    _put(directory / SHIPPER_WANTED, destination.encode())


def is_in_the_way(directory: Path, destination: str, alone: bool) -> bool:
    """Whether a shipper to ``destination`` has been asked to make way; ``alone``: nobody writes any more."""
    try:
        wanted = (directory / SHIPPER_WANTED).read_bytes().decode("ascii", "replace")
    except OSError:
        return False
    return alone if wanted in ("", destination) else True


class Claim:
    """A process's say in where its journal is delivered to. It has one, when it begins: of several processes
    with different settings, the one that began last decides.

    Attributes:
        settled: whoever ships delivers where this process wants.
    """

    def __init__(self, directory: Path, destination: str, alarms: Alarms) -> None:
        self._directory, self._destination, self._alarms = directory, destination, alarms
        self.settled = not destination

    def press(self) -> None:
        """While another process ships: see where to, and ask it to make way if that is elsewhere."""
        if self.settled or (said := state(self._directory)) is None:
            return
        self.settled = said.destination == self._destination
        if not self.settled:
            text = f"process {said.pid} ships from this journal, and to another place; it has been asked to make way"
            self._alarms.warn("elsewhere", text)
            want_to_ship(self._directory, self._destination)


def want_flush(directory: Path) -> None:
    """Ask whoever ships to send what was written so far without waiting for roots."""
    _put(directory / FLUSH_WANTED, b"")


def take_flush_wish(directory: Path) -> bool:
    """Whether somebody has asked since this was last called."""
    try:
        (directory / FLUSH_WANTED).unlink()
    except OSError:
        return False
    return True


def clear(directory: Path) -> None:
    """Take away what is said of a shipper, and to it: another one begins, or none is left."""
    clear_wish(directory)
    with suppress(OSError):
        (directory / SHIPPER_STATE).unlink()


def clear_wish(directory: Path) -> None:
    """Nobody wants to ship instead any more."""
    with suppress(OSError):
        (directory / SHIPPER_WANTED).unlink()


def _put(path: Path, content: bytes) -> None:
    temporary = temporary_path(path)
    with suppress(OSError):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(path)
