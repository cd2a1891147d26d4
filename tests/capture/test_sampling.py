"""A share of the traces is kept, and what is wanted whatever the share."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda

from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph, model
from tierlens import keys
from tierlens.capture import sampling
from tierlens.capture.sampling import sampled
from tierlens.capture.trace import Hold
from tierlens.policy import AgentPolicy, Keep, Policies
from tierlens.spans import Routing, Span

QUESTION: Any = {"question": "Why?"}


def fails(state: State) -> State:
    raise ValueError("broken on purpose")


def fine(state: State) -> State:
    return {"notes": [model("answer " * 50).invoke("x").text]}


def everything(sample: float, keep: Keep | None = None) -> Policies:
    return Policies(defaults=AgentPolicy(sample=sample, keep=keep or Keep()))


def run(capture: Capture, **nodes: Any) -> None:
    graph(**nodes).compile(name="graph").invoke(QUESTION, capture.config())


def names(capture: Capture) -> list[str]:
    return sorted(span.name for span in capture.journal.spans.values())


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_about_its_share_of_traces_is_kept_each_whole_or_not_at_all(capture_with: Any, share: float) -> None:
    capture: Capture = capture_with(everything(share))
    compiled = graph(a=fine, b=lambda state: {}).compile()
    for _ in range(200):
        compiled.invoke(QUESTION, capture.config())
    traces = {span.trace_id for span in capture.journal.spans.values()}
    assert abs(len(traces) - 200 * share) <= 4 * (200 * share * (1 - share)) ** 0.5
    assert len(capture.journal.spans) == 4 * len(traces)
    assert {span.trace_id for span in capture.journal.starts} == traces


def test_the_same_trace_always_decides_the_same_and_agents_decide_apart() -> None:
    ids = [f"{n:032x}" for n in range(1_000)]
    assert [sampled(one, "a", 0.5) for one in ids] == [sampled(one, "a", 0.5) for one in ids]
    assert [sampled(one, "a", 0.5) for one in ids] != [sampled(one, "b", 0.5) for one in ids]
    assert all(sampled(one, "", 0.5) for one in ids if sampled(one, "", 0.1))


def test_a_dropped_trace_that_fails_is_kept_where_errors_are_wanted(capture_with: Any) -> None:
    capture: Capture = capture_with(everything(0.0, Keep(errors=True)))
    run(capture, a=fine)
    assert names(capture) == []
    with pytest.raises(ValueError, match="on purpose"):
        run(capture, a=fine, b=fails)
    assert names(capture) == ["Model", "a", "b", "graph"]
    for span in capture.journal.spans.values():
        assert "$from" not in str(span.attributes[keys.INPUTS]), "held spans may refer to nothing"


def test_a_dropped_trace_that_took_long_is_kept_where_slow_ones_are_wanted(capture_with: Any) -> None:
    capture: Capture = capture_with(everything(0.0, Keep(slower_than_s=0.3)))
    run(capture, a=lambda state: {})
    run(capture, a=lambda state: (threading.Event().wait(0.31) and {}) or {})
    assert names(capture) == ["a", "graph"]


def test_an_agent_may_be_sampled_apart_from_its_trace(capture_with: Any) -> None:
    capture: Capture = capture_with(
        Policies(agents={"a": AgentPolicy(agent="a", sample=0.0), "b": AgentPolicy(agent="b")})
    )
    run(capture, a=fine, b=fine, c=lambda state: {"notes": [state["notes"][0]]})
    assert names(capture) == ["Model", "b", "c", "graph"]
    assert capture.parent("Model") == "b"
    # What the dropped agent said is stored whole by whoever was given it.
    assert capture.whole(capture.journal.named("c"))["notes"] == ["answer " * 49 + "answer "] * 2


def test_a_dropped_agent_that_fails_is_kept_where_its_errors_are_wanted(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(agents={"a": AgentPolicy(agent="a", sample=0.0, keep=Keep(errors=True))}))
    run(capture, a=fine)
    assert names(capture) == ["graph"]
    with pytest.raises(ValueError, match="on purpose"):
        run(capture, a=fails)
    assert names(capture) == ["a", "graph", "graph"]


def test_a_try_of_a_dropped_trace_that_failed_stays_dropped_when_it_is_tried_anew(capture_with: Any) -> None:
    capture: Capture = capture_with(everything(0.0))
    tries = iter([ValueError("broken on purpose"), None])

    def flaky(question: str) -> str:
        if error := next(tries):
            raise error
        return question

    retried = RunnableLambda(flaky).with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    RunnableLambda(lambda question: retried.invoke(question)).invoke("why", capture.config())

    assert capture.journal.spans == {}


def test_of_more_than_is_held_back_the_units_own_span_is_kept_and_the_rest_is_counted() -> None:
    written: list[str] = []
    spans = [Span("0" * 32, f"{number:016x}", None, "step", 1, 2, {}, "OK") for number in range(sampling.MAX_HELD + 2)]
    hold = Hold(None)

    for span in spans:
        sampling.emit(span, Routing("x"), hold, lambda one, _: written.append(one.span_id), last=span is spans[-1])
    assert (hold.lost, hold.count) == (1, len(spans))
    sampling.decide(hold, True, lambda one, _: written.append(one.span_id))

    assert written == [span.span_id for span in (*spans[:-2], spans[-1])]


def test_what_is_kept_back_never_outlives_its_trace(capture_with: Any) -> None:
    capture: Capture = capture_with(everything(0.0, Keep(errors=True)))
    stream = graph(a=fine, b=fine).compile().stream(QUESTION, capture.config())
    next(stream)
    stream.close()
    assert names(capture) == []
