"""What MLflow holds of a run, read back over its REST API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import httpx

Json = Mapping[str, Any]

_PAGE: Final = 100
_BATCH: Final = 10


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """Attributes:
    kind: MLflow's type: AGENT, CHAT_MODEL, …
    failed: its status is an error.
    attributes: as they were sent.
    """

    span_id: str
    parent_id: str | None
    name: str
    kind: str
    failed: bool
    attributes: Json


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """Attributes:
    experiment_id: MLflow's number of the experiment it lies in.
    seconds: from the root's start to its end.
    tokens: MLflow's own sum over the trace, ``input_tokens`` including what the cache held.
    cost: US dollars, MLflow's own sum.
    """

    trace_id: str
    experiment_id: str
    tags: Mapping[str, str]
    seconds: float
    tokens: Mapping[str, int]
    cost: float
    spans: tuple[StoredSpan, ...]


class StoredTraces:
    """Reads from one server."""

    def __init__(self, uri: str) -> None:
        # No proxy: the server is on this machine.
        self._client = httpx.Client(base_url=uri, trust_env=False, timeout=60)

    def experiments(self) -> dict[str, str]:
        """Names of all experiments, by id."""
        body = {"max_results": _PAGE}
        found = self._pages("/api/2.0/mlflow/experiments/search", body, "experiments")
        return {each["experiment_id"]: each["name"] for each in found}

    def tagged(self, tag: str, value: str) -> list[StoredTrace]:
        """All traces with a tag, whatever experiment they lie in, oldest first."""
        places = [
            {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": id}} for id in self.experiments()
        ]
        body = {"locations": places, "filter": f"tag.{tag} = '{value}'", "max_results": _PAGE}
        found = self._pages("/api/3.0/mlflow/traces/search", {**body, "order_by": ["timestamp ASC"]}, "traces")
        ids = [each["trace_id"] for each in found]
        batches = [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]
        return [trace for batch in batches for trace in self._whole(batch)]

    def _whole(self, trace_ids: Sequence[str]) -> list[StoredTrace]:
        answer = self._client.get("/api/3.0/mlflow/traces/batchGet", params={"trace_ids": list(trace_ids)})
        traces = {trace.trace_id: trace for trace in map(read_trace, answer.raise_for_status().json()["traces"])}
        return [traces[trace_id] for trace_id in trace_ids]

    def _pages(self, path: str, body: Json, member: str) -> Iterator[Json]:
        token: str | None = ""
        while token is not None:
            asked = {**body, "page_token": token} if token else body
            answer = self._client.post(path, json=asked).raise_for_status().json()
            yield from answer.get(member, ())
            token = answer.get("next_page_token") or None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def read_trace(stored: Json) -> StoredTrace:
    """A trace from MLflow's JSON."""
    info = stored["trace_info"]
    metadata = info.get("trace_metadata", {})
    return StoredTrace(
        trace_id=info["trace_id"],
        experiment_id=info["trace_location"]["mlflow_experiment"]["experiment_id"],
        tags=info.get("tags", {}),
        seconds=float(info.get("execution_duration", "0s").removesuffix("s")),
        tokens=json.loads(metadata.get("mlflow.trace.tokenUsage", "{}")),
        cost=json.loads(metadata.get("mlflow.trace.cost", "{}")).get("total_cost", 0.0),
        spans=tuple(map(_span, stored.get("spans", ()))),
    )


def _span(stored: Json) -> StoredSpan:
    attributes = {each["key"]: plain(each.get("value", {})) for each in stored.get("attributes", ())}
    return StoredSpan(
        span_id=stored["span_id"],
        parent_id=stored.get("parent_span_id") or None,
        name=stored["name"],
        kind=str(attributes.get("mlflow.spanType", "")),
        failed=stored.get("status", {}).get("code") == "STATUS_CODE_ERROR",
        attributes=attributes,
    )


def plain(value: Json) -> Any:
    """OpenTelemetry's ``AnyValue``, as MLflow's JSON has it, as Python's own."""
    for kind, held in value.items():
        if kind == "array_value":
            return [plain(each) for each in held.get("values", ())]
        if kind == "kvlist_value":
            return {each["key"]: plain(each.get("value", {})) for each in held.get("values", ())}
        return held
    return None
