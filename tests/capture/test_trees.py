"""The span tree is LangChain's own run tree, for every graph and every way to call it."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest
from langchain_core.runnables import Runnable
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_core.tracers.schemas import Run

from tests.capture.conftest import Capture
from tests.capture.graphs import SHAPES, Tree, works_alone

QUESTION = {"question": "Why did new starts fall?"}
MODES: list[Any] = ["values", "updates", "messages", "custom", "debug", ["values", "messages"]]


def oracle(collector: RunCollectorCallbackHandler) -> list[Any]:
    nodes: list[tuple[str, str | None, str]] = []

    def walk(run: Run) -> None:
        nodes.append((str(run.id), str(run.parent_run_id) if run.parent_run_id else None, run.name))
        for child in run.child_runs:
            walk(child)

    for run in collector.traced_runs:
        walk(run)
    return Tree.of(nodes)


def recorded(capture: Capture) -> list[Any]:
    return Tree.of([(span.span_id, span.parent_id, span.name) for span in capture.journal.spans.values()])


def call(graph: Runnable[Any, Any], way: str, config: Any) -> None:
    if way == "invoke":
        graph.invoke(QUESTION, config)
    elif way == "batch":
        graph.batch([QUESTION, QUESTION], config, return_exceptions=True)
    elif way == "stream":
        for mode in MODES:
            list(graph.stream(QUESTION, config, stream_mode=mode))
    else:
        asyncio.run(acall(graph, way, config))


async def acall(graph: Runnable[Any, Any], way: str, config: Any) -> None:
    if way == "ainvoke":
        await graph.ainvoke(QUESTION, config)
    elif way == "abatch":
        await graph.abatch([QUESTION, QUESTION], config, return_exceptions=True)
    elif way == "astream":
        for mode in MODES:
            async for _ in graph.astream(QUESTION, config, stream_mode=mode):
                pass
    else:
        async for _ in graph.astream_events(QUESTION, config, version="v2"):
            pass


@pytest.mark.parametrize("way", ["invoke", "batch", "stream", "ainvoke", "abatch", "astream", "astream_events"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_tree_is_langchains_own(capture: Capture, shape: str, way: str) -> None:
    if not works_alone(shape, way):
        pytest.skip("this LangGraph cannot run it, with or without tierlens")
    graph = SHAPES[shape]()
    collector = RunCollectorCallbackHandler()
    with pytest.raises(ValueError, match="on purpose") if shape == "failing" and "batch" not in way else nullcontext():
        call(graph, way, {"callbacks": [capture.callback(), collector]})
    assert recorded(capture) == oracle(collector)
    calls = {"batch": 2, "abatch": 2, "stream": len(MODES), "astream": len(MODES)}.get(way, 1)
    if shape != "failing":
        assert len(capture.journal.roots()) == calls
