"""Text that one agent keeps to itself, taken out wherever it comes out again in its trace.

Later agents see it whole, in parts and in other clothes: a line of it, its beginning where a value was cut, as
JSON inside JSON, as ``repr``. What is looked for is the beginning of each line; what is taken out is as much as
follows of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Final

import orjson

MARK: Final = "<private>"
SHORTEST: Final = 12
SHORTEST_SAID: Final = 4
_ANCHOR: Final = 24
_WORD: Final = 8


class Withheld:
    """The private texts of one trace.

    Attributes:
        texts: what is withheld.
        expected: digests of texts that are private, too, once they are seen: those of the trace that paused.
    """

    __slots__ = ("_anchors", "expected", "texts")

    def __init__(self) -> None:
        self.texts: set[str] = set()
        self._anchors: list[tuple[str, list[str]]] | None = None
        self.expected: frozenset[str] = frozenset()

    def digests(self) -> tuple[str, ...]:
        """What another process, which may not be told the texts, knows them by."""
        return (*self.expected, *map(_digest, self.texts))

    def recognise(self, texts: Iterable[str]) -> None:
        """Withhold what is expected of ``texts``."""
        seen = {piece for text in texts for piece in _pieces(text) if _digest(piece) in self.expected}
        if not seen <= self.texts:
            self.texts |= seen
            self._anchors = None

    def add(self, texts: Iterable[str], *, said: bool) -> None:
        """Withhold ``texts``, and each line of them.

        Args:
            said: by a model, and so withheld down to short texts and single words; of other values, what is
                short or a single word is more likely a name that all agents use.
        """
        pieces = {piece for text in texts for piece in _pieces(text) if _is_text(piece, said)}
        if not pieces <= self.texts:
            self.texts |= pieces
            self._anchors = None

    def without(self, text: str) -> str:
        """``text`` with all that is withheld replaced; JSON stays JSON."""
        anchors = self._anchors
        if anchors is None:
            anchors = self._anchors = _by_anchor(self.texts)
        for anchor, forms in anchors:
            if anchor in text:
                text = _cut_out(text, anchor, forms)
        return text


def _digest(piece: str) -> str:
    return hashlib.blake2b(piece.encode("utf-8", "replace"), digest_size=12).hexdigest()


def _pieces(text: str) -> Iterator[str]:
    yield text.strip()
    if "\n" in text:
        yield from (line.strip() for line in text.splitlines())


def _is_text(piece: str, said: bool) -> bool:
    letters = sum(map(str.isalpha, piece[:64]))
    # Without letters it might be a number, which stands outside of strings in JSON.
    if letters < min(3, len(piece)) or not letters:
        return False
    is_word = all(letter.isalpha() or letter == "_" for letter in piece)
    if said:
        return len(piece) >= (_WORD if is_word else SHORTEST_SAID)
    return len(piece) >= (_ANCHOR if is_word else SHORTEST)


def _by_anchor(texts: Iterable[str]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    # Longest first, so that a text inside another does not leave the rest of the longer one behind.
    for text in sorted(texts, key=len, reverse=True):
        for form in _forms(text):
            forms = found.setdefault(form[:_ANCHOR], [])
            if form not in forms:
                forms.append(form)
    return sorted(found.items(), key=lambda item: len(item[0]), reverse=True)


def _forms(text: str) -> Iterable[str]:
    """``text`` as it stands, as a JSON string, as one inside another, and as Python writes it."""
    once = (text, _json(text), json.dumps(text)[1:-1], repr(text)[1:-1])
    return dict.fromkeys((*once, *(_json(form) for form in once)))


def _json(text: str) -> str:
    # Lone surrogates were replaced on their way into JSON as well.
    return orjson.dumps(text.encode("utf-8", "replace").decode())[1:-1].decode()


def _cut_out(text: str, anchor: str, forms: list[str]) -> str:
    parts: list[str] = []
    done, at = 0, text.find(anchor)
    while at >= 0:
        parts += text[done:at], MARK
        done = at + max(_common(text, at, form, len(anchor)) for form in forms)
        at = text.find(anchor, done)
    return "".join([*parts, text[done:]])


def _common(text: str, at: int, form: str, known: int) -> int:
    """How much of ``form`` stands at ``at``, where its first ``known`` characters do; never half an escape."""
    if text.startswith(form, at):
        return len(form)
    least, most = known, len(form) - 1
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if text.startswith(form[:middle], at) else (least, middle - 1)
    backslashes = least - len(form[:least].rstrip("\\"))
    return least - backslashes % 2
