"""What a model is called with beside its messages: its parameters and the tools it is offered.

All calls of a model mostly share them, so what is made of them is remembered by their JSON, and made of nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson

from tierlens import keys
from tierlens.capture import payload
from tierlens.capture.messages import tool_definition

# Different at every call, or secret and not to be remembered.
_APART: Final = frozenset({"messages", "system", "api_key", "anthropic_api_key", "extra_headers"})
_NOT_PARAMETERS: Final = frozenset({"model", "model_name", "tools", "_type", "stream"})
_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_SERVICE: Final = ("speed", "inference_geo")
_LONGEST: Final = 65_536
_REMEMBERED: Final = 32


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the parameters of a call say.

    Attributes:
        model, provider: "" where they do not say.
        asked: temperature and the most tokens it may write.
        cache_marks: what marks a tool, or the call as a whole, for caching.
        service: what has a price of its own, by Anthropic's names.
        attributes: for the span of the call.
    """

    model: str
    provider: str
    asked: tuple[Any, Any]
    cache_marks: tuple[object, ...]
    service: Mapping[str, str]
    attributes: Mapping[str, str]


def read(parameters: Mapping[str, Any], *, private: bool) -> Parameters:
    """What is to be said of a call's parameters; without any text of them where it is ``private``."""
    if not _APART.isdisjoint(parameters):
        parameters = {name: value for name, value in parameters.items() if name not in _APART}
    encoded = payload.encode(parameters)
    return _read(encoded, private) if len(encoded) <= _LONGEST else _read.__wrapped__(encoded, private)


@lru_cache(maxsize=_REMEMBERED)
def _read(encoded: bytes, private: bool) -> Parameters:
    found: dict[str, Any] = orjson.loads(encoded)
    tools = found.get("tools") or found.get("functions") or ()
    marked = [*(found.get("tools") or ()), found]
    return Parameters(
        str(found.get("model") or found.get("model_name") or ""),
        str(found.get("_type") or ""),
        (found.get("temperature"), next(filter(None, map(found.get, _LIMITS)), None)),
        tuple(mark for one in marked if isinstance(one, dict) and (mark := one.get("cache_control"))),
        _service(found),
        _attributes(found, tools, private),
    )


def _service(found: Mapping[str, Any]) -> dict[str, str]:
    extra = found.get("model_kwargs")
    said = {**extra, **found} if isinstance(extra, dict) else found
    return {name: word for name in _SERVICE if isinstance(word := said.get(name), str)}


def _attributes(found: Mapping[str, Any], tools: Any, private: bool) -> dict[str, str]:
    attributes: dict[str, str] = {}
    kept = {name: value for name, value in found.items() if value is not None and name not in _NOT_PARAMETERS}
    if private:
        kept = {name: value for name, value in kept.items() if isinstance(value, bool | int | float)}
    if kept:
        attributes[keys.PARAMS] = payload.dumps(kept)
    if tools and not private:
        offered = [tool_definition(tool) if isinstance(tool, dict) else tool for tool in tools]
        attributes[keys.CHAT_TOOLS] = payload.dumps(offered)
    return attributes
