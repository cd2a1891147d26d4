"""Where the texts that were retrieved in a trace stand in a prompt, also shortened, quoted or set otherwise.

Texts are compared by their words alone: case, spaces and marks are left out, which is what changes when a document is
put into a prompt. Known of each is its beginning, and, where no other document has the same, three passages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tierlens.capture.trace import Trace

MAX_REMEMBERED: Final = 200
BEGINNING: Final = 160
PASSAGE: Final = 48
_LONGEST: Final = 65_536
# Of bytes, which are translated ten times as fast as text: marks and spaces to spaces, ASCII letters to small ones.
_PLAIN: Final = bytes(
    one if one > 127 else ord(chr(one).lower()) if chr(one).isalnum() else ord(" ") for one in range(256)
)
# Dashes, quotation marks, bullets, the ellipsis; guillemets.
_MARKS: Final = re.compile(rb"\xe2\x80[\x80-\xbf]|\xc2[\xab\xb7\xbb]")
_SHARED: Final = ""


def remember(trace: Trace, documents: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Keep of documents, given with their names, what they are known by in a prompt."""
    for name, document in documents:
        content = document.get("page_content")
        if len(trace.documents) >= MAX_REMEMBERED or not isinstance(content, str):
            continue
        words = _words(content[:_LONGEST])
        if not words.strip():
            continue
        trace.documents.setdefault((name, words[:BEGINNING]), _passages(words))


def in_prompt(trace: Trace, prompt: str) -> list[str]:
    """Names of the retrieved documents whose text stands in ``prompt``, in the order they stand there."""
    words = _words(prompt[:_LONGEST])
    places: dict[str, int] = {}
    for name, beginning in trace.documents:
        if (place := words.find(beginning)) >= 0:
            places[name] = min(place, places.get(name, place))
    if len(places) < len({name for name, _ in trace.documents}):
        for passage, name in _owners(trace).items():
            if name != _SHARED and name not in places and (place := words.find(passage)) >= 0:
                places[name] = place
    return sorted(places, key=places.__getitem__)


def _owners(trace: Trace) -> dict[bytes, str]:
    """Each passage with the document that has it."""
    owners: dict[bytes, str] = {}
    for (name, _), passages in trace.documents.items():
        for passage in passages:
            if owners.setdefault(passage, name) != name:
                owners[passage] = _SHARED
    return owners


def _words(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    if not text.isascii():
        encoded = _MARKS.sub(b" ", encoded)
    return b" %b " % b" ".join(encoded.translate(_PLAIN).split())


def _passages(words: bytes) -> tuple[bytes, ...]:
    if len(words) <= PASSAGE:
        return ()
    middle = (len(words) - PASSAGE) // 2
    return words[:PASSAGE], words[middle : middle + PASSAGE], words[-PASSAGE:]
