"""What may leave an agent's thread: text that is private is taken out, secrets are redacted, before the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from tierlens import keys
from tierlens.capture.messages import content_text, is_message
from tierlens.capture.redaction import redactor
from tierlens.capture.trace import Open
from tierlens.spans import AttributeValue, Event, Span

Redactor = Callable[[str], str]
SHORTEST = 12
PLAIN = frozenset(
    {
        keys.SPAN_TYPE,
        keys.MODEL,
        keys.PROVIDER,
        keys.TOKEN_USAGE,
        keys.COST,
        keys.OUTCOME,
        keys.MESSAGE_FORMAT,
    }
)


def remember(opened: Open, value: object) -> None:
    """Text that an agent without ``log_prompts`` has produced: it must not come out through its neighbours either."""
    opened.trace.private.update(text for text in _texts(value) if len(text) >= SHORTEST)
    opened.trace.ledger.heads = False


def clean(span: Span, opened: Open) -> Span:
    """``span`` without private text of other agents and with its policy's redaction rules applied."""
    if not opened.trace.private and not opened.policy.redact:
        return span
    rewriters = _rewriters(opened)

    def through(text: str) -> str:
        for rewrite in rewriters:
            text = rewrite(text)
        return text

    return span._replace(
        name=through(span.name),
        message=through(span.message) if span.message else "",
        attributes=_map(span.attributes, through),
        events=tuple(Event(event.name, event.time_ns, _map(event.attributes, through)) for event in span.events),
    )


def _rewriters(opened: Open) -> list[Redactor]:
    rewriters: list[Redactor] = []
    if opened.trace.private and opened.policy.log_prompts:
        rewriters.append(_without(opened.trace.private))
    if opened.policy.redact:
        rewriters.append(redactor(opened.policy.redact))
    return rewriters


def _without(private: set[str]) -> Redactor:
    # Longest first, so that a text inside another does not leave the rest of the longer one behind.
    needles = sorted(private, key=len, reverse=True)
    forms = [form for text in needles for form in dict.fromkeys((_json_form(text), text))]

    def rewrite(text: str) -> str:
        for form in forms:
            if form in text:
                text = text.replace(form, "<private>")
        return text

    return rewrite


def _json_form(text: str) -> str:
    try:
        return orjson.dumps(text)[1:-1].decode()
    except TypeError:  # lone surrogates: it was replaced on its way into JSON as well
        return orjson.dumps(text.encode("utf-8", "replace").decode())[1:-1].decode()


def _map(attributes: Mapping[str, AttributeValue], through: Redactor) -> dict[str, AttributeValue]:
    return {
        key: through(value) if isinstance(value, str) and key not in PLAIN else value
        for key, value in attributes.items()
    }


def _texts(value: Any, depth: int = 0) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif depth > 6:
        return
    elif is_message(value):
        yield content_text(value.content)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item, depth + 1)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _texts(item, depth + 1)
