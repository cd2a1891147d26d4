"""The application as a whole: routes, tiers, the approval, follow-ups, and the same answer every time."""

from __future__ import annotations

import pytest
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.types import Command

from examples.brand_analytics.app import ask, run, scripted_approver
from examples.brand_analytics.brands import BRANDS
from examples.brand_analytics.graph import build, next_agents
from examples.brand_analytics.panel import SIMULATED
from examples.brand_analytics.questions import QUESTIONS, Question, questions
from examples.brand_analytics.routes import AGENTS, EXAMPLES, REVIEW, TIERS, route


def asked(text: str, brand: str = "Kisqali", thread: str = "t") -> Question:
    return Question(brand, text, "kpi", "tester", thread)


@pytest.fixture(scope="module")
def answers(llm):
    return run(QUESTIONS, graph=build(llm))


def test_every_example_question_takes_its_own_agents_route():
    for topic, examples in EXAMPLES.items():
        for text in examples:
            expected = set(AGENTS) if topic == REVIEW else {topic}
            assert expected <= set(route(text).agents), text


def test_routes_hold_what_their_agents_build_on_in_order_of_tier():
    agents = route("Where should the budget go?").agents
    assert agents == (
        "orchestrator",
        "gap_analyzer",
        "heterogeneous_optimizer",
        "resource_optimizer",
        "explainer",
    )


def test_the_next_tier_is_the_next_that_has_planned_agents():
    state = {"plan": ["orchestrator", "gap_analyzer", "causal_impact", "explainer"]}
    assert next_agents(state, tier=1) == ["causal_impact", "gap_analyzer"]
    assert next_agents(state, tier=2) == ["explainer"]
    assert next_agents(state, tier=5) == ["__end__"]


@pytest.mark.parametrize("brand", BRANDS)
def test_a_brand_has_at_least_five_questions_of_different_routes(brand: str, answers):
    mine = [answer for answer in answers if answer.question.brand == brand]
    assert len(mine) == len(questions(brand)) >= 5
    assert len({answer.agents for answer in mine}) >= 4


def test_all_eleven_agents_work_in_the_demo(answers):
    assert {agent for answer in answers for agent in answer.agents} == set(AGENTS)
    assert len(AGENTS) == 11


def test_every_answer_says_that_the_data_is_simulated_and_names_its_notes(answers):
    assert all(answer.text.endswith(SIMULATED) for answer in answers)
    assert all(answer.documents for answer in answers)


def test_some_proposals_are_approved_some_rejected_and_some_questions_need_nobody(answers):
    decisions = [answer.approval and answer.approval["approved"] for answer in answers]
    assert {True, False, None} == set(decisions)


def test_the_same_questions_get_the_same_answers(llm, answers):
    again = run(questions("Remibrutinib"), graph=build(llm))
    first = [answer for answer in answers if answer.question.brand == "Remibrutinib"]
    assert [(a.text, a.agents, a.approval, a.documents) for a in again] == [
        (a.text, a.agents, a.approval, a.documents) for a in first
    ]


def test_the_graph_pauses_for_a_person_and_goes_on_as_they_decide(llm):
    graph, config = build(llm), {"configurable": {"thread_id": "approval"}}
    paused = graph.invoke({"question": "How should we reallocate digital touches?", "brand": "Kisqali"}, config)
    (proposal,) = (pause.value for pause in paused["__interrupt__"])
    assert proposal["expected_uplift"] > proposal["low"] > 0
    assert "answer" not in paused
    state = graph.invoke(Command(resume={"approved": False, "reason": "not this quarter"}), config)
    assert state["approval"] == {"approved": False, "reason": "not this quarter"}
    assert state["expected_uplift"] == 0.0
    assert "not this quarter" in str(state["findings"]["resource_optimizer"]["figures"])


def test_an_agent_that_waited_asks_claude_only_once(llm, endpoint):
    before = endpoint.ledger()["totals"]["calls"]
    answer = ask(asked("Where should the budget go?", thread="once"), graph=build(llm))
    assert answer.approval is not None
    assert endpoint.ledger()["totals"]["calls"] - before == len(answer.agents)


def test_a_follow_up_that_names_no_topic_goes_the_way_of_the_question_before(llm):
    graph = build(llm)
    first = ask(asked("Has payer access shifted?", thread="talk"), graph=graph)
    second = ask(asked("And how come?", thread="talk"), graph=graph)
    assert second.agents == first.agents
    values = graph.get_state({"configurable": {"thread_id": "talk"}}).values
    assert values["answers"] == [first.text, second.text]


def test_threads_do_not_see_each_other(llm):
    graph = build(llm)
    ask(asked("Has payer access shifted?", thread="one"), graph=graph)
    ask(asked("Which segment has the widest gap?", thread="two"), graph=graph)
    values = graph.get_state({"configurable": {"thread_id": "two"}}).values
    assert "drift_magnitude" not in values


def test_agents_of_one_tier_run_in_one_step(llm):
    collector = RunCollectorCallbackHandler()
    ask(
        asked("Give me a full review of the brand", thread="steps"),
        graph=build(llm),
        callbacks=lambda _: [collector],
    )
    steps: dict[str, int] = {}
    for root in collector.traced_runs:
        for child in root.child_runs:
            if child.name in AGENTS:
                steps.setdefault(child.name, child.extra["metadata"]["langgraph_step"])
    by_tier = [{steps[agent] for agent in agents} for agents in TIERS.values()]
    assert [len(tier) for tier in by_tier] == [1] * 5
    assert sorted(step for tier in by_tier for step in tier) == [step for tier in by_tier for step in tier]


def test_a_trace_holds_the_retriever_the_reranker_and_the_tool_in_their_place(llm):
    collector = RunCollectorCallbackHandler()
    ask(
        asked("How many prescribers does an experiment need?", thread="rag"),
        graph=build(llm),
        callbacks=lambda _: [collector],
    )
    nodes = {child.name: child for child in collector.traced_runs[0].child_runs}
    inside = {
        name: [(run.run_type, run.name) for run in nodes[name].child_runs]
        for name in ("explainer", "experiment_designer")
    }
    assert ("retriever", "BM25Retriever") in inside["explainer"]
    assert ("chain", "reranker") in inside["explainer"]
    assert ("chain", "next_tier") in inside["experiment_designer"]
    assert inside["experiment_designer"].count(("tool", "sample_size")) == 3


def test_the_handbook_is_cached_by_claude_across_agents(llm, endpoint):
    before = endpoint.ledger()["totals"]["cache_read_input_tokens"]
    ask(asked("How healthy is the brand?", thread="cache"), graph=build(llm))
    assert endpoint.ledger()["totals"]["cache_read_input_tokens"] - before > 2_000


def test_the_scripted_person_refuses_uncertain_and_sweeping_moves():
    assert scripted_approver({"low": 3.0, "moved": 0.2})["approved"]
    assert not scripted_approver({"low": -1.0, "moved": 0.2})["approved"]
    assert not scripted_approver({"low": 3.0, "moved": 0.9})["approved"]
