"""Redaction: what must go goes, what is clean stays, and JSON stays JSON."""

from __future__ import annotations

import json
import random
import string
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlens.capture.redaction import DROPPED, RULES, redactor
from tierlens.capture.redaction.personal import luhn
from tierlens.errors import ConfigError

ALNUM = string.ascii_letters + string.digits
LETTERS = string.ascii_lowercase


def _word(random_: random.Random, alphabet: str, length: int) -> str:
    return "".join(random_.choices(alphabet, k=length - 1)) + random_.choice(string.digits)


def _checked(digits: str, prefix: str = "") -> str:
    return next(digits + last for last in string.digits if luhn(prefix + digits + last))


def _digits(random_: random.Random, length: int) -> str:
    return "".join(random_.choices(string.digits, k=length))


def _area(random_: random.Random) -> str:
    return f"{random_.randint(2, 9)}{_digits(random_, 2)}"


Maker = Callable[[random.Random], str]

VALUES: dict[str, dict[str, Maker]] = {
    "secrets": {
        "anthropic": lambda r: f"sk-ant-api03-{_word(r, ALNUM + '-_', 90)}",
        "openai": lambda r: f"sk-{_word(r, ALNUM, 48)}",
        "openai project": lambda r: f"sk-proj-{_word(r, ALNUM, 48)}",
        "aws": lambda r: f"AKIA{_word(r, string.ascii_uppercase + string.digits, 16)}",
        "github": lambda r: f"gh{r.choice('pousr')}_{_word(r, ALNUM, 36)}",
        "github fine-grained": lambda r: f"github_pat_{_word(r, ALNUM, 22)}_{_word(r, ALNUM, 59)}",
        "gitlab": lambda r: f"glpat-{_word(r, ALNUM, 20)}",
        "slack": lambda r: f"xox{r.choice('bpars')}-{_digits(r, 11)}-{_word(r, ALNUM, 24)}",
        "google": lambda r: f"AIza{_word(r, ALNUM + '-_', 35)}",
        "hugging face": lambda r: f"hf_{_word(r, ALNUM, 34)}",
        "stripe": lambda r: f"sk_live_{_word(r, ALNUM, 24)}",
        "databricks": lambda r: f"dapi{_word(r, '0123456789abcdef', 32)}",
        "jwt": lambda r: f"eyJ{_word(r, ALNUM, 30)}.eyJ{_word(r, ALNUM, 60)}.{_word(r, ALNUM + '-_', 43)}",
    },
    "email": {
        "plain": lambda r: f"{_word(r, LETTERS, 8)}@{_word(r, LETTERS, 6)}.com",
        "dotted": lambda r: f"{_word(r, LETTERS, 5)}.{_word(r, LETTERS, 6)}+x@mail.{_word(r, LETTERS, 6)}.co.uk",
        "accented": lambda r: f"zoë.{_word(r, LETTERS, 6)}@münchen.example.org",
    },
    "phone": {
        "dashes": lambda r: f"{_area(r)}-{_area(r)}-{_digits(r, 4)}",
        "parentheses": lambda r: f"({_area(r)}) {_area(r)}-{_digits(r, 4)}",
        "country code": lambda r: f"+1 {_area(r)} {_area(r)} {_digits(r, 4)}",
        "british": lambda r: f"+44 20 {_digits(r, 4)} {_digits(r, 4)}",
        "french": lambda r: f"+33 {r.randint(1, 9)} " + " ".join(_digits(r, 2) for _ in range(4)),
        "in a row": lambda r: f"+49{r.randint(1, 9)}{_digits(r, 9)}",
    },
    "card": {
        "visa": lambda r: _checked(f"4{_digits(r, 14)}"),
        "mastercard in groups": lambda r: _in_fours(_checked(f"5{_digits(r, 14)}"), " "),
        "dashed": lambda r: _in_fours(_checked(f"4{_digits(r, 14)}"), "-"),
        "amex": lambda r: _checked(f"37{_digits(r, 12)}"),
    },
    "record_number": {
        "npi": lambda r: _checked(f"{r.choice('12')}{_digits(r, 8)}", "80840"),
        "social security": lambda r: f"{r.randint(100, 665)}-{r.randint(10, 99)}-{r.randint(1000, 9999)}",
    },
}

# Sentences that name the value, and the value alone as group {}.
ANNOUNCED: dict[str, list[str]] = {
    "secrets": [
        "password={}",
        "DB_PASSWORD = {} ",
        "pwd: {}, then",
        '{{"password": "{}"}}',
        "{{'passwd': '{}'}}",
        "client_secret={}&grant=x",
        "x-api-key: {}",
        "AWS_SECRET_ACCESS_KEY={}",
        '{{"apiKey":"{}"}}',
        "access_token={}",
        "Authorization: Bearer {}",
        "Authorization: Basic {}",
        "postgresql://user:{}@db.example:5432/x",
        "Server=db;AccountKey={};Pool=1",
    ],
    "phone": ["phone: {}", '{{"phone_number": "{}"}}', "tel={}"],
    "record_number": ["MRN: {}", "mrn {} admitted", '{{"patient_id": {}}}', "Patient ID is {}.", "record no. {}"],
}

PLACES: list[Callable[[str], str]] = [
    lambda value: value,
    lambda value: f"Before {value} and after, with 12 % and 2024-05-06.",
    lambda value: f"(see {value})",
    lambda value: json.dumps({"text": f"first line\n{value}\nlast", "n": 3}),
    lambda value: json.dumps([{"deep": {"er": [value, 1.5]}}]),
    lambda value: json.dumps({"inner": json.dumps({"v": value, "again": json.dumps([f"\t{value}"])})}),
]


def _in_fours(digits: str, separator: str) -> str:
    return separator.join(digits[at : at + 4] for at in range(0, len(digits), 4))


def _planted() -> list[tuple[str, str, str, str]]:
    """Rule, name, value and text of some hundred planted values, the same at every run."""
    random_ = random.Random(20)
    rows = []
    for rule, makers in VALUES.items():
        for name, make in makers.items():
            for place in PLACES:
                value = make(random_)
                rows.append((rule, name, value, place(value)))
    for rule, sentences in ANNOUNCED.items():
        for sentence in sentences:
            for place in PLACES:
                alphabet = ALNUM if rule == "secrets" else string.digits
                value = _word(random_, alphabet, 10 if rule == "phone" else 9)
                rows.append((rule, sentence, value, place(sentence.format(value))))
    return rows


@pytest.mark.parametrize("rule", RULES)
def test_every_planted_value_is_taken_out(rule: str) -> None:
    rows = [row for row in _planted() if row[0] == rule]

    kept = [(name, text) for _, name, value, text in rows if _holds(redactor((rule,))(text), value)]

    assert len(rows) >= 12
    assert kept == []


def _holds(text: str, value: str) -> bool:
    escaped = json.dumps(value)[1:-1]
    return value in text or escaped in text or json.dumps(escaped)[1:-1] in text


def test_what_is_taken_out_leaves_the_name_of_its_rule() -> None:
    for rule, _, _, text in _planted():
        assert f"[redacted:{rule}]" in redactor((rule,))(text)


def test_json_with_planted_values_stays_json() -> None:
    redact = redactor(RULES)

    for _, _, _, text in _planted():
        if text[:1] in ("{", "[") and _parses(text):
            json.loads(redact(text))


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_text_around_a_value_is_left_alone() -> None:
    redact = redactor(("email", "secrets"))

    assert redact("Write to ana@example.org, please.") == "Write to [redacted:email], please."
    assert redact("a\\nana@example.org") == "a\\n[redacted:email]"
    assert redact("postgresql://u:p@ss@host/db") == "postgresql://[redacted:secrets]@host/db"
    assert redact('{"password": "a\\"b\\\\", "x": 1}') == '{"password": "[redacted:secrets]", "x": 1}'
    assert redact("[INFO] password=hunter2 ok") == "[INFO] password=[redacted:secrets] ok"


def test_a_number_outside_strings_becomes_a_string() -> None:
    card = int(_checked("4" + "1" * 14))

    assert json.loads(redactor(("card",))(json.dumps({"card": card, "n": -card}))) == {
        "card": "[redacted:card]",
        "n": -card,
    }
    assert json.loads(redactor(("secrets",))('{"password": 1234, "ok": true}')) == {
        "password": "[redacted:secrets]",
        "ok": True,
    }


def test_a_private_key_goes_whole_even_when_it_was_cut() -> None:
    redact = redactor(("secrets",))
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc+/==\n-----END RSA PRIVATE KEY-----"

    assert redact(f"key:\n{key}\nThanks.") == "key:\n[redacted:secrets]\nThanks."
    assert json.loads(redact(json.dumps({"k": key[:50], "x": "y"}))) == {"k": "[redacted:secrets]", "x": "y"}


def test_redacting_twice_changes_nothing_more() -> None:
    redact = redactor(RULES)

    for _, _, _, text in _planted():
        assert redact(redact(text)) == redact(text)


CLEAN = [
    "The causal_impact agent estimates an uplift of +12.4 % (95 % CI 8.1 to 16.9) for 2024-01-01 to 2024-09-30.",
    '{"usage": {"input_tokens": 812, "output_tokens": 311, "total_tokens": 1123, "cost_per_token": 0.0000031}}',
    '{"model": "claude-sonnet-4-5-20250929", "max_tokens": 4096, "temperature": 0.2, "stop_reason": "end_turn"}',
    '{"logprobs": [{"token": "hello", "logprob": -0.12}, {"token": " world", "logprob": -1.5}]}',
    "Prior authorization: required for oncologists in 2023; see the secret of success: practice.",
    "mRNA-1273 was compared in 1200 patients over 2021 2022 2023; key: value pairs follow.",
    '{"scores": [0.8312345678901234, 12.5, 1732147200.123], "rows": 123456, "ok": true, "primary_key": "month"}',
    "@app.route('/x') def risk-adjusted-return-over-time(): return 10-20-30",
    "run 0194f3a2-7c1e-7d30-9b51-3f6a2c9d8e11 took 12:30:45, id tr-4bf92f3577b34da6a3ce929d0e0e4736",
    "Call the optimizer with budget 1,250,000 and 3 scenarios: A-1, B-22, C-333.",
    "| region | uplift |\n|--------|--------|\n| North | 0.12 |\n" + "-" * 200,
    "https://example.org:8080/path?page=2#top and git clone ssh://host/repo",
]


def _clean_texts() -> list[str]:
    random_ = random.Random(7)
    words = [word for text in CLEAN if text[0] != "{" for word in text.split() if ":" not in word]
    texts = list(CLEAN)
    for _ in range(300):
        sentence = " ".join(random_.choices(words, k=40))
        row = {"text": sentence, "x": [random_.random() for _ in range(5)], "n": random_.randint(0, 10**6)}
        texts.append(json.dumps(row))
    return texts


def test_clean_text_is_hit_in_at_most_one_of_a_hundred() -> None:
    redact = redactor(RULES)
    texts = _clean_texts()

    hits = [(text, redact(text)) for text in texts if redact(text) != text]

    assert len(hits) <= len(texts) / 100, hits[:3]
    assert [text for text in CLEAN if redact(text) != text] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FRAGMENTS = st.sampled_from(
    ["password", "token", '"', "'", "\\", '\\"', ":", "=", " ", "\n", "@a.example", "bob", "sk-", "1", "4111 1111 ",
     "-----BEGIN PRIVATE KEY-----", "://u:p@h", "Bearer a1b2c3d4e5", "+1", "555-", "2345", "{", "}", "\u00e9"]
)  # fmt: skip


@given(st.lists(FRAGMENTS, max_size=14).map("".join), JSON, st.integers(0, 2), st.booleans())
def test_any_json_stays_json(text: str, other: Any, depth: int, ascii_: bool) -> None:
    value: Any = {"password": text, "a": other, text: [text, other], "token": text + "1234567"}
    for _ in range(depth):
        value = {"inner": json.dumps(value, ensure_ascii=ascii_), "secret": text}

    json.loads(redactor(RULES)(json.dumps(value, ensure_ascii=ascii_)))


@given(st.lists(FRAGMENTS, min_size=1, max_size=14).map("".join), st.integers(0, 2))
def test_the_value_of_a_password_key_never_comes_out(text: str, depth: int) -> None:
    value: Any = {"password": f"<{text}>", "next": 1}
    for _ in range(depth):
        value = {"inner": json.dumps(value)}

    redacted = json.loads(redactor(("secrets",))(json.dumps(value)))
    for _ in range(depth):
        redacted = json.loads(redacted["inner"])

    assert redacted == {"password": "[redacted:secrets]", "next": 1}


@given(st.text())
def test_any_text_comes_through(text: str) -> None:
    assert DROPPED not in redactor(RULES)(text)


@pytest.mark.parametrize(
    "piece",
    ["\\", '"', "password=", 'password:\\\\\\"', '\\\\\\\\\\"', "-----BEGIN PRIVATE KEY-----", "a@", "1-", "4111 ",
     "+1", "://a:", "eyJa.", "phone\\", "mrn\\", "sk-", "-a", "_a", "bearer a", "token:'", "a.", "@a."],
)  # fmt: skip
def test_time_grows_with_length_and_not_with_its_square(piece: str) -> None:
    redact = redactor(RULES)

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        # What was clean before is not looked at again.
        return min(_timed(redact, f"{turn} {text}") for turn in range(3))

    assert seconds(160_000) < 30 * max(seconds(16_000), 0.001)


def _timed(redact: Callable[[str], str], text: str) -> float:
    started = time.process_time()
    redact(text)
    return time.process_time() - started


class _Unsearchable(str):
    """A text on which every rule fails."""

    def find(self, *_: object) -> int:
        raise RuntimeError("no search here")


def test_a_rule_that_fails_drops_the_text() -> None:
    redact = redactor(("email",))

    assert redact(_Unsearchable("ana@example.org")) == DROPPED
    assert json.loads(redact(_Unsearchable('{"mail": "ana@example.org"}'))) == DROPPED


def test_an_unknown_rule_is_refused_with_the_rules_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'emial' is not one of the rules: secrets, email, phone"):
        redactor(("emial",))


def test_no_rules_change_nothing() -> None:
    assert redactor(())("password=hunter2") == "password=hunter2"
