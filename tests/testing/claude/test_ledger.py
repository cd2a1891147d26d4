from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.testing.claude.conftest import HELLO, MODEL, Clock, client_of
from tests.testing.claude.test_messages import create
from tierlens.testing import ClaudeEndpoint
from tierlens.testing.claude.ledger import SAVE_EVERY_S, TOKEN_FIELDS, Call, Ledger

counts = st.integers(0, 10_000)
calls = st.builds(
    Call,
    request_id=st.just("req_1"),
    path=st.just("/v1/messages"),
    model=st.sampled_from(["a", "b"]),
    stream=st.booleans(),
    status=st.sampled_from([0, 200, 429]),
    time_s=st.just(0.0),
    input_tokens=counts,
    output_tokens=counts,
    cache_read_input_tokens=counts,
    cache_creation_5m_input_tokens=counts,
    cache_creation_1h_input_tokens=counts,
)


@given(st.lists(calls))
def test_totals_are_the_sums_of_the_billed_calls_and_of_the_models(made: list[Call]) -> None:
    ledger = Ledger()
    for call in made:
        ledger.record(call)
    book = ledger.to_json()
    billed = [call for call in book["calls"] if call["status"] == 200]
    assert book["totals"]["calls"] + book["totals"]["refused"] == len(made)
    for name in TOKEN_FIELDS:
        assert book["totals"][name] == sum(call[name] for call in billed)
        assert book["totals"][name] == sum(model[name] for model in book["by_model"].values())
    parts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert book["totals"]["all_input_tokens"] == sum(book["totals"][name] for name in parts)


def test_a_call_says_what_was_asked_and_what_it_cost(endpoint: ClaudeEndpoint, clock: Clock) -> None:
    message = create(client_of(endpoint))
    (call,) = endpoint.ledger()["calls"]
    assert call == {
        "request_id": message._request_id,
        "path": "/v1/messages",
        "model": MODEL,
        "stream": False,
        "status": 200,
        "time_s": clock.now,
        "message_id": message.id,
        "stop_reason": "end_turn",
        "complete": True,
        "error": None,
        "input_tokens": message.usage.input_tokens,
        "output_tokens": message.usage.output_tokens,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_creation_5m_input_tokens": 0,
        "cache_creation_1h_input_tokens": 0,
    }


def test_who_has_read_an_answer_finds_it_in_the_ledger(endpoint: ClaudeEndpoint) -> None:
    client = client_of(endpoint)
    for expected in range(1, 40, 2):
        create(client)
        assert endpoint.ledger()["totals"]["calls"] == expected
        with client.messages.stream(model=MODEL, max_tokens=20, messages=HELLO) as stream:
            stream.until_done()
        assert endpoint.ledger()["totals"]["calls"] == expected + 1


def test_the_file_holds_the_same_book_when_the_endpoint_has_stopped(tmp_path: Path) -> None:
    path = tmp_path / "var" / "ledger.json"
    with ClaudeEndpoint(ledger_path=path) as endpoint:
        for _ in range(3):
            create(client_of(endpoint))
    assert json.loads(path.read_bytes()) == endpoint.ledger()
    assert [entry.name for entry in path.parent.iterdir()] == ["ledger.json"]


def test_the_file_is_written_at_most_every_half_second(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "ledger.json"
    ledger = Ledger(path, monotonic=clock)

    def calls_in_file() -> int:
        ledger.record(Call("req_1", "/v1/messages", "a", False, 200, 0.0))
        return len(json.loads(path.read_bytes())["calls"])

    assert [calls_in_file(), calls_in_file()] == [1, 1]
    clock.advance(SAVE_EVERY_S)
    assert calls_in_file() == 3


def test_a_file_that_cannot_be_written_fails_no_call(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(Call("req_1", "/v1/messages", "a", False, 200, 0.0))
    assert ledger.to_json()["totals"]["calls"] == 1
    with pytest.raises(OSError, match="directory"):
        ledger.save()


def test_no_call_is_lost_between_threads() -> None:
    ledger = Ledger()
    call = Call("req_1", "/v1/messages", "a", False, 200, 0.0, input_tokens=1)
    threads = [threading.Thread(target=lambda: [ledger.record(call) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.to_json()["totals"]["input_tokens"] == 4_000
