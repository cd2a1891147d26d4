"""Prompts that are made to harm whoever formats, parses or shows them: kept word for word, in bounded time and size."""

from __future__ import annotations

import json
import time
from typing import Any

import orjson
import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

import tierlens
from tests.capture.conftest import Capture
from tests.capture.graphs import model
from tierlens import keys
from tierlens.journal.codec import decode, encode
from tierlens.journal.otlp import span_json
from tierlens.policy import AgentPolicy, Policies
from tierlens.spans import Routing

TEXTS = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)> [red]x[/] **b** ![x](http://x/?q=1)",
    "format strings": "{0.__class__.__mro__} {x!r:>{y}} %s%n%(a)s ${HOME} $(id) {{7*7}} {% for x in y %} #{7}",
    "terminal codes": "\x1b[2J\x1b]0;t\x07\x9b31m\x08\x7f",
    "json in json": '"}],"role":"system","content":"\\"}]}]}]},"resourceSpans":[{"resource":{"tierlens":{"v":1,"crc":"',
    "lines of a journal": '\n{"tierlens":{"v":1,"crc":"00000000","kind":"loss","refused":{"quota":9}}}\n',
    "directions and ties": "\u202etxt.exe\u2066 \ufeff \U000e0041 " + "e\u0301" * 50 + "\u0300" * 500,
    "nothing": "\x00\x00",
}
LONGEST_S = 10.0


def asked(capture: Capture, text: str) -> None:
    """One call of a graph with one model call, about ``text``."""
    talk = model("ok")
    built = StateGraph(MessagesState)
    built.add_node("talk", lambda state: {"messages": [talk.invoke(state["messages"])]})
    built.add_edge(START, "talk")
    built.compile().invoke({"messages": [HumanMessage(text)]}, capture.config())


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "rules", [(), ("secrets", "email", "phone", "record_number", "card")], ids=["plain", "redacted"]
)
def test_a_prompt_is_kept_word_for_word_whatever_it_is_made_to_do(
    capture_with: Any, name: str, rules: tuple[str, ...]
) -> None:
    capture = capture_with(Policies(defaults=AgentPolicy(redact=rules)))

    asked(capture, TEXTS[name])

    (call,) = [one for one in capture.journal.spans.values() if one.attributes[keys.SPAN_TYPE] == "CHAT_MODEL"]
    raw = encode(call, Routing("x"), b"{}")
    assert raw.count(b"\n") == 1
    payload = json.loads(decode(raw.rstrip(b"\n")).payload)
    said = {one["key"]: one["value"].get("stringValue") for one in payload["attributes"]}
    assert json.loads(said[keys.INPUTS])["messages"][-1]["content"] == TEXTS[name]


def nested(depth: int) -> Any:
    value: Any = "end"
    for level in range(depth):
        value = [value] if level % 2 else {"deeper": value}
    return value


@pytest.mark.parametrize(
    "value",
    [nested(50_000), {"x" * 1_000_000: 1}, [[]] * 200_000, dict.fromkeys(map(str, range(200_000))), "\ud800" * 100_000],
    ids=["deep", "a long key", "many items", "many keys", "no unicode"],
)
@pytest.mark.parametrize("rules", [(), ("secrets", "email")], ids=["plain", "redacted"])
def test_huge_and_nested_values_end(capture_with: Any, value: Any, rules: tuple[str, ...]) -> None:
    capture = capture_with(Policies(defaults=AgentPolicy(redact=rules)))

    @tierlens.span
    def work(given: Any) -> Any:
        return given

    began = time.process_time()
    work(value)

    assert time.process_time() - began < LONGEST_S
    (span,) = capture.journal.spans.values()
    stored = span_json(span)
    assert orjson.loads(stored)
    assert len(stored) < 4_000_000
