"""The offline Claude endpoint as one object: start it, point a client at ``base_url``, read its ledger."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from tierlens.testing.claude import models
from tierlens.testing.claude.answering import answer
from tierlens.testing.claude.api import Api
from tierlens.testing.claude.batches import Batches
from tierlens.testing.claude.caching import PromptCache
from tierlens.testing.claude.faults import Fault, Faults
from tierlens.testing.claude.ledger import Ledger
from tierlens.testing.claude.messages import Messages, random_id
from tierlens.testing.claude.pace import Pace
from tierlens.testing.claude.reply import Responder
from tierlens.testing.claude.server import ClaudeServer

MAX_BODY_BYTES: Final = 32 << 20
_STOP_S: Final = 2.0
_POLL_S: Final = 0.05


class ClaudeEndpoint:
    """A local server that speaks Anthropic's Messages API, for clients that know nothing of it::

        with ClaudeEndpoint(ledger_path=Path("ledger.json")) as endpoint:
            client = anthropic.Anthropic(base_url=endpoint.base_url, api_key="offline")
            model = ChatAnthropic(model="claude-sonnet-4-5", base_url=endpoint.base_url, api_key="offline")
            endpoint.fail_next(529, times=2, retry_after_s=0)
            ...
            endpoint.ledger()["totals"]["input_tokens"]

    It serves messages (plain and streamed), token counting, models and message batches. Answers follow from
    the request alone; tokens are counted by :mod:`tierlens.testing.claude.tokens`.

    Args:
        responder: makes the replies; see also :func:`by_rules`.
        host: an IPv4 loopback address.
        port: 0 takes a free one.
        ledger_path: where the ledger is kept as JSON, up to date at latest when the endpoint stops.
        clock: seconds since the epoch, for cache expiry, batches and the ledger.
        tokens_per_s: output tokens a second; None is as fast as possible.
        first_token_s: seconds before the first token.
        sleep: waits for these latencies.
        tokens_per_delta: tokens in one delta event of a stream.
        min_cacheable_tokens: shortest cached prefix for every model; None takes each model's documented one.
        batch_s: seconds after which a message batch ends.
        schedule: faults by the number of the request for a message, from 1.
        known_models_only: refuse models that are not listed.
        api_key: the only key taken; None takes any.
        max_body_bytes: longer requests get a 413.
        new_id: makes an id from its prefix.
    """

    def __init__(
        self,
        responder: Responder = answer,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ledger_path: Path | None = None,
        clock: Callable[[], float] = time.time,
        tokens_per_s: float | None = None,
        first_token_s: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
        tokens_per_delta: int = 4,
        min_cacheable_tokens: int | None = None,
        batch_s: float = 0.0,
        schedule: Mapping[int, Fault] = MappingProxyType({}),
        known_models_only: bool = False,
        api_key: str | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        new_id: Callable[[str], str] = random_id,
    ) -> None:
        self._address = (_loopback(host), port)
        self._ledger, self._faults = Ledger(ledger_path), Faults(schedule)
        cache = PromptCache(_shortest(min_cacheable_tokens), clock)
        messages = Messages(responder, cache, self._ledger, clock, new_id, known_models_only)
        self._api = Api(messages, Batches(messages, batch_s), self._faults, api_key)
        self._pace = Pace(tokens_per_s, first_token_s, sleep)
        self._tokens_per_delta, self._max_body_bytes = tokens_per_delta, max_body_bytes
        self._server: ClaudeServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Listens and serves from a thread of its own.

        Raises:
            OSError: the port is taken.
            RuntimeError: it is running already.
        """
        if self._server is not None:
            raise RuntimeError("the endpoint is running already")
        self._server = ClaudeServer(
            self._address,
            self._api,
            self._pace,
            tokens_per_delta=self._tokens_per_delta,
            max_body_bytes=self._max_body_bytes,
        )
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(_POLL_S,), name="offline-claude", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Breaks what is open, frees the port and brings the ledger's file up to date."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up(_STOP_S)
        self._server.server_close()
        self._server = self._thread = None
        self._ledger.save()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:<port>``, for a client's ``base_url`` or ``ANTHROPIC_BASE_URL``.

        Raises:
            RuntimeError: it is not running.
        """
        if self._server is None:
            raise RuntimeError("the endpoint is not running; use it as a context manager or call start()")
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def fail_next(
        self,
        status: int,
        *,
        times: int = 1,
        retry_after_s: float | None = None,
        after_events: int | None = None,
        message: str = "",
    ) -> None:
        """The next ``times`` requests for a message get this :class:`Fault`; retries are requests too.

        A status of 0 breaks the connection. ``after_events`` lets a stream begin and fails it in the middle.
        """
        self._faults.add(Fault(status, retry_after_s, after_events, message), times)

    def ledger(self) -> dict[str, Any]:
        """``{"totals", "by_model", "calls"}`` as they stand; see :mod:`tierlens.testing.claude.ledger`."""
        return self._ledger.to_json()


def _loopback(host: str) -> str:
    address = "127.0.0.1" if host == "localhost" else host
    if not ipaddress.IPv4Address(address).is_loopback:
        raise ValueError(f"host: {host} is not an IPv4 loopback address")
    return address


def _shortest(fixed: int | None) -> Callable[[str], int]:
    return models.min_cacheable_tokens if fixed is None else lambda model: fixed
