from __future__ import annotations

import pytest

from tierlens.testing.claude import reading


def test_figures_are_read_with_their_labels_from_json_and_from_prose() -> None:
    text = '{"causal_confidence": 0.83, "p_value": 1.5e-3}\nGap score = 41%\nBudget: $1,200,000'
    found = {figure.label: figure.value for figure in reading.labelled_figures(text)}
    assert found == {"causal confidence": 0.83, "p value": 0.0015, "gap score": 41.0, "budget": 1_200_000.0}


def test_a_percentage_is_known_as_one() -> None:
    assert [figure.is_share for figure in reading.numbers("3 of 12 regions fell by 4.5%")] == [
        False,
        False,
        True,
    ]


PROMPT = """Question: Did detailing cause the growth?
Brand: Kisqali. All figures are simulated.
{"a": 1}
gap_score: 0.4
- effect: 0.899
- 95 % interval: 0.701 to 1.1
- Calls stayed the same
[methods/did-1] Differences. They compare the change.
"""


def test_sentences_leave_out_json_facts_notes_and_headings() -> None:
    assert reading.sentences(PROMPT) == [
        "Did detailing cause the growth?",
        "All figures are simulated.",
        "Calls stayed the same",
    ]
    assert reading.question(PROMPT) == "Did detailing cause the growth?"
    assert reading.question("Nothing is asked.") == ""


def test_facts_and_notes_are_read_from_their_lines() -> None:
    assert reading.listed_facts(PROMPT) == [("effect", "0.899"), ("95 % interval", "0.701 to 1.1")]
    assert reading.notes(PROMPT) == [("methods/did-1", "Differences. They compare the change.")]


@pytest.mark.parametrize(
    ("system", "role"),
    [
        ("You are the gap analyzer for Kisqali. Be short.", "the gap analyzer for Kisqali"),
        ("Rules first.\nYou are an expert in drift;\nanswer.", "an expert in drift"),
        ("Answer briefly.", ""),
    ],
)
def test_the_role_comes_from_the_system_prompt(system: str, role: str) -> None:
    assert reading.role(system) == role


@pytest.mark.parametrize("name", ["brand", "Brand", "BRAND"])
def test_text_is_found_after_its_label(name: str) -> None:
    assert reading.labelled_text(name, 'x\n"brand": "Kisqali", "kpi": "TRx"') == "Kisqali"
    assert reading.labelled_text(name, "Our brand: Kisqali. It grows.") == "Kisqali"
    assert reading.labelled_text(name, "No brand here") is None


def test_phrases_are_found_however_they_are_spelled() -> None:
    text = reading.plain("Ask the gap-analyzer, then driftMonitor.")
    assert reading.mentions(text, "gap_analyzer")
    assert reading.mentions(text, "drift_monitor")
    assert not reading.mentions(text, "gap_analyze")
    assert not reading.mentions(text, "")


def test_a_list_is_said_as_one_would_say_it() -> None:
    assert [reading.listed(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
