"""A graph that waits for a person is two traces, and the second knows the first."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.errors import GraphDrained
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from tests.capture import journalled
from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph
from tests.capture.pausing import approval, ask, done
from tierlens import keys
from tierlens.journal.pauses import Pauses
from tierlens.policy import AgentPolicy, Policies
from tierlens.spans import Span

QUESTION: Any = {"question": "Why?"}
ASKED = {"ask": "approve the plan?", "cost": 12}


def config(capture: Capture, thread: str = "t1") -> Any:
    return {"configurable": {"thread_id": thread}, **capture.config()}


def roots(capture: Capture) -> list[Span]:
    return sorted(capture.journal.roots(), key=lambda span: span.start_ns)


def outcome(span: Span) -> Any:
    return span.attributes.get(keys.OUTCOME)


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
async def test_a_pause_is_no_error_and_says_what_it_asks(capture: Capture, way: str) -> None:
    built = approval(InMemorySaver())
    await call(built, way, QUESTION, config(capture))
    await call(built, way, Command(resume="yes"), config(capture))
    first, second = roots(capture)
    assert (outcome(first), outcome(second)) == ("interrupted", "resumed")
    assert json.loads(str(first.attributes[keys.OUTCOME_DETAIL])) == ASKED
    assert capture.outcomes("ask") == ["interrupted", "ok"]
    paused = [span for span in capture.journal.spans.values() if outcome(span) == "interrupted" and span.name == "ask"]
    assert json.loads(str(paused[0].attributes[keys.OUTPUTS])) == {"interrupt": ASKED}
    assert {span.status for span in capture.journal.spans.values()} == {"OK"}
    assert not [span for span in capture.journal.spans.values() if span.events]


async def call(built: Any, way: str, inputs: Any, given: Any) -> None:
    if way == "invoke":
        built.invoke(inputs, given)
    elif way == "stream":
        list(built.stream(inputs, given))
    elif way == "ainvoke":
        await built.ainvoke(inputs, given)
    else:
        assert [part async for part in built.astream(inputs, given)]


def test_the_resumed_trace_is_linked_to_the_paused_one_with_the_time_between(capture: Capture) -> None:
    built = approval(InMemorySaver())
    built.invoke(QUESTION, config(capture))
    built.invoke(Command(resume="yes"), config(capture))
    first, second = roots(capture)
    (link,) = second.links
    assert (link.trace_id, link.span_id) == (first.trace_id, first.span_id)
    assert second.attributes[keys.RESUMED_FROM] == f"tr-{first.trace_id}"
    least, most = ((second.start_ns - since) / 1e9 for since in (first.end_ns, first.start_ns))
    assert least - 0.001 <= float(second.attributes[keys.WAITED_S]) <= most + 0.001
    tags = {name.removeprefix(keys.TRACE_TAG): value for name, value in second.attributes.items()}
    assert (tags["resumed_from"], tags["outcome"]) == (f"tr-{first.trace_id}", "resumed")
    assert first.attributes[keys.SESSION] == second.attributes[keys.SESSION] == "t1"


def test_another_process_links_it_as_well(capture: Capture, tmp_path: Path) -> None:
    capture.pauses = Pauses(tmp_path / "journal" / "paused")
    with SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        approval(saver).invoke(QUESTION, config(capture))
    subprocess.run([sys.executable, "-m", "tests.capture.pausing", str(tmp_path)], check=True)
    (first,) = roots(capture)
    (second,) = (one for one in journalled.lines(tmp_path / "journal") if one.root)
    (link,) = orjson.loads(second.payload)["links"]
    assert (link["traceId"], link["spanId"]) == (first.trace_id, first.span_id)
    attributes = journalled.attributes(second)
    assert attributes[keys.OUTCOME] == "resumed"
    assert float(attributes[keys.WAITED_S]) > 0


def test_a_thread_that_pauses_again_is_interrupted_again(capture: Capture) -> None:
    def twice(state: State) -> State:
        return {"notes": [interrupt("first?"), interrupt("second?")]}

    built = graph(twice=twice).compile(checkpointer=InMemorySaver())
    for inputs in (QUESTION, Command(resume="a"), Command(resume="b")):
        built.invoke(inputs, config(capture))
    assert [outcome(one) for one in roots(capture)] == ["interrupted", "interrupted", "resumed"]
    assert [one.attributes.get(keys.OUTCOME_DETAIL) for one in roots(capture)] == ['"first?"', '"second?"', None]
    assert [link.trace_id for one in roots(capture) for link in one.links] == [
        one.trace_id for one in roots(capture)[:2]
    ]


def test_several_questions_at_once_are_all_told(capture: Capture) -> None:
    built = StateGraph(State)
    for name in ("left", "right"):
        built.add_node(name, lambda state, name=name: {"notes": [interrupt(f"{name}?")]})
        built.add_edge(START, name)
    compiled = built.compile(name="graph", checkpointer=InMemorySaver())
    paused = compiled.invoke(QUESTION, config(capture))
    asked = roots(capture)[0].attributes[keys.OUTCOME_DETAIL]
    assert sorted(json.loads(str(asked))) == ["left?", "right?"]
    compiled.invoke(Command(resume={one.id: "yes" for one in paused["__interrupt__"]}), config(capture))
    assert [outcome(one) for one in roots(capture)] == ["interrupted", "resumed"]
    assert capture.outcomes("left") == capture.outcomes("right") == ["interrupted", "ok"]


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
async def test_a_question_of_a_task_is_told_once(capture: Capture, way: str) -> None:
    @task
    def approve(plan: str) -> str:
        return str(interrupt({"approve": plan}))

    @entrypoint(checkpointer=InMemorySaver())
    async def aflow(plan: str) -> str:
        return await approve(plan)

    @entrypoint(checkpointer=InMemorySaver())
    def flow(plan: str) -> str:
        return approve(plan).result()

    built: Any = aflow if way.startswith("a") else flow
    await call(built, way, "move 20 %", config(capture))
    told = [json.loads(str(span.attributes[keys.OUTCOME_DETAIL])) for span in capture.journal.spans.values()]
    assert told == [{"approve": "move 20 %"}] * 3


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
@pytest.mark.parametrize("nested", [False, True])
async def test_a_graph_that_is_drained_pauses_and_says_why(capture: Capture, way: str, nested: bool) -> None:
    def stop(state: State, runtime: Runtime[None]) -> State:
        if runtime.control is not None:
            runtime.control.request_drain("SIGTERM")
        return {"notes": ["stopped"]}

    built: Any = graph(stop=stop, done=done)
    if nested:
        built = graph(plan=lambda state: {"notes": ["planned"]}, sub=built.compile(name="inner"))
    built = built.compile(name="outer", checkpointer=InMemorySaver())
    with pytest.raises(GraphDrained):
        await call(built, way, QUESTION, config(capture))
    await call(built, way, None, config(capture))
    first, second = roots(capture)
    assert (outcome(first), outcome(second)) == ("interrupted", "resumed")
    assert first.attributes[keys.OUTCOME_DETAIL] == "SIGTERM"
    assert second.attributes[keys.RESUMED_FROM] == f"tr-{first.trace_id}"
    assert {span.status for span in capture.journal.spans.values()} == {"OK"}
    assert keys.OUTPUTS not in first.attributes
    assert not [*(capture.folder / "paused").iterdir()]


@pytest.mark.parametrize("where", [{"interrupt_before": ["done"]}, {"interrupt_after": ["plan"]}])
def test_a_stream_that_is_left_at_a_breakpoint_is_interrupted(capture: Capture, where: dict[str, Any]) -> None:
    built = graph(plan=lambda state: {"notes": ["planned"]}, done=done).compile(checkpointer=InMemorySaver(), **where)
    with contextlib.closing(built.stream(QUESTION, config(capture))) as parts:
        next(part for part in parts if "__interrupt__" in part)
    built.invoke(None, config(capture))
    assert [outcome(one) for one in roots(capture)] == ["interrupted", "resumed"]


def test_a_stream_that_is_left_after_its_answer_is_abandoned(capture: Capture) -> None:
    built = graph(ask=ask, done=done).compile(checkpointer=InMemorySaver())
    built.invoke(QUESTION, config(capture))
    with contextlib.closing(built.stream(Command(resume="yes"), config(capture))) as parts:
        assert "ask" in next(parts)
    assert [outcome(one) for one in roots(capture)] == ["interrupted", "abandoned"]


async def leave_at_the_question(built: Any, way: str, given: Any) -> None:
    mode: Any = {"stream_mode": ["updates", "values"]} if way != "events" else {"version": "v2"}
    if way == "stream":
        with contextlib.closing(built.stream(QUESTION, given, **mode, subgraphs=True)) as parts:
            next(part for part in parts if "__interrupt__" in str(part))
        return
    stream = built.astream_events if way == "events" else built.astream
    async with contextlib.aclosing(stream(QUESTION, given, **mode, subgraphs=True)) as aparts:
        async for part in aparts:
            if "__interrupt__" in str(part):
                break


@pytest.mark.parametrize("way", ["stream", "astream", "events"])
@pytest.mark.parametrize("nested", [False, True])
async def test_a_stream_that_is_left_at_its_question_waits_for_the_answer(
    capture: Capture, way: str, nested: bool
) -> None:
    built: Any = graph(ask=ask, done=done)
    if nested:
        built = graph(plan=lambda state: {"notes": ["planned"]}, sub=built.compile(name="inner"))
    built = built.compile(name="outer", checkpointer=InMemorySaver())
    await leave_at_the_question(built, way, config(capture))
    assert (await built.ainvoke(Command(resume="yes"), config(capture)))["notes"][-1] == "done"
    first, second = roots(capture)
    assert (outcome(first), outcome(second)) == ("interrupted", "resumed")
    assert json.loads(str(first.attributes[keys.OUTCOME_DETAIL])) == ASKED
    assert second.attributes[keys.RESUMED_FROM] == f"tr-{first.trace_id}"
    assert {span.status for span in capture.journal.spans.values()} == {"OK"}
    assert not [*(capture.folder / "paused").iterdir()]


def test_a_pause_inside_a_subgraph_pauses_all_that_encloses_it(capture: Capture) -> None:
    inner = graph(ask=ask).compile(name="inner")
    built = graph(sub=inner, done=done).compile(name="outer", checkpointer=InMemorySaver())
    built.invoke(QUESTION, config(capture))
    assert capture.outcomes("ask") == capture.outcomes("sub") == capture.outcomes("outer") == ["interrupted"]
    assert json.loads(capture.attributes("outer")[keys.OUTCOME_DETAIL]) == ASKED
    built.invoke(Command(resume="yes"), config(capture))
    first, second = roots(capture)
    assert outcome(second) == "resumed"
    assert first.trace_id in {link.trace_id for link in second.links}
    assert {span.status for span in capture.journal.spans.values()} == {"OK"}


@pytest.mark.parametrize("where", [{"interrupt_before": ["done"]}, {"interrupt_after": ["plan"]}])
def test_a_breakpoint_is_a_pause_without_a_question(capture: Capture, where: dict[str, Any]) -> None:
    built = graph(plan=lambda state: {"notes": ["planned"]}, done=done)
    compiled = built.compile(name="graph", checkpointer=InMemorySaver(), **where)
    compiled.invoke(QUESTION, config(capture))
    compiled.invoke(None, config(capture))
    first, second = roots(capture)
    assert (outcome(first), outcome(second)) == ("interrupted", "resumed")
    assert first.attributes[keys.OUTCOME_DETAIL] == next(iter(where))
    assert [link.trace_id for link in second.links] == [first.trace_id]


@pytest.mark.parametrize("edits", [1, 3])
@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
async def test_a_thread_whose_state_was_edited_while_it_waited_is_linked_as_well(
    capture: Capture, tmp_path: Path, way: str, edits: int
) -> None:
    built = graph(plan=lambda state: {"notes": ["planned"]}, done=done)
    compiled = built.compile(name="graph", checkpointer=InMemorySaver(), interrupt_before=["done"])
    await call(compiled, way, QUESTION, config(capture))
    for number in range(edits):
        compiled.update_state({"configurable": {"thread_id": "t1"}}, {"notes": [f"edit {number}"]}, as_node="plan")
    await call(compiled, way, None, config(capture))
    first, second = roots(capture)
    assert outcome(second) == "resumed"
    assert [link.trace_id for link in second.links] == [first.trace_id]
    assert second.attributes[keys.RESUMED_FROM] == f"tr-{first.trace_id}"
    assert list((tmp_path / "paused").iterdir()) == []


def test_a_question_that_is_answered_after_an_edit_is_linked_to_who_asked(capture: Capture) -> None:
    built = approval(InMemorySaver())
    built.invoke(QUESTION, config(capture))
    built.update_state({"configurable": {"thread_id": "t1"}}, {"notes": ["edited"]}, as_node="plan")
    built.invoke(None, config(capture))
    built.invoke(Command(resume="yes"), config(capture))
    first, asked_again, last = roots(capture)
    assert [outcome(one) for one in (first, asked_again, last)] == ["interrupted", "interrupted", "resumed"]
    assert [link.trace_id for link in asked_again.links] == [first.trace_id]
    assert [link.trace_id for link in last.links] == [asked_again.trace_id]


def test_going_back_in_time_resumes_no_later_pause(capture: Capture) -> None:
    built = approval(InMemorySaver())
    built.invoke(QUESTION, config(capture))
    earlier = list(built.get_state_history({"configurable": {"thread_id": "t1"}}))[-1].config
    built.invoke(None, {**earlier, "callbacks": [capture.callback()]})
    assert roots(capture)[1].links == ()


def test_threads_do_not_resume_each_other(capture: Capture) -> None:
    built = approval(InMemorySaver())
    for thread in ("a", "b"):
        built.invoke(QUESTION, config(capture, thread))
    for thread in ("b", "a"):
        built.invoke(Command(resume="yes"), config(capture, thread))
    a, b, b_resumed, a_resumed = roots(capture)
    assert [link.trace_id for link in a_resumed.links] == [a.trace_id]
    assert [link.trace_id for link in b_resumed.links] == [b.trace_id]


def test_a_new_turn_of_a_finished_thread_resumes_nothing(capture: Capture) -> None:
    built = graph(done=done).compile(checkpointer=InMemorySaver())
    built.invoke(QUESTION, config(capture))
    built.invoke(QUESTION, config(capture))
    assert [outcome(one) for one in roots(capture)] == ["ok", "ok"]
    assert not [one for one in roots(capture) if one.links]


def test_a_resume_of_a_pause_nobody_recorded_is_still_a_resume(capture: Capture) -> None:
    built = approval(InMemorySaver())
    built.invoke(QUESTION, {"configurable": {"thread_id": "t1"}})
    built.invoke(Command(resume="yes"), config(capture))
    (root,) = roots(capture)
    assert (outcome(root), root.links) == ("resumed", ())


def test_a_resumed_trace_that_fails_is_an_error(capture: Capture) -> None:
    def strict(state: State) -> State:
        raise ValueError(interrupt("sure?"))

    built = graph(strict=strict).compile(checkpointer=InMemorySaver())
    built.invoke(QUESTION, config(capture))
    with pytest.raises(ValueError, match="no"):
        built.invoke(Command(resume="no"), config(capture))
    assert [outcome(one) for one in roots(capture)] == ["interrupted", "error"]
    assert [link.trace_id for link in roots(capture)[1].links] == [roots(capture)[0].trace_id]


def test_what_a_private_graph_asks_is_not_stored(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(log_prompts=False)))
    built = approval(InMemorySaver())
    built.invoke(QUESTION, config(capture))
    built.invoke(Command(resume="confidential yes"), config(capture))
    assert "approve the plan" not in capture.journal.text()
    assert "confidential" not in capture.journal.text()
    assert [outcome(one) for one in roots(capture)] == ["interrupted", "resumed"]


@pytest.mark.parametrize("nested", [False, True])
def test_a_pause_is_forgotten_once_its_thread_has_moved_on(capture: Capture, tmp_path: Path, nested: bool) -> None:
    built = (
        graph(sub=graph(ask=ask).compile()).compile(checkpointer=InMemorySaver())
        if nested
        else approval(InMemorySaver())
    )
    built.invoke(QUESTION, config(capture))
    assert list((tmp_path / "paused").iterdir())
    built.invoke(Command(resume="yes"), config(capture))
    assert list((tmp_path / "paused").iterdir()) == []


def test_a_resume_that_failed_may_be_tried_again(capture: Capture) -> None:
    tries: list[str] = []

    def flaky(state: State) -> State:
        tries.append(interrupt("sure?"))
        if len(tries) == 1:
            raise ConnectionError("not yet")
        return {"notes": ["done"]}

    built = graph(flaky=flaky).compile(checkpointer=InMemorySaver())
    built.invoke(QUESTION, config(capture))
    with pytest.raises(ConnectionError):
        built.invoke(Command(resume="yes"), config(capture))
    built.invoke(Command(resume="yes"), config(capture))
    first, failed, resumed = roots(capture)
    assert [link.trace_id for one in (failed, resumed) for link in one.links] == [first.trace_id] * 2
