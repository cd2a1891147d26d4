"""A server that stands before the real one: passes requests on, or is as odd as a row wants it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final

import httpx

from tierlens.testing.http_stub import OK, HttpStub, Recorded, Reply

SPANS: Final = "/v1/traces"
_OWN_HEADERS: Final = frozenset(
    {"connection", "content-encoding", "content-length", "date", "server", "transfer-encoding"}
)
_HOP_HEADERS: Final = frozenset({"host", "connection", "content-length", "accept-encoding", "transfer-encoding"})
Rule = Callable[[Recorded], Reply]


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a request came, on the monotonic clock, and what was answered: 0 where there was no answer."""

    path: str
    at: float
    answered_at: float
    status: int


def fine(request: Recorded) -> Reply:
    """The rule of a gate that is open."""
    return OK


def no_answer(request: Recorded) -> Reply:
    """The rule of a server that takes connections and never answers: nothing is passed on."""
    return Reply(503, close=True)


def scripted(*replies: Reply) -> Rule:
    """These answers for the first posts of spans, one each; then all is fine."""
    left = iter(replies)
    return lambda request: next(left, OK) if is_spans(request) else OK


def is_spans(request: Recorded) -> bool:
    return request.path == SPANS


class Gate(HttpStub):
    """Before ``upstream``. What ``rule`` answers with a 200 that does not lie is passed on, and answered as the
    real server did, unless the reply closes the connection; all else is answered in its stead.

    Attributes:
        rule: decides for each request.
        tampers: changes the body of a post of spans that is passed on.
        arrivals: every request, in the order of their answers; bodies are not kept.
    """

    def __init__(self, upstream: str, rule: Rule = fine, port: int = 0) -> None:
        super().__init__(port=port)
        self.rule = rule
        self.tampers: Callable[[bytes], bytes] = bytes
        self.arrivals: list[Arrival] = []
        self.closing = threading.Event()
        self._client = httpx.Client(base_url=upstream, trust_env=False, timeout=120)

    def reply_to(self, request: Recorded) -> Reply:
        self.requests.clear()
        at = time.monotonic()
        reply = self.rule(request)
        if reply.status == 200 and not reply.lie:
            passed = self._pass_on(request)
            reply = replace(passed, wait=reply.wait, close=reply.close)
        status = 0 if reply.close else reply.status
        self.arrivals.append(Arrival(request.path.partition("?")[0], at, time.monotonic(), status))
        return reply

    def delay(self, seconds: float) -> None:
        """Let a rule take its time; ends early when the gate closes."""
        self.closing.wait(seconds)

    @property
    def span_posts(self) -> list[Arrival]:
        return [arrival for arrival in list(self.arrivals) if arrival.path == SPANS]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        super().__exit__(kind, error, trace)
        self._client.close()

    def _pass_on(self, request: Recorded) -> Reply:
        headers = {name: value for name, value in request.headers.items() if name not in _HOP_HEADERS}
        body = self.tampers(request.body) if is_spans(request) else request.body
        answer = self._client.request(request.method, request.path, content=body, headers=headers)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN_HEADERS}
        return Reply(answer.status_code, kept, answer.content)
