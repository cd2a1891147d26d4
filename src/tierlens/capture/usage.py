"""Tokens of one model call, in one shape, whatever the provider called them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from tierlens import usages
from tierlens.capture.shapes import all_fields, fields
from tierlens.spans import NONE

Counts = Mapping[str, Any]

_AT_LIST_PRICE: Final = frozenset({None, "", "auto", "default", "standard", "standard_only", "batch"})
# https://platform.claude.com/docs/en/about-claude/pricing#data-residency-pricing: on all tokens, the cache's too.
_SHARE_BY_PLACE: Final[Mapping[Any, float]] = {"us": 1.1}
_ANYWHERE: Final = frozenset({None, "", "global", "not_available"})


class Usage(NamedTuple):
    """Tokens of one model call; a count that was not reported is None, never 0.

    Attributes:
        input: all input tokens, those read from and written to a cache included.
        output: all output tokens, reasoning included.
        cache_read: input tokens read from a prompt cache.
        cache_write_5m: input tokens written to a cache with the ordinary life time.
        cache_write_1h: input tokens written to a cache for an hour.
        reasoning: the part of ``output`` that was spent on thinking.
        audio_in, image_in: parts of ``input``.
        audio_out, image_out: parts of ``output``.
        searches: web searches the provider made, which it bills beside tokens.
        tier: of service or of speed, where that has a price of its own; else "".
        share: the part of the published price that is paid for tokens.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_in: int | None = None
    audio_out: int | None = None
    image_in: int | None = None
    image_out: int | None = None
    searches: int | None = None
    tier: str = ""
    share: float = 1.0

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

    def finer(self) -> dict[str, int]:
        """What was counted that MLflow's mapping has no place for, by the names of `tierlens.usages`."""
        counted = self[5:11]
        if counted == _NO_FINER:
            return {}
        return {name: count for name, count in zip(_FINER, counted, strict=True) if count is not None}


_FINER: Final = (
    usages.REASONING,
    usages.AUDIO_IN,
    usages.AUDIO_OUT,
    usages.IMAGE_IN,
    usages.IMAGE_OUT,
    usages.SEARCHES,
)
_NO_FINER: Final = (None,) * len(_FINER)


def from_langchain(metadata: Mapping[str, Any], *, for_an_hour: bool = False) -> Usage:
    """Usage of LangChain's ``usage_metadata``.

    ``cache_creation`` is zeroed by langchain-anthropic where the two ``ephemeral_*`` counts are given, and is
    all there is of a stream's cache writes; so those are read first. langchain-openai prefixes its details with
    the tier of service where that is ``flex`` or ``priority``.

    Args:
        for_an_hour: cache writes that are not split by lifetime are all for an hour, not for five minutes.
    """
    read = metadata.get("input_token_details") or NONE
    written = metadata.get("output_token_details") or NONE
    if "flex" in read or "priority" in read:
        return _of_tier("flex" if "flex" in read else "priority", metadata, read, written)
    five, hour = read.get("ephemeral_5m_input_tokens"), read.get("ephemeral_1h_input_tokens")
    if not five and not hour and (unsplit := read.get("cache_creation")) is not None:
        five, hour = (None, unsplit) if for_an_hour else (unsplit, hour)
    usage = metadata.get("input_tokens"), metadata.get("output_tokens"), read.get("cache_read"), five, hour
    if not written and "audio" not in read and "image" not in read:
        return Usage(*usage)
    return Usage(
        *usage,
        written.get("reasoning"),
        read.get("audio"),
        written.get("audio"),
        read.get("image"),
        written.get("image"),
    )


def _of_tier(tier: str, metadata: Counts, read: Counts, written: Counts) -> Usage:
    return Usage(
        input=metadata.get("input_tokens"),
        output=metadata.get("output_tokens"),
        cache_read=read.get(f"{tier}_cache_read"),
        cache_write_5m=read.get(f"{tier}_cache_creation"),
        reasoning=written.get(f"{tier}_reasoning"),
        audio_in=read.get("audio"),
        audio_out=written.get("audio"),
        tier=tier,
    )


def from_anthropic(usage: Any) -> Usage:
    """Usage of an Anthropic ``Usage`` object or mapping, whose ``input_tokens`` leaves the cache out.

    The split of cache writes by lifetime comes with a stream's first event only; what the total has grown by
    since then (server tools make further model calls) counts as written for five minutes.
    """
    counts = all_fields(usage)
    read, written = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
    split = fields(counts.get("cache_creation"))
    five, hour = split.get("ephemeral_5m_input_tokens"), split.get("ephemeral_1h_input_tokens")
    if written is not None:
        five = max(written - (hour or 0), five or 0)
    bare = counts.get("input_tokens")
    counted = Usage(
        input=None if bare is None else bare + (read or 0) + (five or 0) + (hour or 0),
        output=counts.get("output_tokens"),
        cache_read=read,
        cache_write_5m=five,
        cache_write_1h=hour,
        reasoning=fields(counts.get("output_tokens_details")).get("thinking_tokens"),
    )
    return with_service(counted, counts)


def with_service(usage: Usage, counts: Mapping[str, Any]) -> Usage:
    """``usage`` with what Anthropic's own counts, which LangChain hands on beside its own, say of service."""
    served, tier, speed, place = map(counts.get, ("server_tool_use", "service_tier", "speed", "inference_geo"))
    known = place in _ANYWHERE or place in _SHARE_BY_PLACE
    dearer = [str(one) for one in (tier, speed, None if known else f"in {place}") if one not in _AT_LIST_PRICE]
    share = round(_SHARE_BY_PLACE.get(place, 1.0) * (usages.BATCH_SHARE if tier == "batch" else 1.0), 4)
    if served is None and not dearer and share == 1.0:
        return usage
    searches = fields(served).get("web_search_requests") or None
    return usage._replace(searches=searches, tier=" ".join(dearer) or usage.tier, share=share)


def from_llm_output(output: Mapping[str, Any]) -> Usage | None:
    """Usage of an ``LLMResult.llm_output``, the older place: OpenAI's ``token_usage``, others' ``usage``."""
    counts = output.get("token_usage") or output.get("usage")
    if not isinstance(counts, Mapping) or not counts:
        return None
    if "prompt_tokens" in counts or "completion_tokens" in counts:
        return _from_openai(counts, "prompt_tokens", "completion_tokens")
    if "input_tokens" in counts and ("input_tokens_details" in counts or "output_tokens_details" in counts):
        return _from_openai(counts, "input_tokens", "output_tokens")
    return from_anthropic(counts) if "input_tokens" in counts else None


def _from_openai(counts: Mapping[str, Any], asked: str, answered: str) -> Usage:
    read, written = counts.get(f"{asked}_details") or NONE, counts.get(f"{answered}_details") or NONE
    cached = first_count((read.get("cached_tokens"), counts.get("prompt_cache_hit_tokens")))
    bare = counts.get(asked)
    # langchain-aws has Bedrock's names beside OpenAI's, and then the cache is left out of the prompt.
    beside = [counts.get(name) for name in ("cache_read_input_tokens", "cache_write_input_tokens")]
    return Usage(
        input=None if bare is None else bare + sum(count or 0 for count in beside),
        output=counts.get(answered),
        cache_read=first_count((cached, beside[0])),
        cache_write_5m=first_count((read.get("cache_write_tokens"), beside[1])),
        reasoning=written.get("reasoning_tokens"),
        audio_in=read.get("audio_tokens"),
        audio_out=written.get("audio_tokens"),
        image_in=read.get("image_tokens"),
        image_out=written.get("image_tokens"),
    )


def first_count(counts: Iterable[int | None]) -> int | None:
    """The first that was reported."""
    return next((count for count in counts if count is not None), None)
