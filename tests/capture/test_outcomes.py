"""How work ended, told apart: not everything that is raised is an error."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_tool_call
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tools import tool
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy

from tests.capture.conftest import Capture
from tests.capture.graphs import Model, State, graph, model
from tierlens import keys, span
from tierlens.policy import AgentPolicy, Policies

QUESTION: Any = {"question": "Why?"}


def one(node: Any) -> Any:
    return graph(node=node).compile(name="graph")


def said(state: State) -> State:
    return {"notes": ["said"]}


def broken(state: State) -> State:
    raise ValueError("broken on purpose")


def test_what_returns_is_ok(capture: Capture) -> None:
    one(said).invoke(QUESTION, capture.config())
    assert capture.outcomes("graph") == capture.outcomes("node") == ["ok"]
    assert {span.status for span in capture.journal.spans.values()} == {"OK"}


def test_an_error_is_told_with_its_words_and_its_stack(capture: Capture) -> None:
    with pytest.raises(ValueError, match="on purpose"):
        one(broken).invoke(QUESTION, capture.config())
    node = capture.journal.named("node")
    assert (node.status, node.message) == ("ERROR", "ValueError: broken on purpose")
    assert capture.outcomes("graph") == capture.outcomes("node") == ["error"]
    (event,) = node.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "ValueError"
    assert "in broken" in str(event.attributes["exception.stacktrace"])


def test_an_error_without_words_is_told_by_its_type(capture: Capture) -> None:
    def node(state: State) -> State:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        one(node).invoke(QUESTION, capture.config())
    assert capture.journal.named("node").message == "TimeoutError"


def test_an_error_whose_str_raises_is_still_told(capture: Capture) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def node(state: State) -> State:
        raise Mute

    with pytest.raises(Mute):
        one(node).invoke(QUESTION, capture.config())
    assert capture.journal.named("node").message == "Mute: <Mute whose str raised>"


def test_a_failing_branch_beside_others_leaves_the_rest_as_they_were(capture: Capture) -> None:
    built = StateGraph(State)
    for name, node in {"fine": said, "broken": broken}.items():
        built.add_node(name, node)
        built.add_edge(START, name)
    with pytest.raises(ValueError, match="on purpose"):
        built.compile(name="graph").invoke(QUESTION, capture.config())
    assert capture.outcomes("broken") == ["error"]
    assert capture.outcomes("fine") != ["error"]


def test_a_stream_left_early_is_abandoned(capture: Capture) -> None:
    stream = graph(first=said, second=said).compile(name="graph").stream(QUESTION, capture.config())
    next(stream)
    stream.close()
    assert capture.outcomes("graph") == ["abandoned"]
    assert capture.outcomes("first") == ["ok"]
    assert capture.journal.named("graph").status == "OK"


async def test_an_async_stream_left_early_is_abandoned(capture: Capture) -> None:
    stream = graph(first=said, second=said).compile(name="graph").astream(QUESTION, capture.config())
    async for _ in stream:
        break
    await stream.aclose()
    assert capture.outcomes("graph") == ["abandoned"]


def test_what_a_stream_was_left_in_the_middle_of_is_abandoned_with_it(capture: Capture) -> None:
    llm = model("one two three four five")
    compiled = one(lambda state: {"notes": [llm.invoke("x").text]})
    stream = compiled.stream(QUESTION, capture.config(), stream_mode="messages")
    next(stream)
    stream.close()
    assert capture.outcomes("graph") == ["abandoned"]
    assert len(capture.journal.spans) == 3


def chained() -> Runnable[Any, Any]:
    return (model("one two three four five") | StrOutputParser()).with_config(run_name="chain")


def test_a_chain_whose_stream_is_left_early_is_abandoned_and_its_call_is_what_it_came_to(capture: Capture) -> None:
    stream = chained().stream("Why?", capture.config())
    next(stream)
    # From the outside in: the model, which LangChain reads to its end, ends after the chain.
    stream.close()
    assert capture.outcomes("chain") == ["abandoned"]
    call = capture.journal.named("Model").attributes
    assert keys.OUTCOME not in call
    assert json.loads(str(call[keys.TOKEN_USAGE]))["total_tokens"] == 10
    assert "onetwothreefourfive" in str(call[keys.OUTPUTS])


async def test_so_it_is_where_it_is_asynchronous(capture: Capture) -> None:
    stream = chained().astream("Why?", capture.config())
    async for _ in stream:
        break
    await stream.aclose()
    # LangChain leaves it to the loop to close what is inside.
    await asyncio.get_running_loop().shutdown_asyncgens()
    assert capture.outcomes("chain") == ["abandoned"]
    assert capture.outcomes("Model") == ["abandoned"]


def test_a_chain_whose_stream_is_read_to_its_end_is_ok(capture: Capture) -> None:
    assert list(chained().stream("Why?", capture.config()))
    assert capture.outcomes("chain") == ["ok"]


async def test_a_call_that_nobody_awaited_is_what_it_came_to(capture: Capture) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []

    class Slow(Model):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            asked.set()
            await answer.wait()
            return self._generate(*args, **kwargs)

    async def node(state: State) -> State:
        tasks.append(asyncio.create_task(Slow(replies=[AIMessage("late")]).ainvoke("Why?")))
        await asked.wait()
        return {}

    await one(node).ainvoke(QUESTION, capture.config())
    assert capture.outcomes("Slow") == ["abandoned"]
    answer.set()
    await tasks[0]
    assert capture.outcomes("Slow") == ["ok"]
    assert json.loads(str(capture.attributes("Slow")[keys.TOKEN_USAGE]))["total_tokens"] == 10


async def test_a_cancelled_task_is_cancelled_down_to_the_node_that_waited(capture: Capture) -> None:
    waiting = asyncio.Event()

    @span("inner")
    async def inner() -> None:
        waiting.set()
        await asyncio.Event().wait()

    async def node(state: State) -> State:
        await inner()
        return {}

    task = asyncio.create_task(one(node).ainvoke(QUESTION, capture.config()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert capture.outcomes("graph") == capture.outcomes("node") == capture.outcomes("inner") == ["cancelled"]
    assert {span.status for span in capture.journal.spans.values()} == {"OK"}


async def test_a_node_that_took_too_long_is_an_error_not_a_cancellation_of_ours(capture: Capture) -> None:
    async def node(state: State) -> State:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
        return {}

    with pytest.raises(TimeoutError):
        await one(node).ainvoke(QUESTION, capture.config())
    assert capture.outcomes("node") == ["error"]


def test_a_handoff_to_a_sibling_names_it(capture: Capture) -> None:
    built = graph(first=lambda state: Command(goto="last", update={"notes": ["on"]}))
    built.add_node("last", said)
    assert built.compile().invoke(QUESTION, capture.config())["notes"] == ["on", "said"]
    first = capture.attributes("first")
    assert (first[keys.OUTCOME], first[keys.OUTCOME_DETAIL]) == ("handed_off", "last")
    assert json.loads(first[keys.OUTPUTS]) == {"notes": ["on"], "goto": "last"}
    assert capture.journal.named("first").status == "OK"


def test_going_to_the_end_hands_nothing_off(capture: Capture) -> None:
    one(lambda state: Command(goto=END, update={"notes": ["done"]})).invoke(QUESTION, capture.config())
    assert capture.outcomes("node") == ["ok"]
    assert json.loads(capture.attributes("node")[keys.OUTPUTS]) == {"notes": ["done"], "goto": END}


def test_a_handoff_out_of_a_subgraph_is_no_error_anywhere(capture: Capture) -> None:
    inner = graph(leave=lambda state: Command(goto="other", graph=Command.PARENT, update={"notes": ["left"]}))
    built = StateGraph(State)
    built.add_node("sub", inner.compile(name="inner"), destinations=("other",))
    built.add_node("other", said)
    built.add_edge(START, "sub")
    built.compile(name="graph").invoke(QUESTION, capture.config())
    assert capture.outcomes("leave") == ["handed_off"]
    assert json.loads(capture.attributes("leave")[keys.OUTPUTS]) == {"notes": ["left"], "goto": "other"}
    assert "error" not in {span.attributes.get(keys.OUTCOME) for span in capture.journal.spans.values()}
    assert {span.status for span in capture.journal.spans.values()} == {"OK"}


@pytest.mark.parametrize("fails", [0, 1, 2, 3])
def test_each_try_says_which_of_how_many_it_is(capture: Capture, fails: int) -> None:
    tries: list[int] = []

    def flaky(state: State) -> State:
        tries.append(1)
        if len(tries) <= fails:
            raise ConnectionError(f"not yet {len(tries)}")
        return {"notes": ["done"]}

    built = StateGraph(State)
    policy = RetryPolicy(max_attempts=3, initial_interval=0.001, jitter=False, retry_on=ConnectionError)
    built.add_node("flaky", flaky, retry_policy=policy)
    built.add_edge(START, "flaky")
    if fails == 3:
        with pytest.raises(ConnectionError):
            built.compile().invoke(QUESTION, capture.config())
    else:
        built.compile().invoke(QUESTION, capture.config())
    spans = sorted((s for s in capture.journal.spans.values() if s.name == "flaky"), key=lambda s: s.start_ns)
    assert [(s.attributes[keys.ATTEMPT], s.attributes[keys.MAX_ATTEMPTS]) for s in spans] == [
        (n + 1, 3) for n in range(len(tries))
    ]
    last = "error" if fails == 3 else "ok"
    assert capture.outcomes("flaky") == ["retried"] * (len(tries) - 1) + [last]
    assert [s.attributes.get(keys.OUTCOME_DETAIL) for s in spans][: len(tries) - 1] == [
        f"ConnectionError: not yet {n + 1}" for n in range(len(tries) - 1)
    ]


def test_a_loop_visits_its_node_anew_and_retries_nothing(capture: Capture) -> None:
    built = StateGraph(State)
    built.add_node("work", said)
    built.add_edge(START, "work")
    built.add_conditional_edges("work", lambda state: "__end__" if len(state["notes"]) > 2 else "work")
    built.compile().invoke(QUESTION, capture.config())
    assert capture.outcomes("work") == ["ok"] * 3
    assert not [s for s in capture.journal.spans.values() if keys.ATTEMPT in s.attributes]


def failing_agent() -> Any:
    @tool
    def divide(a: int, b: int) -> float:
        """Divide."""
        return a / b

    divide.handle_tool_error = True
    call = AIMessage("", tool_calls=[{"name": "divide", "args": {"a": 1, "b": 0}, "id": "c1"}])

    @wrap_tool_call
    def forgiving(request: Any, handler: Any) -> Any:
        try:
            return handler(request)
        except ZeroDivisionError as error:
            return ToolMessage(f"no: {error}", tool_call_id=request.tool_call["id"])

    return create_agent(model(call, "I cannot."), [divide], middleware=[forgiving], name="calculator")


def test_a_failing_tool_that_its_agent_puts_up_with_is_the_only_error(capture: Capture) -> None:
    answer = failing_agent().invoke({"messages": [("user", "1/0?")]}, capture.config())
    assert answer["messages"][-1].content == "I cannot."
    assert capture.outcomes("divide") == ["error"]
    assert capture.outcomes("calculator") == ["ok"]
    assert capture.journal.named("divide").status == "ERROR"
    errors = [span.name for span in capture.journal.spans.values() if span.status == "ERROR"]
    assert errors == ["divide"]


def test_a_private_error_tells_its_type_alone(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(log_prompts=False)))
    with pytest.raises(ValueError, match="on purpose"):
        one(broken).invoke(QUESTION, capture.config())
    assert "on purpose" not in capture.journal.text()
    (event,) = capture.journal.named("node").events
    assert event.attributes == {"exception.type": "ValueError"}


def test_interrupting_the_process_is_a_cancellation(capture: Capture) -> None:
    def node(state: State) -> State:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one(node).invoke(QUESTION, capture.config())
    assert set(capture.outcomes("graph")) <= {"cancelled", "abandoned"}


def test_work_that_goes_on_after_its_trace_is_abandoned_and_its_late_end_changes_nothing(capture: Capture) -> None:
    started, leave = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    @span("slow")
    def slow() -> str:
        started.set()
        leave.wait(10)
        return "late"

    def node(state: State) -> State:
        threads.append(threading.Thread(target=contextvars.copy_context().run, args=(slow,)))
        threads[0].start()
        started.wait(10)
        return {}

    one(node).invoke(QUESTION, capture.config())
    leave.set()
    threads[0].join()
    assert capture.outcomes("graph") == ["ok"]
    assert capture.outcomes("slow") == ["abandoned"]
    assert "late" not in capture.journal.text()


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
async def test_asynchronous_tries_are_counted_as_well(capture: Capture, way: str) -> None:
    tries: list[int] = []

    async def flaky(state: State) -> State:
        tries.append(1)
        if len(tries) < 2:
            raise ConnectionError("not yet")
        return {}

    built = StateGraph(State)
    policy = RetryPolicy(max_attempts=4, initial_interval=0.001, jitter=False, retry_on=ConnectionError)
    built.add_node("flaky", flaky, retry_policy=policy)
    built.add_edge(START, "flaky")
    if way == "ainvoke":
        await built.compile().ainvoke(QUESTION, capture.config())
    else:
        assert [part async for part in built.compile().astream(QUESTION, capture.config())]
    spans = sorted((s for s in capture.journal.spans.values() if s.name == "flaky"), key=lambda s: s.start_ns)
    assert [(s.attributes[keys.ATTEMPT], s.attributes[keys.MAX_ATTEMPTS]) for s in spans] == [(1, 4), (2, 4)]
    assert capture.outcomes("flaky") == ["retried", "ok"]


@pytest.mark.parametrize("kind", ["chain", "model", "tool", "retriever"])
def test_with_retry_counts_its_tries(capture: Capture, kind: str) -> None:
    tries: list[int] = []

    def fail_twice(*args: Any, **kwargs: Any) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("not yet")
        return ["done"] if kind == "retriever" else "done"

    class Flaky(FakeListChatModel):
        def _call(self, *args: Any, **kwargs: Any) -> str:
            return str(fail_twice())

    class Finder(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            return [Document(text) for text in fail_twice()]

    @tool
    def look_up(about: str) -> str:
        """Look it up."""
        return str(fail_twice())

    work: Runnable[Any, Any] = {
        "chain": RunnableLambda(fail_twice),
        "model": Flaky(responses=[]),
        "tool": look_up,
        "retriever": Finder(),
    }[kind]
    patient = work.with_retry(stop_after_attempt=4, wait_exponential_jitter=False)
    patient.invoke("Why?", {**capture.config(), "run_name": "patient"})

    spans = [span for span in capture.journal.spans.values() if span.parent_id]
    spans.sort(key=lambda span: span.start_ns)
    assert [span.attributes[keys.ATTEMPT] for span in spans] == [1, 2, 3]
    assert [span.attributes.get(keys.OUTCOME, "ok") for span in spans] == ["retried", "retried", "ok"]
    assert capture.outcomes("patient") == ["ok"]


def test_a_fallback_is_no_retry(capture: Capture) -> None:
    first = RunnableLambda(broken, name="ask")
    first.with_fallbacks([RunnableLambda(said, name="ask")]).invoke(QUESTION, capture.config())
    assert capture.outcomes("ask") == ["error", "ok"]


def test_a_task_of_the_functional_api_counts_its_tries(capture: Capture) -> None:
    tries: list[int] = []

    @task(retry_policy=RetryPolicy(max_attempts=2, initial_interval=0.001, jitter=False, retry_on=ConnectionError))
    def flaky() -> str:
        tries.append(1)
        if len(tries) < 2:
            raise ConnectionError("not yet")
        return "done"

    @entrypoint()
    def flow(inputs: Any) -> str:
        return flaky().result()

    assert flow.invoke({}, capture.config()) == "done"
    assert capture.outcomes("flaky") == ["retried", "ok"]
    spans = sorted((s for s in capture.journal.spans.values() if s.name == "flaky"), key=lambda s: s.start_ns)
    assert [(s.attributes[keys.ATTEMPT], s.attributes[keys.MAX_ATTEMPTS]) for s in spans] == [(1, 2), (2, 2)]
