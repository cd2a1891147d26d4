from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlens.testing.claude import tokens


@given(st.text())
def test_the_tokens_of_a_text_joined_are_the_text(text: str) -> None:
    assert "".join(tokens.split(text)) == text
    assert tokens.count(text) == len(tokens.split(text))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("Sales rose 4.2%.", ["Sales", " rose", " 4", ".", "2", "%", "."]),
        ("heterogeneous", ["heteroge", "neous"]),
        ("a  b\n\n\nc", ["a", "  ", "b", "\n\n\n", "c"]),
        ("μg été", ["μ", "g", " ", "é", "t", "é"]),
        ("12345", ["123", "45"]),
    ],
)
def test_the_rule_is_the_documented_one(text: str, pieces: list[str]) -> None:
    assert tokens.split(text) == pieces


def test_prose_has_a_few_more_tokens_than_words() -> None:
    prose = "Market share in the Northeast fell for three months while call volume stayed as it was."
    assert 1.0 <= tokens.count(prose) / len(prose.split()) <= 1.6
