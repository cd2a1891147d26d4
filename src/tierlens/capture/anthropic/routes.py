"""Which of a client's requests are calls of a model, by method and path."""

from __future__ import annotations

import re
from typing import Any, Final

_MESSAGES: Final = "/v1/messages"
_BATCHES: Final = "/v1/messages/batches"
_RESULTS: Final = re.compile(r"/v1/messages/batches/([^/?]+)/results(?:\?|$)")
_PROVIDERS: Final = {"Bedrock": "amazon_bedrock", "Vertex": "google_vertexai"}


def asks_for_message(options: Any) -> bool:
    return bool(options.method.lower() == "post" and options.url.partition("?")[0] == _MESSAGES)


def makes_batch(options: Any) -> bool:
    return bool(options.method.lower() == "post" and options.url.partition("?")[0] == _BATCHES)


def batch_read(options: Any) -> str | None:
    """The id of the batch whose results are asked for, or None."""
    found = _RESULTS.search(options.url) if options.method.lower() == "get" else None
    return found[1] if found else None


def provider_of(client: object) -> str:
    """Whom a client's calls are paid to, in LangChain's words."""
    name = type(client).__name__
    return next((provider for word, provider in _PROVIDERS.items() if word in name), "anthropic")
