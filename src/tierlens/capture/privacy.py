"""What may leave an agent's thread: text that is private is taken out, secrets are redacted, before the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from tierlens import keys
from tierlens.capture import payload
from tierlens.capture.messages import as_message, is_message
from tierlens.capture.redaction import redactor
from tierlens.capture.redaction.cuts import whole_words
from tierlens.capture.trace import Open, Trace
from tierlens.capture.withheld import MARK, Withheld
from tierlens.policy import Policies
from tierlens.spans import AttributeValue, Event, Link, Metric, Span

Redactor = Callable[[str], str]
_ATOMS: Final = (int, float, type(None), bytes, bytearray, memoryview)
_PLAIN: Final = frozenset({keys.SPAN_TYPE, keys.MODEL, keys.PROVIDER, keys.TOKEN_USAGE, keys.COST, keys.OUTCOME}) | {
    keys.FINER_USAGE,
    keys.SERVICE_TIER,
    keys.VERSION,
}
# Attributes' names can be anybody's as well: tags, metrics, what other libraries say.
_PREFIXES: Final = (keys.TRACE_TAG, keys.METRIC)
_LONGEST_IN_LOG: Final = 80
_CONTENTS: Final = frozenset({keys.INPUTS, keys.OUTPUTS})
_OUR_NAMES: Final = frozenset(value for value in vars(keys).values() if isinstance(value, str))
# Said by the configuration and the caller, never by an agent, even where an agent has said the same word.
_STRUCTURE: Final = frozenset({keys.AGENT, keys.TRACE_NAME, keys.SESSION, keys.USER}) | {
    keys.TRACE_TAG + name
    for name in ("app", "brand", "kpi", "user", "session", "environment", "agents", "tiers", "outcome")
}


def given(opened: Open, inputs: object) -> None:
    """What an agent without ``log_prompts`` was given by others: handed on unchanged, it is not its own."""
    if opened.parent is None or opened.parent.policy.log_prompts:
        opened.given = frozenset(_texts(inputs))


def remember(opened: Open, value: object) -> None:
    """Text that an agent without ``log_prompts`` has produced: it must not come out through its neighbours either."""
    _withhold(opened, _texts(value), said=False)


def _given(opened: Open) -> frozenset[str]:
    """The texts that the outermost agent without ``log_prompts`` around a span was given by others."""
    here: Open | None = opened
    while here is not None and here.given is None:
        here = here.parent
    return here.given if here is not None and here.given is not None else frozenset()


def said(opened: Open, message: Mapping[str, Any]) -> None:
    """What the model of such an agent has said: its words, its thoughts, the arguments of the tools it called."""
    _withhold(opened, _texts(_said_in(message)), said=True)


def _said_in(message: Mapping[str, Any]) -> list[object]:
    calls = [call.get("function", call) for call in message.get("tool_calls", ()) if isinstance(call, Mapping)]
    arguments = [call.get("arguments") for call in calls]
    return [message.get("content"), message.get("thinking"), *arguments, *map(_parsed, arguments)]


def _parsed(arguments: object) -> object:
    try:
        return orjson.loads(arguments) if isinstance(arguments, str) else None
    except orjson.JSONDecodeError:
        return None


def recognise(opened: Open, value: object) -> None:
    """Where the trace goes on from one that paused: text in ``value`` that was private there is private here."""
    opened.trace.private.recognise(_texts(value))


def kept(trace: Trace, policies: Policies) -> bool:
    """Whether some text of a trace was not to be stored."""
    if not policies.keeps_secrets:
        return False
    private = trace.private
    return bool(private.texts or private.expected or private.lost) or not all(
        policies.agents.get(agent, policies.defaults).log_prompts for agent in trace.agents
    )


def shows_sources(opened: Open, policies: Policies) -> bool:
    """Whether a trace back on a span may have the lines of code that were run: a prompt or a secret that stands in
    one may stand there in pieces, which nobody recognises."""
    return not opened.policy.redact and not kept(opened.trace, policies)


def _withhold(opened: Open, texts: Iterable[str], *, said: bool) -> None:
    # Words out of the question, say, are no more its own than the question is.
    opened.trace.private.add(texts, said=said, given=_given(opened))
    # A reference's first words might be some of it.
    opened.trace.ledger.heads = False


def clean(span: Span, opened: Open) -> Span:
    """``span`` without private text of other agents and with its policy's redaction rules applied."""
    redact = redactor(opened.policy.redact) if opened.policy.redact else _unchanged
    without = opened.trace.private.without if _keeps_out(opened) else _unchanged
    if redact is without:
        return span
    return span._replace(
        name=redact(span.name if _is_structure(opened) or payload.is_name(span.name) else without(span.name)),
        message=redact(without(span.message)),
        attributes=_map(span.attributes, without, redact),
        events=tuple(
            Event(redact(without(event.name)), event.time_ns, _map(event.attributes, without, redact))
            for event in span.events
        ),
        links=tuple(Link(link.trace_id, link.span_id, _map(link.attributes, without, redact)) for link in span.links),
    )


def _is_structure(opened: Open) -> bool:
    """Whether a span is named by the graph, not by the code that runs in it."""
    return opened.is_node or opened.kind == "AGENT" or opened.parent is None


def cleaned(opened: Open, text: str) -> str:
    """``text`` without private text of other agents and with the redaction rules of a span's policy applied."""
    return redacted(opened, opened.trace.private.without(text) if _keeps_out(opened) else text)


def _keeps_out(opened: Open) -> bool:
    """Whether there is private text that is not a span's own."""
    return bool(opened.trace.private.texts) and opened.policy.log_prompts


def redacted(opened: Open, text: str) -> str:
    """``text`` with the redaction rules of a span's policy applied."""
    return redactor(opened.policy.redact)(text) if opened.policy.redact else text


def tagged(opened: Open, text: str) -> str:
    """What a trace's tag may say of the text that a span's code gave to it."""
    private = opened.trace.private
    text = private.without(text) if private.texts else text
    return redacted(opened, text if opened.policy.log_prompts else _own_tag(opened, text))


def _own_tag(opened: Open, text: str) -> str:
    """A tag of an agent without ``log_prompts``: names and numbers may stay, what reads like text may not."""
    reads, asked = Withheld(), Withheld()
    reads.add([text], said=False)
    if reads.texts and any(map(str.isspace, text)):
        return MARK
    asked.add(_given(opened), said=False)
    return asked.without(text)


def in_log(opened: Open, said: str) -> str:
    """A name that a span's code has given, as a log may quote it."""
    text = opened.policy.log_prompts or payload.is_name(said)
    return repr(cleaned(opened, said)[:_LONGEST_IN_LOG] if text else MARK)


def clean_metrics(opened: Open) -> Mapping[str, Metric]:
    """A span's metrics as they may be stored: names and labels are text, and may be another agent's."""
    metrics = opened.metrics or {}
    redact = redactor(opened.policy.redact) if opened.policy.redact else _unchanged
    without = opened.trace.private.without if opened.trace.private.texts else _unchanged
    return {
        redact(name): redact(without(value)) if isinstance(value, str) else value for name, value in metrics.items()
    }


def clean_file(opened: Open, name: str, content: bytes, *, is_text: bool) -> tuple[str, bytes]:
    """A file's name and content without private text of other agents and with the redaction rules applied; a content
    that can be read as text is some, whatever its name says."""
    if not opened.policy.redact and not _keeps_out(opened):
        return name, content
    name = cleaned(opened, name)
    try:
        text = content.decode("utf-8", "replace" if is_text else "strict")
    except UnicodeDecodeError:
        return name, content
    clean_text = cleaned(opened, text)
    return name, content if clean_text == text else clean_text.encode()


def _unchanged(text: str) -> str:
    return text


def _map(attributes: Mapping[str, AttributeValue], without: Redactor, redact: Redactor) -> dict[str, AttributeValue]:
    if without is not _unchanged:
        return {
            key if key in _OUR_NAMES else _name(key, redact): (
                redact(_withheld(key, value, without, redact)) if isinstance(value, str) else value
            )
            for key, value in attributes.items()
        }
    return {
        key if key in _OUR_NAMES else _name(key, redact): (
            redact(whole_words(value) if key in _CONTENTS else value) if isinstance(value, str) else value
        )
        for key, value in attributes.items()
    }


def _name(key: str, redact: Redactor) -> str:
    prefix = next((known for known in _PREFIXES if key.startswith(known)), "")
    return prefix + redact(key[len(prefix) :])


def _withheld(key: str, value: str, without: Redactor, redact: Redactor) -> str:
    if redact is not _unchanged and key in _CONTENTS:
        value = whole_words(value)
    return value if key in _PLAIN or key in _STRUCTURE else without(value)


def _texts(root: object) -> Iterator[str]:
    """All text in a value, however deep, mappings' keys included; on the first level those that are no names."""
    seen: set[int] = set()
    waiting: list[object] = [root]
    if isinstance(root, Mapping):
        waiting = [*root.values(), *(key for key in root if not payload.is_name(key))]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
            continue
        if isinstance(value, _ATOMS) or id(value) in seen:
            continue
        seen.add(id(value))
        waiting.extend(_parts(value))


def _parts(value: Any) -> Iterable[object]:
    if is_message(value):
        return _said_in(as_message(value))
    if type(value).__name__ == "Send":
        return [getattr(value, "arg", None)]
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return value
    try:
        return [payload.describe(value)]
    except Exception:  # the object's own dump raised; its repr is what is stored of it
        return [payload.safe_repr(value)]
