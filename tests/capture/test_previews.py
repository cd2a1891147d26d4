"""What the trace list shows: the question and the answer as people put them, not the state as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.documents import Document
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from tests.capture.conftest import Capture
from tests.capture.pausing import approval
from tierlens import keys
from tierlens.capture import ledger, previews
from tierlens.spans import Span

PATH = "inputs.question"


def said(span: Span, side: str) -> str:
    """The chat message that MLflow previews."""
    (message,) = json.loads(str(span.attributes[side]))["messages"]
    return str(message["content"])


def test_the_question_is_found_at_its_path_or_under_a_usual_name_or_is_the_first_text() -> None:
    assert previews.question({"ask": {"words": "Why?"}, "question": "no"}, "inputs.ask.words") == "Why?"
    assert previews.question({"brand": "Kisqali", "query": "Why?"}, PATH) == "Why?"
    assert previews.question({"n": [], "zeal": "Why?"}, PATH) == "Why?"
    assert previews.question("Why?", PATH) == "Why?"
    assert previews.question({"n": []}, PATH) is None


def test_the_answer_is_the_last_text_and_a_number_only_where_there_is_none() -> None:
    assert previews.answer({"first": "No.", "last": "Yes.", "score": 0.8}, "outputs.answer") == "Yes."
    assert previews.answer({"ready": True, "score": 0.8}, "outputs.answer") == "0.8"


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("yes", "Resumed with yes"),
        (True, "Resumed with true"),
        ({"approved": False, "reason": "too much"}, "Resumed with approved: false, reason: too much"),
        ({"decisions": [{"type": "approve"}]}, 'Resumed with decisions: [{"type":"approve"}]'),
    ],
)
def test_of_a_resumed_graph_it_is_what_the_person_answered(answer: Any, shown: str) -> None:
    assert previews.question(Command(resume=answer), PATH) == shown


def test_a_command_that_resumes_nothing_has_no_question() -> None:
    assert previews.question(Command(goto="there"), PATH) is None


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ('{"brand":"Kisqali","action":"move the money"}', "Waiting for an answer: move the money"),
        ('"approve?"', "Waiting for an answer: approve?"),
        ('{"cost":12}', "Waiting for an answer: cost: 12"),
        ('[{"cost":{"usd":12}}]', 'Waiting for an answer: [{"cost":{"usd":12}}]'),
        ('{"action":"cut in the mid', 'Waiting for an answer: {"action":"cut in the mid'),
    ],
)
def test_of_a_graph_that_waits_the_answer_is_what_it_asks(asked: str, shown: str) -> None:
    assert previews.waiting(asked) == shown


def test_a_pause_and_its_end_read_well_in_the_trace_list(capture: Capture) -> None:
    built = approval(InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}, **capture.config()}
    built.invoke({"question": "Why?"}, config)
    built.invoke(Command(resume={"approved": True}), config)

    first, second = sorted(capture.journal.roots(), key=lambda span: span.start_ns)

    assert said(first, keys.INPUTS) == "Why?"
    assert said(first, keys.OUTPUTS) == "Waiting for an answer: approve the plan?"
    assert said(second, keys.INPUTS) == "Resumed with approved: true"
    assert json.loads(str(second.attributes[keys.INPUTS]))["resume"] == {"approved": True}
    assert "__parent__" not in str(second.attributes[keys.INPUTS])


@pytest.mark.parametrize(
    ("value", "first_words"),
    [
        ("The estimated effect is positive and robust.", "The estimated effect is positive…"),
        ({"orchestrator": 1, "gap_analyzer": 2}, "orchestrator, gap_analyzer"),
        (["orchestrator", "gap_analyzer"], "orchestrator, gap_analyzer"),
        (Document("A note on gaps."), "A note on gaps."),
        ([{"n": 1}, {"n": 2}], "<2 items>"),
        ({}, "<0 keys>"),
    ],
)
def test_a_reference_says_what_it_refers_to(value: Any, first_words: str) -> None:
    assert ledger.head(value) == first_words
