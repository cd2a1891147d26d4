"""Work that is tried again without a word to anybody: by a middleware, by tenacity, in a loop."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ToolRetryMiddleware
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from tests.capture.conftest import Capture
from tests.capture.graphs import Model, State, graph, model
from tierlens import keys, span
from tierlens.policy import AgentPolicy, Policies

QUESTION: Any = {"question": "Why?"}


def one(node: Any) -> Any:
    return graph(node=node).compile(name="graph")


class Down(Model):
    """Fails for as often as it is told, and then answers."""

    fails: int
    name_of_model: str = "claude-test"

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {"ls_provider": "test", "ls_model_name": self.name_of_model, "ls_model_type": "chat"}

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        if self.fails:
            self.fails -= 1
            raise ConnectionError("down")
        return super()._generate(*args, **kwargs)


def persistent(ask: Any, most: int = 3) -> Any:
    """As tenacity and a hand-written loop do it."""
    for _ in range(most):
        with contextlib.suppress(ConnectionError):
            return ask()
    return None


def test_a_tool_that_its_agents_middleware_tries_again_counts_its_tries(capture: Capture) -> None:
    tries: dict[str, int] = {}

    @tool
    def look_up(about: str) -> str:
        """Look it up."""
        tries[about] = tries.get(about, 0) + 1
        if about == "uptake" and tries[about] < 3:
            raise ConnectionError("not yet")
        return "found"

    calls = [{"name": "look_up", "args": {"about": about}, "id": about} for about in ("uptake", "access")]
    again = ToolRetryMiddleware(max_retries=3, initial_delay=0.001, jitter=False)
    agent = create_agent(model(AIMessage("", tool_calls=calls), "Done."), [look_up], middleware=[again])
    agent.invoke({"messages": [("user", "Why?")]}, capture.config())
    spans = sorted((s for s in capture.journal.spans.values() if s.name == "look_up"), key=lambda s: s.start_ns)
    told = [
        (s.attributes[keys.TOOL_CALL_ID], s.attributes.get(keys.ATTEMPT), s.attributes.get(keys.OUTCOME, "ok"))
        for s in spans
    ]
    assert sorted(told, key=str) == sorted(
        [("uptake", 1, "retried"), ("uptake", 2, "retried"), ("uptake", 3, "ok"), ("access", None, "ok")], key=str
    )


@pytest.mark.parametrize("private", [False, True])
def test_a_model_that_is_asked_the_same_again_counts_its_tries(capture_with: Any, private: bool) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(log_prompts=not private)))
    llm = Down(replies=[AIMessage("yes")], fails=2)
    one(lambda state: {"notes": [persistent(lambda: llm.invoke("Why?")).text]}).invoke(QUESTION, capture.config())
    # Whether a private question is the same is not known.
    assert capture.outcomes("Down") == (["error", "error", "ok"] if private else ["retried", "retried", "ok"])


def test_another_question_or_another_model_is_no_retry(capture: Capture) -> None:
    def node(state: State) -> State:
        for llm, asked in (
            (Down(replies=[AIMessage("yes")], fails=1), "Why?"),
            (Down(replies=[AIMessage("yes")], fails=1), "Why not?"),
            (Down(replies=[AIMessage("yes")], fails=0, name_of_model="claude-other"), "Why not?"),
        ):
            persistent(lambda llm=llm, asked=asked: llm.invoke(asked), 1)
        return {}

    one(node).invoke(QUESTION, capture.config())
    assert capture.outcomes("Down") == ["error", "error", "ok"]


def test_a_decorated_call_that_is_made_again_counts_its_tries(capture: Capture) -> None:
    tries: list[str] = []

    @span("load")
    def load(name: str) -> str:
        tries.append(name)
        if tries.count(name) < 2:
            raise ConnectionError("not yet")
        return name

    def node(state: State) -> State:
        return {"notes": [persistent(lambda: load("panel")), str(persistent(lambda: load("prices"), 1))]}

    assert one(node).invoke(QUESTION, capture.config())["notes"] == ["panel", "None"]
    assert capture.outcomes("load") == ["retried", "ok", "error"]
