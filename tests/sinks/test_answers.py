from __future__ import annotations

import orjson
import pytest

from tierlens.errors import Forbidden, Rejected, TooLarge, Unavailable
from tierlens.sinks.answers import Answer, retry_after_s, verdict

NOON = 1_795_262_400.0  # 21 November 2026, 12:00 UTC


def said(status: int, message: str, code: str = "") -> Answer:
    return Answer(status, orjson.dumps({"error_code": code, "message": message}))


@pytest.mark.parametrize("status", [200, 202, 204])
def test_success_is_no_error(status):
    assert verdict(Answer(status)) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *[(status, Unavailable) for status in (408, 409, 425, 429, 500, 502, 503, 504, 507, 599)],
        *[(status, Forbidden) for status in (401, 402, 403, 404, 405, 407, 410, 415, 451, 501)],
        *[(status, Forbidden) for status in (301, 302, 303, 307, 308)],
        (413, TooLarge),
        (400, Rejected),
        (422, Rejected),
    ],
)
def test_each_status_is_one_kind_of_error(status, kind):
    error = verdict(Answer(status, b"why"))

    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize(
    "message",
    [
        "QueuePool limit of size 5 overflow 10 reached, connection timed out",
        "(sqlite3.OperationalError) database is locked",
        "(psycopg2.errors.DeadlockDetected) deadlock detected",
    ],
)
def test_a_busy_database_that_answers_400_is_asked_again(message):
    assert isinstance(verdict(said(400, message, "BAD_REQUEST")), Unavailable)


def test_a_name_that_is_taken_is_no_busy_database():
    message = "already exists. Error: (sqlite3.IntegrityError) UNIQUE … (Background: https://sqlalche.me/e/20/gkpj)"

    assert isinstance(verdict(said(400, message, "RESOURCE_ALREADY_EXISTS")), Rejected)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "(psycopg2.errors.StringDataRightTruncation) value too long [SQL: …] https://sqlalche.me"),
        (500, "A string literal cannot contain NUL (0x00) characters."),
        (500, "Cannot update traces that are no longer DB-backed: 'tr-1'."),
    ],
)
def test_a_value_the_database_cannot_hold_is_not_sent_for_ever(status, message):
    assert isinstance(verdict(said(status, message, "BAD_REQUEST")), Rejected)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<!DOCTYPE html><title>Log in</title>"),
        Answer(200, b"", {"content-type": "text/html; charset=utf-8"}),
    ],
)
def test_a_web_page_is_not_success(answer):
    assert isinstance(verdict(answer), Forbidden)


@pytest.mark.parametrize(
    "body",
    [b'{"partialSuccess":{"rejectedSpans":"7"}}', b"\x0a\x02\x08\x07", b"\x0a\x07\x08\x07\x12\x03bad"],
)
def test_spans_refused_in_a_partial_success_are_not_forgotten(body):
    error = verdict(Answer(200, body))

    assert isinstance(error, Rejected)
    assert "7 spans" in str(error)


@pytest.mark.parametrize("body", [b'{"partialSuccess":{}}', b"{}", b"", b"\x0a\x00", b"\x0a\x02\x08\x00"])
def test_a_partial_success_without_refusals_is_success(body):
    assert verdict(Answer(200, body)) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("1.5", 1.5),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("999999", 3600.0),
        ("Sun, 21 Nov 2066 12:00:00 GMT", 3600.0),
        ("soon", None),
        ("-3", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value, seconds):
    assert retry_after_s(value, lambda: NOON) == seconds


def test_retry_after_reaches_whoever_waits():
    error = verdict(Answer(429, b"", {"retry-after": "12"}))

    assert isinstance(error, Unavailable)
    assert error.retry_after_s == 12.0


def test_a_redirect_names_its_target():
    error = verdict(Answer(308, b"", {"location": "https://mlflow.example"}))

    assert "https://mlflow.example" in str(error)


def test_the_servers_own_words_are_kept_short_and_on_one_line():
    error = verdict(Answer(422, b"one\ntwo " + b"x" * 10_000))

    assert str(error).startswith("422: one two xxx")
    assert len(str(error)) < 600
