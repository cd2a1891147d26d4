"""ChatAnthropic, unpatched."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel, Field

from tests.testing.claude.conftest import MODEL
from tierlens.testing import ClaudeEndpoint

QUESTION = "drift_magnitude=0.31 for TRx. Severity is high; ask the gap analyzer."


class Drift(BaseModel):
    """A drift report."""

    severity: Literal["low", "high"]
    drift_magnitude: float = Field(ge=0, le=1)
    agents: list[Literal["gap_analyzer", "explainer"]]


@tool
def market_share(region: str) -> str:
    """The market share of a region."""
    return f"Market share in {region} is 12.5%."


def chat(endpoint: ClaudeEndpoint, **arguments: Any) -> ChatAnthropic:
    return ChatAnthropic(model=MODEL, base_url=endpoint.base_url, api_key="offline", max_retries=0, **arguments)


def joined(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


async def test_every_way_to_call_it_gives_the_same_answer_and_usage(endpoint: ClaudeEndpoint) -> None:
    model = chat(endpoint)
    answers: list[AIMessage] = [
        model.invoke(QUESTION),
        await model.ainvoke(QUESTION),
        joined(list(model.stream(QUESTION))),
        joined([chunk async for chunk in model.astream(QUESTION)]),
        *model.batch([QUESTION, QUESTION]),
        *await model.abatch([QUESTION, QUESTION]),
    ]
    assert len({str(answer.text) for answer in answers}) == 1
    usages = [answer.usage_metadata for answer in answers]
    assert all(usage and usage["total_tokens"] == usages[0]["total_tokens"] for usage in usages if usages[0])
    totals = endpoint.ledger()["totals"]
    assert totals["calls"] == len(answers)
    assert totals["all_input_tokens"] == sum(usage["input_tokens"] for usage in usages if usage)
    assert totals["output_tokens"] == sum(usage["output_tokens"] for usage in usages if usage)


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_structured_output_is_filled_from_the_question(endpoint: ClaudeEndpoint, method: Any) -> None:
    report = chat(endpoint).with_structured_output(Drift, method=method).invoke(QUESTION)
    assert report == Drift(severity="high", drift_magnitude=0.31, agents=["gap_analyzer"])


def test_bound_tools_are_called_also_in_streams(endpoint: ClaudeEndpoint) -> None:
    model = chat(endpoint).bind_tools([market_share])
    question = "What is the market share in Boston?"
    plain, stream = model.invoke(question), joined(list(model.stream(question)))
    assert [call["args"] for call in plain.tool_calls] == [{"region": "Boston"}]
    assert [call["args"] for call in stream.tool_calls] == [{"region": "Boston"}]


def test_an_agent_calls_its_tool_and_answers(endpoint: ClaudeEndpoint) -> None:
    agent = create_agent(chat(endpoint), [market_share], system_prompt="You are the gap analyzer for Kisqali.")
    said = agent.invoke({"messages": [("human", "What is the market share in Boston?")]})["messages"]
    assert [message.type for message in said] == ["human", "ai", "tool", "ai"]
    assert "Market share in Boston is 12.5%." in said[-1].text
    assert endpoint.ledger()["totals"]["calls"] == 2


def test_thinking_is_told_apart_from_the_answer(endpoint: ClaudeEndpoint) -> None:
    model = chat(endpoint, max_tokens=2048, thinking={"type": "enabled", "budget_tokens": 1024})
    answer = model.invoke(QUESTION)
    assert [block["type"] for block in answer.content_blocks] == ["reasoning", "text"]


def test_tokens_are_counted_beforehand(endpoint: ClaudeEndpoint) -> None:
    model = chat(endpoint)
    usage = model.invoke(QUESTION).usage_metadata
    assert usage
    assert model.get_num_tokens_from_messages([HumanMessage(QUESTION)]) == usage["input_tokens"]
