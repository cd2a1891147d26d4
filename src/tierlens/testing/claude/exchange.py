"""One HTTP exchange, free of sockets: what comes in and the two kinds of what goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from tierlens.testing.claude.completion import Completion
from tierlens.testing.claude.faults import Fault
from tierlens.testing.claude.refusal import Refusal, error_body, invalid


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request. ``headers`` have lower-case names; ``target`` is the path with its query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    request_id: str

    @property
    def path(self) -> str:
        """The path without query and closing slash."""
        return urlsplit(self.target).path.rstrip("/")

    @property
    def query(self) -> Mapping[str, str]:
        """The first value of each query member."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def json(self) -> Any:
        """The body parsed.

        Raises:
            Refusal: 400, where it is not JSON.
        """
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise invalid(f"The request body is not valid JSON: {error}") from error


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in one piece. ``output_tokens`` is what a model would have taken its time to produce."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer as server-sent events, which ``fault`` may cut."""

    completion: Completion
    fault: Fault | None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dropped:
    """No answer: the connection breaks."""


Outgoing = Answer | Streamed | Dropped


def ok(body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
    """A 200 with a JSON object."""
    return Answer(200, orjson.dumps(body), headers or {})


def refused(refusal: Refusal, request_id: str, headers: Mapping[str, str] | None = None) -> Answer:
    """The answer for a refusal."""
    return Answer(refusal.status, orjson.dumps(error_body(refusal, request_id)), headers or {})


def page(items: Sequence[Mapping[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """``items`` as Anthropic lists them, cut by ``limit``, ``after_id`` and ``before_id``."""
    ids = [item["id"] for item in items]
    start = ids.index(query["after_id"]) + 1 if query.get("after_id") in ids else 0
    end = ids.index(query["before_id"]) if query.get("before_id") in ids else len(ids)
    limit = query.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit) <= 1000:
        raise invalid("limit: Input should be between 1 and 1000")
    data = list(items[start:end])[: int(limit)]
    return {
        "data": data,
        "has_more": start + len(data) < end,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }
