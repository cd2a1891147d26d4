"""Single requests through Anthropic's own client."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.testing.claude.conftest import HELLO, MODEL, client_of
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.claude import MessagesRequest, Reply, Rule, ToolCall, answer, by_rules, tokens
from tierlens.testing.claude.prompt import TOKENS_PER_IMAGE, TOKENS_PER_MESSAGE, TOKENS_PER_PDF

SYSTEM = "You are the drift monitor of a brand team. Be short."
QUESTION = '{"drift_magnitude": 0.31, "p_value": 0.004}\nShare fell by 4.2% in May. What should we do?'
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
        "required": ["city"],
    },
}
CLOCK = {"name": "read_clock", "description": "Local time.", "input_schema": {"type": "object"}}


def create(client: anthropic.Anthropic, **request: Any) -> anthropic.types.Message:
    return client.messages.create(**{"model": MODEL, "max_tokens": 500, "messages": HELLO, **request})


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def asking(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def saying(text: str) -> Any:
    return lambda request: Reply(text)


def test_the_answer_restates_role_and_figures_and_is_the_same_again(client: anthropic.Anthropic) -> None:
    first, second = (create(client, system=SYSTEM, messages=asking(QUESTION)) for _ in range(2))
    assert text_of(first) == text_of(second)
    assert text_of(first).startswith(
        "As the drift monitor of a brand team, this is how I read it. "
        "Drift magnitude is 0.31 and p value is 0.004. Share fell by 4.2% in May."
    )
    assert first.stop_reason == "end_turn"
    assert first.id != second.id
    assert first._request_id != second._request_id


def test_usage_counts_the_request_and_the_answer(client: anthropic.Anthropic) -> None:
    message = create(client, system=SYSTEM, messages=asking(QUESTION))
    assert message.usage.input_tokens == tokens.count(SYSTEM) + tokens.count(QUESTION) + TOKENS_PER_MESSAGE
    assert message.usage.output_tokens == tokens.count(text_of(message))


def test_counting_beforehand_gives_what_is_billed(client: anthropic.Anthropic) -> None:
    request: dict[str, Any] = {"system": SYSTEM, "messages": asking(QUESTION), "tools": [WEATHER]}
    counted = client.messages.count_tokens(model=MODEL, **request)
    assert counted.input_tokens == create(client, **request).usage.input_tokens


def test_a_string_and_its_block_are_the_same_prompt(client: anthropic.Anthropic) -> None:
    plain = create(client, system=SYSTEM, messages=asking(QUESTION))
    blocks = create(
        client,
        system=[{"type": "text", "text": SYSTEM}],
        messages=[{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
    )
    assert (text_of(plain), plain.usage) == (text_of(blocks), blocks.usage)


def test_images_and_documents_are_taken_and_counted(client: anthropic.Anthropic) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}
    note = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "Uplift is 3%."},
    }
    message = create(client, messages=[{"role": "user", "content": [picture, pdf, note]}])
    expected = TOKENS_PER_IMAGE + TOKENS_PER_PDF + tokens.count("Uplift is 3%.") + TOKENS_PER_MESSAGE
    assert message.usage.input_tokens == expected
    assert "Uplift is 3%." in text_of(message)


def test_max_tokens_cuts_the_answer(client: anthropic.Anthropic) -> None:
    whole, cut = create(client), create(client, max_tokens=5)
    assert cut.stop_reason == "max_tokens"
    assert cut.usage.output_tokens == 5
    assert text_of(whole).startswith(text_of(cut))


def test_max_tokens_zero_only_warms_the_cache(client: anthropic.Anthropic) -> None:
    message = create(client, max_tokens=0)
    assert (message.content, message.stop_reason, message.usage.output_tokens) == ([], "max_tokens", 0)


@pytest.mark.parametrize(
    ("sequences", "text", "met"),
    [(["STOP", "two "], "one ", "two "), (["never"], "one two STOP three", None)],
)
def test_the_first_stop_sequence_ends_the_answer(sequences: list[str], text: str, met: str | None) -> None:
    with ClaudeEndpoint(saying("one two STOP three")) as endpoint:
        message = create(client_of(endpoint), stop_sequences=sequences)
    assert text_of(message) == text
    assert message.stop_sequence == met
    assert message.stop_reason == ("stop_sequence" if met else "end_turn")


def test_max_tokens_comes_before_a_later_stop_sequence() -> None:
    with ClaudeEndpoint(saying("one two STOP three")) as endpoint:
        message = create(client_of(endpoint), stop_sequences=["STOP"], max_tokens=1)
    assert (text_of(message), message.stop_reason, message.stop_sequence) == ("one", "max_tokens", None)


@pytest.mark.parametrize(
    ("choice", "question", "called"),
    [
        ({"type": "tool", "name": "read_clock"}, "Is it cold in Boston?", "read_clock"),
        ({"type": "any"}, "What is the weather in Boston?", "get_weather"),
        ({"type": "any"}, "Hello there.", "get_weather"),
        ({"type": "auto"}, "What is the weather in Boston?", "get_weather"),
        ({"type": "auto"}, "Hello there.", None),
        ({"type": "none"}, "What is the weather in Boston?", None),
    ],
)
def test_tool_choice_is_honoured(
    client: anthropic.Anthropic, choice: dict[str, str], question: str, called: str | None
) -> None:
    message = create(client, tools=[WEATHER, CLOCK], tool_choice=choice, messages=asking(question))
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ([called] if called else [])
    assert message.stop_reason == ("tool_use" if called else "end_turn")


def test_a_tool_loop_ends_with_an_answer_from_the_result(client: anthropic.Anthropic) -> None:
    turns = asking("What is the weather in Boston for 3 days?")
    first = create(client, tools=[WEATHER], messages=turns)
    call = first.content[0]
    assert call.type == "tool_use"
    assert call.input == {"city": "Boston", "days": 3}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Rain, 11 degrees."}
    last = create(
        client,
        tools=[WEATHER],
        messages=[
            *turns,
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result]},
        ],
    )
    assert "Rain, 11 degrees." in text_of(last)
    assert last.stop_reason == "end_turn"


def test_several_calls_and_a_text_can_come_at_once() -> None:
    reply = Reply("Both.", [ToolCall("get_weather", {"city": "Rome"}), ToolCall("read_clock")])
    with ClaudeEndpoint(lambda request: reply) as endpoint:
        message = create(client_of(endpoint), tools=[WEATHER, CLOCK])
        short = create(client_of(endpoint), tools=[WEATHER, CLOCK], max_tokens=6)
    assert [block.type for block in message.content] == ["text", "tool_use", "tool_use"]
    assert short.stop_reason == "max_tokens"
    assert short.usage.output_tokens <= 6


def test_json_output_fits_its_schema(client: anthropic.Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"drift_magnitude": {"type": "number"}},
        "required": ["drift_magnitude"],
    }
    config = {"format": {"type": "json_schema", "schema": schema}}
    assert text_of(create(client, messages=asking(QUESTION), output_config=config)) == '{"drift_magnitude":0.31}'


def test_thinking_comes_first_and_is_counted(client: anthropic.Anthropic) -> None:
    message = create(client, max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024})
    thought, text = message.content
    assert thought.type == "thinking"
    assert thought.signature
    assert text.type == "text"
    assert message.usage.output_tokens_details
    assert message.usage.output_tokens_details.thinking_tokens == tokens.count(thought.thinking)
    assert message.usage.output_tokens == tokens.count(thought.thinking) + tokens.count(text.text)


def test_thinking_can_be_hidden_and_is_billed_all_the_same(client: anthropic.Anthropic) -> None:
    shown, hidden = (
        create(client, thinking={"type": "adaptive", "display": display}) for display in ("summarized", "omitted")
    )
    assert hidden.content[0].type == "thinking"
    assert hidden.content[0].thinking == ""
    assert hidden.usage.output_tokens == shown.usage.output_tokens


def test_thinking_must_come_back_as_it_was_given(client: anthropic.Anthropic) -> None:
    first = create(client, thinking={"type": "adaptive"})
    following = [*HELLO, {"role": "assistant", "content": first.content}, *HELLO]
    create(client, thinking={"type": "adaptive"}, messages=following)
    forged = {**first.content[0].model_dump(), "thinking": "Something else."}
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        create(client, messages=[*HELLO, {"role": "assistant", "content": [forged]}, *HELLO])


def test_rules_answer_before_the_default() -> None:
    rules = [
        Rule("Paris.", user="capital of france"),
        Rule(Reply(tool_calls=[ToolCall("read_clock")]), system="time keeper"),
        Rule(lambda request: Reply(f"{len(request.messages)} turn"), model="opus"),
    ]
    with ClaudeEndpoint(by_rules(rules, otherwise=answer)) as endpoint:
        client = client_of(endpoint)
        assert text_of(create(client, messages=asking("The capital of France?"))) == "Paris."
        assert create(client, system="You are a time keeper.", tools=[CLOCK]).stop_reason == "tool_use"
        assert text_of(create(client, model="claude-opus-4-8")) == "1 turn"
        assert text_of(create(client)).startswith("This is how I read it.")


def test_a_responder_sees_the_request() -> None:
    seen: list[MessagesRequest] = []

    def respond(request: MessagesRequest) -> Reply:
        seen.append(request)
        return Reply("Noted.")

    with ClaudeEndpoint(respond) as endpoint:
        create(client_of(endpoint), system=SYSTEM, tools=[WEATHER], metadata={"user_id": "u1"})
    assert (seen[0].system_text, seen[0].user_text, seen[0].model) == (SYSTEM, "Hello.", MODEL)
    assert seen[0].tools[0]["name"] == "get_weather"
    assert seen[0].body["metadata"] == {"user_id": "u1"}


def no_reply(request: MessagesRequest) -> Reply:
    raise ValueError("no idea")


def no_json(request: MessagesRequest) -> Reply:
    return Reply(tool_calls=[ToolCall("read_clock", {"at": object()})])


@pytest.mark.parametrize(("responder", "message"), [(no_reply, "ValueError: no idea"), (no_json, "TypeError")])
def test_a_responder_that_fails_is_a_server_error_and_not_billed(responder: Any, message: str) -> None:
    with ClaudeEndpoint(responder) as endpoint:
        with pytest.raises(anthropic.InternalServerError, match=message):
            create(client_of(endpoint))
        totals = endpoint.ledger()["totals"]
    assert (totals["calls"], totals["refused"]) == (0, 1)


def test_models_are_listed_in_pages_and_found_by_their_snapshots(client: anthropic.Anthropic) -> None:
    listed = [model.id for model in client.models.list(limit=5)]
    assert MODEL in listed
    assert len(listed) == len(set(listed)) > 5
    assert client.models.retrieve("claude-haiku-4-5-20251001").id == "claude-haiku-4-5"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-haiku-4-5-fast")


def test_unknown_models_are_refused_only_where_asked_for(client: anthropic.Anthropic) -> None:
    assert create(client, model="claude-next").model == "claude-next"
    with (
        ClaudeEndpoint(known_models_only=True) as strict,
        pytest.raises(anthropic.NotFoundError, match="model: claude-next"),
    ):
        create(client_of(strict), model="claude-next")


async def test_the_async_client_gets_the_same(endpoint: ClaudeEndpoint, client: anthropic.Anthropic) -> None:
    async with anthropic.AsyncAnthropic(base_url=endpoint.base_url, api_key="offline") as opened:
        message = await opened.messages.create(model=MODEL, max_tokens=500, messages=HELLO)
    assert text_of(message) == text_of(create(client))
