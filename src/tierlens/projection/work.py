"""One invocation of an agent, or one graph call, read from the journal line of its span."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tierlens import keys
from tierlens.journal.codec import Line
from tierlens.projection.attributes import attributes_of
from tierlens.projection.names import metric_name
from tierlens.projection.prices import PriceBook
from tierlens.projection.tags import is_real_root
from tierlens.spans import Call, Invocation

_FAILED: Final = frozenset({"error", "retried", "abandoned", "cancelled"})
_ASKED: Final = ("model", "temperature", "max_tokens")
_PROMPT: Final = "prompt."
_COUNTS: Final = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
}
SUMS: Final = frozenset({"model_calls", "cost_usd", "unpriced_calls", *_COUNTS.values()})
"""All that ``totals`` may say."""


@dataclass(frozen=True, slots=True)
class Work:
    """What was done, by whom, how it ended.

    Attributes:
        root: it is the trace's own root, of which another process may hold inner parts.
        agent: its name; that of the span where it is no agent.
        tier: "" where it has none.
        attributes: the span's; integers are the strings that OTLP makes of them.
        calls: model calls; of a root whose runs are by invocation, those of agents inside it too.
    """

    line: Line
    invocation: Invocation
    root: bool
    is_agent: bool
    agent: str
    tier: str
    outcome: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    calls: tuple[Call, ...]

    @property
    def failed(self) -> bool:
        return self.outcome in _FAILED

    @property
    def start_ms(self) -> int:
        return self.start_ns // 1_000_000

    @property
    def end_ms(self) -> int:
        return self.end_ns // 1_000_000


def work_of(line: Line) -> Work | None:
    """What a finished span's line tells of an invocation, if anything.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the payload is no span in OTLP JSON.
    """
    invocation = line.invocation
    if invocation is None:
        return None
    span: dict[str, Any] = orjson.loads(line.payload)
    attributes = attributes_of(span)
    start_ns, end_ns = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    ended = "error" if span.get("status", {}).get("code") == 2 else "ok"
    return Work(
        line,
        invocation,
        line.root and is_real_root(line.payload),
        attributes.get(keys.SPAN_TYPE) == "AGENT",
        str(attributes.get(keys.AGENT) or span.get("name") or "agent"),
        str(attributes.get(keys.TIER, "")),
        str(attributes.get(keys.OUTCOME) or ended),
        start_ns,
        max(start_ns, end_ns),
        attributes,
        tuple(Call(*call) for call in (*invocation.calls, *invocation.inner)),
    )


def how(work: Work) -> dict[str, str]:
    """Which models were asked, how, and by which versions of prompts, by names of params; of several, each once, in
    order."""
    found = {name: {str(one) for c in work.calls if (one := getattr(c, name)) not in ("", None)} for name in _ASKED}
    for name, version in _prompts(work):
        found.setdefault(metric_name(_PROMPT + name), set()).add(version)
    return {name: ", ".join(sorted(texts)) for name, texts in found.items() if texts}


def is_how(param: str) -> bool:
    """Whether a run's param is one of those that ``how`` says."""
    return param in _ASKED or param.startswith(_PROMPT)


def _prompts(work: Work) -> Iterator[tuple[str, str]]:
    """Of a root whose runs are by invocation those of the agents inside it too, as its calls are."""
    inside = work.root and work.invocation.runs == "per_invocation"
    prompts = work.attributes.get(keys.TRACE_TAG + keys.LINKED_PROMPTS if inside else keys.PROMPTS, "[]")
    for linked in orjson.loads(prompts):
        yield str(linked["name"]), str(linked["version"])


def totals(calls: Iterable[Call], prices: PriceBook) -> dict[str, float]:
    """Calls, tokens and USD over calls; what no call reports is missing, not 0."""
    sums: dict[str, float] = {}
    for call in calls:
        priced = bool(call.usage and call.model)
        asked_for = call.provider, call.model, call.usage, call.start_ns, call.share, call.tier
        paid = prices.price(*asked_for) if priced else None
        counts = {name: call.usage[key] for key, name in _COUNTS.items() if key in call.usage}
        costs = {"cost_usd": paid.cost["total_cost"]} if paid else {"unpriced_calls": 1} if call.usage else {}
        for name, amount in {"model_calls": 1, **counts, **costs}.items():
            sums[name] = sums.get(name, 0.0) + amount
    return {name: round(amount, 9) for name, amount in sums.items()}
