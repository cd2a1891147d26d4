"""What is only to be found on the call stack: how often a graph's node may be tried, what a chain streams from."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

from langgraph.pregel import Pregel

from tierlens.capture.shapes import has
from tierlens.spans import NONE

FRAMES = 12
NEAR = 6
_STREAMING = "_transform_stream_with_config"


def calling_graph() -> Pregel[Any, Any, Any, Any] | None:
    """The graph whose run is just starting, found on the call stack of its start callback.

    LangGraph tells callbacks neither a node's retry policy nor the graph itself, and the start callback is
    called from the graph's own ``stream`` or ``astream``; where that ever changes, attempts lose their "of m".
    Farther up stand the graphs that a chain which is none only lies in.
    """
    found = (frame.f_locals.get("self") for frame in _callers(NEAR) if frame.f_code.co_name in ("stream", "astream"))
    return next((graph for graph in found if isinstance(graph, Pregel)), None)


def streamed_input(told: object) -> object:
    """What a chain that streams was given, found on the call stack of its start callback.

    LangChain tells callbacks ``{"input": ""}`` at first, and the input only once it has all been read.
    """
    if type(told) is not dict or len(told) != 1 or type(told.get("input")) is not str or told["input"]:
        return None
    found = (frame.f_locals.get("input") for frame in _callers() if frame.f_code.co_name in ("stream", "astream"))
    return next(found, None)


def is_left_early() -> bool:
    """Whether a chain that streams ends because nobody reads on, found in the same way: to LangChain that is an end
    like any other, but what it streams from has more to say."""
    found = (frame.f_locals.get("iterator") for frame in _callers(NEAR) if frame.f_code.co_name == _STREAMING)
    return getattr(next(found, None), "gi_suspended", False) is True


def tries_of_task() -> int:
    """How often a task of the functional API may be tried, found in the same way: it has its policy to itself."""
    names = ("run_with_retry", "arun_with_retry")
    found = (frame.f_locals.get("retry_policy") for frame in _callers() if frame.f_code.co_name in names)
    return _most(next(found, None))


def is_edited() -> bool:
    """Whether a graph goes on from a state that somebody has edited (``update_state``), found in the same way:
    LangGraph's loop stands on the call stack of its resume callback."""
    found = (frame.f_locals.get("loop") for frame in _callers())
    loop = next((one for one in found if has(one, "checkpoint_metadata")), None)
    return (getattr(loop, "checkpoint_metadata", None) or NONE).get("source") == "update"


def paused_at(error: BaseException) -> str:
    """The checkpoint from which the graph run that ``error`` has stopped can go on, "" where there is none.

    No callback is told of it; the frame of the run itself, which has caught the error, knows.
    """
    known = error.__traceback__.tb_frame.f_locals if error.__traceback__ is not None else NONE
    loop: Any = known.get("loop")
    return str(loop.checkpoint["id"]) if has(loop, "checkpoint") and loop.checkpointer is not None else ""


def _callers(most: int = FRAMES) -> Iterator[FrameType]:
    frame = sys._getframe(2).f_back
    for _ in range(most):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


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
