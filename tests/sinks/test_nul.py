"""NUL is kept wherever it can be, and never keeps a trace out."""

from __future__ import annotations

import json

import orjson
import pytest

from tests.journal.spans import span
from tierlens.errors import Rejected
from tierlens.journal.otlp import span_json
from tierlens.sinks.base import Batch
from tierlens.sinks.nul import refuses_nul, without_nul


def delivered(text: str) -> str:
    """What becomes of an attribute's text."""
    batch = without_nul(Batch("app/a\0", b"{}", [span_json(span(1, text=text))]))
    assert batch.experiment == "app/a\ufffd"
    return str(orjson.loads(batch.spans[0])["attributes"][0]["value"]["stringValue"])


@pytest.mark.parametrize(
    ("text", "arrives_as"),
    [
        ("a\0b", "a\ufffdb"),
        ("\0\0", "\ufffd\ufffd"),
        ("\\\0", "\\\ufffd"),
        (json.dumps({"question": "a\0b"}), json.dumps({"question": "a\ufffdb"})),
    ],
)
def test_a_nul_becomes_what_every_database_takes(text: str, arrives_as: str) -> None:
    assert delivered(text) == arrives_as


@pytest.mark.parametrize("text", ["u0000", json.dumps(r"\u0000"), json.dumps(json.dumps(r"\u0000"))])
def test_text_that_only_speaks_of_one_stays(text: str) -> None:
    assert delivered(text) == text


@pytest.mark.parametrize(
    ("said", "is_it"),
    [
        ("A string literal cannot contain NUL (0x00) characters.", True),
        ('invalid byte sequence for encoding "UTF8": 0x00', True),
        ("session id is too long", False),
    ],
)
def test_what_databases_say_of_it_is_known(said: str, is_it: bool) -> None:
    assert refuses_nul(Rejected(said, 500)) is is_it
