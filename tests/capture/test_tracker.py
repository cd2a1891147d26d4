"""Calls told of after they were made, beside those that are recorded by themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

import tierlens
from tests.capture.conftest import Capture
from tierlens import ExperimentTracker, UnknownBrand, keys
from tierlens.capture import active
from tierlens.policy import AgentPolicy, MetricRule, Policies
from tierlens.spans import Call

TOLD: dict[str, Any] = {
    "model": "gpt-5-mini",
    "provider": "openai",
    "prompt": "Why?",
    "response": "Because.",
    "input_tokens": 100,
    "output_tokens": 20,
}


def test_a_call_is_a_trace_with_its_tokens_parameters_and_times(capture: Capture) -> None:
    trace_id = ExperimentTracker(brand="Kisqali").track_llm_call(
        **TOLD, latency_s=1.5, parameters={"temperature": 0.2, "max_tokens": 400}
    )

    span = capture.journal.named("gpt-5-mini")
    assert trace_id == f"tr-{span.trace_id}"
    assert 1.5e9 <= span.end_ns - span.start_ns < 3e9
    said = span.attributes
    assert (said[keys.SPAN_TYPE], said[keys.MODEL], said[keys.PROVIDER]) == ("CHAT_MODEL", "gpt-5-mini", "openai")
    assert json.loads(str(said[keys.TOKEN_USAGE])) == {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
    assert json.loads(str(said[keys.INPUTS]))["messages"] == [{"role": "user", "content": "Why?"}]
    assert json.loads(str(said[keys.OUTPUTS]))["choices"][0]["message"]["content"] == "Because."
    routing = capture.journal.routings[span.span_id]
    assert (routing.brand, routing.root) == ("Kisqali", True)


def test_an_agents_call_lies_in_its_span_and_tells_its_run(capture_with: Any) -> None:
    policy = AgentPolicy(agent="gap_analyzer", tier=2, metrics={"gap": MetricRule(high=1)}, runs="per_version")
    capture: Capture = capture_with(Policies(agents={"gap_analyzer": policy}))

    ExperimentTracker(agent="gap_analyzer").track_llm_call(**TOLD, metrics={"gap": 0.4, "other": 2})

    agent = capture.journal.named("gap_analyzer")
    assert capture.parent("gpt-5-mini") == "gap_analyzer"
    assert (agent.attributes[keys.SPAN_TYPE], agent.attributes[keys.TIER]) == ("AGENT", 2)
    routing = capture.journal.routings[agent.span_id]
    assert dict(routing.metrics) == {"gap": 0.4, "other": 2}
    assert routing.invocation is not None
    [call] = [Call(*call) for call in routing.invocation.calls]
    assert (call.model, call.usage["input_tokens"]) == ("gpt-5-mini", 100)


def test_inside_a_span_the_call_is_part_of_its_trace(capture: Capture) -> None:
    tierlens.span("outer")(lambda: ExperimentTracker().track_llm_call(**TOLD))()

    assert capture.parent("gpt-5-mini") == "outer"


def test_another_brands_call_has_a_trace_of_its_own(capture: Capture) -> None:
    tierlens.span("outer")(lambda: ExperimentTracker(brand="Fabhalta").track_llm_call(**TOLD))()

    assert capture.parent("gpt-5-mini") is None


def test_what_was_not_counted_is_missing(capture: Capture) -> None:
    ExperimentTracker().track_llm_call(model="m", prompt="Why?", response="Because.")

    assert keys.TOKEN_USAGE not in capture.attributes("m")


def test_cache_writes_for_an_hour_and_thinking_are_parts_of_what_was_written_and_answered(capture: Capture) -> None:
    counts = {"cache_read_tokens": 30, "cache_write_tokens": 50, "cache_write_1h_tokens": 20, "reasoning_tokens": 5}

    ExperimentTracker().track_llm_call(**TOLD, **counts)

    said = capture.journal.named("gpt-5-mini").attributes
    assert json.loads(str(said[keys.TOKEN_USAGE])) == {
        "input_tokens": 100, "output_tokens": 20, "total_tokens": 120, "cache_read_input_tokens": 30,
        "cache_creation_input_tokens": 50, "cache_creation_input_tokens_above_1hr": 20,
    }  # fmt: skip
    assert json.loads(str(said[keys.FINER_USAGE])) == {"reasoning.output_tokens": 5}


@pytest.mark.parametrize(
    ("counts", "stored"),
    [
        ({"cache_write_1h_tokens": 20}, (20, 20)),
        ({"cache_write_tokens": 50}, (50, None)),
        ({"cache_write_tokens": 10, "cache_write_1h_tokens": 20}, (20, 20)),
    ],
)
def test_those_for_an_hour_are_never_more_than_all(
    capture: Capture, counts: dict[str, int], stored: tuple[int, int | None]
) -> None:
    ExperimentTracker().track_llm_call(**TOLD, **counts)

    usage = json.loads(str(capture.journal.named("gpt-5-mini").attributes[keys.TOKEN_USAGE]))
    names = ("cache_creation_input_tokens", "cache_creation_input_tokens_above_1hr")
    assert tuple(usage.get(name) for name in names) == stored


@pytest.mark.parametrize("tokens", [-5, True, 10.5, "3", float("nan")])
def test_what_is_no_number_of_tokens_is_missing_and_said(
    capture: Capture, caplog: pytest.LogCaptureFixture, tokens: Any
) -> None:
    ExperimentTracker().track_llm_call(**{**TOLD, "input_tokens": tokens})

    assert json.loads(str(capture.journal.named("gpt-5-mini").attributes[keys.TOKEN_USAGE])) == {
        "output_tokens": 20,
        "total_tokens": 20,
    }
    assert f"{tokens!r} is no number of tokens" in caplog.text


def test_a_prompt_that_is_none_costs_its_call_and_nothing_else(capture_with: Any) -> None:
    capture = capture_with(Policies())
    capture.recorder.shield.strict = False

    assert ExperimentTracker().track_llm_call(**{**TOLD, "prompt": None}) is None
    assert not capture.journal.spans


def test_an_error_is_told_as_one(capture: Capture) -> None:
    ExperimentTracker().track_llm_call(model="m", prompt="Why?", error=TimeoutError("no answer"))

    span = capture.journal.named("m")
    assert (span.status, keys.OUTPUTS in span.attributes) == ("ERROR", False)
    assert "no answer" in span.message


def test_prompts_that_must_not_leave_do_not(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(agents={"a": AgentPolicy(agent="a", log_prompts=False)}))

    ExperimentTracker(agent="a").track_llm_call(model="m", prompt="SECRET one", response="SECRET two")

    assert "SECRET" not in capture.journal.text()


def test_an_unknown_brand_is_refused_and_nobody_recording_is_no_error(capture_with: Any) -> None:
    capture_with(Policies(brands=("Kisqali",), unknown_brand="reject", default_brand="Kisqali"))
    with pytest.raises(UnknownBrand):
        ExperimentTracker(brand="Kisqaly")

    active.activate(None)
    assert ExperimentTracker(brand="Kisqaly").track_llm_call(**TOLD) is None
