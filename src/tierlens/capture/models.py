"""Model calls: messages in and out as MLflow renders them, parameters, tokens, cost, speed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from tierlens import keys
from tierlens.capture import passages, payload, privacy
from tierlens.capture.estimates import estimated
from tierlens.capture.messages import as_message
from tierlens.capture.parameters import read
from tierlens.capture.shapes import fields
from tierlens.capture.trace import Open
from tierlens.capture.usage import Usage, from_langchain, from_llm_output, with_service
from tierlens.spans import NONE

_REMEMBERED: Final = Usage(0, 0)


def describe(
    opened: Open, messages: Sequence[object], parameters: Mapping[str, Any], metadata: Mapping[str, Any]
) -> None:
    """Put on the span of a model call what was asked of which model; ``metadata`` is as LangChain's tracers have it."""
    attributes = opened.attributes
    said = read(parameters, private=not opened.policy.log_prompts)
    if model := metadata.get("ls_model_name") or said.model:
        attributes[keys.MODEL] = str(model)
    attributes[keys.PROVIDER] = str(metadata.get("ls_provider") or said.provider or "unknown")
    attributes |= said.attributes
    opened.asked, opened.served = said.asked, said.service
    chat: list[dict[str, object]] = []
    blocks: list[object] = []
    for message in messages:
        chat.append(as_message(message))
        if type(content := fields(message).get("content")) is list:
            blocks += content
    # Of a message only a block can be marked, and most prompts are plain text.
    if blocks or said.cache_marks:
        opened.caches_for_an_hour = _for_an_hour(blocks, said.cache_marks)
    if opened.policy.estimate_tokens:
        opened.prompt = messages
    put_messages(opened, chat)


def _for_an_hour(blocks: Sequence[object], marks: Sequence[object]) -> bool:
    """Whether all that a call marks for caching is to be kept for an hour: a stream's usage does not tell.

    Args:
        blocks: of its messages.
        marks: those of its tools, and its own.
    """
    said = (block.get("cache_control") for block in blocks if isinstance(block, Mapping))
    marks = [*marks, *filter(None, said)]
    return bool(marks) and all(isinstance(mark, Mapping) and mark.get("ttl") == "1h" for mark in marks)


def put_messages(opened: Open, messages: Sequence[Mapping[str, object]]) -> None:
    """Store the prompt, and which retrieved documents stand in it."""
    if not opened.policy.log_prompts:
        masked = [{"role": _role(message), "content": payload.shape(message.get("content"))} for message in messages]
        opened.attributes[keys.INPUTS] = payload.dumps({"messages": masked})
        return
    opened.attributes[keys.INPUTS] = payload.dumps({"messages": messages})
    if opened.trace.documents:
        prompt = "\n".join(str(message.get("content", "")) for message in messages)
        if used := passages.in_prompt(opened.trace, prompt):
            opened.attributes[keys.CONTEXT_DOCUMENTS] = ", ".join(used)


def _role(message: Mapping[str, object]) -> object:
    role = message.get("role")
    return role if payload.is_name(role) else payload.shape(role)


def end(opened: Open, result: Any) -> None:
    """Put a LangChain ``LLMResult`` on the span of its call."""
    if not opened.recording:
        return
    output = result.llm_output or NONE
    if type(output) is not dict and not isinstance(output, Mapping):
        output = NONE
    # Read from where pydantic keeps its fields: a completion's generation has no message, and asking costs 3 µs.
    replies = [fields(one).get("message") or one.text for several in result.generations for one in several]
    put_replies(opened, replies)
    usage = _usage(replies, output, opened)
    if usage is _REMEMBERED:
        opened.attributes[keys.FROM_CACHE] = True
    elif usage is None and opened.policy.estimate_tokens:
        usage = estimated(opened.prompt, replies)
        opened.attributes[keys.TOKENS_ESTIMATED] = True
    put_usage(opened, usage, None if keys.MODEL in opened.attributes else _response_model(replies, output))


def put_replies(opened: Open, replies: Iterable[object]) -> None:
    """Store what the model said, as ``choices``, with the reason it stopped."""
    private = not opened.policy.log_prompts
    quotable = opened.hold is None and opened.own_hold is None
    choices: list[dict[str, object]] = []
    for reply in replies:
        message, found = as_message(reply), fields(reply)
        message["role"] = "assistant"
        if private:
            privacy.said(opened, message)
            message = {"role": "assistant", "content": payload.shape(message["content"])}
        elif quotable:
            pointer = f"choices/{len(choices)}/message/content" if choices else "reply"
            # The model's own words, as the caller has them too: only the same object is known again.
            opened.trace.ledger.remember(found.get("content", reply), opened.span_id, pointer)
        choices.append({"message": message, "finish_reason": _stop_reason(reply, found)})
    opened.attributes[keys.OUTPUTS] = payload.dumps({"choices": choices})


def put_usage(opened: Open, usage: Usage | None, response_model: str | None) -> None:
    """Store tokens and speed; what was not counted is left out, not stored as 0.

    What the tokens cost is worked out behind the disk, from what is stored here.
    """
    attributes = opened.attributes
    if response_model and keys.MODEL not in attributes:
        attributes[keys.MODEL] = response_model
    if usage is not None and (usage.input is not None or usage.output is not None):
        opened.usage = usage.as_mlflow()
        attributes[keys.TOKEN_USAGE] = orjson.dumps(opened.usage).decode()
        if finer := usage.finer():
            opened.usage |= finer
            attributes[keys.FINER_USAGE] = orjson.dumps(finer).decode()
        if usage.tier:
            attributes[keys.SERVICE_TIER] = opened.service_tier = usage.tier
        if usage.share != 1.0:
            attributes[keys.PRICE_SHARE] = opened.share = usage.share
    if opened.first_token_ns:
        _put_speed(opened, usage.output if usage is not None else None)


def _put_speed(opened: Open, written: int | None) -> None:
    first, now = opened.first_token_ns, opened.trace.now()
    opened.attributes[keys.TTFT_MS] = round((first - opened.start_ns) / 1e6, 3)
    if written and now > first:
        opened.attributes[keys.TOKENS_PER_S] = round(written / ((now - first) / 1e9), 2)


def _usage(replies: Sequence[object], output: Mapping[str, Any], opened: Open) -> Usage | None:
    for reply in replies:
        if metadata := (found := fields(reply)).get("usage_metadata"):
            # So LangChain marks what its own cache had: the tokens are those of the call that filled it.
            if metadata.get("total_cost") == 0:
                return _REMEMBERED
            # Several candidates of one call each carry the whole call's usage.
            usage = from_langchain(metadata, for_an_hour=opened.caches_for_an_hour)
            counts = (found.get("response_metadata") or NONE).get("usage")
            # Of a stream LangChain hands on no such counts: what was asked for has to do.
            if isinstance(counts, dict):
                opened.counts = counts
            served = {**opened.served, **opened.counts} if opened.counts else opened.served
            return with_service(usage, served) if served else usage
    return from_llm_output(output)


def _response_model(replies: Sequence[object], output: Mapping[str, Any]) -> str | None:
    for reply in replies:
        metadata = fields(reply).get("response_metadata") or NONE
        if model := metadata.get("model_name") or metadata.get("model"):
            return str(model)
    model = output.get("model_name") or output.get("model")
    return str(model) if model else None


def _stop_reason(reply: object, found: Mapping[str, Any]) -> str | None:
    metadata = found if found is reply else found.get("response_metadata") or NONE
    reason = metadata.get("stop_reason") or metadata.get("finish_reason")
    return str(reason) if reason else None
