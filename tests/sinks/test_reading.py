"""Traces are read back whole, each once, and without the mlflow package where a server has them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.conftest import StoredMlflow
from tests.sinks.traces import Trace, agent_trace, batch
from tierlens.errors import Rejected
from tierlens.sinks.channel import Channel
from tierlens.sinks.credentials import Credentials
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.sinks.reading import RestReading, TraceRead, every_trace


class Shifting:
    """Pages as they come while somebody writes: what was the last of one is the first of the next."""

    def infos(self, condition: str, most: int = 0) -> Iterator[dict[str, Any]]:
        yield from ({"trace_id": one} for one in ("tr-c", "tr-b", "tr-b", "tr-a"))

    def traces(self, trace_ids: Sequence[str]) -> Iterator[TraceRead]:
        yield from (TraceRead(one.removeprefix("tr-"), {}, ()) for one in trace_ids)

    def close(self) -> None: ...


def test_a_trace_that_two_pages_tell_of_is_read_once() -> None:
    told: list[tuple[str, int, int]] = []

    read = [trace.id for trace in every_trace(Shifting(), "", lambda *said: told.append(said))]

    assert read == ["c", "b", "a"]
    assert told[-1] == ("Reading traces", 3, 3)


@contextlib.contextmanager
def stored(server: StoredMlflow, experiment: str, *traces: Trace) -> Iterator[list[str]]:
    with contextlib.closing(MlflowHttpSink(server.uri)) as sink:
        sink.send(batch(experiment, *(span for trace in traces for span in trace.spans)))
    yield [f"tr-{trace.id}" for trace in traces]


@pytest.mark.server
def test_an_answer_that_is_too_long_is_asked_for_in_parts(mlflow_server: StoredMlflow, experiment: str) -> None:
    traces = [agent_trace(question="why " * 1_000) for _ in range(5)]
    with stored(mlflow_server, experiment, *traces) as ids, Channel(mlflow_server.uri, Credentials()) as channel:
        read = {trace.id: trace for trace in RestReading(channel, longest=30_000).traces(ids)}
        with pytest.raises(Rejected, match="has more than the 1000 bytes"):
            list(RestReading(channel, longest=1_000).traces(ids))

    assert set(read) == {trace.id for trace in traces}
    for trace in traces:
        assert {(span.span_id, span.parent_id, span.name, span.start_ns) for span in read[trace.id].spans} == {
            (span.span_id, span.parent_id or "", span.name, span.start_ns) for span in trace.spans
        }


@pytest.mark.server
def test_mlflow_is_not_imported_to_read_from_a_server(mlflow_server: StoredMlflow) -> None:
    script = (
        "import sys; from tierlens import settings; from tierlens.cli.spans_read import from_mlflow;"
        f"list(from_mlflow(settings.load(tracking_uri={mlflow_server.uri!r}), 9999999999999, None));"
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
