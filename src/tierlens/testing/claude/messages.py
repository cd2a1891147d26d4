"""What a request for a message comes to: checked, answered by the responder, billed, written in the book."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tierlens.testing.claude import models, prompt
from tierlens.testing.claude.caching import PromptCache
from tierlens.testing.claude.completion import Completion, complete
from tierlens.testing.claude.ledger import Call, Ledger
from tierlens.testing.claude.refusal import Refusal
from tierlens.testing.claude.reply import Responder
from tierlens.testing.claude.validation import check_cache_marks, checked

_log = logging.getLogger(__name__)


def random_id(prefix: str) -> str:
    """``prefix`` and 22 random characters, as long as Anthropic's ids are."""
    return prefix + secrets.token_hex(11)


@dataclass(frozen=True, slots=True)
class Messages:
    """The one way an answer is made, for single requests and batches alike.

    Attributes:
        responder: answers checked requests.
        cache: what prompts were written before.
        ledger: where calls are recorded.
        clock: seconds since the epoch.
        new_id: makes an id from its prefix.
        known_models_only: refuse models that ``GET /v1/models`` does not list.
    """

    responder: Responder
    cache: PromptCache
    ledger: Ledger
    clock: Callable[[], float]
    new_id: Callable[[str], str] = random_id
    known_models_only: bool = False

    def create(self, body: Any, service_tier: str = "standard") -> Completion:
        """The completion for a request body. The cache is touched only once nothing can be refused any more.

        Raises:
            Refusal: 400 or 404 for the request's faults, 500 where the responder failed.
        """
        request = checked(body)
        self._check_model(request.model)
        blocks = prompt.blocks_of(body)
        check_cache_marks(blocks)
        try:
            completion = complete(request, self.responder(request), self.new_id, service_tier)
        except Exception as error:
            _log.exception("the responder failed")
            raise Refusal(500, f"The responder failed with {type(error).__name__}: {error}") from error
        return replace(completion, input=self.cache.bill(request.model, blocks))

    def count_tokens(self, body: Any) -> int:
        """The input tokens of a request, cached or not; free of charge."""
        request = checked(body, counting=True)
        self._check_model(request.model)
        return prompt.input_tokens(body)

    def record(
        self,
        completion: Completion,
        request_id: str,
        path: str,
        *,
        stream: bool = False,
        sent: int | None = None,
    ) -> None:
        """Writes a billed call; ``sent`` is the output of a stream that was cut, None for a whole answer."""
        self.ledger.record(
            Call(
                request_id=request_id,
                path=path,
                model=completion.model,
                stream=stream,
                status=200,
                time_s=self.clock(),
                message_id=completion.id,
                stop_reason=completion.stop_reason if sent is None else None,
                complete=sent is None,
                input_tokens=completion.input.input_tokens,
                output_tokens=completion.output_tokens if sent is None else sent,
                cache_read_input_tokens=completion.input.cache_read,
                cache_creation_5m_input_tokens=completion.input.cache_write_5m,
                cache_creation_1h_input_tokens=completion.input.cache_write_1h,
            )
        )

    def record_refusal(self, body: Any, request_id: str, path: str, status: int, error: str) -> None:
        """Writes a call that was answered with an error (status 0: not answered), and so not billed."""
        known = body if isinstance(body, dict) else {}
        model, stream = str(known.get("model", "")), bool(known.get("stream"))
        self.ledger.record(Call(request_id, path, model, stream, status, self.clock(), complete=False, error=error))

    def _check_model(self, name: str) -> None:
        if self.known_models_only and models.find(name) is None:
            raise Refusal(404, f"model: {name}")
