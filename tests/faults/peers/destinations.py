"""Where peers deliver to: a real MLflow server for MLflow's client, for each other a receiver that speaks its ingest.

A receiver keeps one row an id, as the vendors' stores do: the same id sent again is no duplicate.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.faults.backend import Backend
from tests.faults.gate import Gate, Rule, fine
from tests.faults.peers.worker import PREFIX
from tests.faults.verdict import StoredSpan
from tierlens.testing.http_stub import HttpStub, Recorded, Reply

Row = tuple[str, str]
_JSON: Final = {"Content-Type": "application/json"}
_PART: Final = re.compile(rb'name="(post|patch)\.([0-9a-f-]{36})"')
_INFO: Final = {
    "version": "0.12.0",
    "instance_flags": {"zstd_compression_enabled": True},
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "size_limit": 100,
        "size_limit_bytes": 20 << 20,
        "scale_up_nthreads_limit": 16,
        "scale_up_qsize_trigger": 1000,
    },
}


class Listening(Protocol):
    """A server on a port, with a rule that may shut it to those already connected."""

    rule: Rule

    def __enter__(self) -> Any: ...
    def __exit__(self, *error: Any) -> None: ...


class Destination(Protocol):
    def listen(self, port: int) -> Listening:
        """A server on this port, to be entered; what it takes is kept when it is left."""

    def names(self, experiment: str) -> list[Row]:
        """Id and name of everything stored for an experiment."""


class RealMlflow:
    """``mlflow server``, through a gate that can be closed."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def listen(self, port: int) -> Gate:
        return Gate(self._backend.uri, port=port)

    def names(self, experiment: str) -> list[Row]:
        return [(span, content["name"]) for span, content in self._backend.contents(experiment).items()]


class Received:
    """What a receiver has taken, whether or not it listens just now."""

    def __init__(self, speech: Speech) -> None:
        self.speech = speech
        self.rows: dict[str, str] = {}

    def listen(self, port: int) -> Receiver:
        return Receiver(self, port)

    def names(self, experiment: str) -> list[Row]:
        return list(self.rows.items())


class Receiver(HttpStub):
    """Takes what it understands, and answers as the vendor's server does."""

    def __init__(self, received: Received, port: int) -> None:
        super().__init__(port=port)
        self.rule: Rule = fine
        self._received = received

    def reply_to(self, request: Recorded) -> Reply:
        self.requests.clear()
        reply = self.rule(request)
        if reply.close or reply.status != 200:
            return reply
        self._received.rows.update(self._received.speech.read(request))
        return self._received.speech.answer(request)


class Speech(NamedTuple):
    """How a vendor's ingest is understood.

    Attributes:
        read: the rows in a request; none of one that carries none.
        answer: what the vendor's client expects to hear.
    """

    read: Callable[[Recorded], Iterator[Row]]
    answer: Callable[[Recorded], Reply]


def stored_of(names: list[Row]) -> list[StoredSpan]:
    """The innocent calls among them, by the harness's own ids."""
    found = [(row, name) for row, name in names if name.startswith(PREFIX)]
    return [StoredSpan(row, name.removeprefix(PREFIX), hashlib.sha256(name.encode()).digest()) for row, name in found]


def _plain(request: Recorded) -> bytes:
    match request.headers.get("content-encoding"):
        case "gzip":
            return gzip.decompress(request.body)
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(request.body)
    return request.body


def _json(body: bytes) -> Any:
    """Read as kindly as can be: NaN and broken text are the peers' own servers' to judge."""
    return json.loads(body.decode(errors="replace"))


def _otlp_rows(request: Recorded) -> Iterator[Row]:
    if not request.path.endswith("/v1/traces"):
        return
    for resource in ExportTraceServiceRequest.FromString(_plain(request)).resource_spans:
        for scope in resource.scope_spans:
            yield from ((span.trace_id.hex() + span.span_id.hex(), span.name) for span in scope.spans)


def _otlp_answer(request: Recorded) -> Reply:
    if request.path.endswith("/v1/traces"):
        return Reply(headers={"Content-Type": "application/x-protobuf"})
    return Reply(headers=_JSON, body=b"{}")


def _langsmith_rows(request: Recorded) -> Iterator[Row]:
    if request.path.endswith("/runs/multipart"):
        yield from _parts(_plain(request), request.headers["content-type"].partition("boundary=")[2])
    elif request.path.endswith("/runs/batch"):
        body = _json(_plain(request))
        yield from _named([*body.get("post", ()), *body.get("patch", ())])


def _parts(body: bytes, boundary: str) -> Iterator[Row]:
    """Runs whose own part, as against those of their inputs and outputs, has their name."""
    for part in body.split(b"--" + boundary.strip('"').encode()):
        head, _, content = part.partition(b"\r\n\r\n")
        if _PART.search(head):
            yield from _named([_json(content)])


def _named(runs: list[Mapping[str, Any]]) -> Iterator[Row]:
    return ((run["id"], run["name"]) for run in runs if run.get("name"))


def _langsmith_answer(request: Recorded) -> Reply:
    if request.path.endswith("/info"):
        return Reply(headers=_JSON, body=json.dumps(_INFO).encode())
    return Reply(202, _JSON, b"{}")


def _opik_rows(request: Recorded) -> Iterator[Row]:
    if request.path.endswith("/traces/batch"):
        yield from _named(_json(_plain(request))["traces"])
    elif request.path.endswith("/traces") and request.method == "POST":
        yield from _named([_json(_plain(request))])


def _opik_answer(request: Recorded) -> Reply:
    return Reply(204) if request.method != "GET" else Reply(headers=_JSON, body=b"{}")


SPEECHES: Final = {
    "otel": Speech(_otlp_rows, _otlp_answer),
    "langfuse": Speech(_otlp_rows, _otlp_answer),
    "langsmith": Speech(_langsmith_rows, _langsmith_answer),
    "opik": Speech(_opik_rows, _opik_answer),
}
