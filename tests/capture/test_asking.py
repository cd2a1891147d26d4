"""The one-liner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.capture.conftest import Capture
from tierlens import keys
from tierlens.capture.asking import achat_with_tracking, chat_with_tracking
from tierlens.capture.current import using
from tierlens.capture.decorators import agent
from tierlens.capture.trace import Context
from tierlens.capture.wrapping import wrap
from tierlens.errors import UnknownBrand
from tierlens.policy import Policies
from tierlens.testing import ClaudeEndpoint

NAME = "anthropic.messages"
ASKED: dict[str, Any] = {"model": "claude-sonnet-4-6", "prompt": "Share fell by 4% in June. Why?"}
POLICIES = Policies(app="brand_analytics", brands=("Kisqali", "Fabhalta"), unknown_brand="reject")


@pytest.fixture
def endpoint() -> Iterator[ClaudeEndpoint]:
    with ClaudeEndpoint() as started:
        yield started


@pytest.fixture
def client(endpoint: ClaudeEndpoint) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=endpoint.base_url, api_key="offline", max_retries=0)


def test_it_returns_the_text_and_records_for_the_brand(capture_with: Any, client: anthropic.Anthropic) -> None:
    made: Capture = capture_with(POLICIES)
    text = chat_with_tracking(
        **ASKED, brand="Kisqali", system="You are the gap analyzer.", client=client, stop_sequences=["Regards"]
    )
    assert text.startswith("As the gap analyzer")
    span = made.journal.named(NAME)
    assert made.journal.routings[span.span_id].experiment == "brand_analytics/Kisqali"
    assert text[:40] in str(span.attributes[keys.OUTPUTS])
    assert "Regards" in str(span.attributes[keys.PARAMS])


async def test_it_has_an_asynchronous_twin(capture_with: Any, client: anthropic.Anthropic) -> None:
    made: Capture = capture_with(POLICIES)
    async with anthropic.AsyncAnthropic(base_url=client.base_url, api_key="offline") as async_client:
        text = await achat_with_tracking(**ASKED, brand="Kisqali", client=async_client)
    assert text == chat_with_tracking(**ASKED, brand="Kisqali", client=client)
    assert len(made.journal.roots()) == 2


async def test_without_a_client_one_is_made_from_the_environment(
    capture: Capture, client: anthropic.Anthropic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", str(client.base_url))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "offline")
    assert chat_with_tracking(**ASKED, brand="Kisqali") == await achat_with_tracking(**ASKED, brand="Kisqali")
    assert len(capture.journal.spans) == 2


async def test_an_unknown_brand_is_the_callers_error(capture_with: Any, client: anthropic.Anthropic) -> None:
    made: Capture = capture_with(POLICIES)
    with pytest.raises(UnknownBrand, match="Kisqali, Fabhalta"):
        chat_with_tracking(**ASKED, brand="Kiskali", client=client)
    with pytest.raises(UnknownBrand, match="Kisqali, Fabhalta"):
        await achat_with_tracking(**ASKED, brand="Kiskali")
    assert made.journal.spans == {}


def test_in_a_trace_of_the_same_brand_it_is_part_of_it(capture_with: Any, client: anthropic.Anthropic) -> None:
    made: Capture = capture_with(POLICIES)

    @agent("writer")
    def write() -> str:
        return chat_with_tracking(**ASKED, brand="Kisqali", client=client)

    with using(Context(brand="Kisqali")):
        write()
    assert made.journal.named(NAME).parent_id == made.journal.named("writer").span_id


def test_in_a_trace_of_another_brand_it_has_its_own(capture_with: Any, client: anthropic.Anthropic) -> None:
    made: Capture = capture_with(POLICIES)

    @agent("writer")
    def write() -> str:
        return chat_with_tracking(**ASKED, brand="Kisqali", client=client)

    with using(Context(brand="Fabhalta", remote=("ab" * 16, "cd" * 8))):
        write()
    span = made.journal.named(NAME)
    assert span.parent_id is None
    assert span.trace_id != made.journal.named("writer").trace_id
    assert made.journal.routings[span.span_id].brand == "Kisqali"


def test_a_client_that_is_wrapped_already_records_once(capture: Capture, client: anthropic.Anthropic) -> None:
    chat_with_tracking(**ASKED, brand="Kisqali", client=wrap(client))
    assert capture.journal.routings[capture.journal.named(NAME).span_id].brand == "Kisqali"


def test_without_a_lens_it_only_asks(client: anthropic.Anthropic) -> None:
    assert chat_with_tracking(**ASKED, brand="Anything", client=client)


def test_a_refusal_of_claude_is_raised(capture: Capture, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError):
        chat_with_tracking(**{**ASKED, "prompt": ""}, brand="Kisqali", client=client)
    assert capture.journal.named(NAME).status == "ERROR"


async def test_what_would_be_paid_for_and_lost_is_refused_before_it_is_sent(
    capture: Capture, endpoint: ClaudeEndpoint
) -> None:
    asked: Any = {"model": "claude-sonnet-4-6", "prompt": "Why?", "brand": "Kisqali"}
    said: Any = {"base_url": endpoint.base_url, "api_key": "offline"}
    plain, other = anthropic.Anthropic(**said), anthropic.AsyncAnthropic(**said)
    for client in (other, object()):
        with pytest.raises(
            TypeError, match=f"takes an Anthropic, or a client made like it, not {type(client).__name__}"
        ):
            chat_with_tracking(**asked, client=client)
    with pytest.raises(TypeError, match="takes an AsyncAnthropic, or a client made like it, not Anthropic"):
        await achat_with_tracking(**asked, client=plain)
    with pytest.raises(TypeError, match="whole answer"):
        chat_with_tracking(**asked, client=plain, stream=True)
    with pytest.raises(TypeError, match="whole answer"):
        await achat_with_tracking(**asked, client=other, stream=True)
    assert chat_with_tracking(**asked, client=plain, stream=False)
    assert endpoint.ledger()["totals"]["calls"] == 1
