"""What recording adds to a stream of 400 chunks: from Claude's own client, and from a chat model in a graph.

    python -m tests.performance.bench_stream [--turns 40]

Claude is the offline endpoint in a process of its own; nobody ships. A handler that does nothing shows LangChain's
own part. CPU is that of all the process's threads: a shared machine's wall clock says little.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anthropic

from tests.performance.probes.streaming import TOKENS, Call, build, by_turns, median_added, streamed
from tests.performance.probes.tracers import open_tracer
from tierlens import wrap

ENDPOINT = f"""
import sys
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.claude import Reply
with ClaudeEndpoint(lambda request: Reply("word" + " word" * {TOKENS - 1}), tokens_per_delta=1) as endpoint:
    print(endpoint.base_url, flush=True)
    sys.stdin.read()
"""


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
        assert sum(event.type == "content_block_delta" for event in chunks) == TOKENS

    wrapped = wrap(plain)
    return lambda: read(plain), lambda: read(wrapped)


def graph_streams(tracer: str) -> tuple[Call, Call]:
    """One graph streamed to its caller, without a callback and with the tracer's."""
    graph = build()
    return streamed(graph, {}), streamed(graph, {"callbacks": open_tracer(tracer).callbacks})


def measured(turns: int) -> dict[str, Mapping[str, float]]:
    with endpoint() as base_url:
        kinds = {
            "graph, our callback": graph_streams("tierlens-external"),
            "graph, empty callback": graph_streams("noop"),
            "claude, wrapped": claude_streams(base_url),
        }
        found = {}
        for kind, calls in kinds.items():
            plain, recorded = by_turns(*calls, turns)
            more = median_added(plain, recorded)
            bare_ms = statistics.median(one.wall for one in plain)
            found[kind] = {"plain_ms": bare_ms, "added_wall_ms": more.wall, "added_cpu_ms": more.cpu}
    return found


def report(figures: Mapping[str, Mapping[str, float]]) -> None:
    print(f"{'400 chunks':<24}{'plain ms':>10}{'added CPU ms':>14}{'added wall ms':>15}{'CPU µs a chunk':>16}")
    for kind, one in figures.items():
        a_chunk = one["added_cpu_ms"] * 1e3 / TOKENS
        shown = f"{one['plain_ms']:>10.2f}{one['added_cpu_ms']:>14.3f}{one['added_wall_ms']:>15.3f}{a_chunk:>16.2f}"
        print(f"{kind:<24}{shown}")
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "TIERLENS_JOURNAL_DIR": f"{folder}/journal",
            "TIERLENS_CONFIG_DIR": folder,
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        }
        report(measured(given.turns))


if __name__ == "__main__":
    main()
