"""What model calls took, by whom: sums over the spans of whole traces, each span counted once.

Only model calls are added up, never what stands above them: a total is the sum of its calls whatever their nesting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tierlens import keys, usages
from tierlens.projection.attributes import counts, parsed
from tierlens.projection.paid import Paid
from tierlens.spans import mlflow_id

_MODELS: Final = frozenset({"CHAT_MODEL", "LLM", "EMBEDDING"})
FIGURES: Final = {
    "input_tokens": "input",
    "cache_read_input_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_write",
    "cache_creation_input_tokens_above_1hr": "cache_write_1h",
    "output_tokens": "output",
    usages.REASONING: "reasoning",
}
"""The counts that are summed up, by their names in a call's usage."""


class SpanRead(NamedTuple):
    """A span as its reader has it; ``attributes`` may be JSON texts, as they are stored, or what those say."""

    span_id: str
    parent_id: str
    name: str
    start_ns: int
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PricedCall:
    """One model call.

    Attributes:
        usage: MLflow's counts and the finer ones; empty where nothing was counted.
        paid: None where no price is known.
        prompt: versions its agent was linked to; where nothing in its trace says so, those MLflow has linked the
            trace to.
    """

    call: str
    agent: str
    tier: str
    brand: str
    session: str
    model: str
    prompt: str
    start_ns: int
    usage: Mapping[str, int]
    paid: Paid | None
    estimated: bool = False


@dataclass(slots=True)
class Spent:
    """Sums over calls; a figure that no call reports is missing, not 0.

    Attributes:
        tokens: by the names in ``FIGURES``.
        cost: USD of the calls that have a price; None where none has.
        unpriced: calls that were counted and have no price.
        uncounted: calls whose tokens nobody reported.
        estimated: calls whose tokens are a guess.
        dates: the days whose prices they are, ``YYYY-MM-DD``.
        sources: where those are from.
    """

    calls: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    cost: float | None = None
    unpriced: int = 0
    uncounted: int = 0
    estimated: int = 0
    dates: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)

    def add(self, call: PricedCall) -> None:
        self.calls += 1
        for key, name in FIGURES.items():
            if key in call.usage:
                self.tokens[name] = self.tokens.get(name, 0) + call.usage[key]
        if call.paid is not None:
            self.cost = round((self.cost or 0.0) + call.paid.usd, 9)
            self.dates |= {call.paid.date} - {""}
            self.sources |= {call.paid.source} - {""}
        self.unpriced += bool(call.usage) and call.paid is None
        self.uncounted += not call.usage
        self.estimated += call.estimated


DIMENSIONS: Final[Mapping[str, Callable[[PricedCall], str]]] = {
    "call": lambda call: call.call,
    "agent": lambda call: call.agent,
    "tier": lambda call: call.tier,
    "brand": lambda call: call.brand,
    "session": lambda call: call.session,
    "model": lambda call: call.model,
    "prompt": lambda call: call.prompt,
}


def spent(calls: Iterable[PricedCall], by: str) -> dict[str, Spent]:
    """Sums by one of ``DIMENSIONS``, the dearest first."""
    of, sums = DIMENSIONS[by], dict[str, Spent]()
    for call in calls:
        sums.setdefault(of(call), Spent()).add(call)
    return dict(sorted(sums.items(), key=lambda pair: (-(pair[1].cost or 0.0), pair[0])))


def in_all(calls: Iterable[PricedCall]) -> Spent:
    """The sum of all."""
    total = Spent()
    for call in calls:
        total.add(call)
    return total


def calls_of(
    trace_id: str,
    spans: Iterable[SpanRead],
    *,
    brand: str,
    priced: Callable[[str], Paid | None],
    tags: Mapping[str, str] | None = None,
) -> Iterator[PricedCall]:
    """The model calls among a trace's spans; a span given twice counts once, as given last.

    Args:
        brand: of the trace; "" where it does not say.
        priced: what a span cost, by its id.
        tags: of the trace, where MLflow has it.
    """
    found = {span.span_id: span for span in spans}
    session = next((str(one) for span in found.values() if (one := span.attributes.get(keys.SESSION))), "")
    told = any(keys.PROMPTS in span.attributes for span in found.values())
    linked = "" if told else _prompts((tags or {}).get(keys.LINKED_PROMPTS))
    for span in found.values():
        attributes = span.attributes
        usage = counts(attributes.get(keys.TOKEN_USAGE)) | counts(attributes.get(keys.FINER_USAGE))
        if not usage and attributes.get(keys.SPAN_TYPE) not in _MODELS:
            continue
        whose = _whose(span, found)
        yield PricedCall(
            f"{mlflow_id(trace_id)}/{span.span_id}",
            str(whose.attributes.get(keys.AGENT) or whose.name) if whose else "",
            str(whose.attributes.get(keys.TIER, "")) if whose else "",
            brand,
            session,
            str(attributes.get(keys.MODEL) or ""),
            _prompts(_nearest(span, found, keys.PROMPTS)) or linked,
            span.start_ns,
            usage,
            priced(span.span_id) if usage else None,
            str(attributes.get(keys.TOKENS_ESTIMATED, "")).lower() == "true",
        )


def _nearest(span: SpanRead, found: Mapping[str, SpanRead], key: str) -> object:
    """What the innermost span around a call says under this key; nothing beyond its agent."""
    return next((one.attributes[key] for one in _around(span, found) if key in one.attributes), None)


def _whose(span: SpanRead, found: Mapping[str, SpanRead]) -> SpanRead | None:
    """The innermost agent around a call, or the root of what went on after one had ended."""
    *_, last = _around(span, found)
    return last if last.attributes.get(keys.SPAN_TYPE) == "AGENT" or keys.AGENT in last.attributes else None


def _around(span: SpanRead, found: Mapping[str, SpanRead]) -> Iterator[SpanRead]:
    """A call's span and those around it, up to its agent's, or its trace's root where it has none."""
    here: SpanRead | None = span
    passed: set[str] = set()
    while here is not None and here.span_id not in passed:
        yield here
        passed.add(here.span_id)
        here = None if here.attributes.get(keys.SPAN_TYPE) == "AGENT" else found.get(here.parent_id)


def _prompts(said: object) -> str:
    try:
        return ", ".join(sorted(f"{one['name']}/{one['version']}" for one in parsed(said or "[]")))
    except (ValueError, TypeError, KeyError):
        return ""
