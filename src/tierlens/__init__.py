"""Crash-safe, near-zero-overhead observability for LangGraph agents, in MLflow.

    import tierlens

    lens = tierlens.init()
    graph.invoke(inputs, {"callbacks": [lens.callback(brand="Kisqali", user="analyst-1")]})

    graph = lens.attach(graph, brand_from="inputs.brand")    # or: every invocation

    @tierlens.agent("causal_impact")                         # code outside a graph, or inside a node
    def estimate(panel): ...

    tierlens.metric("causal_confidence", 0.83)               # onto the agent span this code runs in

    client = tierlens.wrap(anthropic.Anthropic())            # direct Claude calls

    report = lens.flush(timeout_s=10)                        # FlushReport(accepted, stored, pending, refused)

Importing it imports no mlflow; what ships is imported by ``init``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tierlens.capture.asking import achat_with_tracking, chat_with_tracking
from tierlens.capture.callback import MlflowCallbackHandler
from tierlens.capture.decorators import agent, reranker, retriever, span, tool
from tierlens.capture.notes import artifact, metric, tag
from tierlens.capture.propagation import continue_trace, trace_headers
from tierlens.capture.wrapping import wrap
from tierlens.errors import ConfigError, TierlensError, UnknownBrand
from tierlens.lens import Lens, current_trace_url, init

if TYPE_CHECKING:
    from tierlens.shipping.report import FlushReport

__version__ = "0.1.0"
__all__ = [
    "ConfigError",
    "FlushReport",
    "Lens",
    "MlflowCallbackHandler",
    "TierlensError",
    "UnknownBrand",
    "__version__",
    "achat_with_tracking",
    "agent",
    "artifact",
    "chat_with_tracking",
    "continue_trace",
    "current_trace_url",
    "init",
    "metric",
    "reranker",
    "retriever",
    "span",
    "tag",
    "tool",
    "trace_headers",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name == "FlushReport":
        from tierlens.shipping.report import FlushReport

        return FlushReport
    raise AttributeError(f"module 'tierlens' has no attribute {name!r}")
