"""The question and the answer of a trace, as people would put them.

MLflow's trace list shows the last user message of a root's ``messages`` and the last assistant message of
its outputs, and shows anything else as raw JSON. So a root whose state has no messages gets them in front.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from tierlens.capture import payload
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
ASKED = ("question", "message", "action", "task", "prompt", "description", "text")
LONGEST = 4_000


def question(inputs: object, path: str) -> str | None:
    """What was asked: at ``path`` (``inputs.question``), else under a usual name, else the first text there is.

    Of a ``Command`` that resumes a graph, what the person answered.
    """
    if type(inputs).__name__ == "Command":
        resume = getattr(inputs, "resume", None)
        return None if resume is None else f"Resumed with {_words(resume)}"
    return _at(inputs, path, "inputs") or _guess(inputs, QUESTIONS, first=True)


def answer(outputs: object, path: str) -> str | None:
    """What was answered: at ``path`` (``outputs.answer``), else under a usual name, else the last text there is."""
    return _at(outputs, path, "outputs") or _guess(outputs, ANSWERS, first=False)


def waiting(asked: str) -> str:
    """What an interrupted graph waits for, from the JSON of what it asks."""
    try:
        wanted = orjson.loads(asked)
    except orjson.JSONDecodeError:  # it was cut
        return f"Waiting for an answer: {asked[:LONGEST]}"
    fields = wanted if isinstance(wanted, dict) else {}
    texts = [*(fields.get(name) for name in ASKED), *fields.values()]
    first = next((text for text in texts if text and isinstance(text, str)), None)
    return f"Waiting for an answer: {first or _words(wanted)}"


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
    # Words before numbers: a score is no answer where there is one.
    words = [item for item in value.values() if not isinstance(item, bool | int | float)]
    texts = _texts(words) or _texts(value.values())
    if not texts:
        return None
    return texts[0] if first else texts[-1]


def _texts(items: Iterable[object]) -> list[str]:
    return [text for item in items if (text := _text(item))]


def _words(value: object) -> str:
    """A value for people to read: ``approved: false, reason: too much at once``."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_brief(key)}: {_brief(item)}" for key, item in value.items())
        return pairs[:LONGEST]
    return _brief(value)[:LONGEST]


def _brief(value: object) -> str:
    return value if isinstance(value, str) else payload.dumps(value)


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
