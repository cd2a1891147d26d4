"""A line says what the span said, whatever was in it, and a damaged line is never taken for a good one."""

from __future__ import annotations

import enum
import json
import math
from typing import Any, Literal

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.journal.spans import ROUTING, routings, span, spans
from tierlens.errors import DamagedLine
from tierlens.journal.codec import decode, encode, encode_line, encode_loss, encode_resource
from tierlens.spans import Artifact, Routing, Span

RESOURCE = encode_resource({"service.name": "app"})


def payload(line: bytes) -> dict[str, Any]:
    return orjson.loads(decode(line[:-1]).payload)


def value_of(value: object) -> dict[str, Any]:
    """How one attribute value arrives in OTLP JSON."""
    sent = Span("a" * 32, "b" * 16, None, "n", 1, 2, {"key": value})  # type: ignore[dict-item]
    return payload(encode(sent, ROUTING, RESOURCE))["attributes"][0]["value"]


def readable(text: str) -> str:
    """Text with what UTF-8 cannot hold replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(spans, routings)
def test_a_span_survives_the_line(sent: Span, routing: Routing) -> None:
    line = encode(sent, routing, RESOURCE)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    found = decode(line[:-1])
    assert (found.kind, found.trace, found.span) == ("span", sent.trace_id, sent.span_id)
    assert (found.experiment, found.root) == (readable(routing.experiment), routing.root)
    assert found.resource == RESOURCE
    told = orjson.loads(found.payload)
    assert told["traceId"] == sent.trace_id
    assert told.get("parentSpanId") == sent.parent_id
    assert (int(told["startTimeUnixNano"]), int(told["endTimeUnixNano"])) == (sent.start_ns, sent.end_ns)
    assert told["status"].get("message", "") == readable(sent.message)
    assert {a["key"] for a in told["attributes"]} == {readable(key) for key in sent.attributes}
    assert len(told.get("events", ())) == len(sent.events)
    assert len(told.get("links", ())) == len(sent.links)
    invoked = (routing.invocation, found.invocation)
    assert invoked == (None, None) or all(one is not None for one in invoked)


@given(spans, routings)
def test_a_line_is_one_json_object_that_a_collector_reads(sent: Span, routing: Routing) -> None:
    told = json.loads(encode(sent, routing, RESOURCE))

    (resource_spans,) = told["resourceSpans"]
    assert resource_spans["resource"] == {"attributes": [{"key": "service.name", "value": {"stringValue": "app"}}]}
    (scope_spans,) = resource_spans["scopeSpans"]
    assert scope_spans["scope"]["name"] == "tierlens"
    assert len(scope_spans["spans"]) == 1


@given(spans, routings)
def test_a_decoded_line_can_be_written_again(sent: Span, routing: Routing) -> None:
    found = decode(encode(sent, routing, RESOURCE)[:-1])

    assert decode(encode_line(found)[:-1]) == found


def test_a_collector_passes_over_an_open_span() -> None:
    told = json.loads(encode(span(1, end_ns=0), ROUTING, RESOURCE, "start"))

    assert "resourceSpans" not in told
    assert told["start"][0]["scopeSpans"][0]["spans"][0]["endTimeUnixNano"] == "0"


def test_marks_in_a_users_text_are_not_taken_for_the_lines_own() -> None:
    hostile = (
        '"},"resourceSpans":[{"resource":{}},"start":[{"resource":,"scopeSpans":[{"spans":[{"tierlens":{"v":1,"crc":"'
    )
    routing = Routing(hostile, hostile, metrics={hostile: hostile})
    sent = span(1, text=hostile)

    kinds: tuple[Literal["span", "start"], ...] = ("span", "start")
    for kind in kinds:
        found = decode(encode(sent, routing, encode_resource({hostile: hostile}), kind)[:-1])
        assert (found.kind, found.experiment, found.metrics) == (kind, hostile, {hostile: hostile})
        assert orjson.loads(found.payload)["attributes"][0]["value"]["stringValue"] == hostile


def test_metrics_and_artifacts_travel_in_the_header() -> None:
    artifact = Artifact("uplift.png", "0" * 64, 12, "image/png")
    routing = Routing("e", metrics={"confidence": 0.83, "passed": True, "odd": math.nan}, artifacts=(artifact,))

    found = decode(encode(span(1), routing, RESOURCE)[:-1])

    assert found.metrics == {"confidence": 0.83, "passed": True, "odd": "nan"}
    assert found.artifacts == (artifact,)


class Colour(enum.StrEnum):
    RED = "red"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


cycle: list[object] = []
cycle.append(cycle)


@pytest.mark.parametrize(
    ("value", "arrives_as"),
    [
        ("text", {"stringValue": "text"}),
        (True, {"boolValue": True}),
        (3, {"intValue": "3"}),
        (2**63 - 1, {"intValue": str(2**63 - 1)}),
        (2**63, {"stringValue": str(2**63)}),
        (-(2**63), {"intValue": str(-(2**63))}),
        (0.5, {"doubleValue": 0.5}),
        (math.nan, {"stringValue": "nan"}),
        (-math.inf, {"stringValue": "-inf"}),
        ("lone \ud800 surrogate", {"stringValue": "lone � surrogate"}),
        (None, {"stringValue": "None"}),
        (Colour.RED, {"stringValue": "red"}),
        (np.float64(0.25), {"doubleValue": 0.25}),
        (np.int32(7), {"intValue": "7"}),
        ([1, "a"], {"stringValue": '[1,"a"]'}),
        ({"a": {1: 2}}, {"stringValue": '{"a":{"1":2}}'}),
        (cycle, {"stringValue": "[[...]]"}),
        (Unprintable(), {"stringValue": "<unprintable Unprintable>"}),
        ([Unprintable()], {"stringValue": "<unprintable list>"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_odd_values_become_something_otlp_can_hold(value: object, arrives_as: dict[str, Any]) -> None:
    assert value_of(value) == arrives_as


def test_an_endless_integer_is_written_in_hex() -> None:
    assert value_of(10**5000)["stringValue"].startswith("0x")


@given(spans, st.data())
def test_a_flipped_bit_is_found(sent: Span, data: st.DataObject) -> None:
    line = bytearray(encode(sent, ROUTING, RESOURCE)[:-1])
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= 1 << data.draw(st.integers(0, 7))

    # The checksum's own hex digits may change case, and then still say the same.
    if bytes(line).lower() != encode(sent, ROUTING, RESOURCE)[:-1].lower():
        with pytest.raises(DamagedLine):
            decode(bytes(line))


@given(spans, st.data())
def test_a_truncated_line_is_found(sent: Span, data: st.DataObject) -> None:
    line = encode(sent, ROUTING, RESOURCE)[:-1]

    with pytest.raises(DamagedLine):
        decode(line[: data.draw(st.integers(0, len(line) - 1))])


def test_a_loss_record_says_what_was_refused() -> None:
    found = decode(encode_loss({"quota": 3, "full": 1})[:-1])

    assert (found.kind, found.refused) == ("loss", {"quota": 3, "full": 1})
