"""The question and the answer of a trace, as people would put them.

MLflow's trace list shows the last user message of a root's ``messages`` and the last assistant message of
its outputs, and shows anything else as raw JSON. So a root whose state has no messages gets them in front.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tierlens.capture.messages import is_message
from tierlens.capture.paths import lookup

QUESTIONS = ("question", "query", "q", "prompt", "user_input", "input", "request", "task", "topic", "text")
ANSWERS = (
    "answer",
    "final_answer",
    "response",
    "output",
    "result",
    "report",
    "summary",
    "explanation",
    "text",
)
LONGEST = 4_000


def question(inputs: object, path: str) -> str | None:
    """What was asked: at ``path`` (``inputs.question``), else under a usual name, else the first text there is."""
    return _at(inputs, path, "inputs") or _guess(inputs, QUESTIONS, first=True)


def answer(outputs: object, path: str) -> str | None:
    """What was answered: at ``path`` (``outputs.answer``), else under a usual name, else the last text there is."""
    return _at(outputs, path, "outputs") or _guess(outputs, ANSWERS, first=False)


def has_messages(state: Mapping[Any, object]) -> bool:
    """Whether a state has a chat of its own for MLflow to preview."""
    messages = state.get("messages")
    return isinstance(messages, list) and bool(messages) and all(map(_chat_like, messages))


def _chat_like(item: object) -> bool:
    return is_message(item) or (isinstance(item, Mapping) and "role" in item) or isinstance(item, tuple)


def _at(value: object, path: str, side: str) -> str | None:
    if not path:
        return None
    found = lookup({side: value}, path)
    return None if found is None else _text(found)


def _guess(value: object, names: Iterable[str], *, first: bool) -> str | None:
    if isinstance(value, str):
        return value[:LONGEST]
    if not isinstance(value, Mapping):
        return _text(value)
    for name in names:
        if isinstance(found := value.get(name), str) and found:
            return found[:LONGEST]
    texts = [text for item in value.values() if (text := _text(item))]
    if not texts:
        return None
    return texts[0] if first else texts[-1]


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value[:LONGEST] or None
    if is_message(value):
        return _text(getattr(value, "content", None))
    if isinstance(value, list) and value:
        return _text(value[-1])
    if isinstance(value, bool | int | float):
        return str(value)
    return None
