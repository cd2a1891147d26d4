"""Other libraries' objects, read by their shape, so that nothing of theirs is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tierlens.spans import NONE


def fields(value: object) -> Mapping[str, Any]:
    """The fields of a pydantic object or of the mapping it was made from, not copied; empty where it has none.

    Read from where pydantic keeps them: its own dump takes 20 µs for a message, and warns where a field holds
    what its type does not name.
    """
    kind = type(value)
    if kind is dict:
        return value  # type: ignore[return-value]  # kind says dict, mypy cannot see it
    if hasattr(kind, "__pydantic_fields__"):
        return value.__dict__
    if isinstance(value, Mapping):
        return value
    return value.__dict__ if kind.__dictoffset__ else NONE


def all_fields(value: object) -> Mapping[str, Any]:
    """As ``fields``, with those that a pydantic object was given beside its own: an older client knows fewer."""
    own, extra = fields(value), getattr(value, "__pydantic_extra__", None)
    return {**own, **extra} if extra else own


def has(value: object, name: str) -> bool:
    """Whether ``value`` has this attribute, by its class or as a field of its own.

    The object itself is not asked: a mock has all attributes there are, and a proxy looks for them elsewhere.
    """
    kind = type(value)
    try:
        return hasattr(kind, name) or (kind.__dictoffset__ != 0 and name in value.__dict__)
    except Exception:  # hasattr lets all but an AttributeError through
        return False
