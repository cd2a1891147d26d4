"""A batch as the one request that OTLP destinations take."""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tierlens import keys
from tierlens.errors import Rejected
from tierlens.projection.attributes import is_cost, readable_attributes
from tierlens.projection.paid import put_source
from tierlens.projection.prices import PriceBook
from tierlens.sinks.base import Batch
from tierlens.sinks.protobuf import Json, export_request

SCOPE: Final = {"name": "tierlens", "version": "1"}
_COUNTED: Final = keys.TOKEN_USAGE.encode()
_COST: Final = keys.COST.encode()
CONTENT_TYPE: Final = {"Content-Type": "application/x-protobuf"}
_NOT_OTLP: Final = (ValueError, TypeError, KeyError, AttributeError, struct.error)


@dataclass(frozen=True, slots=True)
class Spans:
    """The spans of a batch, parsed: OTLP JSON objects."""

    resource: Json
    spans: Sequence[Json]

    def request(self) -> bytes:
        """An ``ExportTraceServiceRequest`` in protobuf.

        Raises:
            Rejected: a span is not OTLP.
        """
        try:
            return export_request(self.resource, SCOPE, self.spans)
        except _NOT_OTLP as e:
            raise Rejected(f"not an OTLP span: {type(e).__name__}: {e}") from e

    def of(self, trace_ids: Collection[str]) -> Spans:
        """Only the spans of these traces."""
        return Spans(self.resource, [span for span in self.spans if span["traceId"] in trace_ids])


def parsed(batch: Batch, prices: PriceBook) -> Spans:
    """The batch's spans as objects, with the cost, by ``prices``, of those that are model calls.

    Raises:
        Rejected: a span, or the resource, is not a JSON object.
    """
    try:
        resource: Any = orjson.loads(batch.resource or b"{}")
        spans: list[Any] = [orjson.loads(span) for span in batch.spans]
    except orjson.JSONDecodeError as e:
        raise Rejected(f"not JSON: {e}") from e
    if not all(isinstance(found, dict) for found in (resource, *spans)):
        raise Rejected("not an OTLP span: a JSON object is wanted")
    for payload, span in zip(batch.spans, spans, strict=True):
        if _COST in payload:
            _drop_odd_cost(span)
    _put_costs(batch, spans, prices)
    return Spans(resource, spans)


def _drop_odd_cost(span: dict[str, Any]) -> None:
    """Take away what no cost can be: MLflow answers 500 to it, and would for ever."""
    if not is_cost(readable_attributes(span).get(keys.COST, "{}")):
        span["attributes"] = [one for one in span["attributes"] if one["key"] != keys.COST]


def _put_costs(batch: Batch, spans: Sequence[dict[str, Any]], prices: PriceBook) -> None:
    calls = [span for payload, span in zip(batch.spans, spans, strict=True) if _COUNTED in payload]
    for call in calls:
        if not call.get("parentSpanId"):
            prices.put_cost(call)
    days = {str(span.get("traceId")): put_source(span) for span in spans if not span.get("parentSpanId")}
    for call in calls:
        if call.get("parentSpanId"):
            prices.put_cost(call, days.get(str(call.get("traceId")), ""))
