"""An agent without ``log_prompts`` keeps its text to itself, also where its neighbours hand it on."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import re
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import dispatch_custom_event
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ChatMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from opentelemetry.sdk.trace import TracerProvider
from pydantic import BaseModel

import tierlens
from tests.capture.conftest import Capture
from tests.capture.graphs import Notes, State, graph, model
from tierlens import keys
from tierlens.capture.otel import span_processor
from tierlens.policy import AgentPolicy, MetricRule, Policies, StatePolicy

SECRET = 'The "true" uplift\nof Kisqali is 17 %; tell nobody — not even Zoë.\tEver.'
LINES = [line.strip() for line in SECRET.splitlines()]
QUESTION: Any = {"question": "What is the uplift of the campaign in the north?"}


def policies(**more: Any) -> Policies:
    private = AgentPolicy(agent="private", log_prompts=False, **more)
    return Policies(agents={"private": private, "public": AgentPolicy(agent="public")})


@pytest.fixture
def capture(capture_with: Any) -> Capture:
    made: Capture = capture_with(policies())
    return made


def leaked(capture: Capture) -> list[str]:
    """Pieces of the secret in anything that was journalled, however it was escaped: letters tell."""
    everything = re.sub("[^a-zA-Z]", "", capture.journal.text() + repr(capture.journal.routings))
    return [piece for piece in ("Thetrueuplift", "ofKisqaliis", "tellnobody", "notevenZo") if piece in everything]


def run(capture: Capture, private: Any, public: Any = lambda state: {"notes": ["fine"]}, **more: Any) -> Any:
    built = graph(private=private, public=public, **more).compile(name="graph")
    return built.invoke(QUESTION, capture.config())


def say(state: State) -> State:
    return {"notes": [model(SECRET).invoke("the confidential prompt").text]}


def test_with_the_flag_off_for_all_no_text_is_stored_at_all(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(log_prompts=False)))
    run(capture, say, lambda state: {"notes": [Notes().invoke(state["question"])[0].page_content]})
    assert not leaked(capture)
    for text in ("confidential", "uplift of the campaign", "note 0 about"):
        assert text not in capture.journal.text()
    assert json.loads(capture.attributes("private")[keys.OUTPUTS]) == {"notes": "<1 items>"}


def test_nor_are_the_names_of_keys_that_are_never_stored(capture_with: Any) -> None:
    hidden = StatePolicy(include=frozenset({"notes", "question"}), exclude=frozenset({"question"}))
    capture: Capture = capture_with(policies(state=hidden))
    run(capture, lambda state: Command(update={"notes": ["a"], "question": "b"}))
    said = capture.attributes("private")
    assert json.loads(said[keys.INPUTS]) == {"notes": "<0 items>"}
    assert json.loads(said[keys.OUTPUTS]) == {"notes": "<1 items>"}


def test_the_tree_the_tokens_and_the_roles_are_stored_all_the_same(capture: Capture) -> None:
    run(capture, say)
    assert capture.parent("Model") == "private"
    call = capture.attributes("Model")
    assert json.loads(call[keys.INPUTS]) == {"messages": [{"role": "user", "content": "<text, 23 characters>"}]}
    assert json.loads(call[keys.TOKEN_USAGE])["total_tokens"] == 10


@dataclasses.dataclass
class Report:
    text: str


class Finding(BaseModel):
    text: str
    sources: list[str]


HANDED_ON: dict[str, Any] = {
    "as it is": lambda said: said,
    "inside other text": lambda said: f"As I was told: {said}. So be it.",
    "line by line": lambda said: [f"- {line}" for line in said.splitlines()],
    "its first line": lambda said: said.splitlines()[0],
    "stripped and cut": lambda said: said.strip()[:35],
    "as JSON": lambda said: json.dumps({"said": said}),
    "as JSON inside JSON": lambda said: json.dumps({"said": json.dumps([said])}),
    "as repr": lambda said: str({"said": said}),
    "in a message": lambda said: AIMessage(said),
    "in a message's tool call": lambda said: AIMessage("", tool_calls=[{"name": "f", "args": {"x": said}, "id": "1"}]),
    "in a dataclass": Report,
    "in a model": lambda said: Finding(text=said, sources=[said]),
    "in a document": lambda said: Document(said, metadata={"about": said}),
    "as a key": lambda said: {"found": {said: 1}},
    "deep down": lambda said: {"a": [{"b": ({"c": [said]},)}]},
    "in an object's repr": lambda said: type("Odd", (), {"__repr__": lambda self: f"Odd({said})"})(),
}


@pytest.mark.parametrize("shape", HANDED_ON)
def test_what_it_said_is_nowhere_however_it_is_handed_on(capture: Capture, shape: str) -> None:
    made = HANDED_ON[shape]
    run(
        capture,
        lambda state: {"notes": [made(model(SECRET).invoke("x").content)]},
        lambda state: {"notes": [f"I heard {state['notes'][0]}", *state["notes"]]},
    )
    assert not leaked(capture)
    assert "<private>" in str(capture.attributes("public")[keys.INPUTS])


@pytest.mark.parametrize("max_bytes", [40, 60, 16_384])
def test_nor_is_its_beginning_where_a_value_was_cut(capture_with: Any, max_bytes: int) -> None:
    cutting = AgentPolicy(agent="public", state=StatePolicy(max_bytes=max_bytes))
    capture: Capture = capture_with(
        Policies(agents={**policies().agents, "public": cutting}, defaults=AgentPolicy(state=cutting.state))
    )
    run(
        capture, lambda state: {"notes": [model(SECRET * 20).invoke("x").text]}, lambda state: {"notes": state["notes"]}
    )
    assert not leaked(capture)


def test_nor_in_errors_events_metrics_tags_and_names_of_others(capture: Capture) -> None:
    def public(state: State) -> State:
        said = state["notes"][0]
        dispatch_custom_event("progress", {"so far": said})
        tierlens.metric("verdict", said)
        tierlens.tag("verdict", said)
        tierlens.span("note")(lambda text: text)(said)
        raise ValueError(f"cannot use {said!r}")

    with pytest.raises(ValueError, match="cannot use"):
        run(capture, say, public)
    assert not leaked(capture)
    public_span = capture.journal.named("public")
    assert public_span.message.startswith("ValueError: cannot use '<private>")
    assert str(capture.journal.routings[public_span.span_id].metrics["verdict"]).startswith("<private>")


TAGS = {
    "phase": ("phase=2", "phase=2"),
    "share": (0.5, "0.5"),
    "case": ("8842", "8842"),
    "model": ("claude-sonnet-4", "claude-sonnet-4"),
    "text": ("seen in Winterthur with a relapse", "<private>"),
    "facts": ({"patient": "Wilhelmina Oberhuber"}, "<private>"),
    "asked": ("record-8842-zurich", "<private>"),
}


def test_nor_in_what_others_name_after_it(capture: Capture) -> None:
    provider = TracerProvider()
    provider.add_span_processor(span_processor())

    def public(state: State) -> State:
        said = state["notes"][0].splitlines()[1]
        model("fine").with_config(run_name=said).invoke("x")
        dispatch_custom_event(said, {})
        with provider.get_tracer("library").start_as_current_span(f"look up {said}") as span:
            span.add_event(said)
        return {}

    run(capture, say, public)
    assert not leaked(capture)
    assert {"<private>", "look up <private>"} <= {span.name for span in capture.journal.spans.values()}


def test_other_libraries_words_for_it_are_stored_and_their_texts_are_not(capture: Capture) -> None:
    provider = TracerProvider()
    provider.add_span_processor(span_processor())
    told = {"gen_ai.request.model": "claude@20260101", "gen_ai.response.finish_reasons": ["stop", SECRET]}

    def private(state: State) -> State:
        with provider.get_tracer("library").start_as_current_span("chat", attributes=told):
            model("fine").invoke([ChatMessage("x", role=SECRET)])
        return {}

    run(capture, private)
    assert not leaked(capture)
    assert capture.attributes("chat")["gen_ai.request.model"] == "claude@20260101"


def test_its_own_tags_are_names_and_numbers_not_text(capture: Capture) -> None:
    def private(state: State) -> State:
        for name, (value, _) in TAGS.items():
            tierlens.tag(name, value)
        return {}

    built = graph(private=private).compile()
    built.invoke({"question": "record-8842-zurich"}, capture.config())
    (root,) = capture.journal.roots()
    assert {name: root.attributes[keys.TRACE_TAG + name] for name in TAGS} == {
        name: stored for name, (_, stored) in TAGS.items()
    }


@pytest.mark.parametrize("who", ["private", "public"])
def test_nor_does_a_root_that_is_private_have_them_in_its_tags(capture_with: Any, who: str) -> None:
    capture: Capture = capture_with(
        Policies(defaults=AgentPolicy(log_prompts=False), agents={"public": AgentPolicy(agent="public")})
    )

    def tagging(state: State) -> State:
        tierlens.tag("verdict", state["notes"][0].replace(" ", "_"))
        tierlens.tag("said", state["notes"][0])
        return {}

    steps = {"first": lambda state: {"notes": [model("17%-in-Zürich").invoke("x").text]}, who: tagging}
    graph(**steps).compile().invoke(QUESTION, capture.config())
    (root,) = capture.journal.roots()
    assert [root.attributes[keys.TRACE_TAG + name] for name in ("verdict", "said")] == ["<private>", "<private>"]


@pytest.mark.parametrize("shape", ["as it is", "inside other text", "as JSON", "as JSON inside JSON", "deep down"])
def test_nor_in_files_of_others(capture: Capture, shape: str) -> None:
    def public(state: State) -> State:
        handed = HANDED_ON[shape](state["notes"][0])
        for name in ("f.txt", "f.json", "f"):
            tierlens.artifact(name, handed)
            tierlens.artifact(name, f"{handed}".encode())
        tierlens.artifact(f"{SECRET[:40]}.txt", "about")
        tierlens.artifact("f.png", b"\x89PNG \xff")
        return {}

    run(capture, say, public)
    stored = capture.journal.blobs.values()
    assert "nobody" not in b"".join(stored).decode("utf-8", "replace")
    assert not leaked(capture)
    assert b"\x89PNG \xff" in stored
    assert b"about" in stored


def test_its_own_errors_do_not_come_out_through_the_graph(capture: Capture) -> None:
    def private(state: State) -> State:
        raise ValueError(f"the model refused: {SECRET}")

    with pytest.raises(ValueError, match="refused"):
        run(capture, private)
    assert not leaked(capture)
    assert capture.journal.named("graph").status == "ERROR"


def test_its_own_labels_events_and_messages_are_not_stored(capture: Capture) -> None:
    def private(state: State) -> State:
        tierlens.metric("label", SECRET)
        tierlens.metric("score", 0.5)
        tierlens.metric("good", True)
        dispatch_custom_event("progress", {"so far": SECRET})
        return {}

    run(capture, private)
    assert not leaked(capture)
    assert capture.journal.routings[capture.journal.named("private").span_id].metrics == {"score": 0.5, "good": True}


def test_a_metric_from_yaml_that_is_text_is_not_stored(capture_with: Any) -> None:
    metrics = {"note": MetricRule("outputs.notes.0"), "count": MetricRule("outputs.count")}
    capture: Capture = capture_with(policies(metrics=metrics))
    run(capture, lambda state: {"notes": [SECRET], "count": 3})
    assert not leaked(capture)
    assert capture.journal.routings[capture.journal.named("private").span_id].metrics == {"count": 3}


def test_what_it_asks_a_person_is_not_told_by_the_graph_that_pauses(capture: Capture) -> None:
    def private(state: State) -> State:
        return {"notes": [interrupt({"draft": SECRET})]}

    built = graph(private=private).compile(name="graph", checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}, **capture.config()}
    built.invoke(QUESTION, config)
    built.invoke(Command(resume="do it"), config)
    assert not leaked(capture)
    assert capture.outcomes("graph") == ["interrupted", "resumed"]


def test_what_it_hands_over_to_the_parent_graph_is_not_told_there(capture: Capture) -> None:
    inner = graph(leave=lambda state: Command(goto="public", graph=Command.PARENT, update={"notes": [SECRET]}))
    built = graph(private=inner.compile())
    built.add_node("public", lambda state: {"notes": [state["notes"][0]]})
    built.compile(name="graph").invoke(QUESTION, capture.config())
    assert not leaked(capture)


def test_documents_it_found_are_not_told_by_whom_it_hands_them_to(capture: Capture) -> None:
    found = [Document(SECRET, id="d1"), Document("b " + SECRET, id="d2")]

    @tierlens.retriever
    def search(query: str) -> list[Document]:
        return found

    @tierlens.reranker
    def rerank(query: str, documents: list[Document]) -> list[Document]:
        return documents[::-1]

    def public(state: State) -> State:
        ranked = rerank("which?", found)
        return {"notes": [model("fine").invoke("\n".join(one.page_content for one in ranked)).text]}

    run(capture, lambda state: {"notes": [search("the confidential query")[0].page_content]}, public)
    assert not leaked(capture)
    assert "confidential" not in capture.journal.text()


def test_a_private_agent_made_by_create_agent_keeps_its_tools_words_too(capture: Capture) -> None:
    @tool
    def look_up(about: str) -> str:
        """Look it up."""
        return SECRET

    call = AIMessage("", tool_calls=[{"name": "look_up", "args": {"about": SECRET}, "id": "call_1"}])
    private = create_agent(model(call, SECRET), [look_up], system_prompt="the confidential instructions")
    ask = {"messages": [("user", QUESTION["question"])]}
    run(
        capture,
        lambda state: {"notes": [private.invoke(ask)["messages"][-1].text]},
        lambda state: {"notes": [str(state["notes"])]},
    )
    assert not leaked(capture)
    assert "confidential" not in capture.journal.text()
    assert capture.parent("look_up") == "tools"


async def test_a_stream_of_tokens_leaves_no_trace(capture: Capture) -> None:
    async def private(state: State) -> State:
        return {"notes": ["".join([chunk.text async for chunk in model(SECRET).astream("x")])]}

    built = graph(private=private, public=lambda state: {"notes": [state["notes"][0]]}).compile()
    async for _ in built.astream(QUESTION, capture.config(), stream_mode=["messages", "updates"]):
        await asyncio.sleep(0)
    assert not leaked(capture)


def test_a_decorated_agent_is_private_by_its_own_name(capture: Capture) -> None:
    private = tierlens.agent("private")(lambda prompt: SECRET)
    tierlens.agent("public")(lambda: f"heard {private('the confidential prompt')}")()
    assert not leaked(capture)
    assert "confidential" not in capture.journal.text()


def test_what_it_was_given_and_hands_on_stays_everybodys(capture: Capture) -> None:
    run(capture, lambda state: {**state, "notes": [SECRET]})
    assert not leaked(capture)
    assert QUESTION["question"] in str(capture.attributes("public")[keys.INPUTS])


def test_words_of_the_question_that_it_repeats_stay_in_the_question(capture: Capture) -> None:
    run(capture, lambda state: {"notes": [{"uplift of the campaign": 0.17, "other words of mine": 1}]})
    assert QUESTION["question"] in str(capture.attributes("graph")[keys.INPUTS])
    assert "other words of mine" not in capture.journal.text()


def test_a_name_it_says_leaves_the_structure_of_the_trace_alone(capture: Capture) -> None:
    """A router without ``log_prompts`` answers with an agent's name."""
    router = model("causal_impact")
    run(capture, lambda state: {"notes": [router.invoke("x").text]}, causal_impact=lambda state: {"notes": ["done"]})
    assert capture.journal.named("causal_impact").parent_id
    assert json.loads(capture.attributes("public")[keys.INPUTS])["notes"] == ["<private>"]


def test_short_words_and_numbers_of_its_are_not_hunted_down_elsewhere(capture: Capture) -> None:
    run(
        capture,
        lambda state: {"notes": [model("high").invoke("x").text, model("0.83").invoke("x").text]},
        lambda state: {"notes": ["The severity is high: 0.83."], "n": 0.83},
    )
    outputs = json.loads(capture.attributes("public")[keys.OUTPUTS])
    assert outputs["notes"] == ["The severity is high: 0.83."]


def test_short_sentences_of_its_model_are(capture: Capture) -> None:
    run(
        capture,
        lambda state: {"notes": [model("SECRET-42").invoke("x").text]},
        lambda state: {"notes": [f"got {state['notes'][0]}"]},
    )
    assert "SECRET-42" not in capture.journal.text()
    assert json.loads(capture.attributes("public")[keys.OUTPUTS])["notes"] == ["got <private>"]


def test_traces_beside_it_keep_theirs(capture: Capture) -> None:
    run(capture, say)
    run(capture, lambda state: {}, lambda state: {"notes": [LINES[0]]})
    public = sorted((s for s in capture.journal.spans.values() if s.name == "public"), key=lambda s: s.start_ns)
    assert LINES[0] in json.loads(str(public[1].attributes[keys.OUTPUTS]))["notes"]


def test_an_agent_with_the_flag_on_is_stored_whole(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies())
    run(capture, say)
    assert len(leaked(capture)) == 4


def test_what_it_said_before_a_pause_is_withheld_after_it_in_another_process_too(capture_with: Any) -> None:
    built = graph(
        private=say,
        ask=lambda state: {"notes": [interrupt("go on?")]},
        public=lambda state: {"notes": [f"heard {state['notes'][0]}", state["notes"][0].splitlines()[0]]},
    ).compile(name="graph", checkpointer=InMemorySaver())
    for inputs in (QUESTION, Command(resume="yes")):
        capture: Capture = capture_with(policies())
        built.invoke(inputs, {"configurable": {"thread_id": "t"}, **capture.config()})
        assert not leaked(capture)
        assert not leaked_files(capture)
    assert "<private>" in str(capture.attributes("ask")[keys.INPUTS])


def leaked_files(capture: Capture) -> list[str]:
    files = [path for path in capture.folder.rglob("*") if path.is_file()]
    return [path.name for path in files if "uplift" in path.read_text() or "nobody" in path.read_text()]


@pytest.mark.parametrize("goes_on", ["edited by a person", "after an error", "the next turn", "in another session"])
def test_what_it_said_is_withheld_in_whatever_trace_its_thread_goes_on(capture_with: Any, goes_on: str) -> None:
    broken = goes_on == "after an error"

    def public(state: State) -> State:
        if broken:
            raise ValueError("broken on purpose")
        return {"notes": [f"I heard {state['notes'][0]}"]}

    stops = [] if broken or goes_on == "the next turn" else ["public"]
    built = graph(private=say, public=public).compile(checkpointer=InMemorySaver(), interrupt_before=stops)
    thread: Any = {"configurable": {"thread_id": "t 1"}}
    first: Capture = capture_with(policies())
    with contextlib.suppress(ValueError):
        built.invoke(QUESTION, {**first.config(), **thread})
    assert not leaked(first)

    broken = False
    if goes_on == "edited by a person":
        built.update_state(thread, {"question": "Edited?"})
    then: Capture = capture_with(policies())
    context = {"session": "another"} if goes_on == "in another session" else {}
    built.invoke(QUESTION if goes_on == "the next turn" else None, {**then.config(**context), **thread})

    assert built.get_state(thread).values["notes"][0] == SECRET
    assert "I heard" in then.journal.text()
    assert not leaked(then)


def test_redaction_rules_reach_everything_that_is_stored(capture_with: Any) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(redact=("email", "secrets"))))
    mail, key = "anna.berg@example.com", f"sk-ant-api03-{'aB3' * 30}x"

    def node(state: State) -> State:
        tierlens.metric("contact", mail)
        tierlens.tag("contact", mail)
        dispatch_custom_event("found", {"mail": mail})
        tierlens.span("look up")(lambda who: {"key": key})(mail)
        model(f"write to {mail}").invoke(f"use {key}")
        raise ValueError(f"no answer from {mail}")

    with pytest.raises(ValueError, match="no answer"):
        graph(node=node).compile().invoke({"question": f"who is {mail}?"}, capture.config())
    everything = capture.journal.text() + repr(capture.journal.routings)
    assert mail not in everything
    assert key not in everything
    assert capture.journal.routings[capture.journal.named("node").span_id].metrics == {"contact": "[redacted:email]"}
