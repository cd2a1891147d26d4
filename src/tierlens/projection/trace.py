"""Assessments and trace rows in MLflow's JSON, as ``POST /api/3.0/mlflow/traces`` (start_trace) takes them.

start_trace is the only call that stores many assessments at once. On a trace that MLflow does not know yet it
costs the server half of what it costs on a known one, so it goes before the spans. It also freezes the totals
of tokens and cost at what the next spans bring, so every call here sets those totals back to none (a null in
``mlflow.trace.tokenUsage``): the spans that follow make MLflow sum up all that it holds.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tierlens import keys
from tierlens.projection.finish import Finding, Finish
from tierlens.projection.names import LONGEST_NAME
from tierlens.spans import mlflow_id

Json = Mapping[str, Any]

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NO_TOKENS: Final = (
    '{"input_tokens":null,"output_tokens":null,"total_tokens":null,'
    '"cache_read_input_tokens":null,"cache_creation_input_tokens":null,"cache_creation_input_tokens_above_1hr":null}'
)
_NO_COST: Final = '{"input_cost":null,"output_cost":null,"total_cost":null}'
_FINALIZED: Final = "mlflow.trace.infoFinalized"


@dataclass(frozen=True, slots=True)
class Share:
    """What a batch holds of one trace: the trace's real root, token counts, costs."""

    rooted: bool = False
    tokens: bool = False
    cost: bool = False


def shares(spans: Sequence[Json]) -> dict[str, Share]:
    """What there is of each trace, by trace id, in OTLP JSON spans."""
    every, rooted, tokens, cost = set[str](), set[str](), set[str](), set[str]()
    for span in spans:
        trace_id = span["traceId"]
        every.add(trace_id)
        if not span.get("parentSpanId"):
            rooted.add(trace_id)
        for attribute in span.get("attributes", ()):
            if attribute["key"] == keys.TOKEN_USAGE:
                tokens.add(trace_id)
            elif attribute["key"] == keys.COST:
                cost.add(trace_id)
    return {trace_id: Share(trace_id in rooted, trace_id in tokens, trace_id in cost) for trace_id in every}


def assessment_id(trace_id: str, finding: Finding) -> str:
    """One id for one metric of one span, whoever sends it and however often."""
    text = f"{trace_id}/{finding.span_id}/{finding.name}"
    return f"a-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def assessment(trace_id: str, finding: Finding) -> dict[str, Any]:
    """A metric as feedback from code on its span; Overview > Quality charts numbers and booleans."""
    moment = timestamp(finding.time_ns // 1_000_000)
    return {
        "assessment_id": assessment_id(trace_id, finding),
        "assessment_name": finding.name[:LONGEST_NAME],
        "trace_id": mlflow_id(trace_id),
        "span_id": finding.span_id,
        "source": {"source_type": "CODE", "source_id": "tierlens"},
        "create_time": moment,
        "last_update_time": moment,
        "feedback": _feedback(finding),
        **({"metadata": dict(finding.about)} if finding.about else {}),
    }


def _feedback(finding: Finding) -> dict[str, Any]:
    value = finding.value
    if isinstance(value, float) and not math.isfinite(value):
        return {"error": {"error_code": "NOT_A_NUMBER", "error_message": f"{finding.name} is {value}"}}
    return {"value": value}


def trace_info(finish: Finish, experiment_id: str, share: Share) -> dict[str, Any]:
    """The row of a trace with all its assessments.

    Previews, session, user, name and tags are not in it, so that those the spans bring, or brought, stay.

    Args:
        finish: of the trace's real root.
        experiment_id: where it belongs.
        share: what of the trace will be sent after this call; totals are only set back for spans to come.
    """
    root: Json = finish.root
    start, end = (int(root[key]) // 1_000_000 for key in ("startTimeUnixNano", "endTimeUnixNano"))
    return {
        "trace_id": mlflow_id(finish.trace_id),
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment_id},
        },
        "request_time": timestamp(start),
        "execution_duration": _duration(end - start),
        "state": "ERROR" if (root.get("status") or {}).get("code") == 2 else "OK",
        "trace_metadata": _totals_set_back(share),
        "assessments": [assessment(finish.trace_id, finding) for finding in finish.findings],
    }


def is_finalized(info: Json) -> bool:
    """Whether a stored trace's totals are frozen."""
    return (info.get("trace_metadata") or {}).get(_FINALIZED) == "true"


def reopened(info: Json, share: Share) -> dict[str, Any]:
    """A stored trace's own row, its totals set back so that the spans sent next are counted."""
    kept = ("trace_id", "trace_location", "request_time", "execution_duration", "state", "client_request_id")
    return {**{key: info[key] for key in kept if key in info}, "trace_metadata": _totals_set_back(share)}


def _totals_set_back(share: Share) -> dict[str, str]:
    metadata = {"mlflow.trace.tokenUsage": _NO_TOKENS} if share.tokens else {}
    return {**metadata, "mlflow.trace.cost": _NO_COST} if share.cost else metadata


def timestamp(milliseconds: int) -> str:
    """RFC 3339, as protobuf's JSON wants it."""
    moment = _EPOCH + dt.timedelta(milliseconds=milliseconds)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _duration(milliseconds: int) -> str:
    return f"{max(milliseconds, 0) / 1000:.3f}s"
