"""OpenTelemetry spans of other libraries appear where they ran, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, Tracer

from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph, model
from tierlens import keys, span
from tierlens.capture import active
from tierlens.capture.otel import Bridge, span_processor
from tierlens.capture.wrapping import wrap
from tierlens.policy import AgentPolicy, Keep, Policies
from tierlens.testing import ClaudeEndpoint

QUESTION = {"question": "Why?"}
REQUEST: Any = {"model": "claude-sonnet-4-6", "max_tokens": 99, "messages": [{"role": "user", "content": "Why?"}]}


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    started = TracerProvider()
    started.add_span_processor(span_processor())
    yield started
    started.shutdown()


@pytest.fixture
def tracer(provider: TracerProvider) -> Tracer:
    return provider.get_tracer("library", "1.2")


@pytest.fixture
def claude() -> Iterator[ClaudeEndpoint]:
    with ClaudeEndpoint() as started:
        yield started


def run(capture: Capture, node: Any, **more: Any) -> Any:
    return graph(node=node, **more).compile().invoke(QUESTION, {"callbacks": [capture.callback()]})


def test_a_span_goes_below_the_node_it_ran_in_and_its_children_below_it(capture: Capture, tracer: Tracer) -> None:
    def node(state: State) -> State:
        with tracer.start_as_current_span("http"), tracer.start_as_current_span("connect"):
            pass
        return {"notes": []}

    run(capture, node)
    node_span, http, connect = (capture.journal.named(name) for name in ("node", "http", "connect"))
    assert (http.parent_id, connect.parent_id) == (node_span.span_id, http.span_id)
    assert {http.trace_id, connect.trace_id} == {node_span.trace_id}
    assert node_span.start_ns <= http.start_ns <= connect.start_ns <= connect.end_ns <= http.end_ns


def test_everything_it_carries_is_kept(capture: Capture, tracer: Tracer) -> None:
    elsewhere = SpanContext(0xA1, 0xB2, is_remote=True)

    @span("outer")
    def outer() -> None:
        with tracer.start_as_current_span(
            "first", kind=SpanKind.CLIENT, links=[Link(elsewhere, {"why": "batch"})], attributes={"n": 3, "ok": True}
        ) as first:
            first.update_name("renamed")
            first.set_attribute("names", ["a", "b"])
            first.set_attribute("share", 0.5)
            first.add_event("retry", {"attempt": 2})
            first.set_status(Status(StatusCode.ERROR, "timed out"))

    outer()
    kept = capture.journal.named("renamed")
    assert kept.attributes == {
        "n": 3, "ok": True, "share": 0.5, "names": '["a","b"]', "span.kind": "client", "otel.scope.name": "library",
        keys.SPAN_TYPE: "UNKNOWN", keys.OUTCOME: "error", keys.OUTCOME_DETAIL: "timed out",
    }  # fmt: skip
    assert (kept.status, kept.message) == ("ERROR", "timed out")
    assert [(event.name, event.attributes) for event in kept.events] == [("retry", {"attempt": 2})]
    assert [(link.trace_id, link.span_id, link.attributes) for link in kept.links] == [
        (f"{0xA1:032x}", f"{0xB2:016x}", {"why": "batch"})
    ]


def test_a_link_to_a_bridged_span_finds_it_in_our_trace(capture: Capture, tracer: Tracer) -> None:
    @span("outer")
    def outer() -> None:
        with tracer.start_as_current_span("one") as one:
            tracer.start_span("two", links=[Link(one.get_span_context())]).end()

    outer()
    one, two = capture.journal.named("one"), capture.journal.named("two")
    assert [(link.trace_id, link.span_id) for link in two.links] == [(one.trace_id, one.span_id)]


def test_an_exception_stands_on_its_span(capture: Capture, tracer: Tracer) -> None:
    @span("outer")
    def outer() -> None:
        with pytest.raises(ValueError, match="no"), tracer.start_as_current_span("failing"):
            raise ValueError("no")

    outer()
    failing = capture.journal.named("failing")
    assert failing.status == "ERROR"
    assert failing.events[0].attributes["exception.type"] == "ValueError"
    assert capture.journal.named("outer").status == "OK"


def test_our_innermost_span_wins_over_an_otel_parent_around_it(capture: Capture, tracer: Tracer) -> None:
    @span("deep")
    def deep() -> None:
        tracer.start_span("inside deep").end()

    @span("outer")
    def outer() -> None:
        with tracer.start_as_current_span("library call"):
            deep()
            tracer.start_span("inside library").end()

    outer()
    named = capture.journal.named
    assert named("inside deep").parent_id == named("deep").span_id
    assert named("inside library").parent_id == named("library call").span_id
    assert named("library call").parent_id == named("outer").span_id


def test_spans_with_none_of_ours_around_are_ignored(capture: Capture, tracer: Tracer) -> None:
    with tracer.start_as_current_span("server"):
        run(capture, lambda state: {"notes": []})
        tracer.start_span("after").end()
    assert "server" not in {one.name for one in capture.journal.spans.values()}
    assert "after" not in {one.name for one in capture.journal.spans.values()}


def test_under_a_server_span_of_theirs_our_trace_keeps_its_own_root(capture: Capture, tracer: Tracer) -> None:
    def node(state: State) -> State:
        tracer.start_span("query").end()
        return {"notes": []}

    with tracer.start_as_current_span("server"):
        run(capture, node)
    assert capture.journal.named("query").parent_id == capture.journal.named("node").span_id
    assert len(capture.journal.roots()) == 1


def test_an_end_after_the_traces_own_replaces_the_abandoned_record(capture: Capture, tracer: Tracer) -> None:
    started: list[Any] = []

    def node(state: State) -> State:
        started.append(tracer.start_span("background"))
        return {"notes": []}

    run(capture, node)
    assert capture.journal.named("background").attributes[keys.OUTCOME] == "abandoned"
    started[0].set_attribute("rows", 7)
    started[0].end()
    background = capture.journal.named("background")
    assert background.attributes["rows"] == 7
    assert keys.OUTCOME not in background.attributes
    assert background.end_ns > capture.journal.roots()[0].end_ns


def test_a_span_may_end_in_another_thread(capture: Capture, tracer: Tracer) -> None:
    def node(state: State) -> State:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(tracer.start_span("work").end).result()
        return {"notes": []}

    run(capture, node)
    assert capture.journal.named("work").parent_id == capture.journal.named("node").span_id


def test_concurrent_calls_keep_their_own_spans(capture: Capture, tracer: Tracer) -> None:
    together = threading.Barrier(4, timeout=20)

    def node(state: State) -> State:
        together.wait()
        with tracer.start_as_current_span(f"call of {state['question']}"):
            together.wait()
        return {"notes": []}

    compiled = graph(node=node).compile()
    with ThreadPoolExecutor(4) as pool:
        for name in "abcd":
            pool.submit(compiled.invoke, {"question": name}, {"callbacks": [capture.callback(brand=name)]})
    for one in capture.journal.spans.values():
        if one.name.startswith("call of"):
            assert capture.journal.routings[one.span_id].brand == one.name[-1]
            assert one.parent_id is not None
            assert capture.journal.spans[one.parent_id].trace_id == one.trace_id


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"openinference.span.kind": "RETRIEVER"}, "RETRIEVER"),
        ({"openinference.span.kind": "llm"}, "LLM"),
        ({"gen_ai.operation.name": "chat"}, "CHAT_MODEL"),
        ({"gen_ai.operation.name": "execute_tool"}, "TOOL"),
        ({"traceloop.span.kind": "workflow"}, "WORKFLOW"),
        ({keys.SPAN_TYPE: "PARSER"}, "PARSER"),
        ({"http.request.method": "GET"}, "UNKNOWN"),
    ],
)
def test_its_type_is_read_from_the_conventions(
    capture: Capture, tracer: Tracer, attributes: dict[str, Any], kind: str
) -> None:
    span("outer")(lambda: tracer.start_span("theirs", attributes=attributes).end())()
    assert capture.journal.named("theirs").attributes[keys.SPAN_TYPE] == kind


CHAT: dict[str, Any] = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-sonnet-4-5",
    "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100, "gen_ai.usage.cache_read.input_tokens": 400,
    "gen_ai.input.messages": '[{"role":"user","parts":[{"content":"the secret question"}]}]',
}  # fmt: skip


def test_a_model_call_brings_its_tokens(capture: Capture, tracer: Tracer) -> None:
    span("outer")(lambda: tracer.start_span("chat", attributes=CHAT).end())()
    attributes = capture.journal.named("chat").attributes
    assert json.loads(str(attributes[keys.TOKEN_USAGE])) == {
        "input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100, "cache_read_input_tokens": 400,
    }  # fmt: skip
    assert (attributes[keys.MODEL], attributes[keys.PROVIDER]) == ("claude-sonnet-4-5", "anthropic")


def test_a_model_call_brings_what_it_says_of_thinking_and_sound(capture: Capture, tracer: Tracer) -> None:
    finer = {"gen_ai.usage.reasoning.output_tokens": 60, "llm.token_count.prompt_details.audio": 0}
    span("outer")(lambda: tracer.start_span("chat", attributes=CHAT | finer).end())()
    stored = json.loads(str(capture.journal.named("chat").attributes[keys.FINER_USAGE]))
    assert stored == {"reasoning.output_tokens": 60, "audio.input_tokens": 0}


def test_of_what_was_cached_it_tells_which_is_for_an_hour(capture: Capture, tracer: Tracer) -> None:
    hour = {"anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 60, "gen_ai.usage.cache_write.input_tokens": 90}
    span("outer")(lambda: tracer.start_span("chat", attributes=CHAT | hour).end())()
    stored = json.loads(str(capture.journal.named("chat").attributes[keys.TOKEN_USAGE]))
    assert stored["cache_creation_input_tokens"] == 90
    assert stored["cache_creation_input_tokens_above_1hr"] == 60


def test_tokens_that_a_model_span_of_ours_counts_are_not_counted_twice(capture: Capture, tracer: Tracer) -> None:
    class Instrumented(type(model("x"))):  # type: ignore[misc]  # the class is the fixture's own
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            tracer.start_span("chat", attributes={**CHAT, "gen_ai.request.model": ""}).end()
            return super()._generate(*args, **kwargs)

    llm = Instrumented(replies=model("answer").replies)
    run(capture, lambda state: {"notes": [llm.invoke("x").text]})
    counted = [one for one in capture.journal.spans.values() if keys.TOKEN_USAGE in one.attributes]
    assert [one.name for one in counted] == ["Instrumented"]
    again = capture.journal.named("chat").attributes
    assert not [name for name in again if "usage" in name]
    # No second call, either: it would be one whose tokens nobody reported.
    assert (again[keys.SPAN_TYPE], keys.MODEL in again) == ("TASK", False)


async def test_calls_that_claudes_own_client_tells_of_too_are_counted_once(
    capture: Capture, claude: ClaudeEndpoint, provider: TracerProvider
) -> None:
    telling: Any = {"base_url": claude.base_url, "api_key": "offline", "open_telemetry": {"tracer_provider": provider}}
    try:
        client, other = wrap(anthropic.Anthropic(**telling)), wrap(anthropic.AsyncAnthropic(**telling))
    except TypeError:
        pytest.skip("this version of anthropic has no spans of its own")

    async def ask(state: State) -> State:
        client.messages.create(**REQUEST)
        with client.messages.stream(**REQUEST) as stream:
            stream.until_done()
        next(client.messages.create(**REQUEST, stream=True))
        await other.messages.create(**REQUEST)
        return {"notes": []}

    await graph(ask=ask).compile().ainvoke(QUESTION, capture.config())
    spans = capture.journal.spans.values()
    calls = [one for one in spans if one.attributes[keys.SPAN_TYPE] == "CHAT_MODEL"]
    assert [one.name for one in calls] == ["anthropic.messages"] * 4
    assert sum(one.name == "anthropic.messages.create" for one in spans) == 4
    assert (
        sum(json.loads(str(one.attributes[keys.TOKEN_USAGE]))["input_tokens"] for one in calls)
        == (claude.ledger()["totals"]["all_input_tokens"])
    )


def test_private_text_stays_out(capture_with: Any, tracer: Tracer) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(log_prompts=False)))

    @span("outer")
    def outer() -> None:
        with tracer.start_as_current_span("chat", attributes=CHAT) as one:
            one.set_attribute("tags", ["the secret tag"])
            one.set_attribute("sizes", [1, 2])
            one.add_event("gen_ai.choice", {"content": "the secret answer"})
            one.record_exception(ValueError("the secret error"))
            one.set_status(Status(StatusCode.ERROR, "the secret reason"))

    outer()
    assert "secret" not in capture.journal.text()
    attributes = capture.journal.named("chat").attributes
    assert attributes["gen_ai.input.messages"] == "<text, 61 characters>"
    assert attributes["tags"] == "<1 items>"
    assert attributes["sizes"] == "[1,2]"
    assert attributes["gen_ai.request.model"] == "claude-sonnet-4-5"
    assert json.loads(str(attributes[keys.TOKEN_USAGE]))["input_tokens"] == 1000


def test_redaction_reaches_it(capture_with: Any, tracer: Tracer) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(redact=("email",))))
    span("outer")(lambda: tracer.start_span("mail", attributes={"to": "anna.berg@example.com"}).end())()
    assert capture.journal.named("mail").attributes["to"] == "[redacted:email]"


@pytest.mark.parametrize(("keep", "stored"), [(Keep(), 0), (Keep(slower_than_s=0.0), 2)])
def test_sampling_holds_for_it_too(capture_with: Any, tracer: Tracer, keep: Keep, stored: int) -> None:
    capture: Capture = capture_with(Policies(defaults=AgentPolicy(sample=0.0, keep=keep)))
    late: list[Any] = []
    span("outer")(lambda: late.append(tracer.start_span("theirs")))()
    late[0].end()
    assert len(capture.journal.spans) == stored


def test_session_and_user_of_the_trace_are_not_theirs_to_say(capture: Capture, tracer: Tracer) -> None:
    theirs = {"session.id": "browser", "user.id": "cookie", "mlflow.traceTag.mlflow.traceName": "x", "page": "/"}
    span("outer")(lambda: tracer.start_span("http", attributes=theirs).end())()
    attributes = capture.journal.named("http").attributes
    assert not {"session.id", "user.id", "mlflow.traceTag.mlflow.traceName"} & set(attributes)
    assert (attributes["otel.session.id"], attributes["page"]) == ("browser", "/")


def test_two_bridges_on_one_provider_record_once(capture: Capture) -> None:
    provider = TracerProvider()
    provider.add_span_processor(span_processor())
    provider.add_span_processor(span_processor())
    tracer = provider.get_tracer("library")
    span("outer")(lambda: tracer.start_span("http").end())()
    assert capture.journal.named("http").attributes["otel.scope.name"] == "library"


def test_of_spans_that_never_end_the_oldest_are_given_up(capture: Capture) -> None:
    provider = TracerProvider()
    provider.add_span_processor(Bridge(max_open=3))
    tracer = provider.get_tracer("leaky")
    started: list[Any] = []
    span("outer")(lambda: started.extend(tracer.start_span(f"lost {n}") for n in range(5)))()
    for one in started:
        one.end()
    outcomes = [capture.journal.named(f"lost {n}").attributes.get(keys.OUTCOME) for n in range(5)]
    assert outcomes == ["abandoned", "abandoned", None, None, None]


def test_without_a_lens_it_does_nothing(tracer: Tracer) -> None:
    assert active.recorder() is None
    with tracer.start_as_current_span("alone"):
        pass


def test_the_ambient_otel_context_is_not_touched(capture: Capture, tracer: Tracer) -> None:
    seen: list[Any] = []

    def node(state: State) -> State:
        seen.append(otel.get_current_span())
        return {"notes": []}

    theirs = tracer.start_span("server")
    with otel.use_span(theirs, end_on_exit=True):
        run(capture, node)
    assert seen == [theirs]


PROVIDED = """
import json, pathlib, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
import tierlens
for round in range(2):
    lens = tierlens.init(journal_dir=f"{sys.argv[1]}/{round}", shipper="external")
    tracer = trace.get_tracer("library")
    tierlens.span("outer")(lambda: tracer.start_span("theirs").end())()
    lens.close()
print(len(trace.get_tracer_provider()._active_span_processor._span_processors))
"""


def test_a_lens_joins_the_provider_that_is_set_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROVIDED, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    for folder in ("0", "1"):
        journalled = b"".join(path.read_bytes() for path in (tmp_path / folder).rglob("*") if path.is_file())
        assert b'"name":"theirs"' in journalled
