"""Golden payloads put through what captures them, and the spans that come of it."""

from __future__ import annotations

import functools
from typing import Any
from uuid import uuid4

import anthropic.types
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from pydantic import TypeAdapter

from tests.capture.conftest import Capture
from tests.usage.golden import Case
from tierlens.capture import models
from tierlens.capture.anthropic.call import put_message
from tierlens.capture.anthropic.reply import Reply
from tierlens.capture.outcomes import FINE
from tierlens.capture.trace import Context
from tierlens.spans import Span

_EVENT: TypeAdapter[Any] = TypeAdapter(anthropic.types.RawMessageStreamEvent)


def captured(capture: Capture, case: Case) -> Span:
    """The span of the case's call."""
    if case.via.startswith("anthropic."):
        _claude(capture, case)
    else:
        _langchain(capture, case)
    (span,) = capture.journal.spans.values()
    return span


def as_otlp(span: Span, start_ns: int) -> dict[str, Any]:
    """A span as whoever ships has it, begun at another time."""
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    attributes = [{"key": key, "value": {kinds[type(value)]: value}} for key, value in span.attributes.items()]
    return {"startTimeUnixNano": str(start_ns), "attributes": attributes}


def _claude(capture: Capture, case: Case) -> None:
    message = _added(case.payload) if case.via == "anthropic.stream" else case.payload
    opened = capture.recorder.start(object(), "anthropic.messages", "CHAT_MODEL", parent=None, context=Context())
    models.describe(opened, [], {"model": case.model}, {"ls_provider": case.provider})
    put_message(capture.recorder, opened, message)
    capture.recorder.finish(opened, FINE)


def _added(events: list[dict[str, Any]]) -> dict[str, Any]:
    reply = Reply(lambda: 1)
    for event in events:
        reply.add(_EVENT.validate_python(event))
    return reply.message()


def _langchain(capture: Capture, case: Case) -> None:
    callback, run_id = capture.callback(), uuid4()
    said = {"ls_provider": case.provider, "ls_model_name": case.model}
    callback.on_chat_model_start({}, [[]], run_id=run_id, metadata=said)
    callback.on_llm_end(_result(case), run_id=run_id)


def _result(case: Case) -> LLMResult:
    payload = case.payload
    if case.via == "langchain.llm_output":
        return LLMResult(generations=[[Generation(text="Because.")]], llm_output=payload)
    if case.via == "langchain.chunks":
        chunks = [AIMessageChunk(content="Because.", **chunk) for chunk in payload]
        replies: list[AIMessage] = [functools.reduce(lambda one, other: one + other, chunks)]
    else:
        replies = [
            AIMessage(content="Because.", **one) for one in (payload if isinstance(payload, list) else [payload])
        ]
    return LLMResult(generations=[[ChatGeneration(message=reply) for reply in replies]])


def attribute(span: dict[str, Any], key: str) -> Any:
    """The value of an OTLP span's attribute, or None."""
    found = [one["value"] for one in span["attributes"] if one["key"] == key]
    return next(iter(found[0].values())) if found else None
