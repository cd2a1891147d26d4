"""What a user sees in MLflow's UI of traces that tierlens delivered."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from playwright.sync_api import expect

from examples.brand_analytics.questions import questions
from tests.browser.conftest import BRAND, EXPERIMENT
from tests.browser.ui import MlflowUi, icon, select, tree
from tests.conftest import StoredMlflow

pytestmark = [pytest.mark.browser, pytest.mark.server]

FORECAST = "Forecast the next three months for me."
FIRST = "Why are new starts falling: is the brand healthy?"
BUDGET = "Should we move e-mails and webinars between segments?"


@pytest.fixture(scope="module")
def traces(mlflow_server: StoredMlflow) -> dict[str, dict[str, Any]]:
    """The experiment's traces, by their question."""
    infos = [mlflow_server.trace(trace_id) for trace_id in mlflow_server.trace_ids(EXPERIMENT)]
    return {info["request_preview"]: info for info in infos}


@pytest.fixture(scope="module")
def forecast(mlflow_server: StoredMlflow, traces: dict[str, Any]) -> list[dict[str, Any]]:
    """The spans of one trace, ids as the UI has them."""
    spans = mlflow_server.spans(number(traces[FORECAST]))
    return [span | {"span_id": base64.b64decode(span["span_id"]).hex()} for span in spans]


def number(info: dict[str, Any]) -> str:
    return info["trace_id"].removeprefix("tr-")


def ids(spans: list[dict[str, Any]], kind: str) -> list[str]:
    return [span["span_id"] for span in spans if span["attributes"]["mlflow.spanType"] == kind]


def test_the_trace_list_reads_as_questions_and_answers(ui: MlflowUi, traces, mlflow_server):
    page = ui.open("traces")

    for question in questions(BRAND):
        expect(ui.row(question.text)).to_have_count(1)
    row = ui.row(FORECAST)
    expect(row).to_contain_text("As the explainer, this is how I read it.")
    expect(row).to_contain_text("kisqali-1-monday")
    usage, _ = mlflow_server.totals(number(traces[FORECAST]))
    expect(row).to_contain_text(str(usage["total_tokens"]))
    expect(row).to_contain_text("outcome: ok")
    ui.picture("trace-list", width=1900, height=660)
    ui.show_column("Trace name")
    expect(row).to_contain_text(f"brand_analytics {BRAND}")
    assert not page.get_by_role("cell").filter(has_text="{").all(), "raw JSON in a preview"


def test_a_pause_for_a_person_reads_as_one(ui: MlflowUi):
    ui.open("traces")

    expect(ui.row(BUDGET)).to_contain_text("Waiting for an answer: reallocate digital touches")
    expect(ui.row(BUDGET)).to_contain_text("outcome: interrupted")
    resumed = ui.row("Resumed with approved: false, reason: too much at once").first
    expect(resumed).to_contain_text("As the explainer")
    expect(resumed).to_contain_text("outcome: resumed")


def test_a_link_opens_a_trace_with_its_agents_as_a_tree(ui: MlflowUi, traces, forecast):
    drawer = ui.open_trace(number(traces[FORECAST]))

    agent = ["ChatAnthropic", "next_tier"]
    assert tree(drawer) == [
        *("brand_analytics", "orchestrator", *agent, "causal_impact", *agent, "prediction_synthesizer", *agent),
        *("explainer", "BM25Retriever", "reranker", *agent),
    ]
    assert len(ids(forecast, "AGENT")) == 4
    icons = {
        kind: {icon(drawer, span_id) for span_id in ids(forecast, kind)}
        for kind in ("AGENT", "RETRIEVER", "RERANKER", "CHAT_MODEL", "CHAIN")
    }
    assert all(len(drawn) == 1 for drawn in icons.values())
    assert len(set.union(*icons.values())) == len(icons), "two kinds share an icon"
    ui.picture("trace")


def test_a_trace_shows_question_answer_tokens_cost_and_tags(ui: MlflowUi, traces, mlflow_server):
    drawer = ui.open_trace(number(traces[FORECAST]))
    usage, cost = mlflow_server.totals(number(traces[FORECAST]))

    expect(drawer).to_contain_text(f"{usage['total_tokens']:,} tokens")
    expect(drawer).to_contain_text(f"${cost['total_cost']:.2f}")
    for who, said in (("User", FORECAST), ("Assistant", "As the explainer, this is how I read it.")):
        expect(drawer.get_by_text(who, exact=True)).to_be_visible()
        expect(drawer.get_by_text(said).first).to_be_visible()
    drawer.get_by_text(re.compile(r"^\d+ tags$")).click()
    popover = ui.page.locator("[data-radix-popper-content-wrapper]")
    for tag in (f"brand{BRAND}", "kpinew_starts", "tiers1, 2, 4, 5", "userbrand-lead", "appbrand_analytics"):
        expect(popover).to_contain_text(tag)


def test_a_model_span_shows_its_messages_as_a_chat_with_tokens_and_cost(ui: MlflowUi, traces, forecast):
    drawer = ui.open_trace(number(traces[FORECAST]))
    last = ids(forecast, "CHAT_MODEL")[-1]

    select(drawer, last)

    for who in ("System", "User", "Assistant"):
        expect(drawer.get_by_text(who, exact=True)).to_be_visible()
    expect(drawer.get_by_role("heading", name="Handbook of the commercial analytics team")).to_be_visible()
    expect(drawer.get_by_text("claude-sonnet-4-6")).to_be_visible()
    expect(drawer.get_by_test_id(f"span-metric-row-{last}")).to_contain_text("$0.00")
    ui.picture("chat")


def test_documents_are_shown_as_documents(ui: MlflowUi, traces, forecast):
    drawer = ui.open_trace(number(traces[FORECAST]))
    (retriever,), (reranker,) = ids(forecast, "RETRIEVER"), ids(forecast, "RERANKER")

    select(drawer, retriever)
    expect(drawer.get_by_text('id: "methods/').first).to_be_visible()
    expect(drawer.get_by_text("Forecast intervals.").first).to_be_visible()
    select(drawer, reranker)
    expect(drawer.get_by_text("Forecast intervals.").first).to_be_visible()
    ui.picture("documents")


def test_a_nodes_input_says_what_its_references_refer_to(ui: MlflowUi, traces, forecast):
    drawer = ui.open_trace(number(traces[FORECAST]))
    explainer = next(span["span_id"] for span in forecast if span["name"] == "explainer")

    select(drawer, explainer)

    expect(drawer.get_by_text("'orchestrator, health_score…'")).to_be_visible()


def test_custom_metrics_are_charted(ui: MlflowUi):
    page = ui.open("overview/quality")

    for metric in ("causal_confidence", "evidence_score", "routing_confidence"):
        chart = page.locator("section, div").filter(has_text=metric).filter(has_text="avg score").last
        expect(chart.locator("xpath=..").locator(".recharts-surface").first).to_be_attached()
    ui.picture("quality")


def test_usage_charts_tokens_and_cost(ui: MlflowUi):
    page = ui.open("overview/usage")

    for title in ("Latency", "Errors", "Token Usage", "Cost Breakdown"):
        expect(page.get_by_text(title, exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Total Cost").first).to_contain_text("$0.0")
    ui.picture("usage", height=1650)


def test_tool_calls_are_counted(ui: MlflowUi):
    page = ui.open("overview/tool-calls")

    expect(page.get_by_text("sample_size", exact=True).first).to_be_visible()
    expect(page.get_by_text("100.00%").first).to_be_visible()


def test_a_threads_questions_are_one_conversation(ui: MlflowUi):
    page = ui.open("chat-sessions/kisqali-1-monday")

    for text in ("Turn 1", "Turn 2"):
        expect(page.get_by_text(text, exact=True).first).to_be_visible()
    expect(page.get_by_text("Turn 3", exact=True)).to_have_count(0)
    expect(page.get_by_text(FIRST)).to_be_visible()
    expect(page.get_by_text(FORECAST)).to_be_visible()
    ui.picture("conversation")
