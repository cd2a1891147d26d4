"""What there is of somebody, and taking it away, in an order that leaves nothing behind that could bring it back.

First it is written down what is not to be delivered any more; then the journal is gone through, and again once
whoever ships has had an answer to what was under way; MLflow comes last, when nothing can reach it any more. A crash,
or an MLflow that does not answer, leaves ``forget.left``: the ids of the traces that it may still have, which the next
run deletes, whomever that is about. ``{"v":1,"traces":["<32 hex>", …]}``
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import orjson

from tierlens.errors import DeliveryError, JournalError
from tierlens.journal.erasing import erase, traces_of
from tierlens.journal.forgotten import Forgotten, Subject, remember
from tierlens.journal.lock import FileLock, is_orphan
from tierlens.journal.pauses import Pauses
from tierlens.journal.segment import FORGET_LEFT, FORGET_LOCK, PAUSED, SHIPPER_LOCK, create_directory, replace_durably
from tierlens.shipping import handover
from tierlens.sinks.erasing import Held, StoredTraces
from tierlens.sinks.rest import many
from tierlens.upkeep.besides import Besides

_LOOK_S: Final = 0.1
_UNSAID_S: Final = 2.0

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of somebody, or what was removed.

    Attributes:
        traces: their ids, wherever any was found.
        lines: spans and start records in the journal's segments.
        dead_letters, files, pauses: beside the segments; files are artifacts that nobody else's spans refer to.
        held: what of it is in MLflow.
        failure: why MLflow could not be asked, or not to the end; None where it could.
        waiting: a request was still under way when patience ended, and may have brought something back.
    """

    traces: tuple[str, ...] = ()
    lines: int = 0
    dead_letters: int = 0
    files: int = 0
    pauses: int = 0
    held: Held = field(default_factory=Held)
    failure: DeliveryError | None = None
    waiting: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything, or anything that nobody knows."""
        held = self.held.traces or self.held.runs
        return bool(self.lines or self.dead_letters or self.files or self.pauses or held or self.failure)

    @property
    def whole(self) -> bool:
        """Whether nothing is left that this could have removed."""
        return not (self.failure or self.waiting or self.held.left)


class Erasure:
    """Somebody's data in one journal and one MLflow.

    Args:
        directory: the journal.
        stored: the traces in MLflow; None where there is no MLflow that traces can be deleted from.
        settle_s: how long to wait for a request that was under way when the subjects were forgotten.
        tell: called with what is being done, how much of it is done, and how much there is.
    """

    def __init__(
        self,
        directory: Path,
        stored: StoredTraces | None,
        subjects: Collection[Subject],
        *,
        settle_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        time_ns: Callable[[], int] = time.time_ns,
        tell: Tell = lambda doing, done, of: None,
    ) -> None:
        self._directory, self._stored, self._subjects = directory, stored, frozenset(subjects)
        self._besides, self._forgotten = Besides(directory), Forgotten(directory)
        self._settle_s, self._sleep, self._time_ns, self._tell = settle_s, sleep, time_ns, tell

    def look(self) -> Found:
        """What there is; nothing is changed.

        Raises:
            OSError: the journal cannot be read.
        """
        traces, failure = self._traces()
        found = self._in_journal(traces, write=False)
        return self._in_mlflow(replace(found, failure=failure), traces, StoredTraces.count)

    def erase(self) -> Found:
        """Remove all there is, and have later copies of it dropped by whoever would deliver them.

        Raises:
            OSError: the journal cannot be read or written; run it again.
            JournalError: somebody else erases from it just now.
        """
        create_directory(self._directory)
        with _alone(self._directory):
            # What begins while this looks around is either found, and goes whole, or stays whole.
            began = self._time_ns()
            traces, failure = self._traces()
            remember(self._directory, self._subjects | {Subject("trace", trace) for trace in traces}, began)
            traces |= _left(self._directory)
            _leave(self._directory, traces)
            found = self._in_journal(traces, write=True)
            waiting = not self._requests_ended()
            # What was on its way from one file to another meanwhile.
            found = _sum(found, self._in_journal(traces, write=True))
            found = self._in_mlflow(replace(found, failure=failure, waiting=waiting), traces, StoredTraces.delete)
            if not (found.failure or waiting):
                _leave(self._directory, ())
            return found

    def _traces(self) -> tuple[set[str], DeliveryError | None]:
        """All traces of the subjects, and why MLflow did not say which it has of them."""
        self._tell("Looking into the journal", 0, 0)
        traces = {subject.id for subject in self._subjects if subject.kind == "trace"}
        whose = [subject for subject in self._subjects if subject.kind != "trace"]
        if whose:
            traces |= traces_of(self._directory, self._subjects.__contains__)
            traces |= self._besides.traces_of(self._subjects.__contains__)
        if self._stored is None:
            return traces, None
        self._tell("Asking MLflow", 0, 0)
        try:
            return traces.union(*(self._stored.of(subject) for subject in whose)), None
        except DeliveryError as error:
            return traces, error

    def _in_journal(self, traces: Collection[str], *, write: bool) -> Found:
        self._tell("Going through the journal", 0, 0)
        remembered = bool(self._forgotten)

        def gone(trace: str) -> bool:
            return trace in traces or (remembered and self._forgotten.covers(Subject("trace", trace)))

        # Before any line is read: an artifact stored from now on is somebody else's as well.
        seen = self._besides.blob_identities()
        theirs, others = self._besides.blobs_of_letters(gone)
        erased = erase(self._directory, gone, write=write)
        letters = self._besides.letters(gone)
        for path in letters if write else ():
            path.unlink(missing_ok=True)
        # Of what was delivered no line tells any more; stored again since, it may be anybody's.
        rest = {sha256 for sha256, was in self._besides.resting(gone).items() if seen.get(sha256) == was}
        wanted = ((erased.blobs | theirs | rest) - erased.kept_blobs - others) & seen.keys()
        files = [sha256 for sha256 in wanted if self._besides.remove_blob(sha256, seen[sha256], write=write)]
        pauses = Pauses(self._directory / PAUSED).erase(gone, write=write)
        return Found(tuple(sorted(traces)), erased.lines, len(letters), len(files), pauses)

    def _in_mlflow(self, found: Found, traces: set[str], act: Callable[[StoredTraces, Sequence[str]], Held]) -> Found:
        if self._stored is None or found.failure:
            return found
        held, done = found.held, 0
        try:
            for some in many(sorted(traces)):
                self._tell("Going through MLflow", done, len(traces))
                held = held.plus(act(self._stored, some))
                done += len(some)
        except DeliveryError as error:
            return replace(found, held=held, failure=error)
        return replace(found, held=held)

    def _requests_ended(self) -> bool:
        """Wait until whoever ships has had an answer to what it had sent before it could know."""
        waited = 0.0
        while _is_asking(self._directory):
            said = handover.state(self._directory) is not None
            if waited >= (self._settle_s if said else _UNSAID_S):
                return not said
            self._tell("Waiting for a request that is under way", 0, 0)
            self._sleep(_LOOK_S)
            waited += _LOOK_S
        return True


def _is_asking(directory: Path) -> bool:
    """Whether whoever ships waits for an answer just now; a thread of an agent does not say, and may."""
    if is_orphan(directory / SHIPPER_LOCK):
        return False
    said = handover.state(directory)
    return said is None or said.health.asked_at is not None


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    lock = FileLock(directory / FORGET_LOCK)
    if not lock.acquire():
        raise JournalError(f"somebody else erases from {directory} just now; run this again when that has ended")
    try:
        yield
    finally:
        lock.release(unlink=True)


def _left(directory: Path) -> set[str]:
    try:
        return {str(trace) for trace in orjson.loads((directory / FORGET_LEFT).read_bytes())["traces"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _leave(directory: Path, traces: Collection[str]) -> None:
    if traces:
        replace_durably(directory / FORGET_LEFT, orjson.dumps({"v": 1, "traces": sorted(traces)}))
    else:
        (directory / FORGET_LEFT).unlink(missing_ok=True)


def _sum(first: Found, second: Found) -> Found:
    return replace(
        first,
        lines=first.lines + second.lines,
        dead_letters=first.dead_letters + second.dead_letters,
        files=first.files + second.files,
        pauses=first.pauses + second.pauses,
    )
