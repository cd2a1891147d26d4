"""Tokens that nobody reports are guessed where that is asked for, and the span says so."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.language_models import FakeListChatModel
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately

from tests.capture.graphs import model
from tierlens import keys
from tierlens.policy import AgentPolicy, Policies

QUESTION, ANSWER = "Why did new starts fall in Boston? " * 20, "Because of the new access rules. " * 10
ASKED = Policies(defaults=AgentPolicy(estimate_tokens=True))
PRIVATE = Policies(defaults=AgentPolicy(estimate_tokens=True, log_prompts=False))


def counted(capture: Any) -> dict[str, int]:
    (span,) = capture.journal.spans.values()
    return json.loads(str(span.attributes[keys.TOKEN_USAGE]))


def test_what_a_chat_model_does_not_report_is_langchains_guess(capture_with: Any) -> None:
    capture = capture_with(ASKED)
    FakeListChatModel(responses=[ANSWER]).invoke(QUESTION, capture.config())

    usage = counted(capture)

    assert usage["input_tokens"] == count_tokens_approximately([HumanMessage(QUESTION)])
    assert abs(usage["output_tokens"] - count_tokens_approximately([AIMessage(ANSWER)])) <= 3
    (span,) = capture.journal.spans.values()
    assert span.attributes[keys.TOKENS_ESTIMATED] is True


def test_completions_are_guessed_too_and_so_is_what_is_not_logged(capture_with: Any) -> None:
    capture = capture_with(PRIVATE)
    FakeListLLM(responses=[ANSWER]).invoke(QUESTION, capture.config())

    assert counted(capture)["input_tokens"] > 150
    assert QUESTION not in str(capture.journal.spans)


def test_what_is_reported_is_no_guess(capture_with: Any) -> None:
    capture = capture_with(ASKED)
    model("answer").invoke(QUESTION, capture.config())

    (span,) = capture.journal.spans.values()
    assert counted(capture) == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    assert keys.TOKENS_ESTIMATED not in span.attributes


def test_nothing_is_guessed_where_nobody_asks(capture: Any) -> None:
    FakeListChatModel(responses=[ANSWER]).invoke(QUESTION, capture.config())

    (span,) = capture.journal.spans.values()
    assert span.attributes.keys().isdisjoint({keys.TOKEN_USAGE, keys.TOKENS_ESTIMATED})
