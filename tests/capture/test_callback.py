"""The callback changes nothing: outputs, streams and what other callbacks see are the same with it and without."""

from __future__ import annotations

import asyncio
import copy
import functools
import json
import math
import pickle
import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.language_models.fake import FakeStreamingListLLM
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from tests.capture.conftest import Capture
from tests.capture.graphs import SHAPES, State, graph, model, works_alone
from tests.capture.test_decorators import Hostile
from tierlens import keys
from tierlens.capture import payload

QUESTION: Any = {"question": "Why did new starts fall?"}
MODES: Any = ["values", "updates", "messages", "custom", "debug"]
EVENTS = [name for name in dir(BaseCallbackHandler) if name.startswith("on_")]
VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22,}|\d{4}-\d\d-\d\dT[\d:.+]+|0x[0-9a-f]+")


class Watching:
    """Notes every event with what it tells, ids and times aside."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def note(self, event: str, args: Any, kwargs: Any) -> None:
        told = {name: value for name, value in kwargs.items() if "run_id" not in name}
        self.seen.append(VARYING.sub("#", f"{event} {payload.dumps(args)} {payload.dumps(told)}"))


def watcher(kind: str) -> Any:
    """A handler of that kind which notes all there is to see."""
    base: Any = AsyncCallbackHandler if kind == "async" else BaseCallbackHandler

    def method(event: str) -> Any:
        def noted(self: Any, *args: Any, **kwargs: Any) -> None:
            self.note(event, args, kwargs)

        async def anoted(self: Any, *args: Any, **kwargs: Any) -> None:
            self.note(event, args, kwargs)

        return anoted if kind == "async" else noted

    members = {event: method(event) for event in EVENTS} | {"run_inline": kind == "inline"}
    return type("Watcher", (Watching, base), members)()


async def drive(graph: Runnable[Any, Any], way: str, config: Any) -> list[Any]:
    """Everything a call gives out, step by step."""
    if way == "invoke":
        return [graph.invoke(QUESTION, config)]
    if way == "ainvoke":
        return [await graph.ainvoke(QUESTION, config)]
    if way == "stream":
        return [*graph.stream(QUESTION, config, stream_mode=MODES)]
    if way == "astream":
        return [part async for part in graph.astream(QUESTION, config, stream_mode=MODES)]
    events = [event async for event in graph.astream_events(QUESTION, config, version="v2")]
    return [{name: value for name, value in event.items() if "run_id" not in name} for event in events]


def told(parts: list[Any]) -> list[str]:
    return [VARYING.sub("#", payload.dumps(part)) for part in parts]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "astream_events"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_outputs_streams_and_other_callbacks_are_the_same_with_it(capture: Capture, shape: str, way: str) -> None:
    if not works_alone(shape, way):
        pytest.skip("this LangGraph cannot run it, with or without tierlens")
    given: list[list[str]] = []
    seen: list[list[list[str]]] = []
    for ours in ([], [capture.callback()]):
        watchers = [watcher(kind) for kind in ("inline", "sync", "async")]
        with pytest.raises(ValueError, match="on purpose") if shape == "failing" else nullcontext():
            given.append(told(await drive(SHAPES[shape](), way, {"callbacks": [*ours, *watchers]})))
        seen.append([sorted(one.seen) for one in watchers])
    if shape != "failing":
        assert sorted(given[0]) == sorted(given[1])
        assert given[0]
    assert seen[0] == seen[1]
    assert seen[0][0]


@pytest.mark.parametrize("kind", ["inline", "sync", "async"])
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "agenerate"])
async def test_no_handler_misses_the_start_of_a_completion(capture: Capture, way: str, kind: str) -> None:
    seen = []
    for ours in ([], [capture.callback()]):
        llm, other = FakeStreamingListLLM(responses=["because"]), watcher(kind)
        if way == "agenerate":
            await llm.agenerate(["Why?", "How?"], callbacks=[*ours, other])
        else:
            ask = RunnableLambda(lambda question, **mode: question["question"])
            await drive(ask | llm, way, {"callbacks": [*ours, other]})
        seen.append(sorted(other.seen))
    assert seen[0] == seen[1]
    assert sum(one.startswith("on_llm_start") for one in seen[1]) == (2 if way == "agenerate" else 1)
    assert {span.attributes[keys.SPAN_TYPE] for span in capture.journal.spans.values()} >= {"LLM"}


def test_the_same_handler_given_twice_records_once(capture: Capture) -> None:
    callback = capture.callback()
    llm = model("answer")

    def node(state: State, config: RunnableConfig) -> State:
        return {"notes": [llm.invoke("x", {**config, "callbacks": [*config["callbacks"].handlers, callback]}).text]}

    graph(node=node).compile().with_config(callbacks=[callback]).invoke(QUESTION, {"callbacks": [callback]})
    assert len(capture.journal.spans) == 3


def test_two_handlers_of_one_lens_record_once_for_the_calls_brand(capture: Capture) -> None:
    compiled = graph(node=lambda state: {}).compile().with_config(callbacks=[capture.callback(brand="Kisqali")])
    compiled.invoke(QUESTION, {"callbacks": [capture.callback(brand="Fabhalta")]})
    assert len(capture.journal.spans) == 2
    assert {routing.brand for routing in capture.journal.routings.values()} == {"Fabhalta"}


def test_a_handler_given_inside_a_node_goes_on_in_the_nodes_trace(capture: Capture) -> None:
    inner = graph(inside=lambda state: {}).compile(name="inner")
    llm = model("answer")

    def node(state: State) -> State:
        inner.invoke(QUESTION, {"callbacks": [capture.callback(brand="Fabhalta")]})
        return {"notes": [llm.invoke("x", {"callbacks": [capture.callback()]}).text]}

    graph(node=node).compile(name="outer").invoke(QUESTION, capture.config(brand="Kisqali"))
    assert (capture.parent("inner"), capture.parent("Model"), capture.parent("inside")) == ("node", "node", "inner")
    assert {routing.brand for routing in capture.journal.routings.values()} == {"Kisqali"}
    assert len(capture.journal.roots()) == 1


def test_a_handler_on_the_model_alone_records_the_model_alone(capture: Capture) -> None:
    llm = model("answer")
    llm.callbacks = [capture.callback()]
    graph(node=lambda state: {"notes": [llm.invoke("x").text]}).compile().invoke(QUESTION)
    (span,) = capture.journal.spans.values()
    assert (span.name, span.parent_id) == ("Model", None)


def test_a_handler_can_be_copied_deeply_as_configs_are(capture: Capture) -> None:
    callback = capture.callback()
    assert copy.deepcopy({"callbacks": [callback]})["callbacks"][0] is callback


async def test_one_handler_serves_many_calls_at_once(capture: Capture) -> None:
    callback = capture.callback()
    compiled = graph(node=lambda state: {"notes": [model(state["question"]).invoke("x").text]}).compile()
    asked = [{"question": f"question {n}"} for n in range(20)]
    answers = await asyncio.gather(*(compiled.ainvoke(one, {"callbacks": [callback]}) for one in asked))
    assert [answer["notes"] for answer in answers] == [[one["question"]] for one in asked]
    assert len(capture.journal.roots()) == 20
    for span in capture.journal.spans.values():
        if span.name == "Model":
            (choice,) = json.loads(str(span.attributes[keys.OUTPUTS]))["choices"]
            root = next(one for one in capture.journal.roots() if one.trace_id == span.trace_id)
            assert choice["message"]["content"] in str(root.attributes[keys.INPUTS])


class Loose(TypedDict, total=False):
    value: Any
    more: Any


def cycle() -> Any:
    made: dict[str, Any] = {"name": "cycle"}
    made["itself"] = [made]
    return made


class Dumping:
    def model_dump(self) -> Any:
        raise RuntimeError("no dump")


ODD: dict[str, Callable[[], Any]] = {
    "an object that raises whatever it is asked": Hostile,
    "a list of such": lambda: [Hostile(), {"a": Hostile()}],
    "a model that cannot be dumped": Dumping,
    "a class": lambda: Dumping,
    "NaN and infinities": lambda: [math.nan, math.inf, -math.inf],
    "a cycle": cycle,
    "half a surrogate pair": lambda: {"\ud800": "\udfff" * 200},
    "a number past 64 bits": lambda: 2**100,
    "50 MB of text": lambda: "x" * 50_000_000,
    "a long list": lambda: list(range(200_000)),
    "a deep list": lambda: functools.reduce(lambda inner, _: [inner], range(500), []),
    "keys that are no text": lambda: {(1, 2): "a", None: "b", 1.5: "c", b"x": "d", Dumping: "e"},
    "bytes": lambda: b"\x00\xff" * 10_000,
    "a set": lambda: {1, "a", None},
    "a data frame": lambda: pd.DataFrame({"content": [1.5, None], "type": ["a", "b"], "page_content": [1, 2]}),
    "an array": lambda: np.arange(12.0).reshape(3, 4),
    "an array of objects": lambda: np.array([object(), None]),
    "a lambda": lambda: lambda: None,
    "text like a reference": lambda: {"$same": "0" * 16, "kept": 3},
}


def run_odd(value: Any, config: Any) -> Any:
    built = StateGraph(Loose)
    built.add_node("first", lambda state: {"more": [state["value"]]})
    built.add_node("second", lambda state: {"more": [*state["more"], state["value"]]})
    built.add_edge(START, "first")
    built.add_edge("first", "second")
    return built.compile(name="graph").invoke({"value": value}, config)


@pytest.mark.parametrize("kind", ODD)
def test_odd_values_pass_through_untouched_and_the_trace_is_whole(capture: Capture, kind: str) -> None:
    capture.recorder.shield.strict = False
    value = ODD[kind]()
    answer = run_odd(value, {"callbacks": [capture.callback(), RunCollectorCallbackHandler()]})
    assert answer["value"] is value
    assert answer["more"][0] is answer["more"][1] is value
    assert capture.outcomes("graph") == capture.outcomes("first") == capture.outcomes("second") == ["ok"]
    for span in capture.journal.spans.values():
        for key in (keys.INPUTS, keys.OUTPUTS):
            json.loads(str(span.attributes[key]))
    assert len(capture.journal.text()) < 2_000_000


async def test_iterators_in_a_state_are_not_consumed(capture: Capture) -> None:
    async def steps() -> Any:
        yield 1

    for value in (iter([1, 2, 3]), (n for n in "abc"), map(str, range(3))):
        answer = run_odd(value, capture.config())
        assert len(list(answer["value"])) == 3
    source = steps()
    run_odd(source, capture.config())
    assert [item async for item in source] == [1]


def test_values_are_not_changed_by_being_read(capture: Capture) -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5]})
    value = {"frame": frame, "nested": [{"a": (1, 2)}, {3, 4}], "array": np.arange(3)}
    before = pickle.dumps(value)
    run_odd(value, capture.config())
    assert pickle.dumps(value) == before


def test_a_user_s_step_that_raises_costs_its_span_and_nothing_else(capture: Capture) -> None:
    def step(span: Any) -> Any:
        if span.name == "node":
            raise RuntimeError("broken step")
        return span

    capture.recorder._steps = (step,)
    capture.recorder.shield.strict = False
    answer = graph(node=lambda state: {"notes": ["fine"]}).compile(name="graph").invoke(QUESTION, capture.config())
    assert answer["notes"] == ["fine"]
    assert [span.name for span in capture.journal.spans.values()] == ["graph"]
