"""Comparing the delivered lines that are still in a journal with what MLflow holds, and sending what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tierlens.journal.chain import Chain
from tierlens.journal.codec import Line
from tierlens.journal.cursor import Cursor, read_cursor
from tierlens.journal.forgotten import Forgotten
from tierlens.journal.segment import cursor_path, writers
from tierlens.shipping.deadletter import DeadLetters
from tierlens.sinks.base import Sink
from tierlens.sinks.witness import Witness, required_witness
from tierlens.upkeep.drain import drain
from tierlens.upkeep.postbox import put_back


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of it.

    Attributes:
        traces, spans: how many delivered ones were compared.
        missing: the lines of those that MLflow does not hold.
    """

    traces: int
    spans: int
    missing: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """A comparison, and what was done about it.

    Attributes:
        put_back: how many of the missing spans were sent again.
        still_missing: those that MLflow does not hold now.
    """

    compared: Comparison
    put_back: int
    still_missing: tuple[Line, ...]


def verify(directory: Path, open_sink: Callable[[], Sink], *, send: bool, patience_s: float = 30.0) -> Verification:
    """Compare; with ``send``, put back what is missing, have the journal delivered, and look again.

    Raises:
        TierlensError: the sink cannot say what it holds, or does not answer.
        OSError: the journal cannot be read, or nothing can be put back.
    """
    sink = open_sink()
    try:
        witness = required_witness(sink)
        compared = compare(directory, witness)
        if not (send and compared.missing):
            return Verification(compared, 0, compared.missing)
        count = put_back(directory, compared.missing)
        drain(directory, open_sink, patience_s=patience_s)
        return Verification(compared, count, tuple(_absent(compared.missing, witness)))
    finally:
        sink.close()


def compare(directory: Path, witness: Witness) -> Comparison:
    """Ask for every delivered span whose line is still there; dead letters are not delivered, erased ones not wanted.

    Raises:
        DeliveryError: MLflow does not answer.
        OSError: the directory cannot be listed.
    """
    letters, forgotten = DeadLetters(directory), Forgotten(directory)
    traces: dict[str, dict[str, Line]] = {}
    for line in _delivered(directory):
        if not (letters.holds(line) or (forgotten and forgotten.has(line))):
            traces.setdefault(line.trace, {})[line.span] = line
    lines = [line for spans in traces.values() for line in spans.values()]
    return Comparison(len(traces), len(lines), tuple(_absent(lines, witness)))


def _absent(lines: Iterable[Line], witness: Witness) -> Iterator[Line]:
    for trace_id, spans in groupby(lines, key=lambda line: line.trace):
        held = witness.held([trace_id]).get(trace_id, frozenset())
        yield from (line for line in spans if line.span not in held)


def _delivered(directory: Path) -> Iterator[Line]:
    """Finished spans before their writer's cursor."""
    for writer in writers(directory):
        cursor = read_cursor(cursor_path(directory, writer.name)) or Cursor()
        chain = Chain(directory, writer.name, 0, 0)
        chain.look(writer.segments, complete=False)
        # The shipper may take a segment away meanwhile: what was in it has been seen.
        delivered = chain.records(before=cursor.position)
        yield from (record.line for record in delivered if record.line.kind == "span")
        chain.close()
