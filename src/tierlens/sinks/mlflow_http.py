"""MLflow's server over HTTP, without the mlflow package."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx
import orjson

from tierlens.errors import Rejected, Unavailable
from tierlens.projection.experiments import Experiment
from tierlens.projection.prices import PUBLISHED, PriceBook
from tierlens.projection.runs import MODEL, RUN, Point, Run, agent_version
from tierlens.sinks.channel import DEFAULT_TIMEOUT, Channel
from tierlens.sinks.credentials import Credentials
from tierlens.sinks.encoding import CONTENT_TYPE
from tierlens.sinks.mlflow import MlflowSink, accepted
from tierlens.sinks.rest import LONGEST, Json, Rest, hex_id, many
from tierlens.sinks.runs import Stored, how_of

# Measured with 3 metrics a trace, on 1 and on 4 server processes: 2 at once reach 0.69-0.72 of the server's OTLP
# limit, 1 at once 0.63-0.69, 4 at once 0.50-0.65, since they wait for the database's one writer.
WIDTH: Final = 2
_RUNS: Final = 1_000
_TAKEN: Final = "RESOURCE_ALREADY_EXISTS"
_MISSING: Final = "RESOURCE_DOES_NOT_EXIST"


class MlflowHttpSink(MlflowSink):
    """A tracking server, as ``http(s)://host[:port][/prefix]``.

    Args:
        tracking_uri: the server.
        credentials: None reads MLflow's own variables.
        artifact_location: where new experiments keep artifacts; "" leaves it to the server.
        timeout: of connecting, of writing, and between two pieces of an answer.
        width: requests under way at once.
        prices: of the calls in what it is sent.
    """

    def __init__(
        self,
        tracking_uri: str,
        *,
        credentials: Credentials | None = None,
        artifact_location: str = "",
        timeout: httpx.Timeout = DEFAULT_TIMEOUT,
        width: int = WIDTH,
        prices: PriceBook = PUBLISHED,
    ) -> None:
        credentials = credentials or Credentials.from_environment()
        channel = Channel(tracking_uri, credentials, timeout=timeout, connections=width)
        super().__init__(RestBackend(channel), artifact_location=artifact_location, width=width, prices=prices)


class RestBackend(Rest):
    """``sinks.mlflow.Backend`` over MLflow's REST and OTLP endpoints."""

    def experiment_named(self, name: str) -> Experiment | None:
        query = urlencode({"experiment_name": name})
        answer = self._channel.request("GET", f"/api/2.0/mlflow/experiments/get-by-name?{query}")
        if answer.status == 404 and answer.error_code == _MISSING:
            return None
        found = accepted(answer).json().get("experiment") or {}
        if "experiment_id" not in found:
            raise Unavailable(f"{self._channel.shown} does not answer like MLflow", answer.status)
        return Experiment(str(found["experiment_id"]), name, found.get("lifecycle_stage") != "deleted")

    def create_experiment(self, name: str, artifact_location: str, tags: Mapping[str, str]) -> str | None:
        body: dict[str, Any] = {"name": name, "tags": [{"key": k, "value": v} for k, v in tags.items()]}
        if artifact_location:
            body["artifact_location"] = artifact_location
        answer = self._post("/api/2.0/mlflow/experiments/create", body)
        if answer.error_code == _TAKEN:
            return None
        if not (made := accepted(answer).json().get("experiment_id")):
            raise Unavailable(f"{self._channel.shown} does not answer like MLflow", answer.status)
        return str(made)

    def log_spans(self, experiment_id: str, request: bytes) -> None:
        headers = {**CONTENT_TYPE, "x-mlflow-experiment-id": experiment_id}
        accepted(self._channel.request("POST", "/v1/traces", request, headers))

    def start_trace(self, info: Json) -> None:
        accepted(self._post("/api/3.0/mlflow/traces", {"trace": {"trace_info": info}}))

    def create_assessment(self, assessment: Json) -> None:
        path = f"/api/3.0/mlflow/traces/{assessment['trace_id']}/assessments"
        answer = self._post(path, {"assessment": assessment})
        # A second row of the same id is refused as an internal error: look whether the first is there.
        if answer.status == 500:
            there = self._channel.request("GET", f"{path}/{assessment['assessment_id']}")
            answer = there if there.status == 200 else answer
        accepted(answer)

    def trace_infos(self, trace_ids: Sequence[str]) -> Sequence[Json]:
        body = {"trace_ids": list(trace_ids)}
        return accepted(self._post("/api/3.0/mlflow/traces/batchGetInfos", body, limit=LONGEST)).objects("trace_infos")

    def count_spans(self, experiment_id: str, tag: str, value: str, window_ms: tuple[int, int]) -> int:
        body = {
            "experiment_ids": [experiment_id],
            "view_type": "SPANS",
            "metric_name": "span_count",
            "aggregations": [{"aggregation_type": "COUNT"}],
            "filters": [f"trace.tag.`{tag}` = '{value}'"],
            "start_time_ms": window_ms[0],
            "end_time_ms": window_ms[1],
        }
        answer = accepted(self._post("/api/3.0/mlflow/traces/metrics", body)).json()
        return sum(int(point["values"]["COUNT"]) for point in answer.get("data_points", ()))

    def span_ids(self, trace_id: str) -> Set[str]:
        path = f"/api/3.0/mlflow/traces/get?{urlencode({'trace_id': trace_id, 'allow_partial': 'true'})}"
        answer = self._channel.request("GET", path, limit=LONGEST)
        if answer.status == 404 and answer.error_code == _MISSING:
            return frozenset()
        if accepted(answer).cut:
            raise Rejected(f"{self._channel.shown}: a trace of more than {LONGEST} bytes cannot be compared")
        if (found := answer.json().get("trace")) is None:
            raise Unavailable(f"{self._channel.shown} does not answer like MLflow", answer.status)
        return {hex_id(span["span_id"]) for span in found.get("spans", ())}

    def set_tag(self, trace_id: str, key: str, value: str) -> None:
        headers = {"Content-Type": "application/json"}
        body = orjson.dumps({"key": key, "value": value})
        accepted(self._channel.request("PATCH", f"/api/3.0/mlflow/traces/{trace_id}/tags", body, headers))

    def traces_tagged(self, tag: str, value: str, limit: int) -> Sequence[Json]:
        found: list[Json] = []
        for some in many(list(self._experiments())):
            found += itertools.islice(self._search_traces(some, f"tags.`{tag}` = '{value}'", limit), limit)
        return sorted(found, key=lambda info: str(info["request_time"]), reverse=True)[:limit]

    def attach(self, location: str, name: str, path: str) -> None:
        """As ``Backend`` has it.

        Raises:
            Rejected: the trace's artifacts are not behind the server's proxy, or the file is gone.
        """
        self._put(location, f"attachments/{name}", _pieces(Path(path)))

    def _put(self, location: str, name: str, content: Iterator[bytes]) -> None:
        """PUT through the server's artifact proxy.

        Raises:
            Rejected: the location is not behind the server's proxy, or the file is gone.
        """
        parts = urlsplit(location)
        if parts.scheme != "mlflow-artifacts" or parts.netloc:
            raise Rejected(f"artifacts at {location} are not behind the server (mlflow-artifacts:/); none is sent")
        target = quote(f"{parts.path.strip('/')}/{name}")
        headers = {"Content-Type": "application/octet-stream"}
        accepted(self._channel.request("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{target}", content, headers))

    def find_runs(self, experiment_id: str, condition: str) -> Sequence[Stored]:
        body = {
            "experiment_ids": [experiment_id],
            "filter": condition,
            "run_view_type": "ACTIVE_ONLY",
            "max_results": _RUNS,
        }
        # A page that is not MLflow's is no answer: taken for "none", it would have a second run made.
        return [_stored(run) for run in self._pages("/api/2.0/mlflow/runs/search", body, "runs", limit=LONGEST)]

    def create_run(self, experiment_id: str, name: str, start_ms: int, tags: Mapping[str, str]) -> Stored:
        body = {
            "experiment_id": experiment_id,
            "run_name": name,
            "start_time": start_ms,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return _stored(accepted(self._post("/api/2.0/mlflow/runs/create", body)).json()["run"])

    def log_batch(
        self, run_id: str, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        body = {
            "run_id": run_id,
            "metrics": [{"key": p.key, "value": p.value, "timestamp": p.timestamp_ms, "step": p.step} for p in points],
            "params": [{"key": key, "value": value} for key, value in params.items()],
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        accepted(self._post("/api/2.0/mlflow/runs/log-batch", body))

    def end_run(self, run_id: str, status: str, end_ms: int, name: str) -> None:
        body = {"run_id": run_id, "status": status, "end_time": end_ms, "run_name": name}
        accepted(self._post("/api/2.0/mlflow/runs/update", body))

    def create_agent_version(self, experiment_id: str, run: Run, run_id: str) -> str:
        told = agent_version(run)
        body = {
            "experiment_id": experiment_id,
            "name": told.name,
            "model_type": "agent",
            "source_run_id": run_id,
            "params": [{"key": key, "value": value} for key, value in told.params.items()],
            "tags": [{"key": key, "value": value} for key, value in told.tags.items()],
        }
        made = accepted(self._post("/api/2.0/mlflow/logged-models", body)).json()["model"]["info"]["model_id"]
        headers = {"Content-Type": "application/json"}
        ready = orjson.dumps({"model_id": made, "status": "LOGGED_MODEL_READY"})
        accepted(self._channel.request("PATCH", f"/api/2.0/mlflow/logged-models/{made}", ready, headers))
        return str(made)

    def delete_run(self, run_id: str) -> None:
        accepted(self._post("/api/2.0/mlflow/runs/delete", {"run_id": run_id}))

    def link_traces(self, run_id: str, trace_ids: Sequence[str]) -> None:
        body = {"run_id": run_id, "trace_ids": list(trace_ids)}
        accepted(self._post("/api/2.0/mlflow/traces/link-to-run", body))

    def attach_to_run(self, run: Stored, name: str, path: str) -> None:
        self._put(run.artifacts, name, _pieces(Path(path)))


def _stored(run: Json) -> Stored:
    info, data = run["info"], run.get("data") or {}
    tags, params = ({one["key"]: one["value"] for one in data.get(part, ())} for part in ("tags", "params"))
    began, ended = int(info.get("start_time") or 0), int(info.get("end_time") or 0)
    return Stored(
        str(info["run_id"]),
        tags.get(RUN, ""),
        began,
        ended,
        info.get("artifact_uri", ""),
        how_of(params),
        tags.get(MODEL, ""),
    )


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece
    except OSError as e:
        raise Rejected(f"artifact file {path.name} cannot be read: {e.strerror}") from e
