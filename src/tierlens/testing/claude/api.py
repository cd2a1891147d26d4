"""The routes of Anthropic's API that the endpoint serves, from an incoming request to what goes out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from tierlens.testing.claude import exchange, models
from tierlens.testing.claude.batches import PATH as BATCHES
from tierlens.testing.claude.batches import Batches
from tierlens.testing.claude.exchange import Answer, Dropped, Incoming, Outgoing, Streamed
from tierlens.testing.claude.faults import Fault, Faults
from tierlens.testing.claude.messages import Messages
from tierlens.testing.claude.refusal import Refusal, invalid

_log = logging.getLogger(__name__)
MESSAGES: Final = "/v1/messages"
RATE_LIMITS: Final = {
    "requests": 4_000,
    "input-tokens": 2_000_000,
    "output-tokens": 400_000,
    "tokens": 2_400_000,
}


class Api:
    """Everything but the sockets.

    Args:
        messages: answers requests for messages.
        batches: keeps message batches.
        faults: the script of failures, asked for every ``POST /v1/messages`` that brings a key.
        api_key: the only key that is taken; None takes any.
    """

    def __init__(self, messages: Messages, batches: Batches, faults: Faults, api_key: str | None = None) -> None:
        self.messages = messages
        self._batches, self._faults, self._api_key = batches, faults, api_key
        self._routes: Mapping[tuple[str, str], Callable[[Incoming], Outgoing]] = {
            ("POST", MESSAGES): self._create,
            ("POST", f"{MESSAGES}/count_tokens"): self._count_tokens,
            ("GET", "/v1/models"): self._list_models,
            ("POST", BATCHES): lambda coming: exchange.ok(self._batches.create(coming.json(), base_url(coming))),
            ("GET", BATCHES): lambda coming: exchange.ok(
                exchange.page(self._batches.listed(base_url(coming)), coming.query)
            ),
            ("GET", "/ledger"): lambda coming: exchange.ok(self.messages.ledger.to_json()),
        }

    def handle(self, coming: Incoming) -> Outgoing:
        """What goes out for ``coming``; every refusal is an answer."""
        try:
            if coming.path.startswith("/v1/"):
                self._authenticate(coming)
            route = self._routes.get((coming.method, coming.path))
            return route(coming) if route else self._member(coming)
        except Refusal as refusal:
            return exchange.refused(refusal, coming.request_id)
        except Exception:
            _log.exception("the offline Claude endpoint failed on %s %s", coming.method, coming.path)
            return exchange.refused(Refusal(500), coming.request_id)

    def _authenticate(self, coming: Incoming) -> None:
        key = coming.headers.get("x-api-key") or coming.headers.get("authorization", "").removeprefix("Bearer ")
        if not key:
            raise Refusal(401, "x-api-key header is required")
        if self._api_key is not None and key != self._api_key:
            raise Refusal(401)
        if "anthropic-version" not in coming.headers:
            raise invalid("anthropic-version: header is required")

    def _create(self, coming: Incoming) -> Outgoing:
        fault = self._faults.take()
        body: Any = None
        try:
            body = coming.json()
            streams = isinstance(body, dict) and body.get("stream") is True
            if fault and not (streams and fault.after_events is not None):
                return self._failed(fault, body, coming)
            completion = self.messages.create(body)
        except Refusal as refusal:
            self.messages.record_refusal(body, coming.request_id, MESSAGES, refusal.status, refusal.message)
            raise
        headers = rate_limit_headers(self.messages.clock(), 200, None)
        if streams:
            return Streamed(completion, fault, headers)
        self.messages.record(completion, coming.request_id, MESSAGES)
        return replace(exchange.ok(completion.to_wire(), headers), output_tokens=completion.output_tokens)

    def _failed(self, fault: Fault, body: Any, coming: Incoming) -> Outgoing:
        if fault.status == 0:
            self.messages.record_refusal(body, coming.request_id, MESSAGES, 0, "connection broken by script")
            return Dropped()
        refusal = Refusal(fault.status, fault.message)
        self.messages.record_refusal(body, coming.request_id, MESSAGES, refusal.status, refusal.message)
        headers = rate_limit_headers(self.messages.clock(), fault.status, fault.retry_after_s)
        return exchange.refused(refusal, coming.request_id, headers | retry_headers(fault.retry_after_s))

    def _count_tokens(self, coming: Incoming) -> Answer:
        return exchange.ok({"input_tokens": self.messages.count_tokens(coming.json())})

    def _list_models(self, coming: Incoming) -> Answer:
        return exchange.ok(exchange.page([model.to_wire() for model in models.MODELS], coming.query))

    def _member(self, coming: Incoming) -> Answer:
        """The routes that end in an id, or in an id and a verb."""
        model = models.find(coming.path.removeprefix("/v1/models/"))
        if coming.method == "GET" and model and coming.path.startswith("/v1/models/"):
            return exchange.ok(model.to_wire())
        if coming.path.startswith(f"{BATCHES}/"):
            batch_id, _, verb = coming.path.removeprefix(f"{BATCHES}/").partition("/")
            return self._batch(coming, batch_id, verb)
        raise Refusal(404, f"Not found: {coming.method} {coming.path}")

    def _batch(self, coming: Incoming, batch_id: str, verb: str) -> Answer:
        match coming.method, verb:
            case "GET", "":
                return exchange.ok(self._batches.retrieve(batch_id, base_url(coming)))
            case "GET", "results":
                return Answer(200, self._batches.results(batch_id), content_type="application/x-jsonl")
            case "POST", "cancel":
                return exchange.ok(self._batches.cancel(batch_id, base_url(coming)))
            case "DELETE", "":
                return exchange.ok(self._batches.delete(batch_id))
        raise Refusal(404, f"Not found: {coming.method} {coming.path}")


def base_url(coming: Incoming) -> str:
    """The address the client used, for links in answers."""
    return f"http://{coming.headers.get('host', 'localhost')}"


def retry_headers(retry_after_s: float | None) -> dict[str, str]:
    """``retry-after`` in whole seconds, rounded up, and ``retry-after-ms``; see :class:`Fault` for 0."""
    if retry_after_s is None:
        return {}
    return {
        "retry-after": str(math.ceil(retry_after_s)),
        "retry-after-ms": str(max(1, round(retry_after_s * 1000))),
    }


def rate_limit_headers(now_s: float, status: int, retry_after_s: float | None) -> dict[str, str]:
    """``anthropic-ratelimit-*``: nothing remains after a 429, one request less than the limit otherwise."""
    reset = datetime.fromtimestamp(now_s + (retry_after_s or 0), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = {}
    for name, limit in RATE_LIMITS.items():
        remaining = 0 if status == 429 else limit - 1
        headers[f"anthropic-ratelimit-{name}-limit"] = str(limit)
        headers[f"anthropic-ratelimit-{name}-remaining"] = str(remaining)
        headers[f"anthropic-ratelimit-{name}-reset"] = reset
    return headers
