"""Model calls: messages in and out as MLflow renders them, parameters, tokens, cost, speed."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from tierlens import keys
from tierlens.capture import payload, prices, privacy, rag
from tierlens.capture.messages import as_message, tool_definition
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Context, Open
from tierlens.capture.usage import Usage, from_langchain, from_llm_output

_NOT_PARAMETERS = frozenset({"model", "model_name", "messages", "system", "tools", "_type", "stream"}) | frozenset(
    {"api_key", "anthropic_api_key", "extra_headers"}
)


def start(
    recorder: Recorder,
    key: Hashable,
    name: str,
    kind: str,
    messages: Sequence[object],
    parameters: Mapping[str, Any],
    *,
    parent: Open | None,
    context: Context,
    metadata: Mapping[str, Any],
) -> Open:
    """Open the span of a model call."""
    opened = recorder.start(key, name, kind, parent=parent, context=context)
    if opened.recording:
        describe(opened, messages, parameters, metadata)
    return opened


def describe(
    opened: Open, messages: Sequence[object], parameters: Mapping[str, Any], metadata: Mapping[str, Any]
) -> None:
    """Put on the span of a model call what was asked of which model; ``metadata`` is as LangChain's tracers have it."""
    attributes = opened.attributes
    model = metadata.get("ls_model_name") or parameters.get("model") or parameters.get("model_name")
    if model:
        attributes[keys.MODEL] = str(model)
    attributes[keys.PROVIDER] = str(metadata.get("ls_provider") or parameters.get("_type") or "unknown")
    put_parameters(opened, parameters)
    if _caches_for_an_hour(messages, parameters):
        opened.caches_for_an_hour = True
    put_messages(opened, [as_message(message) for message in messages])


def _caches_for_an_hour(messages: Sequence[object], parameters: Mapping[str, Any]) -> bool:
    """Whether all that a prompt marks for caching is to be kept for an hour: a stream's usage does not tell."""
    contents = [content for message in messages if type(content := getattr(message, "content", None)) is list]
    blocks = [*itertools.chain.from_iterable(contents), *(parameters.get("tools") or ()), parameters]
    marks = [mark for block in blocks if isinstance(block, Mapping) and (mark := block.get("cache_control"))]
    return bool(marks) and all(isinstance(mark, Mapping) and mark.get("ttl") == "1h" for mark in marks)


def put_messages(opened: Open, messages: Sequence[Mapping[str, object]]) -> None:
    """Store the prompt, and which retrieved documents stand in it."""
    if not opened.policy.log_prompts:
        masked = [
            {"role": message.get("role"), "content": payload.shape(message.get("content"))} for message in messages
        ]
        opened.attributes[keys.INPUTS] = payload.dumps({"messages": masked})
        return
    opened.attributes[keys.INPUTS] = payload.dumps({"messages": messages})
    if opened.trace.documents:
        prompt = "\n".join(str(message.get("content", "")) for message in messages)
        if used := rag.context_of(opened.trace, prompt):
            opened.attributes[keys.CONTEXT_DOCUMENTS] = ", ".join(used)


def put_parameters(opened: Open, parameters: Mapping[str, Any]) -> None:
    """Store the invocation parameters and the tools that were offered."""
    kept = {name: value for name, value in parameters.items() if name not in _NOT_PARAMETERS and value is not None}
    private = not opened.policy.log_prompts
    if private:
        kept = {name: value for name, value in kept.items() if isinstance(value, bool | int | float)}
    if kept:
        opened.attributes[keys.PARAMS] = payload.dumps(kept)
    tools = parameters.get("tools") or parameters.get("functions")
    if tools and not private:
        offered = [tool_definition(tool) if isinstance(tool, Mapping) else payload.safe_repr(tool) for tool in tools]
        opened.attributes[keys.CHAT_TOOLS] = payload.dumps(offered)


def end(recorder: Recorder, opened: Open, result: Any) -> Usage | None:
    """Put a LangChain ``LLMResult`` on the span of its call; returns the usage found in it."""
    if not opened.recording:
        return None
    generations = [generation for several in result.generations for generation in several]
    output = result.llm_output if isinstance(result.llm_output, Mapping) else {}
    replies = [getattr(generation, "message", None) or generation.text for generation in generations]
    put_replies(opened, replies)
    usage = _usage(replies, output, opened.caches_for_an_hour)
    model = _response_model(replies, output)
    put_usage(opened, usage, model)
    return usage


def put_replies(opened: Open, replies: Iterable[object]) -> None:
    """Store what the model said, as ``choices``, with the reason it stopped."""
    private = not opened.policy.log_prompts
    choices: list[dict[str, object]] = []
    for reply in replies:
        message = {**as_message(reply), "role": "assistant"}
        reason = _stop_reason(reply)
        if private:
            privacy.said(opened, message)
            message = {"role": "assistant", "content": payload.shape(message["content"])}
        elif opened.hold is None and opened.own_hold is None:
            pointer = f"choices/{len(choices)}/message/content" if choices else "reply"
            opened.trace.ledger.remember(getattr(reply, "content", reply), opened.span_id, pointer)
        choices.append({"message": message, "finish_reason": reason})
    opened.attributes[keys.OUTPUTS] = payload.dumps({"choices": choices})


def put_usage(opened: Open, usage: Usage | None, response_model: str | None, *, share: float = 1.0) -> None:
    """Store tokens, cost and speed; what was not counted is left out, not stored as 0.

    Args:
        share: the part of the published price that is paid, 0.5 in a batch.
    """
    attributes = opened.attributes
    now = opened.trace.now()
    if opened.first_token_ns:
        attributes[keys.TTFT_MS] = round((opened.first_token_ns - opened.start_ns) / 1e6, 3)
    if response_model and keys.MODEL not in attributes:
        attributes[keys.MODEL] = response_model
    if usage is None or (usage.input is None and usage.output is None):
        return
    attributes[keys.TOKEN_USAGE] = orjson.dumps(usage.as_mlflow()).decode()
    model, provider = str(attributes.get(keys.MODEL, "")), str(attributes.get(keys.PROVIDER, ""))
    if paid := prices.cost(provider, model, usage):
        if share != 1.0:
            paid = {name: share * dollars for name, dollars in paid.items()}
        attributes[keys.COST] = orjson.dumps(paid).decode()
    if opened.first_token_ns and usage.output and now > opened.first_token_ns:
        attributes[keys.TOKENS_PER_S] = round(usage.output / ((now - opened.first_token_ns) / 1e9), 2)


def _usage(replies: Sequence[object], output: Mapping[str, Any], for_an_hour: bool) -> Usage | None:
    reported = [metadata for reply in replies if (metadata := getattr(reply, "usage_metadata", None))]
    if reported:
        # Several candidates of one call each carry the whole call's usage.
        return from_langchain(reported[0], for_an_hour=for_an_hour)
    return from_llm_output(output)


def _response_model(replies: Sequence[object], output: Mapping[str, Any]) -> str | None:
    for reply in replies:
        metadata = getattr(reply, "response_metadata", None) or {}
        if model := metadata.get("model_name") or metadata.get("model"):
            return str(model)
    model = output.get("model_name") or output.get("model")
    return str(model) if model else None


def _stop_reason(reply: object) -> str | None:
    metadata = reply if isinstance(reply, Mapping) else getattr(reply, "response_metadata", None) or {}
    reason = metadata.get("stop_reason") or metadata.get("finish_reason")
    return str(reason) if reason else None
