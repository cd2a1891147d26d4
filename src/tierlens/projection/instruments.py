"""The metrics there are: names, units and buckets of OpenTelemetry's conventions for generative AI, and our own.

Source: semantic-conventions-genai, docs/gen-ai/gen-ai-metrics.md. Those names are still in development there; the
time to first token was ``gen_ai.server.time_to_first_token``, which is for model servers: what a client sees is
``gen_ai.client.operation.time_to_first_chunk``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS: Final = tuple(4**power for power in range(14))
_AGENT_SECONDS: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
_WORKFLOW_SECONDS: Final = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)

TOKENS: Final = "gen_ai.client.token.usage"
CALLS: Final = "gen_ai.client.operation.duration"
FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
AGENTS: Final = "gen_ai.invoke_agent.duration"
WORKFLOWS: Final = "gen_ai.workflow.duration"
CACHED: Final = "tierlens.client.cached_tokens"
COST: Final = "tierlens.client.cost.usd"
UNPRICED: Final = "tierlens.client.unpriced_calls"
FOLDED: Final = "tierlens.metrics.folded"

ACCEPTED: Final = "tierlens.spans.accepted"
STORED: Final = "tierlens.spans.stored"
REFUSED: Final = "tierlens.spans.refused"
PENDING: Final = "tierlens.spans.pending"
SIZE: Final = "tierlens.journal.size"
QUOTA: Final = "tierlens.journal.quota"
LAG: Final = "tierlens.delivery.lag"
FAILING: Final = "tierlens.delivery.failing"


class Instrument(NamedTuple):
    """One metric.

    Attributes:
        unit: in UCUM; an annotation in braces is no part of a Prometheus name.
        buckets: upper bounds of a histogram's.
    """

    kind: Literal["histogram", "counter", "gauge"]
    unit: str
    about: str
    buckets: tuple[float, ...] = ()


RECORDED: Final[Mapping[str, Instrument]] = {
    TOKENS: Instrument("histogram", "{token}", "Tokens of a model call; the cache's are input tokens.", _TOKENS),
    CALLS: Instrument("histogram", "s", "Duration of a model call.", _SECONDS),
    FIRST_CHUNK: Instrument("histogram", "s", "Time until a streamed model call's first chunk.", _SECONDS),
    AGENTS: Instrument("histogram", "s", "Duration of an agent's invocation.", _AGENT_SECONDS),
    WORKFLOWS: Instrument(
        "histogram", "s", "Duration of a graph call, from its root's start to its end.", _WORKFLOW_SECONDS
    ),
    CACHED: Instrument("counter", "{token}", "Input tokens read from a prompt cache, or written to it."),
    COST: Instrument("counter", "", "What model calls cost, in US dollars."),
    UNPRICED: Instrument("counter", "{call}", "Model calls whose tokens are known, and their price is not."),
    FOLDED: Instrument(
        "counter", "{measurement}", "Measurements whose label became `other`, there being too many values."
    ),
}
"""What is recorded, span by span, once each is stored."""

OBSERVED: Final[Mapping[str, Instrument]] = {
    ACCEPTED: Instrument("counter", "{span}", "Finished spans that agents have written to the journal."),
    STORED: Instrument("counter", "{span}", "Spans that MLflow has taken."),
    REFUSED: Instrument("counter", "{span}", "Spans that the journal or MLflow would not take, by reason."),
    PENDING: Instrument("gauge", "{span}", "Spans in the journal that are not delivered yet."),
    SIZE: Instrument("gauge", "By", "What the journal takes on disk."),
    QUOTA: Instrument("gauge", "By", "What the journal may take."),
    LAG: Instrument("gauge", "s", "For how long the oldest span that is not delivered has waited."),
    FAILING: Instrument("gauge", "1", "1 while MLflow does not answer, or refuses the credentials."),
}
"""What is looked at whenever somebody asks."""
