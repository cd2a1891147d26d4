from __future__ import annotations

import gc
import gzip
import itertools
import threading

import httpx
import pytest

from tierlens.errors import Unavailable
from tierlens.sinks.channel import SMALL, Channel
from tierlens.sinks.credentials import Credentials
from tierlens.testing.http_stub import HttpStub, Reply


@pytest.fixture
def stub():
    with HttpStub() as stub:
        yield stub


@pytest.fixture
def channel(stub):
    with Channel(stub.uri, Credentials(token="abc"), timeout=httpx.Timeout(5)) as channel:
        yield channel


def test_a_request_carries_body_headers_and_credentials(stub, channel):
    channel.request("POST", "/v1/traces", b"spans", {"Content-Type": "x"})

    [request] = stub.requests
    assert (request.method, request.path, request.body) == ("POST", "/v1/traces", b"spans")
    assert request.headers["authorization"] == "Bearer abc"
    assert request.headers["content-type"] == "x"


def test_an_answer_is_given_back_whatever_its_status(stub, channel):
    stub.then(Reply(418, {"X-Kind": "teapot"}, b"short and stout"))

    answer = channel.request("GET", "/")

    assert (answer.status, answer.body, answer.headers["x-kind"]) == (418, b"short and stout", "teapot")


def responses() -> int:
    return sum(type(one) is httpx.Response for one in gc.get_objects())


def test_a_request_leaves_nothing_for_the_collector(channel):
    """Else what was sent stays in memory: who only ships collects once in many thousand objects."""
    channel.request("POST", "/", b"spans")
    gc.collect()
    gc.disable()
    try:
        before = responses()
        for _ in range(10):
            channel.request("POST", "/", b"spans")
        # Not what a collection finds: others in this process leave things behind as well.
        assert responses() == before
    finally:
        gc.enable()


def test_a_path_before_the_api_is_kept(stub):
    with Channel(f"{stub.uri}/team/mlflow/", Credentials()) as channel:
        channel.request("GET", "/health")

    assert stub.requests[0].path == "/team/mlflow/health"


def test_an_answer_without_end_is_cut(stub, channel):
    stub.then(Reply(500, pieces=itertools.repeat(b"x" * 1000)))

    assert len(channel.request("GET", "/").body) == SMALL


def test_a_compressed_bomb_is_never_unpacked_whole(stub, channel):
    bomb = gzip.compress(b"\0" * 50_000_000)
    stub.then(Reply(500, {"Content-Encoding": "gzip"}, bomb))

    assert len(channel.request("GET", "/").body) == SMALL


def test_a_compressed_answer_is_read(stub, channel):
    stub.then(Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(b'{"a":1}')))

    assert channel.request("GET", "/").json() == {"a": 1}


def test_an_answer_that_says_gzip_and_is_not_is_empty(stub, channel):
    stub.then(Reply(500, {"Content-Encoding": "gzip"}, b"plain"))

    assert channel.request("GET", "/").body == b""


def test_an_answer_that_only_drips_is_given_up(stub):
    stub.then(Reply(pieces=iter([b"a"] * 1000)))
    seconds = itertools.count(0, 500)

    with (
        Channel(stub.uri, Credentials(), clock=lambda: float(next(seconds))) as channel,
        pytest.raises(Unavailable, match="without end"),
    ):
        channel.request("GET", "/")


def test_a_cut_connection_is_unavailable(stub, channel):
    stub.then(Reply(close=True))

    with pytest.raises(Unavailable):
        channel.request("POST", "/", b"x")


def test_silence_is_unavailable(stub):
    late = threading.Event()
    stub.then(Reply(wait=late))

    with (
        Channel(stub.uri, Credentials(), timeout=httpx.Timeout(0.2)) as channel,
        pytest.raises(Unavailable),
    ):
        channel.request("GET", "/")
    late.set()


def test_a_closed_port_is_unavailable_and_named_without_its_password():
    with (
        Channel("http://ann:s3cret@127.0.0.1:9", Credentials()) as channel,
        pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9") as caught,
    ):
        channel.request("GET", "/")
    assert "s3cret" not in str(caught.value)


def test_a_user_in_the_address_logs_in(stub):
    with Channel(stub.uri.replace("http://", "http://ann:s3cret@"), Credentials()) as channel:
        channel.request("GET", "/")

    assert stub.requests[0].headers["authorization"].startswith("Basic ")
