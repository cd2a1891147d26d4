"""Retrieval, told so that it can be judged: what was found, how it was re-ordered, what reached the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

from tierlens import keys
from tierlens.capture import origins, passages, payload
from tierlens.capture.shapes import has
from tierlens.capture.trace import Open

LISTS = frozenset({"documents", "docs", "results", "passages", "chunks", "contexts", "candidates", "texts"})
TEXTS = ("text", "content", "chunk", "passage")
_NUMBER = (Real, Decimal)
SCORES = ("relevance_score", "rerank_score", "score", "_score", "similarity")


def is_document(value: object) -> bool:
    return has(value, "page_content") or (isinstance(value, Mapping) and "page_content" in value)


def documents_in(value: object, *, texts: bool = True) -> list[Any]:
    """The documents in a value: a list of them or of ``(document, score)`` pairs, or one that lies inside.

    Args:
        texts: plain texts, and mappings with a text, are documents too.
    """
    if isinstance(value, Mapping) and not is_document(value):
        named = ((name, item) for name, item in value.items() if isinstance(item, list | tuple))
        return next((found for name, item in named if (found := documents_in(item, texts=name in LISTS))), [])
    if not isinstance(value, list | tuple):
        return [value] if is_document(value) else []
    first = [item[0] if _is_scored(item) else item for item in value]
    pairs = [_document(item) for item in first] if texts else first
    if pairs and all(map(is_document, pairs)):
        return [_scored(pair, item) for pair, item in zip(pairs, value, strict=True)]
    return next((found for item in value if (found := documents_in(item, texts=False))), [])


def _is_scored(item: object) -> bool:
    if not isinstance(item, tuple) or not item:
        return False
    return is_document(item[0]) or (len(item) == 2 and isinstance(item[1], _NUMBER))


def _document(item: object) -> object:
    """A document as it is, a text or a mapping with one as a document, anything else as None."""
    if is_document(item):
        return item
    if isinstance(item, str):
        return {"page_content": item}
    if not isinstance(item, Mapping):
        return None
    text = next((name for name in TEXTS if isinstance(item.get(name), str)), None)
    if text is None:
        return None
    rest = {name: one for name, one in item.items() if name not in (text, "metadata")}
    return {"page_content": item[text], "metadata": {**rest, **(item.get("metadata") or {})}}


def _scored(document: Any, item: object) -> dict[str, Any]:
    told: dict[str, Any] = _from_mapping(document) if isinstance(document, Mapping) else payload.document(document)
    if isinstance(item, tuple) and len(item) > 1 and isinstance(item[1], _NUMBER):
        told["metadata"].setdefault("score", float(item[1]))
    return told


def _from_mapping(document: Mapping[str, Any]) -> dict[str, Any]:
    """As ``payload.document`` tells of an object; a score beside the metadata counts as part of it."""
    metadata = {name: document[name] for name in SCORES if name in document} | dict(document.get("metadata") or {})
    text, own = document.get("page_content"), document.get("id")
    identifier = payload.identity(metadata, text) if own in (None, "") else own
    return {"page_content": text, "metadata": metadata, "id": identifier}


def score(document: Mapping[str, Any]) -> float | None:
    metadata = document.get("metadata") or {}
    found = next((metadata[name] for name in SCORES if isinstance(metadata.get(name), _NUMBER)), None)
    return None if found is None else float(found)


def retrieved(opened: Open, documents: Sequence[Mapping[str, Any]]) -> None:
    """Put on a retriever span how many documents it found; its outputs have each one's id, text and score."""
    opened.attributes[keys.TOP_K] = len(documents)
    passages.remember(opened.trace, ((_name(one), one) for one in documents))


def picked(before: Sequence[Mapping[str, Any]], output: object) -> list[dict[str, Any]]:
    """The documents that a reranker names by their place alone: ``{index, relevance_score}`` or ``(place, score)``."""
    chosen = []
    for item in output if isinstance(output, list | tuple) else ():
        pair = dict(zip(("index", "score"), item, strict=False)) if type(item) is tuple else {}
        told = item if isinstance(item, Mapping) else pair
        place = told.get("index")
        if type(place) is not int or not 0 <= place < len(before):
            return []
        one = before[place]
        scores = {name: told[name] for name in SCORES if name in told}
        chosen.append({**one, "metadata": {**(one.get("metadata") or {}), **scores}})
    return chosen


def compressed(opened: Open, documents: object) -> None:
    """On a retriever made of another one and a compressor: how it re-ordered what the inner one found."""
    inner = opened.inner
    outer = opened.parent if opened.parent is not None and opened.parent.kind == "RETRIEVER" else None
    if inner is None and outer is None:
        return
    after = documents_in(documents)
    # What was put together from several has no order before.
    if inner is not None and len(inner) == 1 and [_name(one) for one in inner[0]] != [_name(one) for one in after]:
        reranked(opened, inner[0], after)
    if outer is not None:
        outer.inner = [*(outer.inner or ()), after]


def reranked(opened: Open, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> None:
    """Put on a reranker span the order before and after, each score, and the move in rank (positive: upwards)."""
    names, places = [_name(document) for document in before], origins.found(before, after)
    order = []
    for rank, (document, place) in enumerate(zip(after, places, strict=True), 1):
        was, name = (None, _name(document)) if place is None else (place + 1, names[place])
        move = None if was is None else was - rank
        order.append({"id": name, "rank": rank, "rank_before": was, "move": move, "score": score(document)})
    dropped = [name for place, name in enumerate(names) if place not in places]
    if opened.policy.log_prompts:
        opened.attributes[keys.RERANKING] = payload.dumps({"before": names, "after": order, "dropped": dropped})
    passages.remember(opened.trace, ((str(entry["id"]), one) for entry, one in zip(order, after, strict=True)))


def _name(document: Mapping[str, Any]) -> str:
    identifier = document.get("id")
    return str(identifier) if identifier is not None else payload.digest(document.get("page_content"))
