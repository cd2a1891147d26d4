"""Traces as the recorder makes them, for sinks to deliver."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from tierlens import keys
from tierlens.journal.otlp import attribute_list, span_json
from tierlens.sinks.base import Attached, Batch, Finding, Finish
from tierlens.spans import AttributeValue, Metric, Span, Status

RESOURCE = orjson.dumps(
    {"attributes": attribute_list({"service.name": "tests", "deployment.environment.name": "staging"})}
)
TOKENS = {
    "input_tokens": 100,
    "output_tokens": 20,
    "total_tokens": 120,
    "cache_read_input_tokens": 60,
    "cache_creation_input_tokens": 10,
    "cache_creation_input_tokens_above_1hr": 10,
}
COST = {"input_cost": 0.000168, "output_cost": 0.0003, "total_cost": 0.000468}
"""What they cost, by claude-sonnet-4-5's published price: 30 in, 60 from the cache, 10 into it for an hour, 20 out."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of one trace, the root first."""

    spans: tuple[Span, ...]

    @property
    def id(self) -> str:
        return self.spans[0].trace_id

    @property
    def root(self) -> Span:
        return self.spans[0]

    def named(self, name: str) -> Span:
        return next(span for span in self.spans if span.name == name)

    def finish(
        self,
        experiment: str,
        metrics: Mapping[str, Metric] | None = None,
        *,
        of: Span | None = None,
        attached: Sequence[Attached] = (),
    ) -> Finish:
        span = of or self.root
        findings = [Finding(span.span_id, k, v, span.end_ns) for k, v in (metrics or {}).items()]
        return Finish(experiment, self.id, orjson.loads(span_json(self.root)), findings, attached)


def agent_trace(*, question: str = "Why?", answer: str = "Because.", status: Status = "OK", agents: int = 1) -> Trace:
    """A root with agents, each with one model call of TOKENS, which is worth COST."""
    trace_id, start = secrets.token_hex(16), time.time_ns()
    root = Span(
        trace_id,
        secrets.token_hex(8),
        None,
        "brand_analytics",
        start,
        start + 1_250_000_000,
        {
            keys.SPAN_TYPE: "CHAIN",
            keys.INPUTS: json.dumps({"messages": [{"role": "user", "content": question}]}),
            keys.OUTPUTS: json.dumps({"messages": [{"role": "assistant", "content": answer}]}),
            keys.TRACE_NAME: "brand_analytics Kisqali",
            f"{keys.TRACE_TAG}brand": "Kisqali",
            keys.SESSION: "thread-7",
            keys.USER: "analyst-1",
        },
        status,
    )
    spans = [root]
    for number in range(agents):
        agent = _child(root, f"agent-{number}", {keys.SPAN_TYPE: "AGENT", keys.AGENT: f"agent-{number}"})
        spans += [agent, _child(agent, f"model-{number}", _model_attributes())]
    return Trace(tuple(spans))


def _child(parent: Span, name: str, attributes: Mapping[str, AttributeValue]) -> Span:
    return Span(
        parent.trace_id,
        secrets.token_hex(8),
        parent.span_id,
        name,
        parent.start_ns + 1_000_000,
        parent.end_ns - 1_000_000,
        attributes,
        "OK",
    )


def _model_attributes() -> dict[str, AttributeValue]:
    return {
        keys.SPAN_TYPE: "CHAT_MODEL",
        keys.INPUTS: json.dumps({"messages": [{"role": "user", "content": "Estimate."}]}),
        keys.OUTPUTS: json.dumps({"choices": [{"message": {"role": "assistant", "content": "0.4"}}]}),
        keys.TOKEN_USAGE: json.dumps(TOKENS),
        keys.MODEL: "claude-sonnet-4-5",
        keys.PROVIDER: "anthropic",
        keys.TTFT_MS: 12.5,
        keys.ATTEMPT: 3,
    }


def below(trace: Trace, parent: Span) -> Trace:
    """The same spans as another process's share of ``parent``'s trace: the root has a parent there."""
    spans = [span._replace(trace_id=parent.trace_id) for span in trace.spans]
    spans[0] = spans[0]._replace(parent_id=parent.span_id)
    return Trace(tuple(spans))


def batch(experiment: str, *spans: Span, finishes: Sequence[Finish] = ()) -> Batch:
    return Batch(experiment, RESOURCE, [span_json(span) for span in spans], finishes)
