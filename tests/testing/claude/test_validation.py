from __future__ import annotations

from typing import Any

import pytest

from tests.testing.claude.conftest import HELLO, MODEL
from tierlens.testing.claude.refusal import Refusal
from tierlens.testing.claude.validation import checked

GOOD: dict[str, Any] = {"model": MODEL, "max_tokens": 2048, "messages": HELLO}
TOOL = {"name": "look_up", "input_schema": {"type": "object"}}
CALLED = [
    *HELLO,
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look_up", "input": {}}]},
]
THINKS = {"type": "enabled", "budget_tokens": 1024}


def result(*ids: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": one} for one in ids]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_tokens": ...}, "max_tokens: Field required"),
        ({"max_tokens": "5"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ({"model": ...}, "model: Field required"),
        ({"messages": ...}, "messages: Field required"),
        ({"messages": []}, "messages: List should have at least 1 item"),
        (
            {"messages": [{"role": "bot", "content": "x"}]},
            "messages.0.role: Input should be 'user', 'assistant'",
        ),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 'first message must use the "user" role'),
        (
            {"messages": [{"role": "user", "content": ""}]},
            "messages.0.content.0.text.text: String should have at",
        ),
        (
            {"messages": [{"role": "user", "content": []}]},
            "messages.0.content: List should have at least 1 item",
        ),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content: Input should be a valid list"),
        (
            {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
            "messages.0.content.0.block.type: Field",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
            "content.0.image.source: Field required",
        ),
        ({"messages": [*HELLO, result("t1")]}, "unexpected `tool_use_id` found in `tool_result` blocks: t1"),
        ({"messages": [*CALLED, *HELLO]}, "`tool_use` ids were found without `tool_result` blocks"),
        ({"messages": [*CALLED, result("t1", "t2")]}, "unexpected `tool_use_id`"),
        ({"system": 5}, "system: Input should be a valid list"),
        ({"system": [{"type": "text"}]}, "system.0.text: Field required"),
        ({"temperature": 1.5}, "temperature: Input should be less than or equal to 1"),
        ({"stop_sequences": "x"}, "stop_sequences: Input should be a valid list"),
        ({"tools": [{"input_schema": {"type": "object"}}]}, "tools.0.name: Field required"),
        (
            {"tools": [{"name": "a", "input_schema": {"type": "array"}}]},
            "tools.0.input_schema.type: Input should be",
        ),
        ({"tools": [TOOL, TOOL]}, "Tool names must be unique"),
        ({"tool_choice": {"type": "any"}}, "may only be specified while providing tools"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "b"}},
            "Tool 'b' not found in provided tools",
        ),
        ({"tools": [TOOL], "tool_choice": {"type": "must"}}, "tool_choice.type: Input should be 'auto'"),
        ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "greater than or equal to 1024"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            "must be greater than `thinking.budget_tokens`",
        ),
        ({"thinking": THINKS, "temperature": 0.5}, "`temperature` may only be set to 1"),
        (
            {"thinking": THINKS, "tools": [TOOL], "tool_choice": {"type": "any"}},
            "Thinking may not be enabled",
        ),
        ({"thread": {"type": "create"}}, "keeps no message threads"),
        ({"cache_control": {"type": "forever"}}, "cache_control.type: Input should be 'ephemeral'"),
        (
            {"output_config": {"format": {"type": "json_schema"}}},
            "output_config.format.schema: Field required",
        ),
    ],
)
def test_what_is_wrong_is_refused_and_named(change: dict[str, Any], message: str) -> None:
    body = {key: value for key, value in (GOOD | change).items() if value is not ...}
    with pytest.raises(Refusal) as caught:
        checked(body)
    assert caught.value.status == 400
    assert message in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [*HELLO, *HELLO]},
        {"messages": [*CALLED, result("t1")]},
        {"messages": [*CALLED, {"role": "system", "content": "Go on."}, result("t1")]},
        {"messages": [*HELLO, {"role": "assistant", "content": "The answer is"}]},
        {"messages": [{"role": "user", "content": [{"type": "search_result", "source": "x", "anything": 1}]}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"metadata": {"user_id": "u"}, "service_tier": "auto", "something_new": True},
        {"temperature": 1, "top_p": 0.5, "system": None, "tools": None, "stop_sequences": None},
    ],
)
def test_what_anthropic_takes_is_taken(change: dict[str, Any]) -> None:
    assert checked(GOOD | change).body == GOOD | change


def test_counting_needs_no_limit() -> None:
    assert checked({"model": MODEL, "messages": HELLO}, counting=True).model == MODEL


@pytest.mark.parametrize("body", [None, [], "text", 5])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(Refusal, match="must be an object"):
        checked(body)
