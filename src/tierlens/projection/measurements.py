"""What a stored span says to metrics: a model call's duration, tokens and cost, an agent's duration, a graph's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from tierlens import keys
from tierlens.journal.codec import Line
from tierlens.projection import instruments
from tierlens.projection.attributes import amount, attributes_of, counts
from tierlens.projection.prices import PriceBook
from tierlens.projection.tags import is_real_root

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
MODEL: Final = "gen_ai.request.model"
AGENT: Final = "gen_ai.agent.name"
WORKFLOW: Final = "gen_ai.workflow.name"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105  # a name, no secret
ERROR_TYPE: Final = "error.type"
BRAND: Final = keys.BRAND
TIER: Final = keys.TIER
OUTCOME: Final = keys.OUTCOME
CACHE: Final = "tierlens.cache"
ESTIMATED: Final = keys.TOKENS_ESTIMATED

_OPERATIONS: Final = {"CHAT_MODEL": "chat", "LLM": "text_completion", "EMBEDDING": "embeddings"}
_PROVIDERS: Final = {
    "amazon_bedrock": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}
_KIND: Final = re.compile(rb'"key":"%b","value":\{"stringValue":"([A-Z_]*)"' % re.escape(keys.SPAN_TYPE).encode())
_PARENT: Final = b'"parentSpanId":"'
_ERROR: Final = 2
_OTHER_ERROR: Final = "_OTHER"


class Agent(NamedTuple):
    """An agent by name and tier; "" where it has none."""

    name: str = ""
    tier: str = ""


class Kin(NamedTuple):
    """What a span means to those inside it.

    Attributes:
        parent: the id of the span around it; "" at the root of what its process did.
        agent: the agent that it is, if it is one.
        model: it is a model call.
    """

    parent: str = ""
    agent: Agent | None = None
    model: bool = False


class Sample(NamedTuple):
    """One value for one metric; labels that are not known are left out."""

    metric: str
    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Measured:
    """One span's figures.

    Attributes:
        metric: of its duration.
        labels: those that the span alone tells; of a model call, not yet whose it is.
        tokens: by `TOKEN_TYPE`; what was not counted is not there.
        cached: by `CACHE`.
        counting: says so of tokens that were estimated.
        known: the call itself was counted before, without these tokens.
    """

    span: str
    metric: str
    labels: Mapping[str, str]
    duration_s: float
    outcome: Mapping[str, str]
    first_chunk_s: float | None = None
    tokens: Mapping[str, int] = field(default_factory=dict)
    cached: Mapping[str, int] = field(default_factory=dict)
    counting: Mapping[str, str] = field(default_factory=dict)
    cost_usd: float | None = None
    known: bool = False

    def points(self, agent: Agent | None = None) -> Iterator[Sample]:
        """All its values; ``agent`` is the one that a model call was made in."""
        labels = self._labels(agent)
        if not self.known:
            yield Sample(self.metric, self.duration_s, {**labels, **self.outcome})
        if self.first_chunk_s is not None and not self.known:
            yield Sample(instruments.FIRST_CHUNK, self.first_chunk_s, labels)
        for kind, count in self.tokens.items():
            yield Sample(instruments.TOKENS, count, {**labels, TOKEN_TYPE: kind, **self.counting})
        for kind, count in self.cached.items():
            yield Sample(instruments.CACHED, count, {**labels, CACHE: kind})
        if self.cost_usd is not None:
            yield Sample(instruments.COST, self.cost_usd, labels)
        elif self.tokens:
            yield Sample(instruments.UNPRICED, 1, labels)

    def _labels(self, agent: Agent | None) -> Mapping[str, str]:
        return {**self.labels, **_known({AGENT: agent.name, TIER: agent.tier})} if agent is not None else self.labels


def kin_of(line: Line) -> Kin:
    """What a finished or an open span's line says of where it stands.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the payload is no span in OTLP JSON.
    """
    found = _KIND.search(line.payload)
    kind = found[1].decode() if found else ""
    agent = _agent(*_parsed(line)) if kind == "AGENT" else None
    return Kin("" if line.root else _parent(line.payload), agent, kind in _OPERATIONS)


def measured(line: Line, prices: PriceBook) -> Measured | None:
    """The figures of a finished span, of a model call its cost by ``prices`` too; None for what nobody counts.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the payload is no span in OTLP JSON.
    """
    found = _KIND.search(line.payload)
    kind = found[1].decode() if found else ""
    if kind in _OPERATIONS:
        return _model_call(line, kind, prices)
    if kind == "AGENT":
        span, attributes = _parsed(line)
        agent = _agent(span, attributes)
        return _lasting(line, instruments.AGENTS, {AGENT: agent.name, TIER: agent.tier}, span, attributes)
    if line.root and is_real_root(line.payload):
        span, attributes = _parsed(line)
        return _lasting(line, instruments.WORKFLOWS, {WORKFLOW: str(span.get("name", ""))}, span, attributes)
    return None


def _lasting(
    line: Line, metric: str, labels: Mapping[str, str], span: Mapping[str, Any], attributes: Mapping[str, Any]
) -> Measured:
    known = _known({BRAND: line.brand, **labels})
    return Measured(line.span, metric, known, _duration_s(span), _outcome(span, attributes))


def _model_call(line: Line, kind: str, prices: PriceBook) -> Measured:
    span, attributes = _parsed(line)
    provider = str(attributes.get(keys.PROVIDER, ""))
    labels = {
        OPERATION: _OPERATIONS[kind],
        PROVIDER: _PROVIDERS.get(provider, provider),
        MODEL: str(attributes.get(keys.MODEL, "")),
        BRAND: line.brand,
    }
    usage = counts(attributes.get(keys.TOKEN_USAGE))
    first_ms = amount(attributes.get(keys.TTFT_MS))
    paid = prices.paid(span, attributes) if usage else None
    return Measured(
        line.span,
        instruments.CALLS,
        _known(labels),
        _duration_s(span),
        _outcome(span, attributes),
        first_ms / 1e3 if first_ms is not None else None,
        {kind: usage[f"{kind}_tokens"] for kind in ("input", "output") if f"{kind}_tokens" in usage},
        _cached(usage),
        {ESTIMATED: "true"} if attributes.get(keys.TOKENS_ESTIMATED) is True else {},
        paid.usd if paid else None,
    )


def _parsed(line: Line) -> tuple[dict[str, Any], dict[str, Any]]:
    span: dict[str, Any] = orjson.loads(line.payload)
    return span, attributes_of(span)


def _agent(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> Agent:
    return Agent(str(attributes.get(keys.AGENT) or span.get("name", "")), str(attributes.get(keys.TIER, "")))


def _parent(payload: bytes) -> str:
    at = payload.rfind(_PARENT)
    return payload[at + len(_PARENT) :].partition(b'"')[0].decode() if at >= 0 else ""


def _known(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value}


def _duration_s(span: Mapping[str, Any]) -> float:
    return max(int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]), 0) / 1e9


def _outcome(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, str]:
    failed = span.get("status", {}).get("code") == _ERROR
    outcome = {OUTCOME: str(attributes.get(keys.OUTCOME) or ("error" if failed else "ok"))}
    return {**outcome, ERROR_TYPE: _error_type(span)} if failed else outcome


def _error_type(span: Mapping[str, Any]) -> str:
    for event in span.get("events", ()):
        for attribute in event.get("attributes", ()):
            if attribute["key"] == "exception.type":
                return str(attribute["value"].get("stringValue") or _OTHER_ERROR)
    return _OTHER_ERROR


def _cached(usage: Mapping[str, int]) -> dict[str, int]:
    kinds = {"read": "cache_read_input_tokens", "write": "cache_creation_input_tokens"}
    return {kind: usage[key] for kind, key in kinds.items() if usage.get(key)}
