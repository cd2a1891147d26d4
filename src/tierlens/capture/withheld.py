"""Text that one agent keeps to itself, taken out wherever it comes out again in its trace.

Later agents see it whole, in parts and in other clothes: a line or a sentence of it, its beginning where a value was
cut, as JSON inside JSON, as ``repr``. What is looked for is the beginning of each line and sentence; what is taken out
is as much as follows of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import orjson

MARK: Final = "<private>"
SHORTEST: Final = 12
SHORTEST_SAID: Final = 4
_ANCHOR: Final = 24
_WORD: Final = 8
_SENTENCE: Final = re.compile(r"(?<=[.!?:;])\s+")


class _Forms(NamedTuple):
    """All forms that begin alike, in order, and the length of the longest."""

    ordered: list[str]
    longest: int


class Withheld:
    """The private texts of one trace.

    Attributes:
        texts: what is withheld.
        expected: digests of texts that are private, too, once they are seen: those of the trace that paused.
        lost: which texts are private is not known any more, so that all are.
    """

    __slots__ = ("_anchors", "expected", "texts")
    lost = False

    def __init__(self) -> None:
        self.texts: set[str] = set()
        self._anchors: tuple[int, Mapping[str, _Forms]] = (0, {})
        self.expected: frozenset[str] = frozenset()

    def digests(self) -> tuple[str, ...]:
        """What another process, which may not be told the texts, knows them by."""
        return (*self.expected, *map(_digest, self.texts))

    def recognise(self, texts: Iterable[str]) -> None:
        """Withhold what is expected of ``texts``."""
        seen = {piece for text in texts for piece in _pieces(text) if _digest(piece) in self.expected}
        self.texts |= seen

    def add(self, texts: Iterable[str], *, said: bool, given: Collection[str] = ()) -> None:
        """Withhold ``texts``, and each line and sentence of them.

        Args:
            said: by a model, and so withheld down to short texts and single words; of other values, what is
                short or a single word is more likely a name that all agents use.
            given: texts of others: what stands in them, a question that is repeated, is theirs.
        """
        found = {piece for text in texts for piece in _pieces(text) if _is_text(piece, said)}
        self.texts |= {piece for piece in found if not any(piece in whole for whole in given)}

    def without(self, text: str) -> str:
        """``text`` with all that is withheld replaced; JSON stays JSON."""
        known, anchors = self._anchors
        # Texts are only ever added, by any thread and at any time.
        if known != len(self.texts):
            texts = self.texts.copy()
            anchors = _by_anchor(texts)
            self._anchors = len(texts), anchors
        for anchor, forms in anchors.items():
            if anchor in text:
                text = _cut_out(text, anchor, forms)
        return text


class Lost(Withheld):
    """Those of a trace that is over, and whose private texts nobody holds any more."""

    __slots__ = ()
    lost = True


def _digest(piece: str) -> str:
    return hashlib.blake2b(piece.encode("utf-8", "replace"), digest_size=12).hexdigest()


def _pieces(text: str) -> Iterator[str]:
    """The text, its lines, and the sentences that are long enough not to be anybody's."""
    yield text.strip()
    lines = text.splitlines() if "\n" in text else [text]
    for line in lines:
        yield line.strip()
        yield from (one for sentence in _SENTENCE.split(line) if len(one := sentence.strip()) >= _ANCHOR)


def _is_text(piece: str, said: bool) -> bool:
    letters = sum(map(str.isalpha, piece[:64]))
    # Without letters it might be a number, which stands outside of strings in JSON.
    if letters < min(3, len(piece)) or not letters:
        return False
    is_word = all(letter.isalpha() or letter == "_" for letter in piece)
    if said:
        return len(piece) >= (_WORD if is_word else SHORTEST_SAID)
    return len(piece) >= (_ANCHOR if is_word else SHORTEST)


def _by_anchor(texts: Iterable[str]) -> Mapping[str, _Forms]:
    found: dict[str, set[str]] = {}
    # Longest first, so that a text inside another does not leave the rest of the longer one behind.
    for text in sorted(texts, key=lambda text: (-len(text), text)):
        for form in _forms(text):
            found.setdefault(form[:_ANCHOR], set()).add(form)
    longest_first = sorted(found.items(), key=lambda item: len(item[0]), reverse=True)
    return {anchor: _Forms(sorted(forms), max(map(len, forms))) for anchor, forms in longest_first}


def _forms(text: str) -> Iterable[str]:
    """``text`` as it stands, as a JSON string, as one inside another, and as Python writes it."""
    once = (text, _json(text), json.dumps(text)[1:-1], repr(text)[1:-1])
    return dict.fromkeys((*once, *(_json(form) for form in once)))


def _json(text: str) -> str:
    # Lone surrogates were replaced on their way into JSON as well.
    return orjson.dumps(text.encode("utf-8", "replace").decode())[1:-1].decode()


def _cut_out(text: str, anchor: str, forms: _Forms) -> str:
    parts: list[str] = []
    done, at = 0, text.find(anchor)
    while at >= 0:
        parts += text[done:at], MARK
        done = at + max(_common(text, at, form, len(anchor)) for form in _nearest(text, at, forms))
        at = text.find(anchor, done)
    return "".join([*parts, text[done:]])


def _nearest(text: str, at: int, forms: _Forms) -> list[str]:
    """Of all forms, the one with most in common with what stands at ``at`` is a neighbour of its place among them."""
    place = bisect_right(forms.ordered, text[at : at + forms.longest])
    return forms.ordered[max(0, place - 1) : place + 1]


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
