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

Importing it imports no mlflow, and each name's module is imported when the name is first used: the command line
and the shipping process need neither langchain nor what captures.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tierlens.capture.asking import achat_with_tracking, chat_with_tracking
    from tierlens.capture.callback import MlflowCallbackHandler
    from tierlens.capture.decorators import agent, reranker, retriever, span, tool
    from tierlens.capture.notes import artifact, link_prompt, metric, tag
    from tierlens.capture.propagation import continue_trace, trace_headers
    from tierlens.capture.tracker import ExperimentTracker
    from tierlens.capture.wrapping import wrap
    from tierlens.errors import ConfigError, TierlensError, UnknownBrand
    from tierlens.lens import Lens, current_trace_url, init
    from tierlens.shipping.report import FlushReport

__version__ = "0.1.0"
__all__ = [
    "ConfigError",
    "ExperimentTracker",
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
    "link_prompt",
    "metric",
    "reranker",
    "retriever",
    "span",
    "tag",
    "tool",
    "trace_headers",
    "wrap",
]

_MODULES = {
    "tierlens.capture.asking": ("achat_with_tracking", "chat_with_tracking"),
    "tierlens.capture.callback": ("MlflowCallbackHandler",),
    "tierlens.capture.decorators": ("agent", "reranker", "retriever", "span", "tool"),
    "tierlens.capture.notes": ("artifact", "link_prompt", "metric", "tag"),
    "tierlens.capture.propagation": ("continue_trace", "trace_headers"),
    "tierlens.capture.tracker": ("ExperimentTracker",),
    "tierlens.capture.wrapping": ("wrap",),
    "tierlens.errors": ("ConfigError", "TierlensError", "UnknownBrand"),
    "tierlens.lens": ("Lens", "current_trace_url", "init"),
    "tierlens.shipping.report": ("FlushReport",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tierlens' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
