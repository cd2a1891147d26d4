"""Tier 5: answers the question from all findings and the brand's notes, with their ids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from langchain_core.documents import Document

from examples.brand_analytics.brands import load
from examples.brand_analytics.narrator import Narrator
from examples.brand_analytics.panel import SIMULATED, Panel
from examples.brand_analytics.retrieval import reranker, retriever
from examples.brand_analytics.state import State, Update, found

ROLE = "You are the explainer. Answer the question from the findings of all agents and the notes."
GENERAL = ("orchestrator", "explainer")
"""Agents whose names say nothing about a question's topic."""


@dataclass(frozen=True, slots=True)
class Decomposition:
    """What the change in new starts since the launch is made of, per HCP and month.

    Attributes:
        total: mean after the launch less mean before it.
        market: what happened to the undetailed HCPs as well.
        detailing: the rest.
        explained_share: detailing's part of the movement, |detailing| / (|detailing| + |market|); 0 to 1.
    """

    total: float
    market: float
    detailing: float
    explained_share: float


@lru_cache(maxsize=32)
def decompose(panel: Panel) -> Decomposition:
    """Market change from the undetailed HCPs, detailing as what is left."""
    change, detailed = panel.change_at_launch(), panel.per_hcp()["detailed"].to_numpy(dtype=bool)
    total, market = float(change.mean()), float(change[~detailed].mean())
    detailing = total - market
    return Decomposition(total, market, detailing, abs(detailing) / (abs(detailing) + abs(market)))


def run(state: State, narrator: Narrator) -> Update:
    documents = _evidence(state)
    parts = decompose(load(state["brand"]))
    figures = {**_headlines(state), "explained share": parts.explained_share}
    answer = f"{narrator.word(ROLE, state, figures, _context(state, documents))} {SIMULATED}"
    return found(
        "explainer",
        figures,
        answer,
        answer=answer,
        answers=[answer],
        documents=[str(document.id) for document in documents],
        explained_share=parts.explained_share,
        evidence_score=_evidence_score(documents),
    )


def _headlines(state: State) -> dict[str, Any]:
    """The first two figures of each planned agent, last tier first: it is nearest to the question."""
    figures: dict[str, Any] = {}
    for agent in reversed(state.get("plan", [])):
        if agent in state["findings"] and agent not in GENERAL:
            figures |= dict(islice(state["findings"][agent]["figures"].items(), 2))
    return figures


def _evidence_score(documents: list[Document]) -> float:
    """Mean chance that the chosen notes are relevant; 0 where there are none."""
    return float(np.mean([document.metadata["rerank_score"] for document in documents])) if documents else 0.0


def _evidence(state: State) -> list[Document]:
    """The best notes for the question and the agents' topics, retrieved and then reranked."""
    topics = [agent.replace("_", " ") for agent in state.get("plan", []) if agent not in GENERAL]
    query = " ".join([state["question"], *topics])
    candidates = retriever(state["brand"]).invoke(query)
    return reranker().invoke({"query": query, "documents": candidates})


def _context(state: State, documents: list[Document]) -> str:
    notes = [f"[{document.id}] {document.page_content}" for document in documents]
    findings = [f"[{agent}] {finding['text']}" for agent, finding in sorted(state["findings"].items())]
    return "\n".join([*notes, *findings])
