"""Retrieval, told so that it can be judged: what was found, how it was re-ordered, what reached the model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from tierlens import keys
from tierlens.capture import payload
from tierlens.capture.shapes import has
from tierlens.capture.trace import Open, Trace

FINGERPRINT = 160
MAX_REMEMBERED = 200
SCORES = ("relevance_score", "rerank_score", "score", "_score", "similarity")


def is_document(value: object) -> bool:
    return has(value, "page_content") or (isinstance(value, Mapping) and "page_content" in value)


def documents_in(value: object) -> list[Any]:
    """The documents in a value: a list of them or of ``(document, score)`` pairs, or one that lies inside."""
    if isinstance(value, Mapping) and not is_document(value):
        lists = (documents_in(item) for item in value.values() if isinstance(item, list | tuple))
        return next((found for found in lists if found), [])
    if not isinstance(value, list | tuple):
        return [value] if is_document(value) else []
    pairs = [item[0] if isinstance(item, tuple) and item and is_document(item[0]) else item for item in value]
    if pairs and all(map(is_document, pairs)):
        return [_scored(pair, item) for pair, item in zip(pairs, value, strict=True)]
    return next((found for item in value if (found := documents_in(item))), [])


def _scored(document: Any, item: object) -> dict[str, Any]:
    fields: dict[str, Any] = dict(document) if isinstance(document, Mapping) else payload.document(document)
    metadata = dict(fields.get("metadata") or {})
    if isinstance(item, tuple) and len(item) > 1 and isinstance(item[1], int | float):
        metadata.setdefault("score", float(item[1]))
    return {
        "page_content": fields.get("page_content"),
        "metadata": metadata,
        "id": fields.get("id") or metadata.get("id") or metadata.get("source"),
    }


def score(document: Mapping[str, Any]) -> float | None:
    metadata = document.get("metadata") or {}
    found = next((metadata[name] for name in SCORES if isinstance(metadata.get(name), int | float)), None)
    return None if found is None else float(found)


def retrieved(opened: Open, documents: Sequence[Mapping[str, Any]]) -> None:
    """Put on a retriever span how many documents it found; its outputs have each one's id, text and score."""
    opened.attributes[keys.TOP_K] = len(documents)
    remember(opened.trace, documents)


def compressed(opened: Open, documents: object) -> None:
    """On a retriever made of another one and a compressor: how it re-ordered what the inner one found."""
    inner, after = opened.inner, documents_in(documents)
    if inner is not None and [_name(one) for one in inner] != [_name(one) for one in after]:
        reranked(opened, inner, after)
    if opened.parent is not None and opened.parent.kind == "RETRIEVER":
        opened.parent.inner = after


def reranked(opened: Open, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> None:
    """Put on a reranker span the order before and after, each score, and the move in rank (positive: upwards)."""
    ranks = {_name(document): rank for rank, document in enumerate(before, 1)}
    order = []
    for rank, document in enumerate(after, 1):
        was = ranks.get(_name(document))
        move = None if was is None else was - rank
        order.append({"id": _name(document), "rank": rank, "rank_before": was, "move": move, "score": score(document)})
    kept = {entry["id"] for entry in order}
    moves = {
        "before": [_name(document) for document in before],
        "after": order,
        "dropped": [_name(document) for document in before if _name(document) not in kept],
    }
    if opened.policy.log_prompts:
        opened.attributes[keys.RERANKING] = payload.dumps(moves)
    remember(opened.trace, after)


def remember(trace: Trace, documents: Sequence[Mapping[str, Any]]) -> None:
    """Keep the beginnings of documents, by which they are found again in a prompt."""
    for document in documents:
        content = document.get("page_content")
        if isinstance(content, str) and content.strip() and len(trace.documents) < MAX_REMEMBERED:
            trace.documents.setdefault(_name(document), content.strip()[:FINGERPRINT])


def context_of(trace: Trace, prompt: str) -> list[str]:
    """Ids of the retrieved documents whose text stands in ``prompt``, in the order they stand there."""
    places = ((prompt.find(beginning), name) for name, beginning in trace.documents.items())
    return [name for place, name in sorted(places) if place >= 0]


def _name(document: Mapping[str, Any]) -> str:
    identifier = document.get("id")
    return str(identifier) if identifier is not None else _digest(document)


def _digest(document: Mapping[str, Any]) -> str:
    content = payload.encode(document.get("page_content"))
    return hashlib.sha256(content).hexdigest()[:12]
