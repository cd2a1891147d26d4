"""A node that took too long is an error; what was cancelled because of it was cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import NodeTimeoutError
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, Send, TimeoutPolicy

from tests.capture.conftest import Capture
from tests.capture.graphs import State

QUESTION: Any = {"question": "Why?"}


async def for_ever(value: Any) -> Any:
    await asyncio.Event().wait()


async def slow(state: State) -> State:
    await RunnableLambda(for_ever).with_config(run_name="inner").ainvoke("x")
    return {}


def built(**node: Any) -> StateGraph[Any, Any, Any, Any]:
    made = StateGraph(State)
    made.add_node("slow", slow, **node)
    made.add_edge(START, "slow")
    made.add_edge("slow", END)
    return made


class Unhurried(InMemorySaver):
    """Writes as a database does: others have their turn meanwhile."""

    async def aput_writes(self, *args: Any, **kwargs: Any) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        await super().aput_writes(*args, **kwargs)


async def settled(made: StateGraph[Any, Any, Any, Any], capture: Capture, saver: Any = None) -> Any:
    """Run it, and let LangGraph's own tasks come to their end."""
    config = {**capture.config(), "configurable": {"thread_id": "t"}}
    try:
        return await made.compile(name="graph", checkpointer=saver).ainvoke(QUESTION, config)
    finally:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)


@pytest.mark.parametrize("limit", [0.05, TimeoutPolicy(idle_timeout=0.05)])
@pytest.mark.asyncio
async def test_a_node_that_timed_out_is_an_error_and_what_it_waited_for_was_cancelled(
    capture: Capture, limit: Any
) -> None:
    with pytest.raises(NodeTimeoutError):
        await settled(built(timeout=limit), capture)
    node = capture.journal.named("slow")
    assert (node.status, node.message.partition(":")[0]) == ("ERROR", "NodeTimeoutError")
    assert [event.attributes["exception.type"] for event in node.events] == ["langgraph.errors.NodeTimeoutError"]
    assert capture.outcomes("slow") == capture.outcomes("graph") == ["error"]
    assert capture.outcomes("inner") == ["cancelled"]


@pytest.mark.asyncio
async def test_its_sibling_was_cancelled(capture: Capture) -> None:
    made = built(timeout=0.05)
    made.add_node("beside", for_ever)
    made.add_edge(START, "beside")
    with pytest.raises(NodeTimeoutError):
        await settled(made, capture)
    assert (capture.outcomes("slow"), capture.outcomes("beside")) == (["error"], ["cancelled"])


@pytest.mark.asyncio
async def test_of_several_of_one_name_one_timed_out(capture: Capture) -> None:
    async def some(state: Any) -> State:
        return await for_ever(state) if state["wait"] else {}

    made = StateGraph(State)
    made.add_node("slow", some, timeout=0.1)
    made.add_conditional_edges(START, lambda state: [Send("slow", {"wait": n == 1}) for n in range(3)], ["slow"])
    with pytest.raises(NodeTimeoutError):
        await settled(made, capture)
    assert sorted(capture.outcomes("slow")) == ["error", "ok", "ok"]


@pytest.mark.asyncio
async def test_a_try_that_timed_out_was_retried(capture: Capture) -> None:
    once = RetryPolicy(max_attempts=2, initial_interval=0.01, jitter=False)
    with pytest.raises(NodeTimeoutError):
        await settled(built(timeout=0.05, retry_policy=once), capture)
    assert capture.outcomes("slow") == ["retried", "error"]


@pytest.mark.parametrize("saver", [None, Unhurried()])
@pytest.mark.asyncio
async def test_a_node_whose_timeout_is_handled_has_failed_all_the_same(capture: Capture, saver: Any) -> None:
    async def rescue(state: State) -> State:
        return {"notes": ["rescued"]}

    assert (await settled(built(timeout=0.05, error_handler=rescue), capture, saver))["notes"] == ["rescued"]
    assert (capture.outcomes("slow"), capture.outcomes("graph")) == (["error"], ["ok"])
