"""MLflow's database, written directly through the mlflow package's own store: no server needed."""

from __future__ import annotations

import importlib
import itertools
import shutil
import tempfile
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Final

from tierlens import presence
from tierlens.errors import Rejected
from tierlens.projection.experiments import Experiment
from tierlens.projection.prices import PUBLISHED, PriceBook
from tierlens.projection.runs import MODEL, RUN, Point, Run, agent_version
from tierlens.sinks.mlflow import MlflowSink
from tierlens.sinks.rest import Json
from tierlens.sinks.runs import Stored, how_of
from tierlens.sinks.store import Store, as_answers, pages

_TAKEN: Final = "RESOURCE_ALREADY_EXISTS"
_MISSING: Final = "RESOURCE_DOES_NOT_EXIST"
_INTERNAL: Final = "INTERNAL_ERROR"


class MlflowStoreSink(MlflowSink):
    """A database, as ``sqlite:///path/to/mlflow.db`` or ``postgresql://…``.

    Args:
        database_uri: as SQLAlchemy takes it.
        artifact_location: where new experiments keep artifacts; "" makes that ``artifacts`` beside an SQLite
            file, and ``mlartifacts`` in the working directory for other databases.
        prices: of the calls in what it is sent.
    """

    def __init__(self, database_uri: str, *, artifact_location: str = "", prices: PriceBook = PUBLISHED) -> None:
        backend = StoreBackend(database_uri)
        super().__init__(backend, artifact_location=artifact_location, prices=prices)


class StoreBackend(Store):
    """``sinks.mlflow.Backend`` over mlflow's SqlAlchemyStore."""

    def experiment_named(self, name: str) -> Experiment | None:
        with as_answers():
            found = self._store.get_experiment_by_name(name)
        return found and Experiment(found.experiment_id, name, found.lifecycle_stage != "deleted")

    def create_experiment(self, name: str, artifact_location: str, tags: Mapping[str, str]) -> str | None:
        with as_answers():
            from mlflow.entities import ExperimentTag
            from mlflow.exceptions import MlflowException

            labels = [ExperimentTag(key, value) for key, value in tags.items()]
            try:
                return str(self._store.create_experiment(name, artifact_location or None, labels))
            except MlflowException as e:
                if e.error_code == _TAKEN:
                    return None
                raise

    def log_spans(self, experiment_id: str, request: bytes) -> None:
        with as_answers():
            self._store.log_spans(experiment_id, _entities(request))

    def start_trace(self, info: Json) -> None:
        with as_answers():
            from mlflow.entities import TraceInfo
            from mlflow.protos.service_pb2 import TraceInfoV3

            json_format: Any = importlib.import_module("google.protobuf.json_format")
            message = json_format.ParseDict(info, TraceInfoV3())
            self._store.start_trace(TraceInfo.from_proto(message))

    def create_assessment(self, assessment: Json) -> None:
        with as_answers():
            from mlflow.entities.assessment import Assessment
            from mlflow.exceptions import MlflowException

            try:
                self._store.create_assessment(Assessment.from_dictionary(dict(assessment)))
            except MlflowException as e:
                # A second row of the same id is refused as an internal error: look whether the first is
                # there.
                if e.error_code != _INTERNAL:
                    raise
                self._store.get_assessment(assessment["trace_id"], assessment["assessment_id"])

    def trace_infos(self, trace_ids: Sequence[str]) -> Sequence[Json]:
        with as_answers():
            json_format: Any = importlib.import_module("google.protobuf.json_format")
            # As the server answers: ``to_dict`` has the duration under a name that start_trace does not take.
            return [
                json_format.MessageToDict(info.to_proto(), preserving_proto_field_name=True)
                for info in self._store.batch_get_trace_infos(list(trace_ids))
            ]

    def count_spans(self, experiment_id: str, tag: str, value: str, window_ms: tuple[int, int]) -> int:
        with as_answers():
            from mlflow.entities.trace_metrics import AggregationType, MetricAggregation, MetricViewType

            found = self._store.query_trace_metrics(
                experiment_ids=[experiment_id],
                view_type=MetricViewType.SPANS,
                metric_name="span_count",
                aggregations=[MetricAggregation(aggregation_type=AggregationType.COUNT)],
                filters=[f"trace.tag.`{tag}` = '{value}'"],
                start_time_ms=window_ms[0],
                end_time_ms=window_ms[1],
            )
            return sum(int(point.values["COUNT"]) for point in found)

    def span_ids(self, trace_id: str) -> Set[str]:
        with as_answers():
            from mlflow.exceptions import MlflowException

            try:
                found = self._store.get_trace(trace_id, allow_partial=True)
            except MlflowException as e:
                if e.error_code != _MISSING:
                    raise
                return frozenset()
            return {span.span_id for span in found.data.spans}

    def set_tag(self, trace_id: str, key: str, value: str) -> None:
        with as_answers():
            self._store.set_trace_tag(trace_id, key, value)

    def traces_tagged(self, tag: str, value: str, limit: int) -> Sequence[Json]:
        with as_answers():
            found = self._search_traces(self._experiments(), f"tags.`{tag}` = '{value}'", limit)
            return list(itertools.islice(found, limit))

    def attach(self, location: str, name: str, path: str) -> None:
        try:
            content = Path(path).read_bytes()
        except OSError as e:
            raise Rejected(f"artifact file {Path(path).name} cannot be read: {e.strerror}") from e
        with as_answers():
            from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

            get_artifact_repository(location).upload_attachment(name, content)

    def find_runs(self, experiment_id: str, condition: str) -> Sequence[Stored]:
        with as_answers():
            from mlflow.entities import ViewType

            asked = {"experiment_ids": [experiment_id], "filter_string": condition, "max_results": 1_000}
            return [_stored(run) for run in pages(self._store.search_runs, **asked, run_view_type=ViewType.ACTIVE_ONLY)]

    def create_run(self, experiment_id: str, name: str, start_ms: int, tags: Mapping[str, str]) -> Stored:
        with as_answers():
            from mlflow.entities import RunTag

            labels = [RunTag(key, value) for key, value in tags.items()]
            return _stored(self._store.create_run(experiment_id, "", start_ms, labels, name))

    def log_batch(
        self, run_id: str, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        with as_answers():
            from mlflow.entities import Metric, Param, RunTag

            self._store.log_batch(
                run_id,
                [Metric(point.key, point.value, point.timestamp_ms, point.step) for point in points],
                [Param(key, value) for key, value in params.items()],
                [RunTag(key, value) for key, value in tags.items()],
            )

    def end_run(self, run_id: str, status: str, end_ms: int, name: str) -> None:
        with as_answers():
            from mlflow.entities import RunStatus

            self._store.update_run_info(run_id, RunStatus.from_string(status), end_ms, name)

    def create_agent_version(self, experiment_id: str, run: Run, run_id: str) -> str:
        with as_answers():
            from mlflow.entities import LoggedModelParameter, LoggedModelStatus, LoggedModelTag

            told = agent_version(run)
            params = [LoggedModelParameter(key, value) for key, value in told.params.items()]
            tags = [LoggedModelTag(key, value) for key, value in told.tags.items()]
            made = self._store.create_logged_model(experiment_id, told.name, run_id, tags, params, "agent")
            self._store.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
            return str(made.model_id)

    def delete_run(self, run_id: str) -> None:
        with as_answers():
            self._store.delete_run(run_id)

    def link_traces(self, run_id: str, trace_ids: Sequence[str]) -> None:
        with as_answers():
            self._store.link_traces_to_run(list(trace_ids), run_id)

    def attach_to_run(self, run: Stored, name: str, path: str) -> None:
        if not presence.is_file(Path(path)):
            raise Rejected(f"artifact file {Path(path).name} is gone")
        with as_answers(), tempfile.TemporaryDirectory() as folder:
            from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

            # MLflow names what it stores after the file it is given.
            copy = Path(folder) / Path(name).name
            shutil.copyfile(path, copy)
            repository: Any = get_artifact_repository(run.artifacts)
            repository.log_artifact(str(copy))


def _stored(run: Any) -> Stored:
    info, key = run.info, run.data.tags.get(RUN, "")
    how = how_of(run.data.params)
    model = run.data.tags.get(MODEL, "")
    return Stored(info.run_id, key, info.start_time, info.end_time or 0, info.artifact_uri, how, model)


def _entities(request: bytes) -> list[Any]:
    from mlflow.entities.span import Span
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    message = ExportTraceServiceRequest.FromString(request)
    return [
        Span.from_otel_proto(span, resource=of_resource.resource)
        for of_resource in message.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]
