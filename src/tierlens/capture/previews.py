"""The question and the answer of a trace, as people would put them.

MLflow's trace list shows the last user message of a root's ``messages`` and the last assistant message of
its outputs, and shows anything else as raw JSON. So a root whose state has no such messages, or others than
those to be shown, gets one in front.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import orjson

from tierlens.capture import payload
from tierlens.capture.messages import ROLES, as_message, is_message, spoken_text
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
BREAKPOINTS = {"interrupt_before": "Paused before the next step", "interrupt_after": "Paused after a step"}
Speaker = Literal["user", "assistant"]
_INTERRUPT = re.compile("[0-9a-f]{32}")
_SHOWN = frozenset({"user", "assistant", "system", "tool"})
_KNOWN = _SHOWN.union(ROLES, ("developer", "function"))


def question(inputs: object, path: str) -> str | None:
    """What was asked: at ``path`` (``inputs.question``), else by the user of a chat, else under a usual name, else
    the first text there is.

    Of a ``Command`` that resumes a graph, what the person answered.
    """
    if type(inputs).__name__ == "Command":
        resume = getattr(inputs, "resume", None)
        return None if resume is None else f"Resumed with {_words(_answers(resume))}"
    return _at(inputs, path, "inputs") or _last_said(inputs, "user") or _guess(inputs, QUESTIONS, first=True)


def answer(outputs: object, path: str) -> str | None:
    """What was answered: at ``path`` (``outputs.answer``), else by the assistant of a chat, else under a usual name,
    else the last text there is.
    """
    return _at(outputs, path, "outputs") or _last_said(outputs, "assistant") or _guess(outputs, ANSWERS, first=False)


def waiting(asked: str) -> str:
    """What an interrupted graph waits for, from the JSON of what it asks; of a breakpoint, that it paused."""
    if asked in BREAKPOINTS:
        return BREAKPOINTS[asked]
    try:
        wanted = _wanted(orjson.loads(asked))
    except orjson.JSONDecodeError:  # it was cut
        wanted = asked
    return f"Waiting for an answer: {wanted}"[:LONGEST] if wanted else "Waiting for an answer"


def _wanted(asked: Any) -> str:
    """What a person is asked, once or several times at once, in words."""
    if isinstance(asked, list) and len(asked) > 1:
        return "; ".join(map(_wanted, asked))
    fields = asked if isinstance(asked, dict) else {}
    if isinstance(tools := fields.get("action_requests"), list):  # as HumanInTheLoopMiddleware asks
        return ", ".join(map(_call, tools))
    texts = [*(fields.get(name) for name in ASKED), *fields.values()]
    first = next((text for text in texts if text and isinstance(text, str)), None)
    return "" if asked is None else first or _words(asked)


def chat(state: Mapping[Any, object]) -> list[object] | None:
    """The messages of a state that is a chat, each with a role that MLflow knows; None where it is none."""
    messages = state.get("messages")
    if is_message(messages):
        return [messages]
    if not isinstance(messages, list) or not messages:
        return None
    listed = [item if is_message(item) else _chat_message(item) for item in messages]
    return None if None in listed else listed


def _chat_message(item: object) -> object | None:
    """``{role, content}`` of a mapping or a (role, content) pair as LangChain takes them for messages."""
    if isinstance(item, Mapping):
        role = item.get("role") or item.get("type")
        if not isinstance(role, str) or role not in _KNOWN or "content" not in item:
            return None
        return item if item.get("role") in _SHOWN else as_message(item)
    pair = isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[0], str) and item[0] in _KNOWN
    return as_message(item) if pair else None


def last_of(messages: list[object], speaker: Speaker) -> int | None:
    """Where the last message of the speaker stands."""
    places = reversed(range(len(messages)))
    return next((place for place in places if _role(messages[place]) == speaker), None)


def shows(messages: object, speaker: Speaker, said: str) -> bool:
    """Whether MLflow's preview of these messages, stored ones as well, is what was ``said``."""
    listed = messages if isinstance(messages, list) else []
    place = last_of(listed, speaker)
    return place is not None and _text(listed[place]) == said


def _last_said(state: object, speaker: Speaker) -> str | None:
    messages = chat(state) if isinstance(state, Mapping) else None
    place = last_of(messages, speaker) if messages else None
    return _text(messages[place]) if messages and place is not None else None


def _role(message: object) -> object:
    if isinstance(message, Mapping):
        return message.get("role")
    kind = getattr(message, "type", None)
    return ROLES.get(kind, kind) if isinstance(kind, str) else None


def _at(value: object, path: str, side: str) -> str | None:
    if not path:
        return None
    found = lookup({side: value}, path)
    return None if found is None else _text(found)


def _guess(value: object, names: Iterable[str], *, first: bool) -> str | None:
    if isinstance(value, str):
        return value[:LONGEST] or None
    if not isinstance(value, Mapping):
        return _text(value)
    for name in names:
        if isinstance(found := value.get(name), str) and found:
            return found[:LONGEST]
    items = list(value.values())
    if not first:
        items.reverse()
    # Words before numbers: a score is no answer where there is one.
    words = (item for item in items if not isinstance(item, bool | int | float))
    return next((text for item in (*words, *items) if (text := _text(item))), None)


def _call(tool: object) -> str:
    """A tool call that a person is to approve: ``send_mail(to: bob)``."""
    fields = tool if isinstance(tool, Mapping) else {}
    return f"{_brief(fields.get('name', tool))}({_words(fields.get('args') or '')})"


def _answers(resume: object) -> object:
    """What a person answered, without the ids of the interrupts that several answers are told apart by."""
    if isinstance(resume, Mapping) and resume and all(_is_interrupt(key) for key in resume):
        return ", ".join(map(_words, resume.values()))
    return resume


def _is_interrupt(key: object) -> bool:
    return isinstance(key, str) and _INTERRUPT.fullmatch(key) is not None


def _words(value: object) -> str:
    """A value for people to read: ``approved: false, reason: too much at once``."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_brief(key)}: {_brief(item)}" for key, item in value.items())
        return pairs[:LONGEST]
    return _brief(value)[:LONGEST]


def _brief(value: object) -> str:
    return value if isinstance(value, str) else payload.dumps(value)


def _text(value: object) -> str | None:
    """Words, those of a list's last item too; a number where it stands by itself: the last of several says little."""
    alone = not isinstance(value, list)
    for _ in range(payload.MAX_DEPTH):
        if not isinstance(value, list) or not value:
            break
        value = value[-1]
    if isinstance(value, str):
        return value[:LONGEST] or None
    if is_message(value):
        return spoken_text(getattr(value, "content", None))[:LONGEST] or None
    if isinstance(value, Mapping) and "role" in value:
        return spoken_text(value.get("content"))[:LONGEST] or None
    if alone and isinstance(value, bool | int | float):
        return str(value)
    return None
