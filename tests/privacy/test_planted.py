"""Planted values, each by itself: nothing of them comes through redaction, wherever and however they are written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import orjson
import pytest

from tests.privacy.clean import clean_texts
from tests.privacy.conftest import ALL_RULES
from tests.privacy.planted import Planted, leaked, pieces, planted
from tierlens.capture.heads import HEAD, head
from tierlens.capture.redaction import redactor
from tierlens.capture.redaction.cuts import whole_words

WRITTEN: dict[str, Callable[[str], str]] = {
    "alone": lambda text: text,
    "in a sentence": lambda text: f"Before it, {text} and after it, with 12 % of 2024-05-06.",
    "in JSON": lambda text: json.dumps({"first": [text, 1.5], "last": {"n": 3}}),
    "in JSON, letters as they are": lambda text: json.dumps({"first": text}, ensure_ascii=False),
    "in JSON inside JSON": lambda text: json.dumps({"inner": json.dumps({"v": text, "w": [text]})}),
    "in Python's notation": lambda text: repr({"first": text, "n": [1]}),
    "in a trace back": lambda text: f'Traceback:\n  File "/srv/app.py", line 7, in f\nValueError: {text}',
}


def test_there_are_five_hundred_of_many_kinds() -> None:
    kinds = Counter(one.kind for one in planted())

    assert sum(kinds.values()) >= 500
    assert len(kinds) >= 50


@pytest.mark.parametrize("written", WRITTEN)
def test_nothing_of_a_planted_value_comes_through(written: str) -> None:
    redact = redactor(ALL_RULES)

    came_through = [one for one in planted() if leaked(one.value, redact(WRITTEN[written](one.text)))]

    assert came_through == []


def test_what_is_redacted_stays_json() -> None:
    redact = redactor(ALL_RULES)

    for one in planted():
        for written in ("in JSON", "in JSON, letters as they are", "in JSON inside JSON"):
            whole = json.loads(redact(WRITTEN[written](one.text)))
            assert set(whole) <= {"first", "last", "inner"}


def test_at_most_one_of_a_hundred_clean_texts_is_touched() -> None:
    redact = redactor(ALL_RULES)
    texts = clean_texts()

    touched = [(text, redact(text)) for text in texts if redact(text) != text]

    assert len(touched) <= len(texts) // 100, touched[:3]


def test_the_search_for_leaks_finds_what_is_not_redacted() -> None:
    assert all(leaked(one.value, WRITTEN["in JSON inside JSON"](one.text)) for one in planted())


def test_a_cut_through_a_value_is_still_a_leak() -> None:
    one = Planted("x", "0123456789abcdefghij", "")

    assert leaked(one.value, "…56789abcde…")


def test_a_number_inside_an_id_is_no_leak() -> None:
    assert not leaked("58689429", '{"spanId":"0a58689429bc","at":"1763747458689429001"}')
    assert leaked("58689429", '{"patient_id": 58689429}')


def test_nothing_of_it_is_in_a_references_first_words_wherever_they_were_cut() -> None:
    redact = redactor(ALL_RULES)

    read, came_through = 0, []
    for one in planted():
        for before in range(HEAD + 1):
            text = ("the word " * HEAD)[-9 * HEAD : before - 9 * HEAD] + " " + one.text
            reference = orjson.dumps({"$same": "00f1", "head": head(text)}).decode()
            words = orjson.loads(redact(whole_words(reference)))["head"]
            read += len(words)
            if any(piece in words for piece in pieces(one.value)):
                came_through.append((one, before))

    assert came_through == []
    assert read > 10 * (HEAD + 1) * len(planted())
