"""What the trace list shows: the question and the answer as people put them, not the state as JSON."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from tests.capture.conftest import Capture
from tests.capture.graphs import graph, model
from tests.capture.pausing import approval
from tierlens import keys
from tierlens.capture import heads, previews
from tierlens.policy import Policies
from tierlens.spans import Span

PATH = "inputs.question"


def said(span: Span, side: str) -> str:
    """The chat message that MLflow previews."""
    role = {keys.INPUTS: "user", keys.OUTPUTS: "assistant"}[side]
    messages = json.loads(str(span.attributes[side]))["messages"]
    chat = [one for one in messages if isinstance(one, dict) and "content" in one and "role" in one]
    return str(next((one for one in reversed(chat) if one["role"] == role), chat[-1])["content"])


def conversation(reply: Any) -> Any:
    """A graph whose state is a chat, with one node that adds ``reply`` to it."""
    built = StateGraph(MessagesState)
    built.add_node("talk", lambda state: {"messages": [reply(state) if callable(reply) else reply]})
    built.add_edge(START, "talk")
    return built.compile(checkpointer=InMemorySaver())


def talked(capture: Capture, reply: Any, *messages: Any) -> Span:
    """The root of one call of such a graph."""
    config: Any = {"configurable": {"thread_id": "t"}, **capture.config()}
    conversation(reply).invoke({"messages": list(messages)}, config)
    (root,) = capture.journal.roots()
    return root


def test_the_question_is_found_at_its_path_or_under_a_usual_name_or_is_the_first_text() -> None:
    assert previews.question({"ask": {"words": "Why?"}, "question": "no"}, "inputs.ask.words") == "Why?"
    assert previews.question({"brand": "Kisqali", "query": "Why?"}, PATH) == "Why?"
    assert previews.question({"n": [], "zeal": "Why?"}, PATH) == "Why?"
    assert previews.question("Why?", PATH) == "Why?"
    assert previews.question({"n": []}, PATH) is None


def test_a_list_without_end_has_no_text() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    deep: list[Any] = ["found"]
    for _ in range(2_000):
        deep = [deep]

    assert previews.answer({"last": cycle}, PATH) is None
    assert previews.question({"last": deep}, PATH) is None
    assert previews.answer({"last": [["x", "Yes."]]}, PATH) == "Yes."


def test_the_answer_is_the_last_text_and_a_number_only_where_there_is_none() -> None:
    assert previews.answer({"first": "No.", "last": "Yes.", "score": 0.8}, "outputs.answer") == "Yes."
    assert previews.answer({"ready": True, "score": 0.8}, "outputs.answer") == "0.8"
    assert previews.answer(0.8, "outputs.answer") == "0.8"


@pytest.mark.parametrize(("result", "stored"), [(None, None), ("", '""')])
def test_where_nothing_is_answered_no_answer_is_made_up(capture: Capture, result: Any, stored: str | None) -> None:
    RunnableLambda(lambda asked: result).invoke("Why?", capture.config())
    (root,) = capture.journal.roots()
    assert root.attributes.get(keys.OUTPUTS) == stored
    assert capture.whole(root, "outputs") == result


def test_the_last_of_several_numbers_is_no_answer() -> None:
    assert previews.answer([[0, 1], [4, 9]], PATH) is None
    assert previews.answer({"scores": [0.1, 0.9]}, PATH) is None
    assert previews.answer({"words": "Yes.", "scores": [0.1, 0.9]}, PATH) == "Yes."
    assert previews.question({"rows": [1, 2, 3], "zeal": "Why?"}, PATH) == "Why?"


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("yes", "Resumed with yes"),
        (True, "Resumed with true"),
        ({"approved": False, "reason": "too much"}, "Resumed with approved: false, reason: too much"),
        ({"decisions": [{"type": "approve"}]}, 'Resumed with decisions: [{"type":"approve"}]'),
        ({"a" * 32: "yes", "b" * 32: {"approved": False}}, "Resumed with yes, approved: false"),
    ],
)
def test_of_a_resumed_graph_it_is_what_the_person_answered(answer: Any, shown: str) -> None:
    assert previews.question(Command(resume=answer), PATH) == shown


def test_a_command_that_resumes_nothing_has_no_question() -> None:
    assert previews.question(Command(goto="there"), PATH) is None


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ('{"brand":"Kisqali","action":"move the money"}', "Waiting for an answer: move the money"),
        ('"approve?"', "Waiting for an answer: approve?"),
        ('{"cost":12}', "Waiting for an answer: cost: 12"),
        ('[{"cost":{"usd":12}}]', 'Waiting for an answer: [{"cost":{"usd":12}}]'),
        (
            '{"action_requests":[{"name":"mail","args":{"to":"bob"},"description":"…"},{"name":"stop","args":{}}]}',
            "Waiting for an answer: mail(to: bob), stop()",
        ),
        ('[{"q":"Move it?"},{"q":"Keep it?"},"Stop?"]', "Waiting for an answer: Move it?; Keep it?; Stop?"),
        ("null", "Waiting for an answer"),
        ('{"action_requests":["mail"]}', "Waiting for an answer: mail()"),
        ('{"action":"cut in the mid', 'Waiting for an answer: {"action":"cut in the mid'),
    ],
)
def test_of_a_graph_that_waits_the_answer_is_what_it_asks(asked: str, shown: str) -> None:
    assert previews.waiting(asked) == shown


def test_a_pause_and_its_end_read_well_in_the_trace_list(capture: Capture) -> None:
    built = approval(InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}, **capture.config()}
    built.invoke({"question": "Why?"}, config)
    built.invoke(Command(resume={"approved": True}), config)

    first, second = sorted(capture.journal.roots(), key=lambda span: span.start_ns)

    assert said(first, keys.INPUTS) == "Why?"
    assert said(first, keys.OUTPUTS) == "Waiting for an answer: approve the plan?"
    assert said(second, keys.INPUTS) == "Resumed with approved: true"
    assert json.loads(str(second.attributes[keys.INPUTS]))["resume"] == {"approved": True}
    assert "__parent__" not in str(second.attributes[keys.INPUTS])


@pytest.mark.parametrize(
    ("value", "first_words"),
    [
        ("The estimated effect is positive and robust.", "The estimated effect is positive…"),
        ({"orchestrator": 1, "gap_analyzer": 2}, "orchestrator, gap_analyzer"),
        (["orchestrator", "gap_analyzer"], "orchestrator, gap_analyzer"),
        (Document("A note on gaps."), "A note on gaps."),
        (HumanMessage("Why?"), "Why?"),
        ([HumanMessage("Why?"), AIMessage("Because of the detailing.")], "Why?, Because of the detailing."),
        ([{"n": 1}, {"n": 2}], "<2 items>"),
        ({}, "<0 keys>"),
    ],
)
def test_a_reference_says_what_it_refers_to(value: Any, first_words: str) -> None:
    assert heads.head(value) == first_words


def test_a_breakpoint_reads_as_a_pause_and_a_resumption(capture: Capture) -> None:
    built = graph(plan=lambda state: {"notes": ["planned"]}, act=lambda state: {"notes": ["done"]})
    compiled = built.compile(checkpointer=InMemorySaver(), interrupt_before=["act"])
    config: Any = {"configurable": {"thread_id": "t"}, **capture.config()}
    compiled.invoke({"question": "Why?"}, config)
    compiled.invoke(None, config)

    first, second = sorted(capture.journal.roots(), key=lambda span: span.start_ns)

    assert said(first, keys.OUTPUTS) == "Paused before the next step"
    assert said(second, keys.INPUTS) == "Resumed"


@pytest.mark.parametrize("fails", [False, True])
def test_a_chain_that_streams_shows_its_question(capture: Capture, fails: bool) -> None:
    def think(question: str) -> str:
        return str(1 / 0) if fails else "Because."

    chain = RunnablePassthrough() | RunnableLambda(think)
    with pytest.raises(ZeroDivisionError) if fails else contextlib.nullcontext():
        list(chain.stream("Why?", capture.config()))

    (root,) = capture.journal.roots()
    assert said(root, keys.INPUTS) == "Why?"
    assert fails or said(root, keys.OUTPUTS) == "Because."


def test_the_answer_of_an_agent_is_its_last_message(capture: Capture) -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    call = AIMessage("Adding.", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "c1"}])
    create_agent(model(call, "It is three."), [add]).invoke({"messages": [("user", "1 + 2?")]}, capture.config())

    (root,) = capture.journal.roots()
    assert said(root, keys.INPUTS) == "1 + 2?"
    assert said(root, keys.OUTPUTS) == "It is three."
    roles = [message["role"] for message in capture.whole(root, "outputs")["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize(
    "asked",
    [
        ("user", "Why?"),
        ["human", "Why?"],
        {"role": "user", "content": "Why?"},
        {"type": "human", "content": "Why?"},
        HumanMessage("Why?"),
        HumanMessage([{"type": "text", "text": "Why?"}]),
        "Why?",
    ],
)
def test_a_chat_shows_its_question_however_it_is_put(capture: Capture, asked: Any) -> None:
    root = talked(capture, AIMessage("Because."), asked)

    assert said(root, keys.INPUTS) == "Why?"
    assert said(root, keys.OUTPUTS) == "Because."


def test_a_long_chat_shows_its_last_words_though_they_were_cut(capture: Capture) -> None:
    before = [HumanMessage("Earlier? " * 1_000), AIMessage("Earlier. " * 1_000)]
    root = talked(capture, AIMessage("Now."), *before, HumanMessage("And now?"))

    assert said(root, keys.INPUTS) == "And now?"
    assert said(root, keys.OUTPUTS) == "Now."
    assert "$cut" in str(capture.whole(root)["messages"][-1])


def test_a_chat_that_ends_with_a_tool_shows_what_that_returned(capture: Capture) -> None:
    call = AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": "c1"}])
    root = talked(capture, ToolMessage("3", tool_call_id="c1"), HumanMessage("1 + 2?"), call)

    assert said(root, keys.OUTPUTS) == "3"


def test_a_chat_that_waits_shows_what_it_asks(capture: Capture) -> None:
    root = talked(capture, lambda state: interrupt("approve?"), HumanMessage("Move the money."))

    assert said(root, keys.OUTPUTS) == "Waiting for an answer: approve?"
    assert capture.whole(root, "outputs")["messages"][0]["content"] == "Move the money."


def test_a_chat_shows_what_the_configuration_names(capture_with: Any) -> None:
    capture = capture_with(Policies(question="inputs.messages.0.content", answer="outputs.messages.1.content"))
    root = talked(capture, AIMessage("Third."), HumanMessage("First?"), HumanMessage("Second?"))

    assert said(root, keys.INPUTS) == "First?"
    assert said(root, keys.OUTPUTS) == "Second?"
    assert [one["content"] for one in capture.whole(root, "outputs")["messages"]] == ["First?", "Second?", "Third."]
