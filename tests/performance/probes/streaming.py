"""What a tracer adds to a stream of 400 tokens: python -m tests.performance.probes.streaming NAME N

A graph of one node streams a chat model's words to its caller, bare first, then traced, in one process.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph

from tests.performance.probes.overhead import percentile
from tests.performance.probes.tracers import open_tracer

TOKENS = 400
WARM_UP = 10
INPUTS: Any = {"messages": [("user", "Say 400 words.")]}


class Scripted(BaseChatModel):
    """Streams 400 words at once."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        raise NotImplementedError("this model only streams")

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for _ in range(TOKENS):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content="word "))
            if run_manager:
                run_manager.on_llm_new_token("word ", chunk=chunk)
            yield chunk


def build() -> Any:
    model = Scripted()

    def talk(state: MessagesState) -> dict[str, Any]:
        first = None
        for chunk in model.stream(state["messages"]):
            first = first or chunk
        return {"messages": [("ai", str(first.content) if first else "")]}

    return StateGraph(MessagesState).add_node("talk", talk).add_edge(START, "talk").add_edge("talk", END).compile()


def measure(graph: Any, config: dict[str, Any], n: int) -> list[float]:
    """Sorted milliseconds of ``n`` streams read to their end."""
    took = []
    for turn in range(WARM_UP + n):
        if turn == WARM_UP:
            gc.collect()
        start = time.perf_counter()
        tokens = sum(1 for _ in graph.stream(INPUTS, config, stream_mode="messages"))
        took.append((time.perf_counter() - start) * 1e3)
        assert tokens >= TOKENS
    return sorted(took[WARM_UP:])


def run(name: str, n: int) -> dict[str, Any]:
    graph = build()
    bare = percentile(measure(graph, {}, n), 0.5)
    tracer = open_tracer(name)
    traced = percentile(measure(graph, {"callbacks": tracer.callbacks} if tracer.callbacks else {}, n), 0.5)
    tracer.flush()
    tracer.close()
    return {"variant": name, "n": n, "bare_p50_ms": bare, "added_p50_ms": traced - bare}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]))), flush=True)
    os._exit(0)
