from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.testing.claude.conftest import MODEL
from tierlens.testing.claude import MessagesRequest, answer

ROLE = "You are the causal impact agent. Say what detailing caused."


def text_for(user: str, system: str = ROLE, **body: Any) -> str:
    messages = [{"role": "user", "content": user}]
    return answer(MessagesRequest({"model": MODEL, "system": system, "messages": messages, **body})).text


def opened_with(text: str) -> str:
    """The answer without its closing line."""
    return text.rsplit(". ", 1)[0] + "."


def test_listed_facts_are_restated_three_to_a_sentence_and_lists_by_themselves() -> None:
    facts = "- effect: 0.899\n- interval: 0.7 to 1.1\n- confidence: 0.93\n- break-even: 0.75\n- survived: a, b"
    assert opened_with(text_for(facts)) == (
        "As the causal impact agent, this is how I read it. "
        "Effect is 0.899, interval is 0.7 to 1.1 and confidence is 0.93. Break-even is 0.75. Survived: a, b."
    )


def test_figures_in_json_and_in_prose_are_restated() -> None:
    said = text_for('{"gap_score": 0.41}\nShare fell by 4.2% in May. Nobody knows why.', system="")
    assert opened_with(said) == "This is how I read it. Gap score is 0.41. Share fell by 4.2% in May."


def test_the_notes_that_fit_the_question_are_cited() -> None:
    notes = "[a/1] Weather. It rains in spring.\n[b/2] Detailing. Detailing compares practices with visits."
    said = text_for(f"Question: Did detailing with visits help?\n{notes}")
    assert "Detailing compares practices with visits. [b/2]" in said
    assert "[a/1]" not in said


def test_without_figures_it_says_so_and_goes_by_the_words() -> None:
    assert "You say: “Sales are slow.” There are no figures to go by." in text_for("Sales are slow. Why?")


@pytest.mark.parametrize("user", ["", "?", "{}", "- : ", "[x] ", "\n\n", "1", "½ ٣"])
def test_odd_turns_get_an_answer_too(user: str) -> None:
    assert text_for(user).startswith("As the causal impact agent")


@given(st.text(), st.text())
def test_every_turn_is_answered_the_same_again(user: str, system: str) -> None:
    assert text_for(user, system) == text_for(user, system) != ""


def test_what_is_answered_hangs_on_the_system_prompt_too() -> None:
    assert len({text_for("Hello.", f"Rule {number}.") for number in range(20)}) > 1
