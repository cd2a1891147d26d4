"""What a running graph says of itself only through its own object: how often a node may be tried."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from langgraph.pregel import Pregel

FRAMES = 12


def calling_graph() -> Pregel[Any, Any, Any, Any] | None:
    """The graph whose run is just starting, found on the call stack of its start callback.

    LangGraph tells callbacks neither a node's retry policy nor the graph itself, and the start callback is
    called from the graph's own ``stream`` or ``astream``; where that ever changes, attempts lose their "of m".
    """
    frame = sys._getframe(1)
    for _ in range(FRAMES):
        graph = frame.f_locals.get("self") if frame.f_code.co_name in ("stream", "astream") else None
        if isinstance(graph, Pregel):
            return graph
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def max_attempts(graph: Pregel[Any, Any, Any, Any]) -> Mapping[str, int]:
    """How often each node that is retried at all may be tried, by node name."""
    return {
        name: most for name, node in graph.nodes.items() if (most := _most(node.retry_policy or graph.retry_policy)) > 1
    }


def _most(policies: Any) -> int:
    if not policies:
        return 1
    several = policies if isinstance(policies, tuple | list) else (policies,)
    return max(int(policy.max_attempts) for policy in several)
