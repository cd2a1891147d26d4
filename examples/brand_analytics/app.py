"""Asks the graph, decides what it pauses for, returns the answers. Knows nothing of tracing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from .graph import Graph
from .questions import Question

CallbacksFor = Callable[[Question], Sequence[BaseCallbackHandler]]
Approver = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """Attributes:
    text: the answer, which says that the data is simulated.
    agents: who worked on it, in order of tier.
    approval: what the person decided and why, or None where nobody was asked.
    documents: ids of the notes the answer rests on.
    seconds: wall-clock time, the wait for the person excluded.
    """

    question: Question
    text: str
    agents: tuple[str, ...]
    approval: Mapping[str, Any] | None
    documents: tuple[str, ...]
    seconds: float


def no_callbacks(_question: Question) -> Sequence[BaseCallbackHandler]:
    """Nobody listens."""
    return ()


def scripted_approver(proposal: Mapping[str, Any]) -> Mapping[str, Any]:
    """Stands in for a person: yes where the gain is certain and at most a third of all touches move."""
    if proposal["low"] <= 0:
        return {"approved": False, "reason": "the gain may be nothing"}
    if proposal["moved"] > 1 / 3:
        return {"approved": False, "reason": "too much at once"}
    return {"approved": True, "reason": f"even the low estimate adds {proposal['low']:g} new starts a month"}


def run(
    questions: Iterable[Question],
    *,
    graph: Graph,
    callbacks: CallbacksFor = no_callbacks,
    approve: Approver = scripted_approver,
    on_progress: Callable[[Answer], None] = lambda answer: None,
) -> list[Answer]:
    """Answer questions one after the other.

    Args:
        callbacks: the handlers of a question's run; called anew for each run, also when a paused one resumes.
        approve: decides an interrupt's proposal: ``{"approved": bool, "reason": str}``.
        on_progress: told each answer.
    """
    answers = []
    for question in questions:
        answers.append(ask(question, graph=graph, callbacks=callbacks, approve=approve))
        on_progress(answers[-1])
    return answers


def ask(
    question: Question,
    *,
    graph: Graph,
    callbacks: CallbacksFor = no_callbacks,
    approve: Approver = scripted_approver,
) -> Answer:
    """One answer; an interrupt is decided and the thread resumed until there is one."""
    given: Any = {"question": question.text, "brand": question.brand}
    approval: Mapping[str, Any] | None = None
    seconds = 0.0
    while True:
        started = time.perf_counter()
        state = graph.invoke(given, _config(question, callbacks))
        seconds += time.perf_counter() - started
        if "__interrupt__" not in state:
            break
        approval = approve(state["__interrupt__"][0].value)
        given = Command(resume=approval)
    agents, documents = tuple(state["plan"]), tuple(state["documents"])
    return Answer(question, state["answer"], agents, approval, documents, seconds)


def _config(question: Question, callbacks: CallbacksFor) -> RunnableConfig:
    return {
        "configurable": {"thread_id": question.thread},
        "callbacks": list(callbacks(question)),
        "metadata": {"brand": question.brand},
    }
