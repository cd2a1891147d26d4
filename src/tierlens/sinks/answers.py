"""What an HTTP answer means for a batch: nothing, or one error of the DeliveryError tree.

200-299                   stored, unless the body is a web page (a log-in, a proxy) or reports refused spans
408 409 425 429, 5xx      Unavailable: again, after Retry-After where given
400 422                   Rejected; but MLflow also says 400 when its database is busy: Unavailable then, and
                          500 where its database cannot hold a value: Rejected then
413                       TooLarge
all else, 501 included    Forbidden: no retry and no bisection will help, a person must look
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from tierlens.errors import DeliveryError, Forbidden, Rejected, TooLarge, Unavailable

MAX_RETRY_AFTER_S: Final = 3600.0

_AGAIN: Final = frozenset({408, 409, 425, 429})
_DATABASE_BUSY: Final = re.compile(r"queuepool|sqlalche|database is locked|deadlock|operationalerror", re.I)
_BAD_VALUE: Final = re.compile(
    r"integrityerror|dataerror|truncation|outofrange|untranslatable|NUL \(0x00\)|no longer DB-backed", re.I
)
_MARKUP: Final = re.compile(rb"\s*<(!doctype|html)", re.I)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; ``headers`` in lower case, ``body`` ``cut`` at the reader's limit."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False

    def json(self) -> dict[str, Any]:
        """The body as an object; empty where it is none."""
        # To say where such a text goes wrong would take its size twelve times over.
        if self.cut or self.body[:1] != b"{":
            return {}
        try:
            found: dict[str, Any] = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return found

    def objects(self, field: str) -> list[dict[str, Any]]:
        """The objects in a list of that name; none where there is no such list.

        Raises:
            Unavailable: the body cannot be read whole, or has something else there.
        """
        said = self.json()
        if not said and self.body.strip() != b"{}":
            raise Unavailable("the answer is not like MLflow's, or longer than is read", self.status)
        found = said.get(field) or []
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise Unavailable(f"{field!r} in the answer is not what MLflow has there", self.status)
        return found

    @property
    def error_code(self) -> str:
        """MLflow's ``error_code``, such as RESOURCE_ALREADY_EXISTS, or ""."""
        return str(self.json().get("error_code", ""))


def verdict(answer: Answer, clock: Callable[[], float] = time.time) -> DeliveryError | None:
    """The error an answer stands for; None where all is stored. ``clock`` is Unix time in seconds."""
    status, text = answer.status, describe(answer)
    if 200 <= status < 300:
        return _stored(answer)
    if status in (400, 422, 500) and _BAD_VALUE.search(text):
        return Rejected(text, status)
    if status in _AGAIN or (status >= 500 and status != 501):
        return Unavailable(text, status, retry_after_s(answer.headers.get("retry-after"), clock))
    if status in (400, 422):
        return Unavailable(text, status) if _DATABASE_BUSY.search(text) else Rejected(text, status)
    if status == 413:
        return TooLarge(text, status)
    if 300 <= status < 400:
        text = f"redirects to {answer.headers.get('location', 'elsewhere')}; give that address instead"
    return Forbidden(text, status)


def _stored(answer: Answer) -> DeliveryError | None:
    if "text/html" in answer.headers.get("content-type", "") or _MARKUP.match(answer.body):
        return Forbidden("answers with a web page: not the server, or a log-in stands before it", answer.status)
    if refused := refused_spans(answer):
        return Rejected(f"{refused} spans of the batch were refused", answer.status)
    return None


def refused_spans(answer: Answer) -> int:
    """``partialSuccess.rejectedSpans`` of an OTLP answer, JSON or protobuf; 0 where all were taken."""
    if answer.body[:1] == b"{":
        partial = answer.json().get("partialSuccess")
        rejected = partial.get("rejectedSpans", 0) if isinstance(partial, dict) else 0
        return int(rejected) if str(rejected).isdecimal() else 0
    # ExportTraceServiceResponse.partial_success is field 1, and rejected_spans its field 1, a varint.
    if answer.body[:1] != b"\x0a" or answer.body[2:3] != b"\x08":
        return 0
    number = 0
    for place, byte in enumerate(answer.body[3:13]):
        number |= (byte & 127) << (7 * place)
        if byte < 128:
            return number
    return 0


def retry_after_s(value: str | None, clock: Callable[[], float] = time.time) -> float | None:
    """Seconds that a Retry-After header asks for, an hour at most; None where there is none to read."""
    if not value:
        return None
    if re.fullmatch(r"\s*\d{1,9}(\.\d{1,6})?\s*", value):
        return min(float(value), MAX_RETRY_AFTER_S)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return min(max(moment.timestamp() - clock(), 0.0), MAX_RETRY_AFTER_S)


def describe(answer: Answer) -> str:
    """What the server said, in one line of at most 500 characters that no terminal or log acts on."""
    said = answer.json()
    text = str(said.get("message") or said.get("detail") or answer.body[:2000].decode("utf-8", "replace"))
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:2000])
    return " ".join(shown.split())[:500] or "no explanation"
