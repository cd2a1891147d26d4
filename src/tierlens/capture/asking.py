"""The one-liner: ask Claude for a brand, and have the call in that brand's experiment."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from tierlens.capture import active
from tierlens.capture.anthropic.client import is_client, wrapped
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
        TypeError: the client is asynchronous or none, or ``stream`` is asked for.
        anthropic.APIError: as the client raises it.
    """
    place = _place(brand)
    request = _request(model, prompt, system, max_tokens, parameters)
    if client is not None:
        _check(client, asynchronous=False)
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
        _check(client, asynchronous=True)
        return _text(await wrapped(client, place).messages.create(**request))
    import anthropic

    async with anthropic.AsyncAnthropic() as made:
        return _text(await wrapped(made, place).messages.create(**request))


def _place(brand: str) -> Place:
    if (recorder := active.recorder()) is not None:
        recorder.policies.brand(brand)
    return functools.partial(of_brand, context=Context(brand=brand))


def _check(client: object, *, asynchronous: bool) -> None:
    """Refuse, before anything is sent and paid, a client whose answer would not be a message here."""
    if not is_client(client) or inspect.iscoroutinefunction(getattr(type(client), "request", None)) is not asynchronous:
        taken = (
            "achat_with_tracking takes an AsyncAnthropic" if asynchronous else "chat_with_tracking takes an Anthropic"
        )
        raise TypeError(f"{taken}, or a client made like it, not {type(client).__name__}")


def _request(
    model: str, prompt: str, system: str | None, max_tokens: int, parameters: dict[str, Any]
) -> dict[str, Any]:
    if parameters.get("stream"):
        raise TypeError(
            "chat_with_tracking returns the whole answer; for a stream, use tierlens.wrap and messages.stream"
        )
    request = {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": prompt}]}
    return {**request, **({"system": system} if system is not None else {}), **parameters}


def _text(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")
