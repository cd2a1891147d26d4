"""What agents' spans say to runs, whatever shape the graph has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel

from tests.capture import graphs
from tests.capture.conftest import Capture
from tierlens.journal.codec import decode, encode, encode_resource
from tierlens.policy import AgentPolicy, MetricRule, Policies
from tierlens.spans import Call, Invocation, RunsMode


def invocations(capture: Capture) -> dict[str, Invocation]:
    told = {span.name: capture.journal.routings[span.span_id].invocation for span in capture.journal.spans.values()}
    return {name: invocation for name, invocation in told.items() if invocation is not None}


def policies(runs: RunsMode = "per_version", **agents: AgentPolicy) -> Policies:
    return Policies(defaults=AgentPolicy(runs=runs), agents=agents)


def test_a_model_call_is_told_once_by_the_agent_it_was_made_in(capture_with: Any) -> None:
    capture: Capture = capture_with(policies())

    graphs.subgraph().invoke({"question": "why"}, capture.config())

    told = {name: len(invocation.calls) for name, invocation in invocations(capture).items()}
    assert sum(told.values()) == 2
    assert {name for name, calls in told.items() if calls} == {"inner"}


def test_a_call_outside_of_any_agent_is_the_roots(capture_with: Any) -> None:
    capture: Capture = capture_with(policies())

    (graphs.RunnableLambda(lambda q: q) | graphs.model("one")).invoke("why", capture.config())

    [invocation] = invocations(capture).values()
    [call] = [Call(*call) for call in invocation.calls]
    assert dict(call.usage) == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}


def test_a_call_that_failed_is_told_as_well_and_its_span_can_be_journalled(capture_with: Any) -> None:
    capture: Capture = capture_with(policies())

    class Broken(FakeListChatModel):
        def _call(self, *args: Any, **kwargs: Any) -> str:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Broken(responses=[]).invoke("why", capture.config())

    [span] = capture.journal.spans.values()
    line = decode(encode(span, capture.journal.routings[span.span_id], encode_resource({})).rstrip())
    assert line.invocation is not None
    assert [dict(Call(*call).usage) for call in line.invocation.calls] == [{}]


@pytest.mark.parametrize("runs", ["per_version", "per_invocation"])
def test_only_the_root_of_runs_by_invocation_tells_of_inner_calls(capture_with: Any, runs: RunsMode) -> None:
    capture: Capture = capture_with(policies(runs))

    graphs.chain().invoke({"question": "why"}, capture.config())

    told = invocations(capture)
    assert {name: len(one.calls) for name, one in told.items()} == {"LangGraph": 0, "a": 1, "b": 1}
    assert {name: len(one.inner) for name, one in told.items()} == {
        "LangGraph": 2 if runs == "per_invocation" else 0,
        "a": 0,
        "b": 0,
    }


def test_an_agent_with_runs_by_invocation_gives_its_graph_call_one(capture_with: Any) -> None:
    by_invocation = AgentPolicy(agent="b", runs="per_invocation")
    capture: Capture = capture_with(policies("off", a=AgentPolicy(agent="a"), b=by_invocation))

    graphs.chain().invoke({"question": "why"}, capture.config())

    told = invocations(capture)
    assert {name: one.runs for name, one in told.items()} == {"LangGraph": "per_invocation", "b": "per_invocation"}
    assert (len(told["LangGraph"].inner), len(told["b"].calls)) == (2, 1)


def test_a_graph_call_without_such_an_agent_has_none(capture_with: Any) -> None:
    elsewhere = AgentPolicy(agent="elsewhere", runs="per_invocation")
    capture: Capture = capture_with(policies("per_version", elsewhere=elsewhere))

    graphs.chain().invoke({"question": "why"}, capture.config())

    assert {(one.runs, one.inner) for one in invocations(capture).values()} == {("per_version", ())}


def test_an_agent_without_runs_says_nothing(capture_with: Any) -> None:
    capture: Capture = capture_with(
        policies(a=AgentPolicy(agent="a", runs="off"), b=AgentPolicy(agent="b", runs="per_version"))
    )

    graphs.chain().invoke({"question": "why"}, capture.config())

    assert invocations(capture).keys() == {"LangGraph", "b"}


def test_runs_go_to_the_agents_own_experiment(capture_with: Any) -> None:
    own = AgentPolicy(agent="a", runs="per_version", experiment="{app}/{brand}/{agent}")
    capture: Capture = capture_with(policies(a=own, b=AgentPolicy(agent="b", runs="per_version")))

    graphs.chain().invoke({"question": "why"}, capture.config(brand="Kisqali"))

    assert {name: told.experiment for name, told in invocations(capture).items()} == {
        "LangGraph": "",
        "a": "tierlens/Kisqali/a",
        "b": "",
    }


def test_the_version_stands_for_all_flags_and_nothing_else() -> None:
    x, y = MetricRule("outputs.x"), MetricRule("outputs.y")
    policy = AgentPolicy(agent="a", metrics={"x": x, "y": y})

    assert policy.version == AgentPolicy(agent="a", metrics={"y": y, "x": x}).version
    assert replace(policy, sample=0.5).version != policy.version
    assert len(policy.version) == 12
