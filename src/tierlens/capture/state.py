"""A graph's state: what is one, and which of its values a policy stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tierlens.capture import payload
from tierlens.capture.messages import is_message
from tierlens.capture.shapes import has
from tierlens.policy import StatePolicy
from tierlens.spans import NONE

_STRINGS: Final = frozenset({str})


def chosen(state: Mapping[Any, object], policy: StatePolicy) -> Iterable[tuple[str, object]]:
    """The names and values of a state that its policy stores."""
    if policy.include is None and not policy.exclude and _STRINGS.issuperset(map(type, state)):
        return state.items()
    named = [(key if type(key) is str else _name(key), value) for key, value in state.items()]
    return [(name, value) for name, value in named if wanted(name, policy)]


def wanted(name: str, policy: StatePolicy) -> bool:
    return name not in policy.exclude and (policy.include is None or name in policy.include)


def visible(state: Mapping[Any, object], policy: StatePolicy) -> Mapping[Any, object]:
    """The part of a state that its policy stores."""
    if policy.include is None and not policy.exclude:
        return state
    return {key: value for key, value in state.items() if wanted(_name(key), policy)}


def as_state(value: object) -> Mapping[Any, object] | None:
    """A graph's state as a mapping, whether it is a dict, a dataclass or a pydantic model; None for anything else."""
    kind = type(value)
    # The check for a Mapping costs ten times as much.
    if kind is dict or isinstance(value, Mapping):
        return value  # type: ignore[return-value]  # kind says dict, mypy cannot see it
    if has(value, "model_dump") and not is_message(value) and not has(value, "page_content"):
        wanted = (name for name, field in getattr(kind, "model_fields", NONE).items() if not field.exclude)
        return {name: getattr(value, name) for name in wanted if has(value, name)}
    if (names := getattr(kind, "__dataclass_fields__", None)) is not None:
        return {name: getattr(value, name, None) for name in names}
    return None


def routed(output: object, policy: StatePolicy) -> object:
    """What a router or node returned, the states that it sends on as the policy has them stored."""
    if type(output).__name__ == "Send":
        state = as_state(arg := getattr(output, "arg", None))
        return {"node": getattr(output, "node", ""), "arg": arg if state is None else visible(state, policy)}
    if isinstance(output, list | tuple) and any(type(item).__name__ in ("Send", "Command") for item in output):
        return [visible(item, policy) if isinstance(item, Mapping) else routed(item, policy) for item in output]
    return output


def _name(key: object) -> str:
    return str.__str__(key) if isinstance(key, str) else payload.safe_repr(key)
