"""When a dead letter is tried again, and when it is given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from tierlens.errors import DamagedLine, DeliveryError, TooLarge, Unavailable
from tierlens.journal.codec import Line
from tierlens.projection.tags import is_real_root
from tierlens.shipping.clock import Clock
from tierlens.shipping.deadletter import DeadLetters, Letter, Part
from tierlens.shipping.entry import Destination, Entry, Group
from tierlens.shipping.finishes import Finishes
from tierlens.shipping.limits import Limits
from tierlens.shipping.parcel import Parcel
from tierlens.shipping.runs import RunLog


def reason_of(error: DeliveryError) -> str:
    """The word a refusal is counted and filed under."""
    if isinstance(error, TooLarge):
        return "too_large"
    return "unavailable" if isinstance(error, Unavailable) else "rejected"


def is_final(letter: Letter, limits: Limits) -> bool:
    """Whether a refused span has had all its tries and all its hours. An outage is waited out for ever."""
    hours = (letter.last_ns - letter.first_ns) / 3.6e12
    exhausted = letter.tries >= limits.letter_tries and hours >= limits.letter_hours
    return letter.reason != "unavailable" and exhausted


def pause_after(tries: int, limits: Limits) -> float:
    """Seconds from a letter's latest try to its next: doubling, but six tries at least in the hours it
    has."""
    return min(limits.letter_first_s * 2.0 ** min(tries - 1, 32), limits.letter_hours * 3600 / 6)


class Retries:
    """The dead letters of a journal that are still tried, and from when on.

    Args:
        whose: the user and the session of a trace, as far as they are known.

    Attributes:
        roots: traces whose root was among them at first.
    """

    def __init__(
        self,
        letters: DeadLetters,
        finishes: Finishes,
        runs: RunLog,
        limits: Limits,
        clock: Clock,
        whose: Callable[[str], Mapping[str, str]],
    ) -> None:
        self._letters, self._finishes, self._runs, self._whose = letters, finishes, runs, whose
        self._limits, self._clock = limits, clock
        self._due: dict[str, float] = {}
        self.roots: list[str] = []
        for name, letter, line in letters.all():
            if not letter.final:
                self._due[name] = clock.monotonic()
            if letter.part == "span" and line.root and is_real_root(line.payload):
                self.roots.append(line.trace)

    def next(self) -> Parcel | None:
        """The next letter that is due, as a parcel of its own."""
        now = self._clock.monotonic()
        for name in [name for name, due in self._due.items() if due <= now]:
            del self._due[name]
            try:
                letter, line = self._letters.read(name)
            except (OSError, DamagedLine):
                continue
            if parcel := self._parcel(name, letter, line):
                return parcel
        return None

    def put(self, line: Line, error: DeliveryError, writer: str, part: Part = "span", final: bool = False) -> None:
        """File a span that was refused on its own.

        Raises:
            OSError: it could not be written down, so it must be kept elsewhere.
        """
        now = self._clock.time_ns()
        reason = reason_of(error)
        whose = self._whose(line.trace)
        letter = Letter(reason, error.status, error.detail[:2000], 1, now, now, final, writer, part, whose)
        name = self._letters.put(line, letter)
        kept, _ = self._letters.read(name)
        if not final and is_final(kept, self._limits):
            kept = replace(kept, final=True)
            self._letters.update(name, kept)
        if not kept.final:
            self._due[name] = self._clock.monotonic() + pause_after(kept.tries, self._limits)

    def drop(self, name: str) -> None:
        """Take a letter away that nobody is to have."""
        self._letters.remove(name)

    def delivered(self, name: str) -> Letter | None:
        """Take a letter away whose span was taken after all, unless it is the whole of a truncated one.

        The span's metrics and files, and what it says to a run, become letters of their own first, and are sent next.
        """
        try:
            letter, line = self._letters.read(name)
            for part in _rest(letter, line):
                name_of_rest = self._letters.put(line, replace(letter, part=part, tries=0, final=False))
                self._due[name_of_rest] = self._clock.monotonic()
        except (OSError, DamagedLine):
            return None
        if letter.final:
            return None
        self._letters.remove(name)
        return letter

    def _parcel(self, name: str, letter: Letter, line: Line) -> Parcel | None:
        destination = Destination(line.experiment, line.resource)
        if letter.part == "metrics":
            finish = self._finishes.late(line)
            return Parcel(destination, [], (finish,), letter=name) if finish else None
        entry = Entry(line, letter.writer, (0, 0, 0), len(line.payload), loose=True)
        if letter.part == "run":
            said = self._runs.said(entry)
            return Parcel(destination, [], records=((entry, said),), letter=name) if said else None
        group = Group(line.trace, destination, self._clock.monotonic())
        group.add(entry)
        return Parcel(destination, [group], letter=name)


def _rest(letter: Letter, line: Line) -> Iterator[Part]:
    """What is still to be sent once the span itself was taken."""
    if letter.part == "span" and (line.metrics or line.artifacts):
        yield "metrics"
    if letter.part == "span" and line.invocation:
        yield "run"
