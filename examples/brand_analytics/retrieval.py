"""The RAG step: BM25 and TF-IDF retrievers, and a reranker fitted on labelled queries."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, TypedDict

import bm25s
import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun, Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import ConfigDict, PrivateAttr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from .notes import notes, queries
from .panel import FloatArray


class RerankInput(TypedDict):
    """What the reranker runnable takes."""

    query: str
    documents: list[Document]


class _ScoringRetriever(BaseRetriever):
    """Returns the ``k`` notes that score best; the score is in their metadata."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    documents: tuple[Document, ...]
    k: int = 8

    def scores(self, query: str) -> FloatArray:
        """A score per note, in the notes' order; higher is better, 0 is no match."""
        raise NotImplementedError

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        scores = self.scores(query)
        best = np.argsort(-scores, kind="stable")[: self.k]
        return [scored(self.documents[i], score=float(scores[i])) for i in best if scores[i] > 0]


class BM25Retriever(_ScoringRetriever):
    """Okapi BM25 with stemming-free English tokens."""

    _index: Any = PrivateAttr()

    def model_post_init(self, _context: Any) -> None:
        self._index = bm25s.BM25()
        self._index.index(_tokens([_text(document) for document in self.documents]), show_progress=False)

    def scores(self, query: str) -> FloatArray:
        """BM25 scores."""
        (tokens,) = _tokens([query])
        return np.asarray(self._index.get_scores(tokens), dtype=np.float64)


class TfidfRetriever(_ScoringRetriever):
    """Cosine similarity of TF-IDF vectors over character n-grams, which forgives inflection."""

    _vectorizer: Any = PrivateAttr()
    _matrix: Any = PrivateAttr()

    def model_post_init(self, _context: Any) -> None:
        self._vectorizer = _character_ngrams()
        self._matrix = self._vectorizer.fit_transform([_text(document) for document in self.documents])

    def scores(self, query: str) -> FloatArray:
        """Cosines between 0 and 1."""
        return np.asarray((self._matrix @ self._vectorizer.transform([query]).T).toarray().ravel())


class NoteReranker(BaseDocumentCompressor):
    """Logistic regression on similarity features, fitted on the labelled training queries."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    top_n: int = 4
    _model: Any = PrivateAttr()

    def model_post_init(self, _context: Any) -> None:
        rows, relevant = [], []
        for example in queries("train"):
            documents = notes(example.brand)
            rows.append(_features(example.query, documents))
            relevant += [document.id in example.relevant for document in documents]
        self._model = LogisticRegression(C=10.0, class_weight="balanced").fit(np.vstack(rows), relevant)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks = None
    ) -> list[Document]:
        """The ``top_n`` likeliest to be relevant, best first; ``rerank_score`` is that probability."""
        if not documents:
            return []
        chance = self._model.predict_proba(_features(query, documents))[:, 1]
        best = np.argsort(-chance, kind="stable")[: self.top_n]
        return [scored(documents[i], rerank_score=float(chance[i])) for i in best]


def reranker_runnable(compressor: BaseDocumentCompressor) -> Runnable[RerankInput, list[Document]]:
    """The compressor as a runnable named "reranker", so that it has a run of its own in a trace."""

    def rerank(pair: RerankInput) -> list[Document]:
        return list(compressor.compress_documents(pair["documents"], pair["query"]))

    return RunnableLambda(rerank, name="reranker")


def reciprocal_rank_fusion(rankings: Sequence[Sequence[Document]], *, k: int = 60) -> list[Document]:
    """One ranking from several: sum of 1 / (k + rank), Cormack et al. 2009."""
    fused: dict[str, float] = {}
    by_id: dict[str, Document] = {}
    for ranking in rankings:
        for rank, document in enumerate(ranking, start=1):
            identity = document.metadata["id"]
            by_id.setdefault(identity, document)
            fused[identity] = fused.get(identity, 0.0) + 1 / (k + rank)
    return [scored(by_id[i], score=fused[i]) for i in sorted(fused, key=lambda i: (-fused[i], i))]


def scored(document: Document, **scores: float) -> Document:
    """A copy of a document with scores in its metadata."""
    return document.model_copy(update={"metadata": {**document.metadata, **scores}})


@cache
def retriever(brand: str) -> BM25Retriever:
    """The retriever over a brand's notes."""
    return BM25Retriever(documents=notes(brand))


@cache
def reranker() -> Runnable[RerankInput, list[Document]]:
    """The fitted reranker."""
    return reranker_runnable(NoteReranker())


def _text(document: Document) -> str:
    return f"{document.metadata['title']}. {document.page_content}"


def _tokens(texts: list[str]) -> list[list[str]]:
    return list(bm25s.tokenize(texts, stopwords="en", return_ids=False, show_progress=False))


def _character_ngrams() -> TfidfVectorizer:
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)


def _features(query: str, documents: Sequence[Document]) -> FloatArray:
    """Cosines of words, characters and titles, and the share of the query's words, (documents, 4)."""
    texts, titles = [_text(d) for d in documents], [str(d.metadata["title"]) for d in documents]
    words = TfidfVectorizer(stop_words="english", ngram_range=(1, 2), sublinear_tf=True)
    asked, *told = (set(tokens) for tokens in _tokens([query, *texts]))
    shared = np.array([len(asked & each) / max(len(asked), 1) for each in told])
    characters, title_characters = _character_ngrams(), _character_ngrams()
    return np.column_stack(
        [
            _cosines(words, query, texts),
            _cosines(characters, query, texts),
            _cosines(title_characters, query, titles),
            shared,
        ]
    )


def _cosines(vectorizer: TfidfVectorizer, query: str, texts: Sequence[str]) -> FloatArray:
    matrix = vectorizer.fit_transform(texts)
    return np.asarray((matrix @ vectorizer.transform([query]).T).toarray().ravel())
