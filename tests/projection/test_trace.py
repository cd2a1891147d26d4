from __future__ import annotations

import orjson
import pytest

from tierlens import keys
from tierlens.projection import trace
from tierlens.projection.finish import Finding, Finish
from tierlens.projection.trace import Share

TRACE, SPAN = "ab" * 16, "cd" * 8
ROOT = {
    "startTimeUnixNano": "1795262400000999999",
    "endTimeUnixNano": "1795262401250000000",
    "status": {"code": 1},
}


def span(trace_id=TRACE, parent="", *names):
    attributes = [{"key": name, "value": {"stringValue": "{}"}} for name in names]
    return {"traceId": trace_id, "parentSpanId": parent, "attributes": attributes}


def test_an_assessment_id_depends_on_trace_span_and_name_alone():
    first = trace.assessment_id(TRACE, Finding(SPAN, "gap", 0.1, 1))

    assert first == trace.assessment_id(TRACE, Finding(SPAN, "gap", 0.9, 2))
    others = [
        trace.assessment_id("00" * 16, Finding(SPAN, "gap", 0.1, 1)),
        trace.assessment_id(TRACE, Finding("00" * 8, "gap", 0.1, 1)),
        trace.assessment_id(TRACE, Finding(SPAN, "drift", 0.1, 1)),
    ]
    assert len({first, *others}) == 4
    assert len(first) <= 50


def test_an_assessment_says_what_when_and_by_what():
    found = trace.assessment(TRACE, Finding(SPAN, "gap", 0.25, 1_795_262_400_125_000_000))

    assert found["assessment_name"] == "gap"
    assert found["trace_id"] == f"tr-{TRACE}"
    assert found["span_id"] == SPAN
    assert found["source"] == {"source_type": "CODE", "source_id": "tierlens"}
    assert found["create_time"] == found["last_update_time"] == "2026-11-21T12:00:00.125Z"
    assert found["feedback"] == {"value": 0.25}


def test_an_assessment_says_the_metrics_unit_and_direction():
    found = trace.assessment(TRACE, Finding(SPAN, "gap", 0.25, 1, {"unit": "%", "direction": "lower"}))

    assert found["metadata"] == {"unit": "%", "direction": "lower"}


@pytest.mark.parametrize("value", [True, False, 0, 3, -0.5, "uplift", ""])
def test_values_keep_their_type(value):
    feedback = trace.assessment(TRACE, Finding(SPAN, "m", value, 1))["feedback"]

    assert feedback["value"] is value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_hold_is_an_error_on_the_metric(value):
    feedback = trace.assessment(TRACE, Finding(SPAN, "m", value, 1))["feedback"]

    assert feedback["error"]["error_code"] == "NOT_A_NUMBER"


def test_a_name_too_long_for_mlflow_is_cut_but_still_its_own():
    long = [Finding(SPAN, "m" * 250 + end, 1, 1) for end in ("a", "b")]

    assert {len(trace.assessment(TRACE, finding)["assessment_name"]) for finding in long} == {250}
    assert len({trace.assessment_id(TRACE, finding) for finding in long}) == 2


def test_a_trace_row_carries_times_state_and_nothing_that_blanks():
    finish = Finish("app/K", TRACE, ROOT, [Finding(SPAN, "gap", 0.1, 1)])

    info = trace.trace_info(finish, "7", Share())

    assert info.pop("assessments") == [trace.assessment(TRACE, finish.findings[0])]
    assert info == {
        "trace_id": f"tr-{TRACE}",
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "7"}},
        "request_time": "2026-11-21T12:00:00.000Z",
        "execution_duration": "1.250s",
        "state": "OK",
        "trace_metadata": {},
    }


@pytest.mark.parametrize(("status", "state"), [({"code": 2}, "ERROR"), ({}, "OK"), (None, "OK")])
def test_only_a_failed_root_fails_the_trace(status, state):
    assert trace.trace_info(Finish("x", TRACE, ROOT | {"status": status}), "7", Share())["state"] == state


def test_a_clock_that_ran_backwards_is_no_negative_duration():
    root = ROOT | {"endTimeUnixNano": "1795262399000000000"}

    assert trace.trace_info(Finish("x", TRACE, root), "7", Share())["execution_duration"] == "0.000s"


def test_totals_are_set_back_only_for_what_will_follow():
    finish = Finish("app/K", TRACE, ROOT)

    both = trace.trace_info(finish, "7", Share(True, True, True))["trace_metadata"]
    assert set(orjson.loads(both["mlflow.trace.tokenUsage"]).values()) == {None}
    assert set(orjson.loads(both["mlflow.trace.cost"]).values()) == {None}
    assert trace.trace_info(finish, "7", Share(True, True))["trace_metadata"].keys() == {"mlflow.trace.tokenUsage"}


def test_shares_tell_root_tokens_and_cost_of_each_trace():
    other = "ef" * 16
    spans = [
        span(TRACE, ""),
        span(TRACE, SPAN, keys.TOKEN_USAGE),
        span(other, SPAN, keys.COST),
        span(other, SPAN),
    ]

    assert trace.shares(spans) == {
        TRACE: Share(rooted=True, tokens=True),
        other: Share(cost=True),
    }


def test_a_reopened_trace_keeps_its_own_row():
    info = {
        "trace_id": "tr-1",
        "request_time": "2026-11-21T12:00:00.000Z",
        "state": "ERROR",
        "request_preview": "Why?",
        "trace_metadata": {"mlflow.trace.infoFinalized": "true"},
    }

    reopened = trace.reopened(info, Share(tokens=True))

    assert trace.is_finalized(info)
    assert (reopened["request_time"], reopened["state"]) == (info["request_time"], "ERROR")
    assert "request_preview" not in reopened
    assert reopened["trace_metadata"].keys() == {"mlflow.trace.tokenUsage"}
