"""What a node was given and what it made of it: as its policy says, and whole again for whoever reads it."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hashlib
import json
import threading
from collections.abc import Callable
from typing import Annotated, Any

import langgraph.types
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

import tierlens
from tests.capture.conftest import Capture
from tests.capture.graphs import Notes, State, graph, model
from tierlens import keys
from tierlens.capture import payload
from tierlens.policy import AgentPolicy, MetricRule, Policies, StatePolicy
from tierlens.spans import Span

LONG = "The estimated uplift of the campaign is 4.2 % with a confidence interval of 1.1 to 7.3. " * 3
QUESTION: Any = {"question": "Why?"}


def agents(**policies: AgentPolicy) -> Policies:
    return Policies(agents=policies)


def read(capture: Capture, name: str, key: str) -> Any:
    return json.loads(capture.attributes(name)[key])


class Watch:
    """Nodes that write down what they see, to compare with what a reader of the trace sees."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def node(self, name: str, does: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def watched(state: Any) -> Any:
            with self._lock:
                self.seen.append((name, payload.dumps(state)))
            return does(state)

        return watched

    def graph(self, **nodes: Callable[[Any], Any]) -> StateGraph[Any, Any, Any, Any]:
        return graph(**{name: self.node(name, does) for name, does in nodes.items()})


def stored(capture: Capture, names: set[str]) -> list[tuple[str, str]]:
    spans = [span for span in capture.journal.spans.values() if span.name in names]
    return [(span.name, payload.dumps(capture.whole(span))) for span in spans]


def test_every_nodes_whole_input_is_what_it_saw(capture: Capture) -> None:
    watch = Watch()
    nodes = {f"n{i}": lambda state, i=i: {"notes": [f"{i} {LONG}", "short"]} for i in range(6)}
    watch.graph(**nodes).compile().invoke({"question": LONG}, capture.config())
    assert sorted(stored(capture, set(nodes))) == sorted(watch.seen)
    assert capture.journal.text().count(f"3 {LONG}") == 1


def test_so_it_is_in_parallel_branches_and_fan_outs(capture: Capture) -> None:
    watch = Watch()
    built = StateGraph(State)
    for name in ("left", "right"):
        built.add_node(name, watch.node(name, lambda state, name=name: {"notes": [name + LONG]}))
        built.add_edge(START, name)
    built.add_node("map", watch.node("map", lambda state: {"notes": [f"{state['item']} {LONG}"]}))
    built.add_node("join", watch.node("join", lambda state: {"notes": ["joined"]}))
    built.add_conditional_edges(
        "left", lambda state: [Send("map", {"item": n, "text": LONG}) for n in range(3)], ["map"]
    )
    built.add_edge("map", "join")
    built.add_edge("right", "join")
    built.compile().invoke({"question": LONG}, capture.config())
    assert sorted(stored(capture, {"left", "right", "map", "join"})) == sorted(watch.seen)


def test_so_it_is_where_nodes_change_the_state_in_place(capture: Capture) -> None:
    class Loose(TypedDict, total=False):
        panel: dict[str, Any]
        notes: list[Any]

    def careless(state: Any) -> Any:
        state["panel"]["rows"].append(LONG)
        state["notes"][0]["text"] += "!"
        return {}

    watch = Watch()
    built = StateGraph(Loose)
    before = START
    for name in ("a", "b", "c"):
        built.add_node(name, watch.node(name, careless))
        built.add_edge(before, name)
        before = name
    built.compile().invoke({"panel": {"rows": [LONG]}, "notes": [{"text": LONG}, LONG]}, capture.config())
    assert sorted(stored(capture, {"a", "b", "c"})) == sorted(watch.seen)


def test_so_it_is_in_a_conversation(capture: Capture) -> None:
    class Chat(TypedDict):
        messages: Annotated[list[AnyMessage], add_messages]

    watch, llm = Watch(), model(f"first {LONG}", f"second {LONG}", "third")
    built = StateGraph(Chat)
    before = START
    for name in ("a", "b", "c"):
        built.add_node(name, watch.node(name, lambda state: {"messages": [llm.invoke(state["messages"])]}))
        built.add_edge(before, name)
        before = name
    built.compile().invoke({"messages": [("user", LONG)]}, capture.config())
    assert sorted(stored(capture, {"a", "b", "c"})) == sorted(watch.seen)


@dataclasses.dataclass
class Plain:
    question: str
    notes: list[str] = dataclasses.field(default_factory=list)


class Checked(BaseModel):
    question: str
    notes: list[str] = []


@pytest.mark.parametrize("schema", [Plain, Checked])
def test_a_state_may_be_a_dataclass_or_a_model(capture: Capture, schema: Any) -> None:
    built = StateGraph(schema)
    built.add_node("node", lambda state: {"notes": [state.question]})
    built.add_edge(START, "node")
    built.compile().invoke(schema(question=LONG), capture.config())
    assert capture.whole(capture.journal.named("node")) == {"question": LONG, "notes": []}
    assert capture.whole(capture.journal.named("node"), "outputs") == {"notes": [LONG]}


def test_a_commands_update_is_the_output(capture: Capture) -> None:
    graph(node=lambda state: Command(update={"notes": ["a"]})).compile().invoke(QUESTION, capture.config())
    assert read(capture, "node", keys.OUTPUTS) == {"notes": ["a"]}


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        (StatePolicy(include=frozenset({"question"})), {"question": "Why?"}),
        (StatePolicy(exclude=frozenset({"question"})), {"notes": ["a"]}),
        (StatePolicy(include=frozenset({"question", "notes"}), exclude=frozenset({"notes"})), {"question": "Why?"}),
        (StatePolicy(include=frozenset()), {}),
    ],
)
def test_only_the_keys_a_policy_names_are_stored(capture_with: Any, policy: StatePolicy, kept: Any) -> None:
    capture: Capture = capture_with(agents(second=AgentPolicy(agent="second", state=policy)))
    built = graph(first=lambda state: {"notes": ["a"]}, second=lambda state: {"notes": [LONG], "question": "Why?"})
    built.compile().invoke(QUESTION, capture.config())
    assert read(capture, "second", keys.INPUTS) == kept
    assert set(read(capture, "second", keys.OUTPUTS)) == set(kept)
    assert read(capture, "first", keys.INPUTS) == {"question": "Why?", "notes": []}


def test_what_a_policy_leaves_out_is_not_sent_on_either(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(state=StatePolicy(exclude=frozenset({"panel"})))))
    built = StateGraph(State)
    built.add_node("a", lambda state: [Command(update={"notes": ["x"]}), {"panel": "hush", "question": "How?"}])
    built.add_node("b", lambda state: {})
    built.add_edge(START, "a")
    built.add_conditional_edges("a", lambda state: [Send("b", {"question": "Why?", "panel": "hush"})], ["b"])
    built.compile().invoke({"question": "Why?"}, capture.config())

    assert "hush" not in capture.journal.text()
    (router,) = (s for s in capture.journal.spans.values() if '"node":"b"' in str(s.attributes[keys.OUTPUTS]))
    assert json.loads(str(router.attributes[keys.OUTPUTS])) == [{"node": "b", "arg": {"question": "Why?"}}]


@tierlens.tool
def weather(city: str, panel: str) -> dict[str, object]:
    return {"degrees": 3, "panel": panel}


@tierlens.span
def step(city: str, panel: str) -> dict[str, object]:
    return {"degrees": 3, "panel": panel}


@tierlens.agent
def helper(city: str, panel: str) -> dict[str, object]:
    return {"degrees": 3, "panel": panel}


@tierlens.retriever
def search(city: str, panel: str) -> dict[str, object]:
    return {"degrees": 3, "panel": panel}


@tierlens.reranker
def rerank(city: str, panel: str) -> dict[str, object]:
    return {"degrees": 3, "panel": panel}


@tool
def forecast(city: str, panel: str) -> dict[str, object]:
    """Look ahead."""
    return {"degrees": 3, "panel": panel}


ARGUMENTS = {"city": "Bern", "panel": "hush"}
CALLED: dict[str, Callable[[], object]] = {
    **{f.__name__: functools.partial(f, **ARGUMENTS) for f in (weather, step, helper, search, rerank)},
    "forecast": lambda: forecast.invoke(ARGUMENTS),
    "runnable": lambda: RunnableLambda(lambda given: {"degrees": 3, **given}, name="runnable").invoke(ARGUMENTS),
}


@pytest.mark.parametrize("log_prompts", [True, False])
@pytest.mark.parametrize("name", CALLED)
def test_the_keys_of_a_state_empty_no_call_and_what_is_never_stored_is_in_none(
    capture_with: Any, name: str, log_prompts: bool
) -> None:
    policy = StatePolicy(include=frozenset({"question"}), exclude=frozenset({"panel"}))
    capture: Capture = capture_with(
        Policies(
            agents={"node": AgentPolicy(agent="node", state=policy, log_prompts=log_prompts)},
            runnables={"runnable": "tool"},
        )
    )
    graph(node=lambda state: CALLED[name]() and {"notes": ["a"]}).compile().invoke(QUESTION, capture.config())

    assert read(capture, name, keys.INPUTS) == {"city": "Bern" if log_prompts else "<text, 4 characters>"}
    assert read(capture, name, keys.OUTPUTS).get("degrees") == (3 if log_prompts else "<int>")
    assert "hush" not in capture.journal.text()
    assert set(read(capture, "node", keys.INPUTS)) == {"question"}


def test_a_retriever_in_an_agent_with_keys_of_its_state_keeps_its_query(capture_with: Any) -> None:
    policy = AgentPolicy(agent="node", state=StatePolicy(include=frozenset({"notes"})))
    capture: Capture = capture_with(agents(node=policy))
    graph(node=lambda state: {"notes": [Notes().invoke("Why?")[0].page_content]}).compile().invoke(
        QUESTION, capture.config()
    )
    assert read(capture, "Notes", keys.INPUTS) == {"query": "Why?"}


def test_an_update_of_the_state_that_a_tool_makes_has_the_keys_of_the_state(capture_with: Any) -> None:
    @tierlens.tool
    def note() -> Command[Any]:
        return Command(update={"notes": ["a"], "panel": "hush"})

    capture: Capture = capture_with(agents(node=AgentPolicy(agent="node", state=StatePolicy(frozenset({"notes"})))))
    graph(node=lambda state: note()).compile().invoke(QUESTION, capture.config())
    assert read(capture, "note", keys.OUTPUTS) == {"notes": ["a"]}


def test_the_arguments_of_an_agent_with_a_file_are_its_own_inputs(capture_with: Any) -> None:
    capture: Capture = capture_with(agents(helper=AgentPolicy(agent="helper", state=StatePolicy(frozenset({"city"})))))
    graph(node=lambda state: helper(**ARGUMENTS) and {"notes": []}).compile().invoke(QUESTION, capture.config())
    assert read(capture, "helper", keys.INPUTS) == {"city": "Bern"}
    assert read(capture, "helper", keys.OUTPUTS) == {}


def test_a_node_that_is_given_a_model_shows_no_field_that_the_model_excludes(capture: Capture) -> None:
    class Shy(BaseModel):
        question: str = ""
        key: str = Field(default="hush", exclude=True)

    built = StateGraph(Shy).add_node("a", lambda state: {"question": "How?"}).add_edge(START, "a")
    built.compile().invoke(Shy(question="Why?"), capture.config())

    assert read(capture, "a", keys.INPUTS) == {"question": "Why?"}


@pytest.mark.skipif(not hasattr(langgraph.types, "TracePolicy"), reason="this LangGraph has no TracePolicy")
def test_a_nodes_trace_policy_says_what_is_stored_of_it(capture: Capture) -> None:
    policy = langgraph.types.TracePolicy(process_inputs=lambda state: {}, process_outputs=lambda state: {"notes": "-"})
    built = StateGraph(State).add_node("a", lambda state: {"notes": ["hush"]}, trace_policy=policy).add_edge(START, "a")
    built.compile().invoke({"question": "Why?"}, capture.config())

    said = capture.attributes("a")
    assert (json.loads(str(said[keys.INPUTS])), json.loads(str(said[keys.OUTPUTS]))) == ({}, {"notes": "-"})


def test_a_long_value_is_cut_with_its_size_and_digest(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(state=StatePolicy(max_bytes=64))))
    graph(node=lambda state: {"notes": [LONG]}).compile().invoke({"question": LONG}, capture.config())
    cut = capture.whole(capture.journal.named("node"))["question"]
    assert cut["$cut"] == {"bytes": len(LONG), "sha256": hashlib.sha256(LONG.encode()).hexdigest()}
    assert LONG.startswith(cut["head"])
    assert len(cut["head"]) <= 64
    assert LONG[:100] not in capture.journal.text()


def test_what_a_policy_leaves_out_is_not_the_preview_either(capture_with: Any) -> None:
    hidden = StatePolicy(exclude=frozenset({"question", "notes"}))
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(state=hidden), question="inputs.question"))
    graph(node=lambda state: {"notes": ["Because."]}).compile().invoke(QUESTION, capture.config())
    (root,) = capture.journal.roots()
    assert (root.attributes[keys.INPUTS], root.attributes[keys.OUTPUTS]) == ("{}", "{}")


def test_a_long_list_is_cut_after_what_fits(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(state=StatePolicy(max_bytes=64))))
    notes = [f"note number {n} of many" for n in range(50)]
    graph(node=lambda state: {"notes": notes}).compile().invoke(QUESTION, capture.config())
    kept = read(capture, "node", keys.OUTPUTS)["notes"]
    assert kept[:-1] == notes[: len(kept) - 1]
    assert kept[-1]["$cut"]["items"] == 50 - len(kept) + 1


def test_agents_have_their_name_and_tier_and_other_nodes_have_not(capture_with: Any) -> None:
    capture: Capture = capture_with(agents(gap=AgentPolicy(agent="gap_analyzer", tier=2)))
    graph(gap=lambda state: {}, other=lambda state: {}).compile().invoke(QUESTION, capture.config())
    gap, other = capture.attributes("gap"), capture.attributes("other")
    assert (gap[keys.SPAN_TYPE], gap[keys.AGENT], gap[keys.TIER]) == ("AGENT", "gap_analyzer", 2)
    assert other[keys.SPAN_TYPE] == "CHAIN"
    (root,) = capture.journal.roots()
    assert (root.attributes[keys.TRACE_TAG + "agents"], root.attributes[keys.TRACE_TAG + "tiers"]) == (
        "gap_analyzer",
        "2",
    )


def test_an_agent_that_another_ones_tool_asks_has_its_own_name(capture: Capture) -> None:
    expert = create_agent(model("It is three."), [], name="expert")
    helper: Any = graph(helper=lambda state: {"notes": ["helped"]}).compile(name="helper")

    @tool
    def consult(question: str) -> str:
        """Ask the expert."""
        helper.invoke({"question": question})
        return str(expert.invoke({"messages": [("user", question)]})["messages"][-1].text)

    call = AIMessage("", tool_calls=[{"name": "consult", "args": {"question": "1 + 2?"}, "id": "c1"}])
    desk = create_agent(model(call, "Three."), [consult], name="desk")
    graph(desk=desk).compile().invoke({"messages": [("user", "1 + 2?")]}, capture.config())
    spans = capture.journal.spans.values()
    assert sorted(span.name for span in spans if span.attributes[keys.SPAN_TYPE] == "AGENT") == ["desk", "expert"]
    (root,) = capture.journal.roots()
    assert root.attributes[keys.TRACE_TAG + "agents"] == "desk, expert"
    assert {span.name: span.attributes[keys.SPAN_TYPE] for span in spans}["helper"] == "CHAIN"


def test_metrics_are_read_where_yaml_says(capture_with: Any) -> None:
    paths = {"confidence": "outputs.scores.confidence", "first": "outputs.notes.0", "gone": "outputs.no.such.0"}
    metrics = {name: MetricRule(path) for name, path in paths.items()}
    capture: Capture = capture_with(agents(node=AgentPolicy(agent="node", metrics=metrics)))

    class Loose(TypedDict, total=False):
        scores: dict[str, Any]
        notes: list[Any]

    built = StateGraph(Loose)
    built.add_node("node", lambda state: {"scores": {"confidence": 0.83}, "notes": ["label"]})
    built.add_edge(START, "node")
    built.compile().invoke({}, capture.config())
    node = capture.journal.named("node")
    assert capture.journal.routings[node.span_id].metrics == {"confidence": 0.83, "first": "label"}
    assert node.attributes[keys.METRIC + "confidence"] == 0.83


def test_the_question_and_the_answer_stand_where_mlflow_looks_for_them(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(question="inputs.question", answer="outputs.notes"))
    graph(node=lambda state: {"notes": ["first", "Because."]}).compile().invoke(QUESTION, capture.config())
    (root,) = capture.journal.roots()
    inputs, outputs = (json.loads(str(root.attributes[key])) for key in (keys.INPUTS, keys.OUTPUTS))
    assert inputs["messages"] == [{"role": "user", "content": "Why?"}]
    assert outputs["messages"] == [{"role": "assistant", "content": "Because."}]


def test_sessions_users_and_tags_stand_on_the_root_alone(capture: Capture) -> None:
    callback = capture.callback(
        brand="Kisqali", kpi="NRx", user="analyst-1", tags={"region": "north", "mlflow.x": "no"}
    )
    compiled = graph(node=lambda state: {}).compile()
    compiled.invoke(QUESTION, {"callbacks": [callback], "configurable": {"thread_id": "t" * 300}})
    (root,) = capture.journal.roots()
    assert (root.attributes[keys.SESSION], root.attributes[keys.USER]) == ("t" * 250, "analyst-1")
    tags = {name.removeprefix(keys.TRACE_TAG): value for name, value in root.attributes.items()}
    assert (tags["brand"], tags["kpi"], tags["region"]) == ("Kisqali", "NRx", "north")
    assert "mlflow.x" not in tags
    assert not [name for name in capture.attributes("node") if name.startswith((keys.TRACE_TAG, "session", "user"))]


def concurrent(capture: Capture, calls: int) -> list[Any]:
    """Calls for as many brands as there are, all at once, in threads and in tasks."""

    def node(state: State) -> State:
        return {"notes": [model("answer").invoke(state["question"]).text]}

    compiled = graph(a=node, b=node).compile()
    threads = [
        threading.Thread(target=compiled.invoke, args=({"question": f"q{n}"}, capture.config(brand=f"brand {n}")))
        for n in range(calls)
    ]

    async def tasks() -> None:
        await asyncio.gather(
            *(
                compiled.ainvoke({"question": f"q{n}"}, capture.config(brand=f"brand {n}"))
                for n in range(calls, 2 * calls)
            )
        )

    for thread in threads:
        thread.start()
    asyncio.run(tasks())
    for thread in threads:
        thread.join()
    return list(capture.journal.spans.values())


def test_brands_that_run_beside_each_other_never_mix(capture: Capture) -> None:
    spans: list[Span] = concurrent(capture, 6)
    assert len(spans) == 12 * 5
    for span in spans:
        routing = capture.journal.routings[span.span_id]
        root = next(one for one in spans if one.trace_id == span.trace_id and one.parent_id is None)
        asked = json.loads(str(root.attributes[keys.INPUTS]))["question"]
        assert (routing.brand, routing.experiment) == (f"brand {asked[1:]}", f"tierlens/brand {asked[1:]}")
