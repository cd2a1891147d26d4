"""All text of a span passes through the function; JSON stays JSON, and what traces are found by stays."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from tests.sinks.traces import agent_trace
from tierlens import keys
from tierlens.journal.otlp import span_json
from tierlens.projection.rewriting import rewritten_finish, rewritten_payload, rewritten_record, rewritten_span
from tierlens.projection.runs import Record, Run
from tierlens.spans import Event, Link, Span

ANNA = 'Anna "A" Smith'


def anonymous(text: str) -> str:
    return text.replace(ANNA, "N.N.").replace(json.dumps(ANNA)[1:-1], "N.N.")


def rewritten(span: Span) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(rewritten_payload(span_json(span), anonymous))
    return found


def test_nothing_of_it_is_left_wherever_it_stood() -> None:
    messages = {"messages": [{"role": "user", "content": json.dumps({"who": ANNA, ANNA: [ANNA]})}], "n": 0.5}
    attributes = {keys.INPUTS: json.dumps(messages), keys.OUTPUTS: ANNA, "note": ANNA, "cut": f'{{"a": "{ANNA}'}
    span = agent_trace().root._replace(
        attributes={**attributes, keys.USER: ANNA, "number": 3},
        status="ERROR",
        message=f"no {ANNA}",
        events=(Event("exception", 1, {"exception.message": ANNA}),),
        links=(Link("a" * 32, "b" * 16, {"why": ANNA}),),
    )

    found = rewritten(span)

    assert "Anna" not in json.dumps(found)
    said = {one["key"]: one["value"].get("stringValue") for one in found["attributes"]}
    again = json.loads(said[keys.INPUTS])
    assert json.loads(again["messages"][0]["content"]) == {"who": "N.N.", "N.N.": ["N.N."]}
    assert again["n"] == 0.5


def test_what_traces_are_found_and_summed_by_stays() -> None:
    for span in agent_trace().spans:
        found = orjson.loads(rewritten_payload(span_json(span), lambda text: "X"))
        before = orjson.loads(span_json(span))
        kept = {keys.SPAN_TYPE, keys.TRACE_NAME, keys.TOKEN_USAGE, keys.MODEL, keys.PROVIDER, keys.AGENT}
        assert {k: found[k] for k in ("traceId", "spanId", "name", "startTimeUnixNano")} == {
            k: before[k] for k in ("traceId", "spanId", "name", "startTimeUnixNano")
        }
        assert [one for one in found["attributes"] if one["key"] in kept] == [
            one for one in before["attributes"] if one["key"] in kept
        ]


@pytest.mark.parametrize("key", [keys.FINER_USAGE, keys.SERVICE_TIER, keys.TRACE_TAG + keys.COMPLETE])
def test_what_we_count_ourselves_is_nobodys_text(key: str) -> None:
    told = {"key": key, "value": {"stringValue": "25"}}

    assert rewritten_span({"attributes": [told]}, lambda text: "")["attributes"] == [told]


def test_a_messages_role_stays_one_and_a_person_in_its_place_does_not() -> None:
    texts = json.dumps([{"role": "user", "type": "Anna"}])
    span = {"attributes": [{"key": "x", "value": {"stringValue": texts}}]}

    (found,) = rewritten_span(span, lambda text: "X")["attributes"]

    assert json.loads(found["value"]["stringValue"]) == [{"role": "user", "type": "X"}]


def test_labels_and_the_root_that_speaks_for_a_trace_are_rewritten() -> None:
    finish = agent_trace(question=ANNA).finish("x", {"verdict": ANNA, "gap": 0.5})

    found = rewritten_finish(finish, anonymous)

    assert [finding.value for finding in found.findings] == ["N.N.", 0.5]
    assert "Anna" not in json.dumps(found.root)


def test_labels_that_a_run_counts_are_rewritten() -> None:
    metrics = {f"verdict/{ANNA}": 1.0, "outcome/error": 1.0, "latency_s": 2.0}
    told = Record("x", "7" * 32, Run("version/1", "gap", 1, 2), 1, metrics)

    assert rewritten_record(told, anonymous).metrics == {"verdict/N.N.": 1.0, "outcome/error": 1.0, "latency_s": 2.0}
