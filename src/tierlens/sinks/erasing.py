"""Deleting traces from MLflow, with their files and the runs they have to themselves: over HTTP, or in its database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import quote, urlsplit

from tierlens import keys
from tierlens.errors import Rejected, SettingsError
from tierlens.journal.forgotten import Subject
from tierlens.projection.runs import MODE
from tierlens.sinks.answers import Answer
from tierlens.sinks.channel import Channel
from tierlens.sinks.configured import credentials_for
from tierlens.sinks.mlflow import accepted
from tierlens.sinks.mlflow_http import RestBackend
from tierlens.sinks.mlflow_store import StoreBackend
from tierlens.sinks.opening import open_sink
from tierlens.sinks.rest import LONGEST, PAGE, Json, many
from tierlens.sinks.store import as_answers
from tierlens.spans import mlflow_id, trace_id_from

if TYPE_CHECKING:
    from tierlens.settings import Settings

_METADATA: Final = {"user": "mlflow.trace.user", "session": "mlflow.trace.session"}
_LOCATION: Final = "mlflow.artifactLocation"
_RUN_OF: Final = "tierlens.trace"
_PERSONAL: Final = (keys.SESSION, keys.USER, keys.OUTCOME_DETAIL, "label.")


class InvocationRun(NamedTuple):
    """A run of one invocation: its id, where its files are, and its tags' names."""

    id: str
    files: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """What MLflow holds of some traces, or what was deleted there.

    Attributes:
        traces, runs: how many; runs are those of one invocation each.
        left: locations of files that cannot be deleted through MLflow.
    """

    traces: int = 0
    runs: int = 0
    left: tuple[str, ...] = ()

    def plus(self, other: Held) -> Held:
        return Held(self.traces + other.traces, self.runs + other.runs, (*self.left, *other.left))


class ErasingBackend(Protocol):
    """The calls to MLflow; each raises DeliveryErrors."""

    def trace_infos(self, trace_ids: Sequence[str]) -> Sequence[Json]:
        """Those there are, by MLflow's ids."""
        ...

    def traces_where(self, condition: str) -> Iterable[Json]:
        """Infos of all traces that meet a filter of MLflow's, in deleted experiments too."""
        ...

    def runs_where(self, condition: str, limit: int) -> Sequence[InvocationRun]: ...

    def delete_traces(self, experiment_id: str, trace_ids: Sequence[str]) -> int: ...

    def delete_files(self, location: str) -> None:
        """Raises Rejected where MLflow has no way to."""
        ...

    def untag_run(self, run_id: str, key: str) -> None: ...

    def delete_run(self, run_id: str) -> None: ...

    def close(self) -> None: ...


def stored_traces(settings: Settings) -> StoredTraces | None:
    """Those of the MLflow that the settings name; None where they name an OTLP endpoint, which deletes nothing.

    Raises:
        SettingsError: the address names neither, or a credential cannot be used.
    """
    uri = settings.tracking_uri
    open_sink(uri).close()
    scheme = uri.partition(":")[0].lower()
    if scheme.startswith("otlp"):
        return None
    if scheme in ("http", "https"):
        return StoredTraces(RestErasing(Channel(uri, credentials_for(settings))))
    return StoredTraces(StoreErasing(uri, made=False))


class StoredTraces:
    """The traces of an MLflow. They are looked at, and deleted, at most 100 at a time; every method may raise
    DeliveryErrors."""

    def __init__(self, backend: ErasingBackend) -> None:
        self._backend = backend

    def of(self, subject: Subject) -> set[str]:
        """Ids (32 hex digits) of a session's or a user's traces."""
        return {trace_id_from(str(info["trace_id"])) for info in self._backend.traces_where(condition(subject))}

    def count(self, trace_ids: Sequence[str]) -> Held:
        """What there is of these traces."""
        ids = [mlflow_id(trace) for trace in trace_ids]
        return Held(len(self._backend.trace_infos(ids)), len(self._runs(ids)))

    def delete(self, trace_ids: Sequence[str]) -> Held:
        """Delete these traces. A crash in between leaves rows that the next call finds again: they go last."""
        ids = [mlflow_id(trace) for trace in trace_ids]
        infos, runs = self._backend.trace_infos(ids), self._runs(ids)
        locations = [info.get("tags", {}).get(_LOCATION, "") for info in infos] + [run.files for run in runs]
        left = tuple(location for location in locations if location and not self._delete_files(location))
        for run in runs:
            for tag in filter(_is_personal, run.tags):
                self._backend.untag_run(run.id, tag)
            self._backend.delete_run(run.id)
        deleted = sum(self._backend.delete_traces(*one) for one in _by_experiment(infos).items())
        return Held(deleted, len(runs), left)

    def close(self) -> None:
        self._backend.close()

    def _runs(self, trace_ids: Sequence[str]) -> list[InvocationRun]:
        """Runs of their own, where there are any such runs at all."""
        if not self._backend.runs_where(f"tags.`{MODE}` = 'per_invocation'", 1):
            return []
        wanted = (f"tags.`{_RUN_OF}` = '{trace_id}'" for trace_id in trace_ids)
        return [run for one in wanted for run in self._backend.runs_where(one, PAGE)]

    def _delete_files(self, location: str) -> bool:
        try:
            self._backend.delete_files(location)
        except Rejected:
            return False
        return True


def condition(subject: Subject) -> str:
    """MLflow's filter for a session's or user's traces.

    Raises:
        SettingsError: the id has both kinds of quotes, which MLflow's filters cannot express.
    """
    quotes = "'" if "'" not in subject.id else '"'
    if quotes in subject.id:
        raise SettingsError(f"--{subject.kind}", "", repr(subject.id), "has both kinds of quotes: give --trace instead")
    return f"metadata.`{_METADATA[subject.kind]}` = {quotes}{subject.id}{quotes}"


class RestErasing(RestBackend):
    """As ``ErasingBackend`` has it, over MLflow's REST API."""

    def traces_where(self, condition: str) -> Iterator[Json]:
        for some in self._everywhere():
            yield from self._search_traces(some, condition)

    def runs_where(self, condition: str, limit: int) -> list[InvocationRun]:
        found: list[InvocationRun] = []
        for some in self._everywhere():
            body: Json = {"experiment_ids": some, "filter": condition, "max_results": limit}
            found += map(_run, self._ask("/api/2.0/mlflow/runs/search", body).objects("runs"))
        return found

    def delete_traces(self, experiment_id: str, trace_ids: Sequence[str]) -> int:
        body: Json = {"experiment_id": experiment_id, "request_ids": trace_ids}
        return int(self._ask("/api/2.0/mlflow/traces/delete-traces", body).json().get("traces_deleted", 0))

    def delete_files(self, location: str) -> None:
        parts = urlsplit(location)
        if parts.scheme != "mlflow-artifacts" or parts.netloc:
            raise Rejected(f"files at {location} are not behind the server")
        path = f"/api/2.0/mlflow-artifacts/artifacts/{quote(parts.path.strip('/'))}"
        answer = self._channel.request("DELETE", path)
        if answer.status != 404:
            accepted(answer)

    def untag_run(self, run_id: str, key: str) -> None:
        accepted(self._post("/api/2.0/mlflow/runs/delete-tag", {"run_id": run_id, "key": key}))

    def _everywhere(self) -> Iterator[list[str]]:
        """All experiments, deleted ones too."""
        return many(list(self._experiments("ALL", limit=LONGEST)))

    def _ask(self, path: str, body: Json) -> Answer:
        return accepted(self._post(path, body, limit=LONGEST))


class StoreErasing(StoreBackend):
    """The same in MLflow's database."""

    def traces_where(self, condition: str) -> list[Json]:
        with as_answers():
            everywhere = many(self._experiments(deleted=True))
            return [info for some in everywhere for info in self._search_traces(some, condition)]

    def runs_where(self, condition: str, limit: int) -> list[InvocationRun]:
        with as_answers():
            from mlflow.entities import ViewType

            runs = self._store.search_runs(self._experiments(deleted=True), condition, ViewType.ACTIVE_ONLY, limit)
            return [InvocationRun(run.info.run_id, run.info.artifact_uri, tuple(run.data.tags)) for run in runs]

    def delete_traces(self, experiment_id: str, trace_ids: Sequence[str]) -> int:
        with as_answers():
            return int(self._store.delete_traces(experiment_id, trace_ids=list(trace_ids)))

    def delete_files(self, location: str) -> None:
        if urlsplit(location).scheme == "mlflow-artifacts":
            raise Rejected(f"files at {location} are a server's")
        with as_answers():
            from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

            repository: Any = get_artifact_repository(location)
            repository.delete_artifacts()

    def untag_run(self, run_id: str, key: str) -> None:
        with as_answers():
            self._store.delete_tag(run_id, key)


def _is_personal(tag: str) -> bool:
    return tag.startswith(_PERSONAL)


def _run(found: Json) -> InvocationRun:
    tags = tuple(str(tag["key"]) for tag in (found.get("data") or {}).get("tags", ()))
    return InvocationRun(str(found["info"]["run_id"]), found["info"].get("artifact_uri", ""), tags)


def _by_experiment(infos: Iterable[Json]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for info in infos:
        experiment = info["trace_location"]["mlflow_experiment"]["experiment_id"]
        found.setdefault(str(experiment), []).append(str(info["trace_id"]))
    return found
