"""Tokens of one model call, in one shape, whatever the provider called them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tierlens.capture.shapes import fields
from tierlens.spans import NONE


class Usage(NamedTuple):
    """Tokens of one model call; a count that was not reported is None, never 0.

    Attributes:
        input: all input tokens, those read from and written to a cache included.
        output: all output tokens, reasoning included.
        cache_read: input tokens read from a prompt cache.
        cache_write_5m: input tokens written to a cache with the ordinary life time.
        cache_write_1h: input tokens written to a cache for an hour.
        reasoning: the part of ``output`` that was spent on thinking.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None

    def as_mlflow(self) -> dict[str, int]:
        """The mapping MLflow stores as ``mlflow.chat.tokenUsage``."""
        total, written, read, five, hour = self[:5]
        usage = {}
        if total is not None:
            usage["input_tokens"] = total
        if written is not None:
            usage["output_tokens"] = written
        usage["total_tokens"] = (total or 0) + (written or 0)
        if read is not None:
            usage["cache_read_input_tokens"] = read
        if five is not None or hour is not None:
            usage["cache_creation_input_tokens"] = (five or 0) + (hour or 0)
        if hour:
            usage["cache_creation_input_tokens_above_1hr"] = hour
        return usage


def from_langchain(metadata: Mapping[str, Any], *, for_an_hour: bool = False) -> Usage:
    """Usage of LangChain's ``usage_metadata``.

    ``cache_creation`` is zeroed by langchain-anthropic where the two ``ephemeral_*`` counts are given, and is
    all there is of a stream's cache writes; so those are read first.

    Args:
        for_an_hour: cache writes that are not split by lifetime are all for an hour, not for five minutes.
    """
    read = metadata.get("input_token_details") or NONE
    written = metadata.get("output_token_details") or NONE
    five, hour = read.get("ephemeral_5m_input_tokens"), read.get("ephemeral_1h_input_tokens")
    if not five and not hour and (unsplit := read.get("cache_creation")) is not None:
        five, hour = (None, unsplit) if for_an_hour else (unsplit, hour)
    return Usage(
        metadata.get("input_tokens"),
        metadata.get("output_tokens"),
        read.get("cache_read"),
        five,
        hour,
        written.get("reasoning"),
    )


def from_anthropic(usage: Any) -> Usage:
    """Usage of an Anthropic ``Usage`` object or mapping, whose ``input_tokens`` leaves the cache out.

    The split of cache writes by lifetime comes with a stream's first event only; what the total has grown by
    since then (server tools make further model calls) counts as written for five minutes.
    """
    counts = fields(usage)
    read, written = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
    split = fields(counts.get("cache_creation"))
    five, hour = split.get("ephemeral_5m_input_tokens"), split.get("ephemeral_1h_input_tokens")
    if written is not None:
        five = max(written - (hour or 0), five or 0)
    bare = counts.get("input_tokens")
    return Usage(
        input=None if bare is None else bare + (read or 0) + (five or 0) + (hour or 0),
        output=counts.get("output_tokens"),
        cache_read=read,
        cache_write_5m=five,
        cache_write_1h=hour,
        reasoning=fields(counts.get("output_tokens_details")).get("thinking_tokens"),
    )


def from_llm_output(output: Mapping[str, Any]) -> Usage | None:
    """Usage of an ``LLMResult.llm_output``, the older place: OpenAI's ``token_usage``, others' ``usage``."""
    counts = output.get("token_usage") or output.get("usage")
    if not isinstance(counts, Mapping) or not counts:
        return None
    if "prompt_tokens" in counts or "completion_tokens" in counts:
        cached = (counts.get("prompt_tokens_details") or {}).get("cached_tokens")
        reasoning = (counts.get("completion_tokens_details") or {}).get("reasoning_tokens")
        return Usage(
            input=counts.get("prompt_tokens"),
            output=counts.get("completion_tokens"),
            cache_read=cached,
            reasoning=reasoning,
        )
    return from_anthropic(counts) if "input_tokens" in counts else None
