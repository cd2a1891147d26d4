"""A wrapped client is the client it was, and records."""

from __future__ import annotations

import contextvars
import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from opentelemetry.sdk.trace import TracerProvider

from tests.capture.anthropic.conftest import MODEL, REQUEST, WEATHER, billed, counted, read
from tests.capture.conftest import Capture
from tierlens import keys
from tierlens.capture import active
from tierlens.capture.otel import span_processor
from tierlens.capture.wrapping import wrap
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.http_stub import HttpStub, Reply

NAME = "anthropic.messages"
VARIATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "system": {"system": "You are the gap analyzer."},
    "tool": {"tools": [WEATHER], "tool_choice": {"type": "any"}},
    "thinking": {"max_tokens": 2_000, "thinking": {"type": "enabled", "budget_tokens": 1_024}},
    "cut": {"max_tokens": 3},
    "stopped": {"stop_sequences": ["read"]},
}
MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5",'
    b'"content":[{"type":"text","text":"Yes."}],"stop_reason":"end_turn","stop_sequence":null,'
    b'"usage":{"input_tokens":11,"output_tokens":3}}'
)


def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    """What a call returned or raised, in a form that compares."""
    try:
        return type(result := call()), result
    except anthropic.APIError as error:
        return type(error), str(error), error.body, getattr(error, "status_code", None)


@pytest.mark.parametrize("variation", VARIATIONS.values(), ids=VARIATIONS)
def test_it_answers_as_the_plain_one(
    capture: Capture, plain: anthropic.Anthropic, wrapped: anthropic.Anthropic, variation: dict[str, Any]
) -> None:
    request: Any = {**REQUEST, **variation}
    assert wrapped.messages.create(**request) == plain.messages.create(**request)
    assert wrapped.beta.messages.create(**request) == plain.beta.messages.create(**request)
    assert len(capture.journal.spans) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 529, 0])
async def test_it_raises_as_the_plain_one(
    capture: Capture,
    endpoint: ClaudeEndpoint,
    plain: anthropic.Anthropic,
    async_plain: anthropic.AsyncAnthropic,
    status: int,
) -> None:
    def failing(client: anthropic.Anthropic) -> tuple[Any, ...]:
        endpoint.fail_next(status)
        return outcome(lambda: client.messages.create(**REQUEST))

    assert failing(wrap(plain)) == failing(plain)
    raised = failing(plain)[0]
    endpoint.fail_next(status)
    with pytest.raises(raised):
        await wrap(async_plain).messages.create(**REQUEST)
    assert [span.status for span in capture.journal.spans.values()] == ["ERROR", "ERROR"]


def test_what_the_client_refuses_itself_is_refused_alike(
    capture: Capture, plain: anthropic.Anthropic, wrapped: anthropic.Anthropic
) -> None:
    endless: list[Any] = []
    endless.append(endless)
    for client in (plain, wrapped):
        with pytest.raises((ValueError, RecursionError)):
            client.messages.create(**{**REQUEST, "metadata": endless})
    assert capture.journal.named(NAME).status == "ERROR"


def test_its_type_is_exactly_the_same(plain: anthropic.Anthropic, async_plain: anthropic.AsyncAnthropic) -> None:
    assert type(wrap(plain)) is anthropic.Anthropic
    assert type(wrap(async_plain)) is anthropic.AsyncAnthropic


def test_the_users_own_client_stays_as_it_is(capture: Capture, plain: anthropic.Anthropic) -> None:
    before = dict(vars(plain))
    wrap(plain).messages.create(**REQUEST)
    capture.journal.spans.clear()
    assert vars(plain) == before
    plain.messages.create(**REQUEST)
    assert capture.journal.spans == {}


def test_wrapping_twice_is_wrapping_once(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    again = wrap(wrapped)
    assert again is wrapped
    again.messages.create(**REQUEST)
    assert len(capture.journal.spans) == 1


@pytest.mark.parametrize(
    "derive",
    [
        lambda client: client.with_options(timeout=7.0),
        lambda client: client.copy(max_retries=5),
        lambda client: client.with_options(middleware=[]),
        lambda client: client.with_options(timeout=7.0).with_options(max_retries=5),
        lambda client: client.with_middleware(lambda request, call_next: call_next(request)),
    ],
    ids=["with_options", "copy", "without middleware", "twice", "with_middleware"],
)
def test_clients_derived_from_it_record_once_too(
    capture: Capture, wrapped: anthropic.Anthropic, derive: Callable[[anthropic.Anthropic], anthropic.Anthropic]
) -> None:
    derived = derive(wrapped)
    assert type(derived) is anthropic.Anthropic
    derived.messages.create(**REQUEST)
    assert read(capture.journal.named(NAME), keys.INPUTS)["messages"] == REQUEST["messages"]
    assert len(capture.journal.starts) == 1


def test_options_are_kept(plain: anthropic.Anthropic) -> None:
    given = plain.with_options(timeout=7.0, max_retries=5, default_headers={"x-team": "kisqali"})
    given._strict_response_validation = True
    kept = wrap(given)
    assert (kept.timeout, kept.max_retries, kept.base_url) == (7.0, 5, plain.base_url)
    assert kept.default_headers["x-team"] == "kisqali"
    assert kept._strict_response_validation


def test_counting_tokens_is_no_call_of_a_model(capture: Capture, wrapped: anthropic.Anthropic) -> None:
    wrapped.messages.count_tokens(model=MODEL, messages=REQUEST["messages"])
    wrapped.models.list()
    assert capture.journal.spans == {}


def test_without_a_lens_it_is_the_plain_one(plain: anthropic.Anthropic, wrapped: anthropic.Anthropic) -> None:
    assert active.recorder() is None
    assert wrapped.messages.create(**REQUEST) == plain.messages.create(**REQUEST)
    with wrapped.messages.stream(**REQUEST) as stream:
        assert stream.get_final_text() == plain.messages.create(**REQUEST).content[0].text


def test_an_answer_of_the_users_own_middleware_is_recorded(capture: Capture, plain: anthropic.Anthropic) -> None:
    answer = plain.messages.create(**REQUEST)
    cached = wrap(plain.with_middleware(lambda request, call_next: answer))
    assert cached.messages.create(**REQUEST) is answer
    span = capture.journal.named(NAME)
    assert read(span, keys.INPUTS)["messages"] == REQUEST["messages"]
    assert read(span, keys.OUTPUTS)["choices"][0]["message"]["content"] == answer.content[0].text


@pytest.mark.skipif(
    "open_telemetry" not in inspect.signature(anthropic.Anthropic).parameters,
    reason="this version of the client has no OpenTelemetry spans",
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_clients_own_opentelemetry_spans_lie_below_and_count_nothing_twice(
    capture: Capture, plain: anthropic.Anthropic, endpoint: ClaudeEndpoint, stream: bool
) -> None:
    provider = TracerProvider()
    provider.add_span_processor(span_processor())
    traced: Any = plain.with_options(open_telemetry={"tracer_provider": provider})
    answer = wrap(traced).messages.create(**REQUEST, stream=stream)
    assert not stream or list(answer)
    ours = capture.journal.named(NAME)
    (theirs,) = (span for span in capture.journal.spans.values() if span is not ours)
    assert theirs.parent_id == ours.span_id
    assert counted(*(span for span in (ours, theirs) if keys.TOKEN_USAGE in span.attributes)) == billed(endpoint)


@pytest.mark.parametrize(
    ("make", "provider"),
    [
        (lambda uri: anthropic.AnthropicBedrock(base_url=uri, api_key="k", aws_region="eu-west-1"), "amazon_bedrock"),
        (
            lambda uri: anthropic.AnthropicVertex(base_url=uri, access_token="t", project_id="p", region="europe"),
            "google_vertexai",
        ),
    ],
    ids=["Bedrock", "Vertex"],
)
def test_clients_of_other_clouds_are_recorded_as_theirs(
    capture: Capture, make: Callable[[str], Any], provider: str
) -> None:
    with HttpStub(otherwise=Reply(headers={"Content-Type": "application/json"}, body=MESSAGE)) as cloud:
        client = make(cloud.uri)
        message = wrap(client).messages.create(**REQUEST)
        assert message == client.messages.create(**REQUEST)
    span = capture.journal.named(NAME)
    assert span.attributes[keys.PROVIDER] == provider
    assert span.attributes[keys.MODEL] == MODEL
    assert counted(span)[:2] == (11, 3)


@pytest.mark.parametrize("other", [object(), "client", anthropic.Anthropic, None])
def test_nothing_else_can_be_wrapped(other: object) -> None:
    with pytest.raises(TypeError, match="client of the anthropic package or a LangChain document compressor"):
        wrap(other)


def test_importing_tierlens_does_not_import_anthropic() -> None:
    code = "import sys, tierlens.capture.wrapping, tierlens.capture.asking; sys.exit('anthropic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_a_call_that_is_closed_from_another_context_is_abandoned(
    capture: Capture, endpoint: ClaudeEndpoint, async_wrapped: anthropic.AsyncAnthropic
) -> None:
    asking = async_wrapped.messages.create(**REQUEST)
    contextvars.copy_context().run(asking.send, None)

    contextvars.Context().run(asking.close)

    assert capture.outcomes(NAME) == ["abandoned"]
