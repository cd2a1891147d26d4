from __future__ import annotations

from typing import Any

import anthropic
import pytest
from langchain_anthropic import ChatAnthropic

from tests.testing.claude.conftest import HELLO, MODEL, Clock
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.claude import tokens
from tierlens.testing.claude.prompt import TOKENS_PER_MESSAGE

LONG = "Every market has its own access rules. " * 200
LONGER = "Every brand has its own history of launches. " * 200


def block(text: str, ttl: str | None = None) -> dict[str, Any]:
    mark = {"cache_control": {"type": "ephemeral", "ttl": ttl}} if ttl else {}
    return {"type": "text", "text": text, **mark}


def ask(client: anthropic.Anthropic, **request: Any) -> anthropic.types.Usage:
    return client.messages.create(**{"model": MODEL, "max_tokens": 50, "messages": HELLO, **request}).usage


def numbers(usage: anthropic.types.Usage) -> tuple[int, int, int, int]:
    """(input, read, written for 5 minutes, written for an hour)."""
    assert usage.cache_creation is not None
    short = usage.cache_creation.ephemeral_5m_input_tokens
    long = usage.cache_creation.ephemeral_1h_input_tokens
    assert usage.cache_creation_input_tokens == short + long
    return usage.input_tokens, usage.cache_read_input_tokens or 0, short, long


def test_the_first_call_writes_and_the_next_reads(client: anthropic.Anthropic) -> None:
    system = [block(LONG, "5m")]
    size = tokens.count(LONG)
    first, second = ask(client, system=system), ask(client, system=system)
    assert numbers(first) == (first.input_tokens, 0, size, 0)
    assert numbers(second) == (first.input_tokens, size, 0, 0)
    assert first.input_tokens < 10


def test_an_entry_expires_and_every_read_extends_it(client: anthropic.Anthropic, clock: Clock) -> None:
    system = [block(LONG, "5m")]
    ask(client, system=system)
    for _ in range(3):
        clock.advance(299)
        assert ask(client, system=system).cache_read_input_tokens
    clock.advance(300)
    assert numbers(ask(client, system=system))[2] == tokens.count(LONG)


def test_an_entry_for_an_hour_outlives_one_for_five_minutes(client: anthropic.Anthropic, clock: Clock) -> None:
    system = [block(LONG, "1h"), block(LONGER, "5m")]
    hour, short = tokens.count(LONG), tokens.count(LONGER)
    assert numbers(ask(client, system=system))[1:] == (0, short, hour)
    clock.advance(600)
    assert numbers(ask(client, system=system))[1:] == (hour, short, 0)


def test_a_prefix_shorter_than_the_models_minimum_is_not_cached(client: anthropic.Anthropic) -> None:
    system = [block(LONG, "5m")]
    assert 1024 < tokens.count(LONG) < 4096
    for _ in range(2):
        assert numbers(ask(client, model="claude-haiku-4-5", system=system))[1:] == (0, 0, 0)


def test_the_minimum_can_be_set() -> None:
    with ClaudeEndpoint(min_cacheable_tokens=1) as endpoint:
        client = anthropic.Anthropic(base_url=endpoint.base_url, api_key="offline")
        assert numbers(ask(client, system=[block("Be short.", "5m")]))[2] == tokens.count("Be short.")


def test_models_do_not_share_entries(client: anthropic.Anthropic) -> None:
    system = [block(LONG, "5m")]
    ask(client, system=system)
    assert ask(client, model="claude-sonnet-5", system=system).cache_read_input_tokens == 0


def test_any_change_before_the_mark_is_a_miss_and_none_after_it_is(client: anthropic.Anthropic) -> None:
    ask(client, system=[block("a"), block(LONG, "5m")])
    assert ask(client, system=[block("b"), block(LONG, "5m")]).cache_read_input_tokens == 0
    other = [{"role": "user", "content": "Something else."}]
    assert ask(client, system=[block("a"), block(LONG, "5m")], messages=other).cache_read_input_tokens


def test_tools_come_first_and_tool_choice_spoils_only_the_messages(client: anthropic.Anthropic) -> None:
    tool = {"name": "look_up", "description": LONG, "input_schema": {"type": "object"}}
    marked = {**tool, "cache_control": {"type": "ephemeral"}}
    turns = [{"role": "user", "content": [block(LONGER, "5m")]}]
    first = ask(client, tools=[marked], messages=turns)
    other = ask(client, tools=[marked], messages=turns, tool_choice={"type": "none"})
    assert first.cache_creation_input_tokens == (other.cache_read_input_tokens or 0) + (
        other.cache_creation_input_tokens or 0
    )
    assert 0 < (other.cache_read_input_tokens or 0) < (first.cache_creation_input_tokens or 0)


def test_a_growing_conversation_reads_what_the_turn_before_wrote(client: anthropic.Anthropic) -> None:
    turns: list[dict[str, Any]] = [{"role": "user", "content": [block(LONG, "5m")]}]
    written = ask(client, messages=turns).cache_creation_input_tokens
    turns = [
        {"role": "user", "content": LONG},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": [block("And then?", "5m")]},
    ]
    usage = ask(client, messages=turns)
    assert usage.cache_read_input_tokens == written
    assert usage.input_tokens == 0


def test_a_mark_on_the_request_caches_its_last_block(client: anthropic.Anthropic) -> None:
    request: dict[str, Any] = {"system": LONG, "cache_control": {"type": "ephemeral"}}
    first, second = ask(client, **request), ask(client, **request)
    size = tokens.count(LONG) + TOKENS_PER_MESSAGE + tokens.count("Hello.")
    assert first.cache_creation_input_tokens == second.cache_read_input_tokens == size


def test_prefixes_more_than_twenty_blocks_back_are_not_found(client: anthropic.Anthropic) -> None:
    ask(client, system=[block(LONG, "5m")])
    near = [block(LONG), *[block("x")] * 18, block("x", "5m")]
    far = [block(LONG), *[block("y")] * 19, block("y", "5m")]
    assert ask(client, system=near).cache_read_input_tokens == tokens.count(LONG)
    assert ask(client, system=far).cache_read_input_tokens == 0


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ([block("a", "5m")] * 5, "A maximum of 4 blocks"),
        ([block("a", "5m"), block("b", "1h")], "must not come after"),
        ([block("a", "2h")], "system.0.cache_control.ttl: Input should be '5m' or '1h'"),
    ],
)
def test_wrong_marks_are_refused(client: anthropic.Anthropic, system: Any, message: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=message):
        ask(client, system=system)


def test_nothing_is_written_for_a_request_that_fails(client: anthropic.Anthropic, endpoint: ClaudeEndpoint) -> None:
    system = [block(LONG, "5m")]
    endpoint.fail_next(529)
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        ask(client, system=system)
    assert ask(client, system=system).cache_read_input_tokens == 0


def test_langchain_sees_the_same_numbers_plain_and_streamed(endpoint: ClaudeEndpoint) -> None:
    model = ChatAnthropic(model=MODEL, base_url=endpoint.base_url, api_key="offline", max_retries=0)
    messages: Any = [("system", [block(LONG, "1h")]), ("human", "Hello.")]
    size = tokens.count(LONG)
    written = model.invoke(messages).usage_metadata
    assert written
    details: Any = written["input_token_details"]
    assert (details["cache_read"], details["ephemeral_1h_input_tokens"]) == (0, size)
    whole = None
    for chunk in model.stream(messages):
        whole = chunk if whole is None else whole + chunk
    assert whole
    assert whole.usage_metadata
    assert whole.usage_metadata["input_token_details"]["cache_read"] == size
    assert whole.usage_metadata["input_tokens"] == written["input_tokens"]
    totals = endpoint.ledger()["totals"]
    assert totals["all_input_tokens"] == written["input_tokens"] + whole.usage_metadata["input_tokens"]
    assert totals["cache_creation_1h_input_tokens"] == totals["cache_read_input_tokens"] == size
