"""Sockets, threads and bodies that are not what they should be."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx
import pytest

from tests.testing.claude.conftest import HELLO, MODEL, client_of
from tests.testing.claude.test_messages import create, text_of
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.claude import Reply

HEADERS = {"x-api-key": "offline", "anthropic-version": "2023-06-01"}
REQUEST: dict[str, Any] = {"model": MODEL, "max_tokens": 200, "messages": HELLO}


def connect(endpoint: ClaudeEndpoint) -> socket.socket:
    address = urlsplit(endpoint.base_url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def post(endpoint: ClaudeEndpoint, path: str = "/v1/messages", **arguments: Any) -> httpx.Response:
    return httpx.post(f"{endpoint.base_url}{path}", **{"headers": HEADERS, **arguments})


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({"anthropic-version": "2023-06-01"}, 401, "x-api-key header is required"),
        ({"x-api-key": "", "anthropic-version": "2023-06-01"}, 401, "x-api-key header is required"),
        ({"x-api-key": "offline"}, 400, "anthropic-version: header is required"),
        ({"authorization": "Bearer offline", "anthropic-version": "2023-06-01"}, 200, ""),
    ],
)
def test_a_key_and_a_version_are_required(
    endpoint: ClaudeEndpoint, headers: dict[str, str], status: int, message: str
) -> None:
    answer = post(endpoint, headers=headers, json=REQUEST)
    assert answer.status_code == status
    assert message in answer.text


def test_one_key_can_be_the_only_one() -> None:
    with ClaudeEndpoint(api_key="secret") as endpoint, pytest.raises(anthropic.AuthenticationError):
        create(client_of(endpoint))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"model": NaN}', b'{"model": "\\ud800"}', b"[" * 5000])
def test_bodies_that_are_not_json_are_refused(endpoint: ClaudeEndpoint, body: bytes) -> None:
    assert post(endpoint, content=body).status_code == 400
    assert post(endpoint, json=REQUEST).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/v1/messages"), ("POST", "/v1/complete")])
def test_other_paths_are_not_found(endpoint: ClaudeEndpoint, method: str, path: str) -> None:
    answer = httpx.request(method, f"{endpoint.base_url}{path}", headers=HEADERS)
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"


def test_a_body_over_the_limit_is_refused_and_the_endpoint_goes_on() -> None:
    with ClaudeEndpoint(max_body_bytes=100_000) as endpoint:
        client = client_of(endpoint)
        with pytest.raises(anthropic.RequestTooLargeError):
            create(client, system="x" * 200_000)
        assert create(client, system="x" * 50_000).usage.input_tokens > 6_000


def test_a_body_without_a_length_is_refused(endpoint: ClaudeEndpoint) -> None:
    assert post(endpoint, content=iter([b"{}"])).status_code == 411


def test_the_ledger_can_be_read_over_http(endpoint: ClaudeEndpoint) -> None:
    create(client_of(endpoint))
    assert httpx.get(f"{endpoint.base_url}/ledger").json() == endpoint.ledger()


def test_connections_are_kept_alive(endpoint: ClaudeEndpoint) -> None:
    with connect(endpoint) as connection:
        body = json.dumps(REQUEST).encode()
        head = "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nanthropic-version: v\r\n"
        for _ in range(3):
            connection.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_clients_that_leave_early_do_not_disturb_the_others(endpoint: ClaudeEndpoint) -> None:
    for sent in (b"", b"POST /v1/mess", b"POST /v1/messages HTTP/1.1\r\ncontent-length: 500\r\n\r\n{"):
        with connect(endpoint) as connection:
            connection.sendall(sent)
    assert create(client_of(endpoint)).stop_reason == "end_turn"
    assert endpoint.ledger()["totals"]["refused"] == 0


def test_a_stream_the_client_leaves_is_billed_for_what_was_sent() -> None:
    left, slept = threading.Event(), []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) > 3:
            left.wait(10)

    text = "word " * 8_000
    with ClaudeEndpoint(lambda request: Reply(text), tokens_per_s=1, sleep=sleep) as endpoint:
        client = client_of(endpoint)
        stream = client.messages.create(**{**REQUEST, "max_tokens": 10_000}, stream=True)
        next(event for event in stream if event.type == "content_block_delta")
        stream.close()
        left.set()
    (call,) = endpoint.ledger()["calls"]
    assert (call["status"], call["complete"], call["stop_reason"]) == (200, False, None)
    assert 0 < call["output_tokens"] < 8_000


def test_many_threads_are_served_and_every_call_is_booked(endpoint: ClaudeEndpoint) -> None:
    client = client_of(endpoint)

    def ask(number: int) -> int:
        question = [{"role": "user", "content": f"Question {number}: is {number} large?"}]
        message = create(client, messages=question)
        assert f"is {number} large?" in text_of(message)
        return message.usage.output_tokens

    with ThreadPoolExecutor(16) as pool:
        spent = list(pool.map(ask, range(200)))
    totals = endpoint.ledger()["totals"]
    assert (totals["calls"], totals["output_tokens"]) == (200, sum(spent))


def test_stopping_does_not_wait_for_idle_clients_and_frees_the_port() -> None:
    endpoint = ClaudeEndpoint().start()
    port = urlsplit(endpoint.base_url).port
    assert port
    client = client_of(endpoint)
    create(client)
    endpoint.stop()
    endpoint.stop()
    with pytest.raises(anthropic.APIConnectionError):
        create(client)
    with pytest.raises(RuntimeError, match="not running"):
        _ = endpoint.base_url
    with ClaudeEndpoint(port=port) as again:
        assert create(client_of(again)).stop_reason == "end_turn"


def test_starting_twice_is_an_error(endpoint: ClaudeEndpoint) -> None:
    with pytest.raises(RuntimeError, match="running already"):
        endpoint.start()


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1"])
def test_only_loopback_is_served(host: str) -> None:
    with pytest.raises(ValueError, match="not an IPv4 loopback address"):
        ClaudeEndpoint(host=host)


def test_it_runs_as_a_process_of_its_own_until_it_is_told_to_stop(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.json"
    command = [sys.executable, "-m", "tierlens.testing.claude", "--ledger", str(ledger)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        client = anthropic.Anthropic(base_url=url, api_key="offline")
        create(client)
        create(client)
        process.terminate()
        assert process.wait(10) == 0
    assert json.loads(ledger.read_bytes())["totals"]["calls"] == 2
