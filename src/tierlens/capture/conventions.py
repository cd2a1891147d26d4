"""What other libraries' spans say of themselves: OpenTelemetry's GenAI, OpenInference's and Traceloop's names.

MLflow's server reads inputs and outputs under these names by itself; type and tokens are read here, so that
whoever ships can tell the cost: the server would look prices up on the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tierlens.capture.usage import Usage
from tierlens.spans import AttributeValue

Attributes = Mapping[str, AttributeValue]

_OPENINFERENCE: Final = frozenset(
    {"AGENT", "CHAIN", "EMBEDDING", "EVALUATOR", "GUARDRAIL", "LLM", "RERANKER", "RETRIEVER", "TOOL"}
)
_GEN_AI: Final = {
    "chat": "CHAT_MODEL",
    "create_agent": "AGENT",
    "embeddings": "EMBEDDING",
    "execute_tool": "TOOL",
    "generate_content": "LLM",
    "invoke_agent": "AGENT",
    "invoke_workflow": "WORKFLOW",
    "response": "LLM",
    "retrieval": "RETRIEVER",
    "text_completion": "LLM",
}
_TRACELOOP: Final = {"workflow": "WORKFLOW", "task": "TASK", "agent": "AGENT", "tool": "TOOL"}
_INPUT: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT: Final = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
_CACHE_READ: Final = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
)
_CACHE_WRITE: Final = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
)
# Claude's own client tells it beside the sum of all writes.
_CACHE_WRITE_1H: Final = ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",)
_REASONING: Final = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
)
_AUDIO_IN: Final = ("llm.token_count.prompt_details.audio",)
_AUDIO_OUT: Final = ("llm.token_count.completion_details.audio",)
_MODEL: Final = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.response.model_name",
    "llm.model_name",
    "llm.request.model_name",
    "embedding.model_name",
)
_PROVIDER: Final = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
_COUNTS: Final = ("gen_ai.usage.", "llm.token_count.", "llm.usage.")

# Names whose values are words of a small vocabulary or identifiers, never what a person or a model wrote.
_PLAIN: Final = frozenset({*_MODEL, *_PROVIDER, "gen_ai.operation.name", "gen_ai.response.finish_reasons"}) | {
    "openinference.span.kind",
    "traceloop.span.kind",
    "gen_ai.tool.name",
    "gen_ai.output.type",
    "error.type",
    "exception.type",
    "http.request.method",
    "http.method",
    "http.scheme",
    "network.protocol.name",
    "network.protocol.version",
    "server.address",
    "net.peer.name",
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "db.system",
    "db.system.name",
    "db.namespace",
    "db.name",
    "db.operation.name",
    "db.operation",
    "db.collection.name",
    "messaging.system",
    "messaging.operation.type",
    "otel.scope.name",
    "otel.scope.version",
    "span.kind",
}


def span_type(attributes: Attributes) -> str | None:
    """MLflow's type of the span, or None where it follows no convention."""
    if (kind := str(attributes.get("openinference.span.kind", "")).upper()) in _OPENINFERENCE:
        return kind
    return _GEN_AI.get(str(attributes.get("gen_ai.operation.name"))) or _TRACELOOP.get(
        str(attributes.get("traceloop.span.kind"))
    )


def usage(attributes: Attributes) -> Usage | None:
    """Tokens of a model call, or None where the span counts none."""
    written, hour = _count(attributes, _CACHE_WRITE), _count(attributes, _CACHE_WRITE_1H)
    counted = Usage(
        input=_count(attributes, _INPUT),
        output=_count(attributes, _OUTPUT),
        cache_read=_count(attributes, _CACHE_READ),
        cache_write_5m=None if written is None else max(written - (hour or 0), 0),
        cache_write_1h=hour,
        reasoning=_count(attributes, _REASONING),
        audio_in=_count(attributes, _AUDIO_IN),
        audio_out=_count(attributes, _AUDIO_OUT),
    )
    return None if counted.input is None and counted.output is None else counted


def without_usage(attributes: Attributes) -> dict[str, AttributeValue]:
    """``attributes`` without anything that MLflow would add to the trace's tokens and cost."""
    return {name: value for name, value in attributes.items() if not name.startswith(_COUNTS)}


def model(attributes: Attributes) -> str | None:
    return _text(attributes, _MODEL)


def provider(attributes: Attributes) -> str | None:
    return _text(attributes, _PROVIDER)


def is_plain(name: str) -> bool:
    """Whether an attribute may be stored where prompts and completions may not."""
    return name in _PLAIN


def _count(attributes: Attributes, names: tuple[str, ...]) -> int | None:
    found = (attributes.get(name) for name in names)
    return next((count for count in found if isinstance(count, int) and not isinstance(count, bool)), None)


def _text(attributes: Attributes, names: tuple[str, ...]) -> str | None:
    found = (attributes.get(name) for name in names)
    return next((text for text in found if isinstance(text, str) and text), None)
