"""What recording adds to a stream of 400 chunks: from Claude's own client, and from a chat model in a graph.

    python -m tests.performance.bench_stream [--rounds 40]

With and without take turns in one process, journal write included; added is the median of the differences within
a turn, in CPU time of the reading thread (a shared machine's wall clock says little) and by the wall clock. Claude is
the offline endpoint in a process of its own. A handler that does nothing shows LangChain's own part.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph

from tierlens.capture import active
from tierlens.capture.callback import MlflowCallbackHandler
from tierlens.capture.pauses import Pauses
from tierlens.capture.recorder import Recorder
from tierlens.capture.shield import Shield
from tierlens.capture.trace import Context
from tierlens.capture.wrapping import wrap
from tierlens.journal.writer import Journal
from tierlens.policy import Policies

CHUNKS = 400
ENDPOINT = f"""
import sys
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.claude import Reply
with ClaudeEndpoint(lambda request: Reply("word" + " word" * {CHUNKS - 1}), tokens_per_delta=1) as endpoint:
    print(endpoint.base_url, flush=True)
    sys.stdin.read()
"""


Call = Callable[[], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds, medians; added is per stream."""

    plain_ms: float
    added_wall_ms: float
    added_cpu_ms: float


class Nothing(BaseCallbackHandler):
    """Is told everything and does nothing."""

    run_inline = True


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
        for _ in range(CHUNKS):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content="word "))
            if run_manager:
                run_manager.on_llm_new_token("word ", chunk=chunk)
            yield chunk


@contextmanager
def endpoint() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", ENDPOINT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


def claude_streams(base_url: str) -> tuple[Call, Call]:
    """One stream read to its end by the plain client, and one by the wrapped one."""
    plain = anthropic.Anthropic(base_url=base_url, api_key="offline")

    def read(client: anthropic.Anthropic) -> None:
        request: Any = {"model": "claude-sonnet-4-6", "max_tokens": 1_000}
        messages: Any = [{"role": "user", "content": "Say 400 words."}]
        chunks = client.messages.create(**request, messages=messages, stream=True)
        assert sum(event.type == "content_block_delta" for event in chunks) == CHUNKS

    wrapped = wrap(plain)
    return lambda: read(plain), lambda: read(wrapped)


def graph_streams(handler: BaseCallbackHandler) -> tuple[Call, Call]:
    """One graph whose node streams a model, without a callback and with one."""
    model = Scripted()

    def talk(state: MessagesState) -> dict[str, Any]:
        said = [chunk.content for chunk in model.stream(state["messages"])]
        return {"messages": [("ai", "".join(map(str, said)))]}

    building = StateGraph(MessagesState).add_node("talk", talk)
    graph = building.add_edge(START, "talk").add_edge("talk", END).compile()
    inputs: Any = {"messages": [("user", "Say 400 words.")]}

    def stream(config: Any) -> None:
        graph.invoke(inputs, config)

    return lambda: stream(None), lambda: stream({"callbacks": [handler]})


def compare(plain: Call, recorded: Call, rounds: int) -> Figures:
    for _ in range(3):
        plain()
        recorded()
    turns = []
    for turn in range(rounds):
        if turn % 2:
            turns.append((timed(plain), timed(recorded)))
        else:
            after = timed(recorded)
            turns.append((timed(plain), after))
    wall, cpu = (statistics.median(after[at] - before[at] for before, after in turns) for at in (0, 1))
    return Figures(statistics.median(before[0] for before, _ in turns), wall, cpu)


def timed(call: Call) -> tuple[float, float]:
    """Wall-clock and CPU ms."""
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    call()
    return (time.perf_counter_ns() - wall) / 1e6, (time.thread_time_ns() - cpu) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, endpoint() as base_url:
        journal = Journal(Path(name) / "journal", resource={"service.name": "bench"})
        recorder = Recorder(journal, Policies(), Shield(strict=True))
        active.activate(recorder)
        handler = MlflowCallbackHandler(recorder, Context(brand="Kisqali"), Pauses(Path(name) / "paused"))
        kinds = {
            "claude, wrapped": claude_streams(base_url),
            "graph, our callback": graph_streams(handler),
            "graph, empty callback": graph_streams(Nothing()),
        }
        figures = {kind: compare(*calls, rounds) for kind, calls in kinds.items()}
        active.activate(None)
        journal.close()
    report(figures)


def report(figures: dict[str, Figures]) -> None:
    print(f"{'400 chunks':<24}{'plain ms':>10}{'added CPU ms':>14}{'added wall ms':>15}{'CPU µs a chunk':>16}")
    for kind, one in figures.items():
        a_chunk = one.added_cpu_ms * 1e3 / CHUNKS
        print(f"{kind:<24}{one.plain_ms:>10.2f}{one.added_cpu_ms:>14.3f}{one.added_wall_ms:>15.3f}{a_chunk:>16.2f}")
    print(json.dumps({kind: dataclasses.asdict(one) for kind, one in figures.items()}))


if __name__ == "__main__":
    main()
