"""Compares BM25, TF-IDF and their fusion on labelled queries: every search a trace, every judgement a metric.

    python -m examples.rag_with_mlflow

The notes are simulated. Where the traces go is said by MLFLOW_TRACKING_URI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import ir_measures
import numpy as np
from ir_measures import RR, Qrel, R, ScoredDoc, nDCG
from langchain_core.documents import Document
from rich.console import Console
from rich.table import Table
from scipy.stats import bootstrap

import tierlens
from examples.brand_analytics.notes import LabelledQuery, notes, queries
from examples.brand_analytics.panel import FloatArray
from examples.brand_analytics.retrieval import BM25Retriever, TfidfRetriever, reciprocal_rank_fusion

MEASURES = {"ndcg_at_5": nDCG @ 5, "recall_at_5": R @ 5, "reciprocal_rank": RR}
Judgement = dict[str, float]


@tierlens.retriever
def bm25(query: str, brand: str) -> list[Document]:
    """Words that match, rare ones counting more."""
    return _bm25(brand).invoke(query)


@tierlens.retriever
def tfidf(query: str, brand: str) -> list[Document]:
    """Character n-grams that match, which forgives inflection."""
    return _tfidf(brand).invoke(query)


@tierlens.reranker
def fuse(query: str, documents: list[Document], others: list[Document]) -> list[Document]:
    """Reciprocal-rank fusion of two rankings."""
    return reciprocal_rank_fusion([documents, others])


def fusion(query: str, brand: str) -> list[Document]:
    """Both retrievers, fused."""
    return fuse(query, bm25(query, brand), tfidf(query, brand))


STRATEGIES: dict[str, Callable[[str, str], list[Document]]] = {"bm25": bm25, "tfidf": tfidf, "fusion": fusion}


@tierlens.agent("search")
def search(strategy: str, query: str, brand: str, relevant: Mapping[str, int]) -> Judgement:
    """One search, judged against its labels: one trace, with the strategy as a tag."""
    tierlens.tag("strategy", strategy)
    judgement = judge(STRATEGIES[strategy](query, brand), relevant)
    for name, value in judgement.items():
        tierlens.metric(name, value)
    return judgement


def judge(documents: list[Document], relevant: Mapping[str, int]) -> Judgement:
    """The measures of one ranking, each between 0 and 1."""
    labels = [Qrel("q", identity, grade) for identity, grade in relevant.items()]
    ranking = [ScoredDoc("q", str(document.id), -rank) for rank, document in enumerate(documents)]
    values = ir_measures.calc_aggregate(list(MEASURES.values()), labels, ranking)
    return {name: float(values[measure]) for name, measure in MEASURES.items()}


def compare(labelled: tuple[LabelledQuery, ...], lens: tierlens.Lens) -> dict[str, list[Judgement]]:
    """Every strategy's judgements, query by query, each recorded for the query's brand."""
    results: dict[str, list[Judgement]] = {strategy: [] for strategy in STRATEGIES}
    for each in labelled:
        with lens.using(brand=each.brand, user="data-science"):
            for strategy, judgements in results.items():
                judgements.append(search(strategy, each.query, each.brand, each.relevant))
    return results


def table(results: Mapping[str, list[Judgement]], baseline: str = "bm25") -> Table:
    """Means, and each strategy's gain over the baseline with its 95 % interval over queries."""
    table = Table("strategy", *MEASURES, "gain in nDCG (95 %)")
    base = np.array([judgement["ndcg_at_5"] for judgement in results[baseline]])
    for strategy, judgements in results.items():
        means = [f"{np.mean([each[name] for each in judgements]):.3f}" for name in MEASURES]
        gain = np.array([judgement["ndcg_at_5"] for judgement in judgements]) - base
        table.add_row(strategy, *means, "" if strategy == baseline else _interval(gain))
    return table


def _interval(gain: FloatArray) -> str:
    if not gain.any():
        return "none"
    sure = bootstrap((gain,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    return f"{gain.mean():+.3f} ({sure.low:+.3f} to {sure.high:+.3f})"


@cache
def _bm25(brand: str) -> BM25Retriever:
    return BM25Retriever(documents=notes(brand))


@cache
def _tfidf(brand: str) -> TfidfRetriever:
    return TfidfRetriever(documents=notes(brand))


def main() -> None:
    lens = tierlens.init()
    labelled = queries("test")
    Console().print(table(compare(labelled, lens)), f"{len(labelled)} labelled queries on simulated notes.")
    Console().print(lens.flush(timeout_s=30))


if __name__ == "__main__":
    main()
