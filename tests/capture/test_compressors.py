"""Document compressors, recorded as rerankers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import BaseRetriever

from tests.capture.conftest import Capture
from tierlens import keys
from tierlens.capture.wrapping import wrap

FOUND = [Document(page_content=f"Text {name}", id=name, metadata={"score": 0.5}) for name in "abc"]


class Backwards(BaseDocumentCompressor):
    """Turns the order round and keeps the first ones."""

    keep: int = 2

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> list[Document]:
        if query == "fail":
            raise ValueError("no such query")
        ranked = [
            Document(page_content=one.page_content, id=one.id, metadata={"relevance_score": 1 / rank})
            for rank, one in enumerate(reversed(documents), 1)
        ]
        return ranked[: self.keep]


class BothWays(Backwards):
    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> list[Document]:
        return self.compress_documents(documents, query)


class Plain:
    """Not of LangChain, and without callbacks."""

    def compress_documents(self, documents: list[Document], query: str) -> list[Document]:
        return documents[::-1]


class Library(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return FOUND


class Compressing(BaseRetriever):
    """As LangChain's ContextualCompressionRetriever does it."""

    base_compressor: BaseDocumentCompressor
    base_retriever: BaseRetriever

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        found = self.base_retriever.invoke(query, config={"callbacks": run_manager.get_child()})
        return list(self.base_compressor.compress_documents(found, query, callbacks=run_manager.get_child()))


def reranking(capture: Capture, name: str = "Backwards") -> dict[str, Any]:
    span = capture.journal.named(name)
    assert span.attributes[keys.SPAN_TYPE] == "RERANKER"
    return orjson.loads(str(span.attributes[keys.RERANKING]))


def test_the_span_tells_the_order_before_and_after(capture: Capture) -> None:
    assert wrap(Backwards()).compress_documents(FOUND, "why?") == Backwards().compress_documents(FOUND, "why?")
    told = reranking(capture)
    assert told["before"] == ["a", "b", "c"]
    assert [(one["id"], one["rank_before"], one["move"], one["score"]) for one in told["after"]] == [
        ("c", 3, 2, 1.0),
        ("b", 2, 0, 0.5),
    ]
    assert told["dropped"] == ["a"]
    asked = orjson.loads(str(capture.journal.named("Backwards").attributes[keys.INPUTS]))
    assert asked["query"] == "why?"
    assert "callbacks" not in asked


@pytest.mark.parametrize("compressor", [Backwards(), BothWays()], ids=["by the base class", "of its own"])
async def test_asynchronous_compression_is_recorded_once(capture: Capture, compressor: BaseDocumentCompressor) -> None:
    expected = await compressor.acompress_documents(FOUND, "why?")
    assert await wrap(compressor).acompress_documents(FOUND, query="why?") == expected
    assert reranking(capture, type(compressor).__name__)["dropped"] == ["a"]
    assert len(capture.journal.spans) == 1


def test_it_is_of_the_same_type_and_leaves_the_original_alone(capture: Capture) -> None:
    original = Backwards(keep=1)
    wrapped = wrap(original)
    assert type(wrapped) is Backwards
    assert (wrapped.keep, wrapped.model_dump()) == (1, original.model_dump())
    original.compress_documents(FOUND, "why?")
    assert capture.journal.spans == {}


def test_inside_a_retriever_it_lies_in_that_retriever(capture: Capture) -> None:
    retriever = Compressing(base_compressor=wrap(Backwards()), base_retriever=Library())
    found = retriever.invoke("why?", {"callbacks": [capture.callback(brand="Kisqali")]})
    assert [one.id for one in found] == ["c", "b"]
    assert capture.journal.named("Backwards").parent_id == capture.journal.named("Compressing").span_id


def test_an_error_is_recorded_and_raised(capture: Capture) -> None:
    with pytest.raises(ValueError, match="no such query"):
        wrap(Backwards()).compress_documents(FOUND, "fail")
    assert capture.journal.named("Backwards").status == "ERROR"


def test_anything_that_compresses_documents_will_do(capture: Capture) -> None:
    assert wrap(Plain()).compress_documents(FOUND, "why?") == FOUND[::-1]
    assert reranking(capture, "Plain")["after"][0]["id"] == "c"


def test_without_a_lens_it_only_compresses() -> None:
    assert [one.id for one in wrap(Backwards()).compress_documents(FOUND, "why?")] == ["c", "b"]


def test_what_has_no_room_for_recording_is_refused() -> None:
    class Slotted:
        __slots__ = ()

        def compress_documents(self, documents: Any, query: str) -> Any: ...

    with pytest.raises(TypeError, match="Slotted cannot be wrapped"):
        wrap(Slotted())
