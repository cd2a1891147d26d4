"""The server's own OTLP limit: python -m tests.performance.probes.posting JOURNAL [KIND]

Posts the journal's spans as requests made beforehand, by one bare client: nothing read, nothing encoded, nothing
acknowledged while the clock runs. Each kind of request sends its own copies, under trace ids of their own; one that
is named, such as ``x-protobuf,120``, is the only one.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from tierlens.journal.codec import Line
from tierlens.journal.reader import SegmentReader
from tierlens.journal.segment import segment_path, writers
from tierlens.projection.prices import PUBLISHED
from tierlens.sinks.base import Batch
from tierlens.sinks.encoding import parsed

TRACES_A_REQUEST = (20, 60, 120)
ENCODINGS = ("x-protobuf", "json")


def traces_in(journal: Path) -> list[list[Line]]:
    """The finished spans of the journal, by trace."""
    found: dict[str, list[Line]] = {}
    for writer in writers(journal):
        for number in writer.segments:
            reader = SegmentReader(segment_path(journal, writer.name, number))
            for record in reader.read(1 << 30, final=True):
                if record.line.kind == "span":
                    found.setdefault(record.line.trace, []).append(record.line)
            reader.close()
    return list(found.values())


def renamed(trace: Sequence[Line]) -> list[bytes]:
    """The trace's spans under a trace id of their own."""
    old, new = trace[0].trace.encode(), secrets.token_hex(16).encode()
    return [line.payload.replace(old, new) for line in trace]


def request(traces: Sequence[Sequence[Line]], encoding: str) -> bytes:
    resource, spans = traces[0][0].resource, [span for trace in traces for span in renamed(trace)]
    if encoding == "x-protobuf":
        return parsed(Batch("", resource, spans), PUBLISHED).request()
    return b'{"resourceSpans":[{"resource":%b,"scopeSpans":[{"spans":[%b]}]}]}' % (resource, b",".join(spans))


def rate(client: httpx.Client, traces: Sequence[Sequence[Line]], size: int, encoding: str) -> float:
    """Spans a second."""
    ready = [request(traces[at : at + size], encoding) for at in range(0, len(traces), size)]
    headers = {"content-type": f"application/{encoding}"}
    start = time.perf_counter()
    for content in ready:
        client.post("/v1/traces", content=content, headers=headers).raise_for_status()
    return sum(map(len, traces)) / (time.perf_counter() - start)


def _rate(client: httpx.Client, traces: Sequence[Sequence[Line]], encoding: str, size: str) -> float:
    return rate(client, traces, int(size), encoding)


def experiment_id(client: httpx.Client, name: str) -> str:
    route = "/api/2.0/mlflow/experiments/get-by-name"
    found = client.get(route, params={"experiment_name": name})
    if found.status_code == 404:
        made = client.post("/api/2.0/mlflow/experiments/create", json={"name": name})
        return str(made.raise_for_status().json()["experiment_id"])
    return str(found.raise_for_status().json()["experiment"]["experiment_id"])


def main() -> None:
    traces = traces_in(Path(sys.argv[1]))
    kinds = sys.argv[2:] or [f"{encoding},{size}" for size in TRACES_A_REQUEST for encoding in ENCODINGS]
    with httpx.Client(base_url=os.environ["MLFLOW_TRACKING_URI"], timeout=300) as client:
        client.headers["x-mlflow-experiment-id"] = experiment_id(client, "limit")
        rate(client, traces[:5], 5, "x-protobuf")
        rates = {kind: _rate(client, traces, *kind.split(",")) for kind in kinds}
    print(json.dumps({"traces": len(traces), "spans": sum(map(len, traces)), "rates": rates}))


if __name__ == "__main__":
    main()
