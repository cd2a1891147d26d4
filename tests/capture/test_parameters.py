"""What is remembered of a model's parameters is never told of other parameters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierlens import keys
from tierlens.capture.parameters import read

TOOL: dict[str, Any] = {"name": "search", "description": "Finds studies.", "input_schema": {"type": "object"}}


def told(parameters: dict[str, Any], *, private: bool = False) -> dict[str, Any]:
    return {key: json.loads(value) for key, value in read(parameters, private=private).attributes.items()}


@pytest.mark.parametrize("value", [1, 1.0, True, "1"])
def test_equal_values_of_other_types_stay_what_they_are(value: object) -> None:
    for other in (1, 1.0, True, "1"):
        told({"top_k": other})
    found = told({"top_k": value})[keys.PARAMS]["top_k"]
    assert (found, type(found)) == (value, type(value))


def test_a_tool_changed_in_place_is_told_as_it_is_now() -> None:
    tool = dict(TOOL)
    before = told({"tools": [tool]})
    tool["description"] = "Finds sales."
    assert told({"tools": [tool]})[keys.CHAT_TOOLS][0]["function"]["description"] == "Finds sales."
    assert before[keys.CHAT_TOOLS][0]["function"]["description"] == "Finds studies."


def test_a_private_agent_tells_no_text_of_the_parameters_it_shares_with_another() -> None:
    shared = {"temperature": 0.2, "stop": ["Secret"], "tools": [TOOL]}
    assert told(shared)[keys.PARAMS] == {"temperature": 0.2, "stop": ["Secret"]}
    assert told(shared, private=True) == {keys.PARAMS: {"temperature": 0.2}}


def test_prompts_and_keys_are_not_told() -> None:
    apart = {"messages": [{"role": "user", "content": "Why?"}], "system": "Be brief.", "api_key": "sk-1"}
    assert told({**apart, "temperature": 0.2}) == {keys.PARAMS: {"temperature": 0.2}}


def test_marks_for_caching_are_found_on_tools_and_on_the_call() -> None:
    hour, minutes = {"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral"}
    found = read({"tools": [{**TOOL, "cache_control": hour}, TOOL], "cache_control": minutes}, private=False)
    assert found.cache_marks == (hour, minutes)


def test_what_is_no_json_is_told_in_words() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "<odd>"

    assert told({"response_format": Odd(), "top_k": 3})[keys.PARAMS] == {"response_format": "<odd>", "top_k": 3}
