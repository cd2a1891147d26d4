"""Withheld text is found in every form and place, and nothing else is lost."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlens.capture.withheld import MARK, Withheld

LONG = "The estimated uplift of the campaign is 4.2 %"
texts = st.text(min_size=12, max_size=60).filter(lambda text: sum(map(str.isalpha, text.strip())) > 8)
around = st.text(max_size=20)


def holding(*texts: str, said: bool = True) -> Withheld:
    made = Withheld()
    made.add(texts, said=said)
    return made


@given(texts, around, around)
def test_a_text_is_gone_from_any_json_and_the_json_is_whole(text: str, before: str, after: str) -> None:
    withheld = holding(text)
    state = {"plain": before + text + after, "inner": json.dumps({"deep": text}), "shown": repr([text]), "n": 1.5}
    cleaned = withheld.without(orjson.dumps(state).decode())
    assert set(orjson.loads(cleaned)) == set(state)
    for line in (line.strip() for line in text.splitlines()):
        if len(line) >= 12 and line.isascii() and line.isalpha():
            assert line not in cleaned


@given(texts, st.integers(24, 200))
def test_its_beginning_is_gone_where_it_was_cut(text: str, length: int) -> None:
    long = (text.replace("\n", " ").strip() * 4)[:200]
    cut = long[:length].strip()
    cleaned = holding(long).without(f"so it began: {cut}")
    assert cut[24:] == "" or cut not in cleaned


@pytest.mark.parametrize("text", ["yes", "0.83", "1234567890123", "true", "high", "", "   ", "!?", "ab"])
def test_words_of_every_day_and_numbers_are_not_hunted(text: str) -> None:
    withheld = holding(text)
    assert withheld.without(f'{{"a": "{text}", "b": 0.83}}') == f'{{"a": "{text}", "b": 0.83}}'


@pytest.mark.parametrize(
    ("text", "said", "hunted"),
    [
        ("SECRET-42", True, True), ("SECRET-42", False, False), ("Remibrutinib", True, True),
        ("Remibrutinib", False, False), ("Remibrutinib is up", False, True), ("causal_impact", False, False),
        ("a" * 24, False, True),
    ],
)  # fmt: skip
def test_what_a_model_said_is_hunted_further_than_other_values(text: str, said: bool, hunted: bool) -> None:
    assert (holding(text, said=said).without(f"it is {text}.") == f"it is {MARK}.") == hunted


def test_a_longer_text_leaves_nothing_of_itself_behind() -> None:
    assert holding(LONG, LONG + ", tell nobody").without(f"<{LONG}, tell nobody>") == f"<{MARK}>"


def test_every_occurrence_goes() -> None:
    assert holding(LONG).without(f"{LONG} and {LONG[:30]}") == f"{MARK} and {MARK}"


def test_of_lines_that_begin_alike_each_is_found_whole_and_soon() -> None:
    lines = [f"2026-11-22 09:15:00 INFO patient {number:06} was seen" for number in range(5_000)]
    withheld = Withheld()
    withheld.add(["\n".join(lines)], said=False)

    assert withheld.without(" | ".join(lines)) == " | ".join([MARK] * len(lines))
    assert withheld.without(f"{lines[7][:40]}. That is all.") == f"{MARK}. That is all."


def test_a_text_added_while_another_is_looked_for_is_looked_for_next_time() -> None:
    class Slow(set[str]):
        """Another thread adds a text while the first is copied."""

        def copy(self) -> set[str]:
            copied = set(self)
            self.add("the second private text")
            return copied

    withheld = Withheld()
    withheld.texts = Slow({"the first private text"})

    withheld.without("anything")

    assert withheld.without("it was the second private text") == f"it was {MARK}"


def test_a_cut_never_leaves_half_an_escape() -> None:
    text = 'a text that begins alike, then "quotes" its source'
    other = "a text that begins alike, then \\ goes on"
    cleaned = holding(text).without(json.dumps({"a": other}))
    assert json.loads(cleaned)["a"].endswith("goes on")


def test_digests_recognise_whole_texts_and_lines_elsewhere() -> None:
    there, here = holding(f"{LONG}\nand a second line"), Withheld()
    here.expected = frozenset(there.digests())
    assert here.without(LONG) == LONG
    here.recognise([f"heard:\n{LONG}\n"])
    assert here.without(LONG) == MARK
    assert set(there.digests()) <= set(here.digests())


ANSWER = "Here is the summary. The patient Wilhelmina Oberhuber was seen in Winterthur with a relapse. Act soon."


def test_a_sentence_out_of_the_middle_is_gone() -> None:
    withheld = holding(ANSWER)

    assert withheld.without(f"Note: {ANSWER.split('. ')[1]}.") == f"Note: {MARK}"
    assert withheld.without("The patient Wilhelmina Oberhuber left.") == f"{MARK}left."


def test_a_question_that_is_repeated_stays_whosever_it_was() -> None:
    asked = "Why did new starts fall in the third quarter?"
    withheld = Withheld()

    withheld.add([f"You asked. {asked} Because of access to the clinics."], said=True, given=[asked])

    assert withheld.without(asked) == asked
    assert withheld.without("Because of access to the clinics.") == MARK


FIRST, SECOND = (f"The patient of ward {number} was seen in Winterthur with a relapse" for number in (19, 23))


@pytest.mark.parametrize(
    "said",
    [
        json.dumps({"text": FIRST, "n": 1}),
        json.dumps({"text": FIRST, "n": 1}, indent=2),
        json.dumps({"text": FIRST}, separators=(",", ":")),
        json.dumps({"inner": json.dumps([{FIRST: 1}])}),
        repr({"text": FIRST}),
        f"- **{FIRST}**",
        f'> "{FIRST}", she said',
    ],
)
def test_what_stood_in_json_or_in_marks_is_known_without_them(said: str) -> None:
    withheld = holding(said, SECOND)
    for value in (FIRST, SECOND, [SECOND, FIRST], {"text": FIRST, "n": 1}, {"text": SECOND}, said, {SECOND: said}):
        for state in (orjson.dumps(value).decode(), json.dumps(value), json.dumps(value, indent=2)):
            cleaned = withheld.without(state)
            assert "Winterthur" not in cleaned
            assert type(orjson.loads(cleaned)) is type(value)


@given(st.recursive(texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)), st.booleans())
def test_json_that_was_said_leaves_json_whole(said: object, indented: bool) -> None:
    text = json.dumps(said, indent=2 if indented else None)
    withheld = holding(text, json.dumps(text))
    for value in (said, text, [said, text], {"a": said}):
        for state in (orjson.dumps(value).decode(), json.dumps(value)):
            orjson.loads(withheld.without(state))


def test_what_two_texts_begin_with_hides_neither() -> None:
    withheld = holding(f"Result: {FIRST}", SECOND)

    assert withheld.without(f"Result: {SECOND}") == MARK
    assert withheld.without(f"Result: {FIRST} {SECOND}") == f"{MARK} {MARK}"
