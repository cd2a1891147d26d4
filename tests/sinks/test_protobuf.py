from __future__ import annotations

import base64

import orjson
import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.sinks.traces import agent_trace, batch
from tierlens.errors import Rejected
from tierlens.journal.otlp import span_json
from tierlens.projection.prices import PUBLISHED
from tierlens.sinks.encoding import parsed
from tierlens.sinks.protobuf import export_request
from tierlens.spans import Event, Link, Span

INT64 = st.integers(-(2**63), 2**63 - 1)
NANOS = st.integers(0, 2**63 - 1)
TEXT = st.text(max_size=300)


def hexes(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(bytes.hex)


def any_value() -> st.SearchStrategy[dict]:
    scalars = st.one_of(
        TEXT.map(lambda v: {"stringValue": v}),
        st.booleans().map(lambda v: {"boolValue": v}),
        INT64.map(lambda v: {"intValue": str(v)}),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda v: {"doubleValue": v}),
        st.binary(max_size=50).map(lambda v: {"bytesValue": base64.b64encode(v).decode()}),
    )
    return st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda v: {"arrayValue": {"values": v}}),
            st.lists(pair(inner), max_size=3).map(lambda v: {"kvlistValue": {"values": v}}),
        ),
        max_leaves=6,
    )


def pair(value: st.SearchStrategy[dict]) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries({"key": TEXT, "value": value})


ATTRIBUTES = st.lists(pair(any_value()), max_size=4)
COUNT = st.integers(0, 2**32 - 1)
SPANS = st.fixed_dictionaries(
    {
        "traceId": hexes(16),
        "spanId": hexes(8),
        "startTimeUnixNano": NANOS.map(str),
        "endTimeUnixNano": NANOS.map(str),
    },
    optional={
        "parentSpanId": hexes(8),
        "traceState": TEXT,
        "name": TEXT,
        "kind": st.integers(0, 5),
        "attributes": ATTRIBUTES,
        "droppedAttributesCount": COUNT,
        "droppedEventsCount": COUNT,
        "droppedLinksCount": COUNT,
        "flags": COUNT,
        "status": st.fixed_dictionaries({}, optional={"code": st.integers(0, 2), "message": TEXT}),
        "events": st.lists(
            st.fixed_dictionaries({"timeUnixNano": NANOS.map(str), "name": TEXT, "attributes": ATTRIBUTES}),
            max_size=2,
        ),
        "links": st.lists(
            st.fixed_dictionaries({"traceId": hexes(16), "spanId": hexes(8), "attributes": ATTRIBUTES, "flags": COUNT}),
            max_size=2,
        ),
    },
)
SCOPE = {"name": "tierlens", "version": "1"}


def reference(resource: dict, spans: list[dict]) -> ExportTraceServiceRequest:
    """What Google's own parser makes of the same OTLP JSON."""
    spans = [_base64_ids(span) for span in spans]
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": SCOPE, "spans": spans}]}]}
    return ParseDict(body, ExportTraceServiceRequest())


def _base64_ids(span: dict) -> dict:
    ids = {
        key: base64.b64encode(bytes.fromhex(span[key])).decode()
        for key in ("traceId", "spanId", "parentSpanId")
        if key in span
    }
    return span | ids | ({"links": [_base64_ids(link) for link in span["links"]]} if "links" in span else {})


@given(st.lists(SPANS, max_size=3), ATTRIBUTES)
def test_any_otlp_json_means_the_same_in_protobuf(spans, attributes):
    written = ExportTraceServiceRequest.FromString(export_request({"attributes": attributes}, SCOPE, spans))

    assert written == reference({"attributes": attributes}, spans)


def test_what_the_journal_writes_means_the_same_in_protobuf():
    root = agent_trace().root
    span = Span(
        root.trace_id,
        root.span_id,
        "ab" * 8,
        "kaputt ✗",
        1,
        2,
        {"text": "ü" * 200, "yes": True, "no": False, "whole": -3, "part": 0.25},
        "ERROR",
        "no panel",
        (Event("exception", 1, {"exception.type": "ValueError"}),),
        (Link("cd" * 16, "ef" * 8, {"why": "resumed"}),),
    )

    written = ExportTraceServiceRequest.FromString(parsed(batch("x", span), PUBLISHED).request())

    json_span = orjson.loads(span_json(span))
    assert (
        written.resource_spans[0].scope_spans[0].spans[0]
        == (reference({}, [json_span]).resource_spans[0].scope_spans[0].spans[0])
    )


@pytest.mark.parametrize(
    "span",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"traceId":"xy","spanId":"00","startTimeUnixNano":"0","endTimeUnixNano":"0"}',
        b'{"traceId":"00","spanId":"00","startTimeUnixNano":"-1","endTimeUnixNano":"0"}',
        b'{"traceId":"00","spanId":"00","startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":[{}]}',
        b'{"traceId":"00","spanId":"00","startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":'
        b'[{"key":"k","value":{"newValue":1}}]}',
        b'{"traceId":"00","spanId":"00","startTimeUnixNano":"1","endTimeUnixNano":"2","kind":-1}',
    ],
)
def test_what_is_no_otlp_span_is_rejected(span):
    from tierlens.sinks.base import Batch

    with pytest.raises(Rejected):
        parsed(Batch("x", b"{}", [span]), PUBLISHED).request()
