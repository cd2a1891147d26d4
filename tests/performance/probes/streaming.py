"""What a tracer adds to a stream of 400 tokens: python -m tests.performance.probes.streaming NAME TURNS

A graph of one node streams a chat model's words to its caller. Each turn reads one stream without the tracer and one
with it, in one process, delivery included; the figures are medians of the differences within a turn. Where a tracer
hooks itself in for good, as autolog does, all streams without it come first.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph

from tests.performance.probes.tracers import open_tracer

TOKENS = 400
WARM_UP = 10
INPUTS: Any = {"messages": [("user", "Say 400 words.")]}

Call = Callable[[], object]


class Taken(NamedTuple):
    """Milliseconds: by the clock, and of all the process's threads together."""

    wall: float
    cpu: float


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
    """The graph; its node reads the model's stream to the end."""
    model = Scripted()

    def talk(state: MessagesState) -> dict[str, Any]:
        said = [chunk.content for chunk in model.stream(state["messages"])]
        return {"messages": [("ai", "".join(map(str, said)))]}

    return StateGraph(MessagesState).add_node("talk", talk).add_edge(START, "talk").add_edge("talk", END).compile()


def streamed(graph: Any, config: dict[str, Any]) -> Call:
    """One stream read to its end by the graph's caller."""

    def read() -> None:
        tokens = sum(1 for _ in graph.stream(INPUTS, config, stream_mode="messages"))
        assert tokens >= TOKENS

    return read


def timed(call: Call) -> Taken:
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    call()
    return Taken((time.perf_counter_ns() - wall) / 1e6, (time.process_time_ns() - cpu) / 1e6)


def by_turns(bare: Call, traced: Call, turns: int) -> tuple[list[Taken], list[Taken]]:
    """Both, each first in every other turn, so that a drift of the machine touches both alike."""
    for _ in range(WARM_UP):
        bare()
        traced()
    gc.collect()
    taken: tuple[list[Taken], list[Taken]] = ([], [])
    for turn in range(turns):
        for which in (0, 1) if turn % 2 else (1, 0):
            taken[which].append(timed((bare, traced)[which]))
    return taken


def alone(call: Call, turns: int) -> list[Taken]:
    for _ in range(WARM_UP):
        call()
    gc.collect()
    return [timed(call) for _ in range(turns)]


def median_added(bare: Sequence[Taken], traced: Sequence[Taken]) -> Taken:
    """Medians of the differences within a turn."""
    differences = [
        (after.wall - before.wall, after.cpu - before.cpu) for before, after in zip(bare, traced, strict=True)
    ]
    return Taken(*(statistics.median(kind) for kind in zip(*differences, strict=True)))


def run(name: str, turns: int) -> dict[str, Any]:
    graph = build()
    plain = streamed(graph, {})
    bare = alone(plain, turns)
    tracer = open_tracer(name)
    if tracer.callbacks:
        bare, traced = by_turns(plain, streamed(graph, {"callbacks": tracer.callbacks}), turns)
    else:
        traced = alone(plain, turns)
    tracer.flush()
    tracer.close()
    more = median_added(bare, traced)
    return {
        "variant": name,
        "n": turns,
        "bare_p50_ms": statistics.median(one.wall for one in bare),
        "added_p50_ms": more.wall,
        "added_cpu_ms": more.cpu,
    }


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]))), flush=True)
    os._exit(0)
