"""Which of the documents before each of those after comes from, also where it was cut or written anew on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Document = Mapping[str, Any]

_LEAST: Final = 12


def found(before: Sequence[Document], after: Sequence[Document]) -> list[int | None]:
    """For each of ``after`` its place in ``before``; None where that is not to be told.

    By id or text, the same document twice in the order in which it stood there; else by what its metadata names as
    its id or source, else by the text it was cut from, if just one has it.
    """
    rest: dict[object, list[int]] = {}
    for place, document in enumerate(before):
        for mark in _marks(document):
            rest.setdefault(mark, []).append(place)
    places = [_next(rest, document) for document in after]
    return [_kin(before, one) if place is None else place for place, one in zip(places, after, strict=True)]


def _marks(document: Document) -> list[object]:
    identifier, text = document.get("id"), document.get("page_content")
    return [("id", str(identifier))] if identifier is not None else [("text", str(text))]


def _next(rest: Mapping[object, list[int]], document: Document) -> int | None:
    """The first place not taken yet; what comes more often than before is the same as the last."""
    places = rest.get(_marks(document)[0])
    if not places:
        return None
    return places.pop(0) if len(places) > 1 else places[0]


def _kin(before: Sequence[Document], document: Document) -> int | None:
    metadata, text = document.get("metadata") or {}, document.get("page_content")
    for name in ("id", "source"):
        if (value := metadata.get(name)) is not None:
            same = [at for at, one in enumerate(before) if (one.get("metadata") or {}).get(name) == value]
            if len(same) == 1:
                return same[0]
    if not isinstance(text, str) or len(text) < _LEAST:
        return None
    whole = [at for at, one in enumerate(before) if text.strip() in str(one.get("page_content"))]
    return whole[0] if len(whole) == 1 else None
