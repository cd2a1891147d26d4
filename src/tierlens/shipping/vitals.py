"""How a journal and its delivery are doing, cheaply enough to be asked every few seconds."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tierlens.journal.chain import Chain
from tierlens.journal.cursor import Cursor, read_cursor
from tierlens.journal.moments import latest_ns
from tierlens.journal.quota import usage
from tierlens.journal.segment import Writer, cursor_path, writers
from tierlens.journal.totals import read_totals
from tierlens.shipping.handover import state

_GLANCE: Final = 16 << 10
_FRESH_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Vitals:
    """A journal at one moment.

    Attributes:
        accepted: finished spans that were written, by all processes there have been.
        stored: those that a sink has taken.
        pending: those that are neither stored nor refused.
        refused: spans that the journal or a sink would not take, by reason; those that a sink took later are among
            them for as long as one looks on.
        size: bytes on disk.
        lag_s: for how long the oldest pending span has waited, in seconds.
        failing: the sink's last answer was an outage's, or refused credentials.
    """

    accepted: int = 0
    stored: int = 0
    pending: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    size: int = 0
    lag_s: float = 0.0
    failing: bool = False


class VitalSigns:
    """Looks at a journal again and again, each time reading only what was written since.

    Nothing is locked or moved. Threads may ask at once; answers are up to half a second old.
    """

    def __init__(self, directory: Path, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._directory, self._now_ns = directory, now_ns
        self._writers: dict[str, _WriterSigns] = {}
        self._lock = threading.Lock()
        self._found: tuple[int, Vitals] | None = None
        # A dead letter that is taken after all is refused no more; a counter may not go back.
        self._most_refused: Counter[str] = Counter()

    def look(self) -> Vitals:
        """How things are; as they were, where the directory cannot be read."""
        with self._lock:
            now = self._now_ns()
            if self._found is None or abs(now - self._found[0]) > _FRESH_S * 1e9:
                with suppress(OSError):
                    self._found = now, self._look(now)
            return self._found[1] if self._found is not None else Vitals()

    def _look(self, now: int) -> Vitals:
        found = self._look_at_writers()
        past = read_totals(self._directory)
        refused = Counter(past.refused) + Counter(past.lost)
        # One whose counts are in the totals already, while its files are being taken away, is not counted twice.
        signs = [one for one in found if one.name != past.last]
        for one in signs:
            refused.update(one.refused)
        self._most_refused |= refused
        stored, pending = past.stored + sum(one.stored for one in signs), sum(one.pending for one in signs)
        unstored = sum(past.refused.values()) + sum(sum(one.cursor.refused.values()) for one in signs)
        oldest = min((at for one in signs if (at := one.oldest_ns())), default=now)
        said = state(self._directory)
        return Vitals(
            stored + pending + unstored,
            stored,
            pending,
            dict(self._most_refused),
            usage(self._directory),
            max(now - oldest, 0) / 1e9,
            bool(said and said.health.failing),
        )

    def _look_at_writers(self) -> list[_WriterSigns]:
        found = {writer.name: writer for writer in writers(self._directory)}
        for gone in self._writers.keys() - found.keys():
            del self._writers[gone]
        signs = [self._writers.setdefault(name, _WriterSigns(self._directory, name)) for name in found]
        for one in signs:
            one.look(found[one.name])
        return signs


class _WriterSigns:
    """One writer's lines behind its cursor, counted as they come."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self.name = directory, name
        self._chain: Chain | None = None
        self.cursor = Cursor()
        self._settled_before = self._spans = 0
        self._lost: Counter[str] = Counter()

    @property
    def stored(self) -> int:
        return self.cursor.stored

    @property
    def pending(self) -> int:
        return max(self._settled_before + self._spans - _settled(self.cursor), 0)

    @property
    def refused(self) -> Counter[str]:
        return Counter(self.cursor.refused) + self._lost

    def look(self, writer: Writer) -> None:
        """Count what was written since, or, where the cursor has overtaken us, from there on."""
        self.cursor = read_cursor(cursor_path(self._directory, self.name)) or Cursor()
        chain = self._chain
        if chain is None or chain.position <= self.cursor.position:
            chain = self._chain = Chain(self._directory, self.name, *self.cursor.position)
            self._settled_before, self._spans, self._lost = _settled(self.cursor), 0, Counter(self.cursor.lost)
        chain.look(writer.segments, complete=False)
        for record in chain.records():
            self._spans += record.line.kind == "span"
            self._lost.update(record.line.refused or {})
        chain.close()

    def oldest_ns(self) -> int:
        """When the first pending span ended, Unix nanoseconds; 0 where none is pending."""
        if not self.pending or self._chain is None:
            return 0
        chain = Chain(self._directory, self.name, *self.cursor.position)
        chain.look(self._chain.numbers, complete=False)
        with closing(chain):
            spans = (record.line for record in chain.records(_GLANCE) if record.line.kind == "span")
            return next(map(latest_ns, spans), 0)


def _settled(cursor: Cursor) -> int:
    return cursor.stored + sum(cursor.refused.values())
