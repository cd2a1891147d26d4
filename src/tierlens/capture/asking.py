"""The one-liner: ask Claude for a brand, and have the call in that brand's experiment."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tierlens.capture import active
from tierlens.capture.anthropic.client import wrapped
from tierlens.capture.places import Place, of_brand
from tierlens.capture.trace import Context

if TYPE_CHECKING:
    import anthropic


def chat_with_tracking(
    *,
    model: str,
    prompt: str,
    brand: str,
    system: str | None = None,
    max_tokens: int = 1024,
    client: anthropic.Anthropic | None = None,
    **parameters: Any,
) -> str:
    """Ask Claude, and record the call for ``brand``: in the running trace where that is the brand's, else in its own.

    Args:
        client: whose connections to use; without one, a client is made for this call from the environment.
        parameters: what else ``messages.create`` takes, but ``stream``.

    Returns:
        The text of the answer.

    Raises:
        UnknownBrand: the brand is not one of those configured, and such ones are rejected.
        anthropic.APIError: as the client raises it.
    """
    place = _place(brand)
    request = _request(model, prompt, system, max_tokens, parameters)
    if client is not None:
        return _text(wrapped(client, place).messages.create(**request))
    import anthropic

    with anthropic.Anthropic() as made:
        return _text(wrapped(made, place).messages.create(**request))


async def achat_with_tracking(
    *,
    model: str,
    prompt: str,
    brand: str,
    system: str | None = None,
    max_tokens: int = 1024,
    client: anthropic.AsyncAnthropic | None = None,
    **parameters: Any,
) -> str:
    """As ``chat_with_tracking``, for asynchronous code and clients."""
    place = _place(brand)
    request = _request(model, prompt, system, max_tokens, parameters)
    if client is not None:
        return _text(await wrapped(client, place).messages.create(**request))
    import anthropic

    async with anthropic.AsyncAnthropic() as made:
        return _text(await wrapped(made, place).messages.create(**request))


def _place(brand: str) -> Place:
    if (recorder := active.recorder()) is not None:
        recorder.policies.brand(brand)
    return functools.partial(of_brand, context=Context(brand=brand))


def _request(
    model: str, prompt: str, system: str | None, max_tokens: int, parameters: dict[str, Any]
) -> dict[str, Any]:
    request = {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": prompt}]}
    return {**request, **({"system": system} if system is not None else {}), **parameters}


def _text(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")
