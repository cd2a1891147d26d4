"""What share of the MLflow server's own OTLP limit the sink delivers, without and with metrics on every trace.

    python -m tests.performance.bench_sink [--uri http://…] [--workers 1] [--traces 60] [--rounds 5] [--metrics 3]

The limit is what the server takes of ready-made protobuf requests, at its best number of traces a request; the sink
gets the same spans as the journal has them, in JSON, and does everything else itself. All kinds take turns, so that a
drift of the machine touches all alike; figures are medians of the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import orjson

from tierlens import keys
from tierlens.journal.otlp import span_json
from tierlens.local import MlflowServer, ServerPlan
from tierlens.projection.prices import PUBLISHED
from tierlens.sinks.base import Batch, Finding, Finish
from tierlens.sinks.encoding import parsed
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.spans import Span

AGENTS = [f"agent_{number}" for number in range(11)]
TEXT = "The estimated effect of detailing on new starts is positive and robust to refutation. " * 12
RESOURCE = b'{"attributes":[{"key":"service.name","value":{"stringValue":"bench"}}]}'
BATCHES = (10, 20, 40)


def trace_of_25() -> list[Span]:
    """The bench workload's shape: a root, 11 agents with a model call each, a retriever and a reranker."""
    trace_id, now = secrets.token_hex(16), time.time_ns()

    def span(parent: Span | None, name: str, attributes: dict[str, str | int | float]) -> Span:
        common = {keys.BRAND: "Kisqali", keys.OUTCOME: "ok", keys.RUN_ID: secrets.token_hex(16)}
        parent_id = parent.span_id if parent else None
        return Span(trace_id, secrets.token_hex(8), parent_id, name, now, now + 5_000_000, common | attributes, "OK")

    root = span(None, "brand_analytics", _root_attributes())
    spans = [root]
    for agent in AGENTS:
        spans.append(span(root, agent, _agent_attributes(agent)))
        spans.append(span(spans[-1], "ChatAnthropic", _model_attributes()))
    explainer = spans[-2]
    documents = json.dumps([{"page_content": TEXT[:500], "metadata": {"score": 0.9}} for _ in range(5)])
    for kind in ("RETRIEVER", "RERANKER"):
        spans.append(span(explainer, kind.lower(), {keys.SPAN_TYPE: kind, keys.OUTPUTS: documents}))
    return spans


def _root_attributes() -> dict[str, str | int | float]:
    return {
        keys.SPAN_TYPE: "CHAIN",
        keys.INPUTS: json.dumps({"messages": [{"role": "user", "content": "Why did new starts fall?"}]}),
        keys.OUTPUTS: json.dumps({"messages": [{"role": "assistant", "content": TEXT[:600]}]}),
        keys.TRACE_NAME: "brand_analytics Kisqali",
        keys.SESSION: "thread-7",
        keys.USER: "analyst-1",
        **{f"{keys.TRACE_TAG}{name}": "x" for name in ("app", "brand", "kpi", "agents", "tiers", "outcome")},
    }


def _agent_attributes(agent: str) -> dict[str, str | int | float]:
    return {
        keys.SPAN_TYPE: "AGENT",
        keys.AGENT: agent,
        keys.TIER: 2,
        keys.CHECKPOINT_NS: f"{agent}:{secrets.token_hex(16)}",
        keys.INPUTS: json.dumps({"q": "Why did new starts fall?"}),
        keys.OUTPUTS: json.dumps({"notes": [TEXT]}),
    }


def _model_attributes() -> dict[str, str | int | float]:
    return {
        keys.SPAN_TYPE: "CHAT_MODEL",
        keys.INPUTS: json.dumps({"messages": [{"role": "user", "content": TEXT[:800]}]}),
        keys.OUTPUTS: json.dumps({"choices": [{"message": {"role": "assistant", "content": TEXT}}]}),
        keys.TOKEN_USAGE: json.dumps({"input_tokens": 812, "output_tokens": 231, "total_tokens": 1043}),
        keys.MODEL: "claude-sonnet-4-5",
        keys.PROVIDER: "anthropic",
        keys.PARAMS: json.dumps({"temperature": 0.2, "max_tokens": 1024}),
        keys.TTFT_MS: 12.5,
        keys.TOKENS_PER_S: 80.1,
    }


def batches(experiment: str, traces: int, size: int, metrics: int = 0) -> list[Batch]:
    made = [trace_of_25() for _ in range(traces)]
    return [
        Batch(
            experiment,
            RESOURCE,
            [span_json(span) for spans in part for span in spans],
            [_finish(experiment, spans, metrics) for spans in part] if metrics else (),
        )
        for part in (made[start : start + size] for start in range(0, traces, size))
    ]


def _finish(experiment: str, spans: Sequence[Span], metrics: int) -> Finish:
    root = spans[0]
    findings = [Finding(spans[1 + n].span_id, f"metric_{n}", n / 7, root.end_ns) for n in range(metrics)]
    return Finish(experiment, root.trace_id, orjson.loads(span_json(root)), findings)


class Bench:
    """Each method delivers ``traces`` new traces and gives spans a second."""

    def __init__(self, uri: str, traces: int) -> None:
        self._experiment, self._traces = f"bench-sink-{secrets.token_hex(4)}", traces
        self._client = httpx.Client(base_url=uri, timeout=120)
        self._sink = MlflowHttpSink(uri)
        self._sink.send(batches(self._experiment, 2, 2)[0])
        found = self._client.get(
            "/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": self._experiment}
        )
        self._headers = {"x-mlflow-experiment-id": found.json()["experiment"]["experiment_id"]}

    def posted(self, size: int, encoding: str) -> float:
        """Requests made beforehand: the server's own limit."""
        ready = [_encoded(batch, encoding) for batch in batches(self._experiment, self._traces, size)]
        headers = self._headers | {"Content-Type": f"application/{encoding}"}

        def post() -> None:
            for content in ready:
                self._client.post("/v1/traces", content=content, headers=headers).raise_for_status()

        return self._rate(post)

    def delivered(self, size: int, metrics: int) -> float:
        """Through the sink."""
        ready = batches(self._experiment, self._traces, size, metrics)

        def send() -> None:
            for batch in ready:
                self._sink.send(batch)

        return self._rate(send)

    def _rate(self, act: Callable[[], None]) -> float:
        start = time.perf_counter()
        act()
        return 25 * self._traces / (time.perf_counter() - start)


def _encoded(batch: Batch, encoding: str) -> bytes:
    if encoding == "x-protobuf":
        return parsed(batch, PUBLISHED).request()
    return b'{"resourceSpans":[{"resource":%b,"scopeSpans":[{"spans":[%b]}]}]}' % (
        batch.resource,
        b",".join(batch.spans),
    )


def measure(bench: Bench, rounds: int, metrics: int) -> dict[str, float]:
    kinds: dict[str, Callable[[], float]] = {}
    for size in BATCHES:
        kinds[f"limit, protobuf, {size} traces a request"] = lambda s=size: bench.posted(s, "x-protobuf")
        kinds[f"limit, JSON, {size} traces a request"] = lambda s=size: bench.posted(s, "json")
        kinds[f"sink, {size} traces a batch"] = lambda s=size: bench.delivered(s, 0)
        kinds[f"sink, {size} traces a batch, {metrics} metrics each"] = lambda s=size: bench.delivered(s, metrics)
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, run in kinds.items():
            taken[kind].append(run())
    return {kind: statistics.median(rates) for kind, rates in taken.items()}


def report(rates: dict[str, float]) -> dict[str, float]:
    limit = max(rate for kind, rate in rates.items() if kind.startswith("limit, protobuf"))
    for kind, rate in rates.items():
        print(f"{kind:48} {rate:7.0f} spans/s {rate / 25:6.1f} traces/s   {rate / limit:5.2f} of the limit")
    sink = {kind: rate / limit for kind, rate in rates.items() if kind.startswith("sink")}
    return {
        "limit_spans_per_s": round(limit),
        "share_without_metrics": round(max(r for k, r in sink.items() if "metrics" not in k), 3),
        "share_with_metrics": round(max(r for k, r in sink.items() if "metrics" in k), 3),
    }


@contextlib.contextmanager
def server(uri: str, workers: int) -> Iterator[str]:
    if uri:
        yield uri
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        MlflowServer(ServerPlan(Path(folder), port=0, workers=workers)) as own,
    ):
        yield own.uri


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--uri", default="", help="a server that runs; without it, one is started")
    arguments.add_argument("--workers", type=int, default=1)
    arguments.add_argument("--traces", type=int, default=60)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--metrics", type=int, default=3)
    given = arguments.parse_args()
    with server(given.uri, given.workers) as uri:
        print(json.dumps(report(measure(Bench(uri, given.traces), given.rounds, given.metrics))))


if __name__ == "__main__":
    main()
