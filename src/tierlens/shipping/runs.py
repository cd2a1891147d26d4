"""What stored spans have to say to MLflow's runs, gathered so that one call carries many invocations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tierlens import presence
from tierlens.journal.blobs import blob_path
from tierlens.journal.configurations import read_configuration
from tierlens.projection.prices import PUBLISHED
from tierlens.projection.runs import Record, record
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.entry import Destination, Entry
from tierlens.shipping.limits import Limits
from tierlens.shipping.parcel import Parcel
from tierlens.sinks.base import Attached, RunSink


@dataclass(slots=True)
class _Waiting:
    since: float
    records: list[tuple[Entry, Record]] = field(default_factory=list)


class RunLog:
    """Spans that are stored, and settled only once their runs have what they say.

    Their writer's position does not pass them before: what a crash leaves unsaid is sent again, span and all.

    Args:
        sink: where runs are, and by whose prices; None where there are none, and nothing waits.
    """

    def __init__(self, sink: RunSink | None, directory: Path, limits: Limits, alarms: Alarms) -> None:
        self._sink, self._directory, self._limits, self._alarms = sink, directory, limits, alarms
        # Where there are no runs, what a letter would say to them is made all the same, so that it is settled.
        self._prices = PUBLISHED if sink is None else sink.prices
        self._waiting: dict[Destination, _Waiting] = {}
        self._unfinished: set[Entry] = set()
        self._configurations: dict[str, tuple[Mapping[str, str], str]] = {}

    def hold(self, entry: Entry, now: float) -> bool:
        """Keep a stored span that has something to say; False if it has not."""
        said = self.said(entry) if self._sink is not None and entry.line.invocation else None
        if said is None:
            return False
        destination = Destination(said.experiment, b"")
        self._waiting.setdefault(destination, _Waiting(now)).records.append((entry, said))
        self._unfinished.add(entry)
        return True

    def said(self, entry: Entry) -> Record | None:
        """What the span has to say, if anything that can be made out."""
        try:
            said = record(entry.line, self._prices)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._alarms.warn("run", f"span {entry.line.span} is stored, and not in any run: {error!r}")
            return None
        if said is None or not said.run.lasting:
            return said and replace(said, files=tuple(self._files(entry)))
        flags, yaml = self._configuration(said.run.params["version"])
        return replace(said, run=replace(said.run, flags=flags, yaml=yaml))

    def due(self, now: float, urgent: bool) -> Iterator[Parcel]:
        """What has waited long enough, or is enough for a call."""
        for destination, waiting in list(self._waiting.items()):
            full = len(waiting.records) >= self._limits.records_per_request
            if urgent or full or now - waiting.since >= self._limits.runs_patience_s:
                del self._waiting[destination]
                yield from _parcels(destination, waiting.records, self._limits.records_per_request)

    def send(self, parcel: Parcel) -> None:
        """Raises DeliveryErrors."""
        if self._sink is not None:
            self._sink.log_runs(parcel.destination.experiment, [said for _, said in parcel.records])

    def done(self, parcel: Parcel) -> list[Entry]:
        """The parcel's runs have it, or never will: the entries that wait no more."""
        entries = [entry for entry, _ in parcel.records]
        self._unfinished.difference_update(entries)
        return entries

    def next_at(self) -> float | None:
        """Monotonic time at which something will be due."""
        since = min((waiting.since for waiting in self._waiting.values()), default=None)
        return None if since is None else since + self._limits.runs_patience_s

    def __bool__(self) -> bool:
        return bool(self._unfinished)

    def _configuration(self, version: str) -> tuple[Mapping[str, str], str]:
        """A version's flags as text, and its YAML; they are looked for again as long as they are not there."""
        if version not in self._configurations:
            if (found := read_configuration(self._directory, version)) is None:
                return {}, ""
            flags = {name: str(value) for name, value in found.flags.items() if value not in ("", [], {}, None)}
            self._configurations[version] = flags, found.yaml
        return self._configurations[version]

    def _files(self, entry: Entry) -> Iterable[Attached]:
        for artifact in entry.line.artifacts:
            path = blob_path(self._directory, artifact.sha256)
            if presence.is_file(path):
                yield Attached(entry.line.span, artifact, str(path))


def _parcels(destination: Destination, records: list[tuple[Entry, Record]], size: int) -> Iterator[Parcel]:
    for at in range(0, len(records), size):
        yield Parcel(destination, [], records=tuple(records[at : at + size]))
