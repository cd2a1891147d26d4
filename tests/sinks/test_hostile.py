"""Answers that do not end, that unpack to gigabytes or nest without end: each call ends, in bounded time and memory."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
from collections.abc import Callable

import httpx
import pytest

from tests.sinks.traces import agent_trace, batch
from tierlens import settings
from tierlens.errors import DeliveryError, Unavailable
from tierlens.journal.forgotten import Subject
from tierlens.sinks.channel import Channel
from tierlens.sinks.credentials import Credentials
from tierlens.sinks.erasing import RestErasing, StoredTraces
from tierlens.sinks.links import TraceLinks
from tierlens.sinks.mlflow_http import MlflowHttpSink, RestBackend
from tierlens.sinks.otlp import OtlpSink
from tierlens.sinks.witness import Request
from tierlens.testing.http_stub import HttpStub, Reply

MOST_BYTES = 320 << 20
TRACE = agent_trace()
BOMB = gzip.compress(b"[" * 300_000_000)


def rest(stub: HttpStub) -> RestBackend:
    return RestBackend(Channel(stub.uri, Credentials(), timeout=httpx.Timeout(5)))


def erasing(stub: HttpStub) -> StoredTraces:
    return StoredTraces(RestErasing(Channel(stub.uri, Credentials(), timeout=httpx.Timeout(5))))


CALLS: dict[str, Callable[[HttpStub], object]] = {
    "send spans": lambda stub: MlflowHttpSink(stub.uri).send(batch("x", *TRACE.spans)),
    "send metrics": lambda stub: MlflowHttpSink(stub.uri).finish(TRACE.finish("x", {"gap": 0.5})),
    "count": lambda stub: MlflowHttpSink(stub.uri).count(Request("x", "d", 0, 1)),
    "held": lambda stub: MlflowHttpSink(stub.uri).held([TRACE.id]),
    "incomplete": lambda stub: MlflowHttpSink(stub.uri).incomplete(10),
    "log spans": lambda stub: rest(stub).log_spans("1", b""),
    "trace infos": lambda stub: rest(stub).trace_infos(["tr-1"]),
    "span ids": lambda stub: rest(stub).span_ids("tr-1"),
    "tag": lambda stub: rest(stub).set_tag("tr-1", "a", "b"),
    "attach": lambda stub: rest(stub).attach("mlflow-artifacts:/1", "a", __file__),
    "find runs": lambda stub: rest(stub).find_runs("1", "x"),
    "find a user's traces": lambda stub: erasing(stub).of(Subject("user", "anna")),
    "delete traces": lambda stub: erasing(stub).delete([TRACE.id]),
    "send by OTLP": lambda stub: OtlpSink(stub.uri).send(batch("x", *TRACE.spans)),
}
ANSWERS: dict[str, Callable[[int], Reply]] = {
    "without end": lambda status: Reply(status, pieces=itertools.repeat(b"x" * 65_536)),
    "an array without end": lambda status: Reply(status, pieces=itertools.repeat(b"[" * 65_536)),
    "a bomb": lambda status: Reply(status, {"Content-Encoding": "gzip"}, BOMB),
    "nested": lambda status: Reply(status, body=b'{"a":' * 20_000),
    "of other kinds": lambda status: Reply(status, body=b'{"traces":3,"experiments":"x","experiment":[],"runs":{}}'),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("call", CALLS)
def test_every_call_ends_and_says_in_a_line_what_was_wrong_if_it_matters(call: str, answer: str) -> None:
    with HttpStub() as stub:
        stub.then(*(ANSWERS[answer](200) for _ in range(8)))
        said = refusal(lambda: CALLS[call](stub))

    assert len(said) < 1_000
    assert said.isprintable()


@pytest.mark.parametrize("answer", sorted(ANSWERS.keys() - {"of other kinds"}))
@pytest.mark.parametrize("call", ["find runs", "trace infos"])
def test_what_is_no_answer_of_mlflows_is_not_taken_for_none(call: str, answer: str) -> None:
    with HttpStub() as stub:
        stub.then(*(ANSWERS[answer](200) for _ in range(8)))

        with pytest.raises(Unavailable):
            CALLS[call](stub)


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_refusal_is_one_whatever_it_says(answer: str) -> None:
    with HttpStub() as stub:
        stub.then(ANSWERS[answer](500))

        assert refusal(lambda: CALLS["log spans"](stub)).startswith("500: ")


@pytest.mark.parametrize("answer", ["without end", "a bomb"])
def test_even_the_longest_answer_that_is_read_takes_bounded_memory(answer: str) -> None:
    with HttpStub() as stub:
        stub.then(ANSWERS[answer](200))
        tracemalloc.start()
        said = refusal(lambda: CALLS["span ids"](stub))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert "cannot be compared" in said
    assert peak < MOST_BYTES


def refusal(act: Callable[[], object]) -> str:
    """What a call said was wrong, if anything."""
    try:
        act()
    except DeliveryError as error:
        return str(error)
    return ""


def test_a_link_has_no_password_in_it() -> None:
    with HttpStub() as stub:
        found = settings.load(environ={"MLFLOW_TRACKING_URI": stub.uri.replace("//", "//me:secret@")}, env_file=None)
        links = TraceLinks(found)
        stub.then(Reply(body=b'{"experiment":{"experiment_id":"7"}}'))
        assert links.of("x", "a") == f"{stub.uri}/#/experiments/7/traces?selectedEvaluationId=tr-a"
