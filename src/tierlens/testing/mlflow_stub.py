"""As much of MLflow's server as delivery needs, in memory, refusing and lying on command."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from tierlens.keys import TRACE_TAG
from tierlens.spans import trace_id_from
from tierlens.testing.http_stub import OK, HttpStub, Recorded, Reply

_FILTER = re.compile(r"trace\.tag\.`(.+)` = '(.+)'")


@dataclass(slots=True)
class _Contents:
    experiments: dict[str, str] = field(default_factory=dict)
    spans: dict[str, dict[str, Any]] = field(default_factory=dict)
    assessments: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    span_requests: int = 0


class MlflowStub(HttpStub):
    """As much of MLflow's server as delivery needs; the replies given are those to ``POST /v1/traces``.

    What a reply of status 200 takes, also one that closes the connection, is in ``spans`` by span id, unless
    the reply lies: ids in hex, name, attributes as a dict, experiment id.
    """

    def __init__(self, *replies: Reply, otherwise: Reply = OK) -> None:
        super().__init__(*replies, otherwise=otherwise)
        self._contents = _Contents()

    @property
    def spans(self) -> Mapping[str, Mapping[str, Any]]:
        return self._contents.spans

    @property
    def assessments(self) -> Mapping[str, Mapping[str, Any]]:
        """By assessment id."""
        return self._contents.assessments

    @property
    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """By trace id, in hex."""
        return self._contents.tags

    @property
    def span_requests(self) -> int:
        """How often spans were posted, stored or not."""
        return self._contents.span_requests

    def reply_to(self, request: Recorded) -> Reply:
        path = urlsplit(request.path).path
        if path == "/v1/traces":
            return self._take_spans(request)
        return _ROUTES.get(path, _of_trace)(self._contents, request)

    def _take_spans(self, request: Recorded) -> Reply:
        self._contents.span_requests += 1
        reply = self.next_reply()
        if reply.status == 200 and not reply.lie:
            for span in _otlp_spans(request.body):
                span["experiment"] = request.headers["x-mlflow-experiment-id"]
                self._contents.spans[span["spanId"]] = span
                self._contents.tags.setdefault(span["traceId"], {}).update(_tags_of(span))
        return reply


def _experiment_by_name(contents: _Contents, request: Recorded) -> Reply:
    name = parse_qs(urlsplit(request.path).query)["experiment_name"][0]
    if name not in contents.experiments:
        return _json({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}, 404)
    return _json({"experiment": {"experiment_id": contents.experiments[name], "lifecycle_stage": "active"}})


def _create_experiment(contents: _Contents, request: Recorded) -> Reply:
    name = request.json()["name"]
    number = contents.experiments.setdefault(name, str(len(contents.experiments) + 1))
    return _json({"experiment_id": number})


def _start_trace(contents: _Contents, request: Recorded) -> Reply:
    info = request.json()["trace"]["trace_info"]
    contents.assessments.update({a["assessment_id"]: a for a in info.get("assessments", ())})
    return _json({"trace": {"trace_info": info}})


def _count_spans(contents: _Contents, request: Recorded) -> Reply:
    key, value = _FILTER.fullmatch(request.json()["filters"][0]).groups()  # type: ignore[union-attr]  # our own filter
    count = sum(contents.tags[span["traceId"]].get(key) == value for span in contents.spans.values())
    return _json({"data_points": [{"metric_name": "span_count", "values": {"COUNT": float(count)}}]})


def _trace(contents: _Contents, request: Recorded) -> Reply:
    trace_id = trace_id_from(parse_qs(urlsplit(request.path).query)["trace_id"][0])
    spans = [span["spanId"] for span in contents.spans.values() if span["traceId"] == trace_id]
    if not spans:
        return _json({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}, 404)
    return _json({"trace": {"spans": [{"span_id": b64encode(bytes.fromhex(one)).decode()} for one in spans]}})


def _set_tag(contents: _Contents, request: Recorded) -> Reply:
    trace_id = trace_id_from(urlsplit(request.path).path.split("/")[-2])
    said = request.json()
    contents.tags.setdefault(trace_id, {})[said["key"]] = said["value"]
    return _json({})


def _tags_of(span: Mapping[str, Any]) -> Mapping[str, str]:
    if span["parentSpanId"]:
        return {}
    return {k.removeprefix(TRACE_TAG): v for k, v in span["attributes"].items() if k.startswith(TRACE_TAG)}


def _of_trace(contents: _Contents, request: Recorded) -> Reply:
    path = urlsplit(request.path).path
    return (_set_tag if path.endswith("/tags") else _assessment)(contents, request)


def _assessment(contents: _Contents, request: Recorded) -> Reply:
    if not request.path.endswith("/assessments"):
        return _json({"error_code": "ENDPOINT_NOT_FOUND", "message": request.path}, 404)
    assessment = request.json()["assessment"]
    contents.assessments[assessment["assessment_id"]] = assessment
    return _json({"assessment": assessment})


_ROUTES: Mapping[str, Callable[[_Contents, Recorded], Reply]] = {
    "/api/2.0/mlflow/experiments/get-by-name": _experiment_by_name,
    "/api/2.0/mlflow/experiments/create": _create_experiment,
    "/api/3.0/mlflow/traces": _start_trace,
    "/api/3.0/mlflow/traces/metrics": _count_spans,
    "/api/3.0/mlflow/traces/get": _trace,
    "/api/3.0/mlflow/traces/batchGetInfos": lambda contents, request: _json({"trace_infos": []}),
}


def _json(content: object, status: int = 200) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, orjson.dumps(content))


def _otlp_spans(body: bytes) -> Sequence[dict[str, Any]]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(body)
    return [
        {
            "traceId": span.trace_id.hex(),
            "spanId": span.span_id.hex(),
            "parentSpanId": span.parent_span_id.hex(),
            "name": span.name,
            "attributes": {a.key: getattr(a.value, a.value.WhichOneof("value") or "") for a in span.attributes},
        }
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]
