"""The RAG step: retrievers, fusion and the reranker on the shipped notes."""

from __future__ import annotations

import pytest
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

from examples.brand_analytics.brands import BRANDS
from examples.brand_analytics.notes import notes, queries
from examples.brand_analytics.retrieval import (
    BM25Retriever,
    NoteReranker,
    TfidfRetriever,
    reciprocal_rank_fusion,
    reranker,
    retriever,
)


def ids(documents) -> list[str]:
    return [document.id for document in documents]


@pytest.mark.parametrize("brand", BRANDS)
def test_a_brand_sees_its_own_notes_and_the_methods(brand: str):
    assert {document.id.split("/")[0] for document in notes(brand)} == {brand.lower(), "methods"}
    assert len(set(ids(notes(brand)))) == len(notes(brand))


def test_every_label_names_a_note_that_there_is():
    for split in ("train", "test"):
        for labelled in queries(split):
            assert set(labelled.relevant) <= set(ids(notes(labelled.brand))), labelled.query


def test_both_retrievers_find_the_note_on_a_topic_best_first():
    for kind in (BM25Retriever, TfidfRetriever):
        found = kind(documents=notes("Kisqali"), k=3).invoke("placebo test of an earlier launch")
        assert found[0].id == "methods/placebo-tests"
        scores = [document.metadata["score"] for document in found]
        assert scores == sorted(scores, reverse=True)


def test_nothing_is_found_for_words_that_no_note_has():
    assert BM25Retriever(documents=notes("Kisqali")).invoke("xylophone zeppelin") == []
    assert NoteReranker().compress_documents([], "xylophone") == []


def test_fusion_prefers_what_both_rankings_have():
    a, b, c = notes("Fabhalta")[:3]
    assert ids(reciprocal_rank_fusion([[a, b], [c, b]])) == [b.id, *sorted([a.id, c.id])]


def test_the_reranker_puts_relevant_notes_higher_than_the_retriever_on_queries_it_was_not_fitted_to():
    def reciprocal_rank(ranking, labelled) -> float:
        hits = [rank for rank, identity in enumerate(ranking, 1) if labelled.relevant.get(identity) == 2]
        return 1 / hits[0] if hits else 0.0

    before = after = 0.0
    for labelled in queries("test"):
        found = retriever(labelled.brand).invoke(labelled.query)
        before += reciprocal_rank(ids(found), labelled)
        ranked = reranker().invoke({"query": labelled.query, "documents": found})
        after += reciprocal_rank(ids(ranked), labelled)
    assert after >= before
    assert after / len(queries("test")) > 0.8


def test_retriever_and_reranker_are_runs_of_their_own_in_a_trace():
    retrieved, reranked = RunCollectorCallbackHandler(), RunCollectorCallbackHandler()
    found = retriever("Kisqali").invoke("access in May", {"callbacks": [retrieved]})
    reranker().invoke({"query": "access in May", "documents": found}, {"callbacks": [reranked]})
    assert [run.run_type for run in retrieved.traced_runs] == ["retriever"]
    assert [run.name for run in reranked.traced_runs] == ["reranker"]
