"""Retrieval told so that it can be judged: what was found, how it moved, what reached the model."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda

from tests.capture.conftest import Capture
from tests.capture.graphs import State, graph, model
from tierlens import keys, reranker, retriever
from tierlens.policy import Policies

QUESTION: Any = {"question": "Why did new starts fall?"}
FOUND = [
    Document(
        f"note {n} on new starts, long enough to be told apart from every other", id=f"d{n}", metadata={"score": s}
    )
    for n, s in enumerate((0.9, 0.7, 0.5))
]


class Search(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return list(FOUND)


def read(capture: Capture, name: str, key: str) -> Any:
    return json.loads(capture.attributes(name)[key])


def answering(find: Any, order: Any) -> Any:
    llm = model("because")

    def explain(state: State) -> State:
        ranked = order(find(state["question"]))
        return {"notes": [llm.invoke("Answer from:\n" + "\n".join(one.page_content for one in ranked[:2])).text]}

    return graph(explain=explain).compile()


def test_a_langchain_retriever_tells_query_documents_and_scores(capture: Capture) -> None:
    answering(Search().invoke, list).invoke(QUESTION, capture.config())
    span = capture.attributes("Search")
    assert (span[keys.SPAN_TYPE], span[keys.TOP_K]) == ("RETRIEVER", 3)
    assert read(capture, "Search", keys.INPUTS) == {"query": QUESTION["question"]}
    assert read(capture, "Search", keys.OUTPUTS) == [
        {"page_content": one.page_content, "metadata": one.metadata, "id": one.id} for one in FOUND
    ]


@pytest.mark.parametrize("way", ["named in YAML", "decorated"])
def test_a_reranker_tells_the_order_before_and_after(capture_with: Any, way: str) -> None:
    capture: Capture = capture_with(Policies(runnables={"by_score": "reranker", "search": "retriever"}))
    find, order = (lambda query: list(FOUND)), (lambda found: sorted(found, key=lambda one: one.metadata["score"])[:2])
    if way == "decorated":
        built = answering(retriever("search")(find), reranker("by_score")(order))
    else:
        built = answering(RunnableLambda(find, name="search").invoke, RunnableLambda(order, name="by_score").invoke)
    built.invoke(QUESTION, capture.config())
    moves = read(capture, "by_score", keys.RERANKING)
    assert moves["before"] == ["d0", "d1", "d2"]
    assert [(one["id"], one["rank"], one["rank_before"], one["move"], one["score"]) for one in moves["after"]] == [
        ("d2", 1, 3, 2, 0.5),
        ("d1", 2, 2, 0, 0.7),
    ]
    assert moves["dropped"] == ["d0"]
    assert capture.attributes("by_score")[keys.SPAN_TYPE] == "RERANKER"
    assert capture.attributes("search")[keys.SPAN_TYPE] == "RETRIEVER"
    assert capture.attributes("Model")[keys.CONTEXT_DOCUMENTS] == "d2, d1"


def test_pairs_of_document_and_score_are_read_as_well(capture: Capture) -> None:
    pairs = retriever("search")(lambda query: [(one, 1.5 - n) for n, one in enumerate(FOUND)])
    pairs("why?")
    scores = [one["metadata"]["score"] for one in read(capture, "search", keys.OUTPUTS)]
    assert scores == [0.9, 0.7, 0.5]
    bare = retriever("bare")(lambda query: [(Document("text"), 0.25)])
    bare("why?")
    assert read(capture, "bare", keys.OUTPUTS)[0]["metadata"] == {"score": 0.25}


@pytest.mark.parametrize(
    "found",
    [
        ["first", "second"],
        [("first", np.float32(0.5)), ("second", 0.25)],
        [{"text": "first", "score": 0.5}, {"text": "second", "score": 0.25, "page": 2}],
        [{"page_content": "first", "score": 0.5}, {"page_content": "second", "score": 0.25}],
        {"ids": ["a", "b"], "documents": ["first", "second"]},
    ],
)
def test_plain_texts_are_documents_as_well(capture: Capture, found: Any) -> None:
    search = retriever("search")(lambda query: found)
    rerank = reranker("rerank")(lambda query, documents: list(reversed(documents)))
    rerank("why?", search("why?") if isinstance(found, list) else search("why?")["documents"])

    documents = read(capture, "search", keys.OUTPUTS)
    assert [one["page_content"] for one in documents] == ["first", "second"]
    scored = [one["metadata"].get("score") for one in documents]
    assert scored == ([0.5, 0.25] if "0.5" in str(found) else [None, None])
    assert [one["move"] for one in read(capture, "rerank", keys.RERANKING)["after"]] == [1, -1]


def test_a_long_text_that_was_retrieved_is_read_back_as_it_was(capture: Capture) -> None:
    text = "Detailing rose after the launch. " * 10
    search = retriever("search")(lambda query: [text])
    graph(find=lambda state: {"notes": search("why?")}).compile().invoke(QUESTION, capture.config())

    node = capture.journal.named("find")
    assert "$from" in str(node.attributes[keys.OUTPUTS])
    assert capture.whole(node, "outputs") == {"notes": [text]}


def test_a_list_that_holds_no_documents_is_stored_as_it_is(capture: Capture) -> None:
    retriever("search")(lambda query: [("why?", "because"), 3])("why?")
    assert read(capture, "search", keys.OUTPUTS) == [["why?", "because"], 3]


def test_documents_that_did_not_reach_the_model_are_not_named(capture: Capture) -> None:
    llm = model("because")

    def explain(state: State) -> State:
        Search().invoke(state["question"])
        return {"notes": [llm.invoke("Without any of them.").text]}

    graph(explain=explain).compile().invoke(QUESTION, capture.config())
    assert keys.CONTEXT_DOCUMENTS not in capture.attributes("Model")


def test_what_finds_nothing_says_so(capture: Capture) -> None:
    assert retriever("search")(lambda query: [])("why?") == []
    assert capture.attributes("search")[keys.TOP_K] == 0


CHUNKS = [
    Document(f"Chunk {n} of the report on {topic}. It says at length what was found there, above all on {topic}.",
             metadata={"source": "report.pdf"})
    for n, topic in enumerate(("access in the south", "detailing after the launch", "switches from rivals"))
]  # fmt: skip


@reranker
def reordered(query: str, documents: list[Any], order: Any) -> Any:
    return order(documents)


def moves(capture: Capture, name: str = "reordered") -> Any:
    told = read(capture, name, keys.RERANKING)
    places = {one: place for place, one in enumerate(told["before"])}
    return [(entry["rank_before"], entry["score"]) for entry in told["after"]], [places[one] for one in told["dropped"]]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (lambda found: [found[2], found[0]], ([(3, None), (1, None)], [1])),
        (lambda found: [Document(found[1].page_content[10:40])], ([(2, None)], [0, 2])),
        (lambda found: [Document("Found there.", metadata={"source": "report.pdf"})], ([(None, None)], [0, 1, 2])),
        (lambda found: [(found[1], Decimal("0.5")), (found[0], np.float32(0.25))], ([(2, 0.5), (1, 0.25)], [2])),
        (lambda _: [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
         ([(3, 0.9), (1, 0.1)], [1])),
        (lambda _: [(1, 0.9), (2, 0.4)], ([(2, 0.9), (3, 0.4)], [0])),
        (lambda _: [{"index": 7}], ([], [0, 1, 2])),
    ],
    ids=["chunks of one source", "cut", "written anew", "odd scores", "places", "pairs of places", "no such place"],
)  # fmt: skip
def test_what_was_reordered_is_told_from_what_was_dropped(capture: Capture, order: Any, expected: Any) -> None:
    reordered("Why?", CHUNKS, order)
    assert moves(capture) == expected


def test_a_document_that_is_there_twice_moves_twice(capture: Capture) -> None:
    one, two = FOUND[:2]
    reordered("Why?", [one, one, two], lambda _: [two, one, one])
    assert moves(capture) == ([(3, 0.7), (1, 0.9), (2, 0.9)], [])


def test_a_document_rewritten_by_a_compressor_is_known_by_its_source(capture: Capture) -> None:
    found = [Document(f"Text {n}", id=f"d{n}", metadata={"source": f"s{n}"}) for n in range(3)]
    reordered("Why?", found, lambda _: [Document("In short.", metadata={"source": "s1"})])
    assert read(capture, "reordered", keys.RERANKING)["after"][0]["id"] == "d1"


def test_of_several_retrievers_put_together_no_order_is_claimed(capture: Capture) -> None:
    class Fused(BaseRetriever):
        count: int

        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            lists = [Search().invoke(query, {"callbacks": run_manager.get_child()}) for _ in range(self.count)]
            return [*reversed(lists[-1])]

    for count in (1, 2):
        capture.journal.spans.clear()
        Fused(count=count).invoke("Why?", capture.config())
        assert (keys.RERANKING in capture.attributes("Fused")) is (count == 1)


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text,
        lambda text: text[:60] + "…",
        lambda text: text[-60:],
        lambda text: "\n> ".join(text.upper().split()),
        lambda text: json.dumps({"text": f"\n\t{text}"}),
        lambda text: f"<doc>“{text.replace(' ', '  ')}”</doc>",
    ],
    ids=["as it was", "its beginning", "its end", "quoted", "json", "markup"],
)
def test_a_text_is_found_in_a_prompt_however_it_is_written_there(capture: Capture, written: Any) -> None:
    find, llm = retriever("find")(lambda query: CHUNKS), model("because")

    def explain(state: State) -> State:
        first, _, last = (written(document.page_content) for document in find("Why?"))
        return {"notes": [llm.invoke(f"{last}\n\n{first}").text]}

    graph(explain=explain).compile().invoke(QUESTION, capture.config())
    ids = [document["id"] for document in read(capture, "find", keys.OUTPUTS)]
    assert len(set(ids)) == 3
    (llm_span,) = (one for one in capture.journal.spans.values() if one.attributes[keys.SPAN_TYPE] == "CHAT_MODEL")
    assert llm_span.attributes[keys.CONTEXT_DOCUMENTS] == f"{ids[2]}, {ids[0]}"


def test_what_documents_have_in_common_names_none_of_them(capture: Capture) -> None:
    head = "All rights reserved. Do not copy or forward this note to anybody outside. "
    find, llm = retriever("find")(lambda query: [Document(head + n * 200, id=n) for n in "ab"]), model("because")

    def explain(state: State) -> State:
        find("Why?")
        return {"notes": [llm.invoke(head).text]}

    graph(explain=explain).compile().invoke(QUESTION, capture.config())
    assert not [one for one in capture.journal.spans.values() if keys.CONTEXT_DOCUMENTS in one.attributes]
