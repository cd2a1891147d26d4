"""MLflow's runs, found or made by the key they carry as a tag, and never made twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol

from tierlens.errors import Rejected
from tierlens.projection.experiments import UnknownExperiment
from tierlens.projection.runs import MODE, MODEL, RUN, Point, Record, Run, variant, yaml_tags
from tierlens.projection.work import is_how
from tierlens.sinks.base import RunSink, Sink
from tierlens.sinks.fanout import FanOut
from tierlens.sinks.parallel import in_parallel
from tierlens.spans import mlflow_id

_POINTS: Final = 1_000
_LINKS: Final = 100
_PARENT: Final = "mlflow.parentRunId"
_SETTLE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Stored:
    """A run as MLflow has it; times are Unix milliseconds, ``end_ms`` is 0 while it runs.

    Attributes:
        how: those of its params that say how models were asked.
        model: id of the agent version it belongs to, as MLflow has it; "" where there is none yet.
    """

    id: str
    key: str
    start_ms: int
    end_ms: int
    artifacts: str = ""
    how: Mapping[str, str] = field(default_factory=dict)
    model: str = ""


def how_of(params: Mapping[str, str]) -> dict[str, str]:
    """Those of a run's params that say how models were asked."""
    return {name: text for name, text in params.items() if is_how(name)}


class RunBackend(Protocol):
    """The calls to MLflow; each raises DeliveryErrors."""

    def find_runs(self, experiment_id: str, condition: str) -> Sequence[Stored]:
        """The runs that are not deleted and fulfil a condition in MLflow's search syntax."""
        ...

    def create_run(self, experiment_id: str, name: str, start_ms: int, tags: Mapping[str, str]) -> Stored: ...

    def log_batch(
        self, run_id: str, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]
    ) -> None: ...

    def end_run(self, run_id: str, status: str, end_ms: int, name: str) -> None: ...

    def create_agent_version(self, experiment_id: str, run: Run, run_id: str) -> str:
        """A new external model of type agent that a run came from; its id."""
        ...

    def delete_run(self, run_id: str) -> None: ...

    def link_traces(self, run_id: str, trace_ids: Sequence[str]) -> None:
        """At most 100 of MLflow's trace ids."""
        ...

    def attach_to_run(self, run: Stored, name: str, path: str) -> None: ...


class RunBook:
    """Runs by their keys.

    MLflow gives out run ids itself and knows no unique tag. So whoever finds no run of a configuration version
    makes one, waits until anybody who looked at the same time must have done so too, and looks again: of several,
    the one with the smallest id stays. Runs of single invocations have one journal, and so one who makes them.

    Args:
        backend: how MLflow is reached.
        width: calls under way at once.
        settle_s: how long to wait before that second look.
        sleep: for so many seconds.
    """

    def __init__(
        self,
        backend: RunBackend,
        *,
        width: int = 1,
        settle_s: float = _SETTLE_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._backend, self._width = backend, width
        self._settle_s, self._sleep = settle_s, sleep
        self._lasting: dict[tuple[str, str], Stored] = {}

    def log(self, experiment_id: str, records: Sequence[Record]) -> None:
        """Put records of one experiment into their runs.

        Raises:
            DeliveryError: some may be in; the same call, made again, ends in the same runs.
        """
        lasting = [record for record in records if record.run.lasting]
        single = {record.run.key: record for record in records if not record.run.lasting}
        if lasting:
            self._log_versions(experiment_id, lasting)
        if single:
            self._log_invocations(experiment_id, single)

    def _log_versions(self, experiment_id: str, records: Sequence[Record]) -> None:
        stored = self._ensure(experiment_id, [record.run for record in records])
        by_key: dict[str, list[Record]] = {}
        for record in records:
            run, base = record.run, stored[record.run.key]
            if run.how and not base.how:
                base = stored[run.key] = replace(base, how=run.how)
            # A run's params cannot change: a model that is asked otherwise is another run.
            by_key.setdefault(run.key if run.how in ({}, base.how) else variant(run).key, []).append(record)
        others = [variant(of_run[0].run) for key, of_run in by_key.items() if key not in stored]
        stored |= self._ensure(experiment_id, others)
        for key, of_run in by_key.items():
            if not stored[key].model:
                stored[key] = self._announce(experiment_id, of_run[0].run, stored[key])
        try:
            self._all(partial(self._log_version, stored[key], of_run) for key, of_run in by_key.items())
        except (Rejected, UnknownExperiment):
            # The runs we know may be gone, or what we know of them.
            for key in stored:
                self._lasting.pop((experiment_id, key), None)
            raise
        for key, of_run in by_key.items():
            latest = max(stored[key].end_ms, *(record.run.end_ms for record in of_run))
            self._lasting[experiment_id, key] = replace(stored[key], end_ms=latest)

    def _ensure(self, experiment_id: str, wanted: Iterable[Run]) -> dict[str, Stored]:
        # Of several invocations, the first is when the run began.
        runs = {run.key: run for run in sorted(wanted, key=lambda run: -run.start_ms)}
        found = {key: run for key in runs if (run := self._known(experiment_id, key)) is not None}
        made = {key: self._make(experiment_id, run) for key, run in runs.items() if key not in found}
        if made:
            self._sleep(self._settle_s)
        for key, own in made.items():
            found[key] = min([own, *self._find(experiment_id, key)], key=lambda run: run.id)
            if found[key].id != own.id:
                self._backend.delete_run(own.id)
        return found

    def _announce(self, experiment_id: str, run: Run, stored: Stored) -> Stored:
        """Make the agent's version that a run is of; a crash before its id is on the run leaves one unknown."""
        model = self._backend.create_agent_version(experiment_id, run, stored.id)
        self._backend.log_batch(stored.id, (), {}, {MODEL: model, **yaml_tags(run.yaml)})
        return replace(stored, model=model)

    def _known(self, experiment_id: str, key: str) -> Stored | None:
        known = self._lasting.get((experiment_id, key))
        return known or min(self._find(experiment_id, key), key=lambda run: run.id, default=None)

    def _find(self, experiment_id: str, key: str) -> Sequence[Stored]:
        return self._backend.find_runs(experiment_id, f"tags.`{RUN}` = '{key}'")

    def _make(self, experiment_id: str, run: Run, parent: str = "") -> Stored:
        tags = {**run.tags, RUN: run.key, **({_PARENT: parent} if parent else {})}
        return self._backend.create_run(experiment_id, run.name, run.start_ms, tags)

    def _log_version(self, stored: Stored, records: Sequence[Record]) -> None:
        points = [point for record in records for point in record.points(stored.start_ms)]
        how = next((record.run.how for record in records if record.run.how), {})
        params: Mapping[str, str] = {**records[0].run.params, **how}
        for at in range(0, len(points), _POINTS):
            self._backend.log_batch(stored.id, points[at : at + _POINTS], params, {})
            params = {}
        traces = list(dict.fromkeys(mlflow_id(record.trace_id) for record in records))
        for at in range(0, len(traces), _LINKS):
            self._backend.link_traces(stored.id, traces[at : at + _LINKS])
        latest = max(record.run.end_ms for record in records)
        if latest > stored.end_ms:
            self._backend.end_run(stored.id, "FINISHED", latest, records[0].run.name)

    def _log_invocations(self, experiment_id: str, records: Mapping[str, Record]) -> None:
        stored = self._already(experiment_id, records.values())
        parents = {record.run.parent for record in records.values()} - {""} - records.keys()
        for key in parents - stored.keys():
            first = next(record.run for record in records.values() if record.run.parent == key)
            found = self._find(experiment_id, key)
            stand_in = Run(key, key, first.start_ms, first.start_ms, tags={MODE: "per_invocation"})
            stored[key] = found[0] if found else self._make(experiment_id, stand_in)
        roots = [record for record in records.values() if not record.run.parent]
        self._all(partial(self._log_one, experiment_id, record, stored) for record in roots)
        inner = [record for record in records.values() if record.run.parent]
        self._all(partial(self._log_one, experiment_id, record, stored) for record in inner)

    def _already(self, experiment_id: str, records: Collection[Record]) -> dict[str, Stored]:
        """Those that were made before: by an attempt that did not end, or for an agent before its root had come."""
        window = min(record.run.start_ms for record in records), max(record.run.end_ms for record in records)
        condition = (
            f"attributes.start_time >= {window[0]} AND attributes.start_time <= {window[1]} "
            f"AND tags.`{MODE}` = 'per_invocation'"
        )
        return {run.key: run for run in self._backend.find_runs(experiment_id, condition)}

    def _log_one(self, experiment_id: str, record: Record, stored: dict[str, Stored]) -> None:
        run = record.run
        parent = stored[run.parent].id if run.parent else ""
        known = stored.get(run.key)
        here = known or self._make(experiment_id, run, parent)
        stored[run.key] = here
        tags = {**run.tags, **({_PARENT: parent} if parent else {})} if known else {}
        self._backend.log_batch(here.id, list(record.points(run.start_ms)), {**run.params, **run.how}, tags)
        for file in record.files:
            self._backend.attach_to_run(here, file.artifact.name, file.path)
        self._backend.end_run(here.id, "FAILED" if run.failed else "FINISHED", run.end_ms, run.name)
        if not run.parent:
            self._backend.link_traces(here.id, [mlflow_id(record.trace_id)])

    def _all(self, calls: Iterable[Callable[[], None]]) -> None:
        in_parallel(list(calls), self._width)


def run_sink_of(sink: Sink) -> RunSink | None:
    """Whoever has runs, if anybody has: of two destinations, the first."""
    asked = sink.first if isinstance(sink, FanOut) else sink
    return asked if isinstance(asked, RunSink) else None
