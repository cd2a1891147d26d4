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
_DEPTH: Final = 4
_MOST_SLASHES: Final = 64
# What stands around a text in lists, in quotes, in JSON and in code.
_AROUND: Final = " \t\"'`*_-#>|()[]{}<,;"
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
        found = [place for anchor, forms in anchors.items() if anchor in text for place in _places(text, anchor, forms)]
        return _cut_out(text, found) if found else text


class Lost(Withheld):
    """Those of a trace that is over, and whose private texts nobody holds any more."""

    __slots__ = ()
    lost = True


def _digest(piece: str) -> str:
    return hashlib.blake2b(piece.encode("utf-8", "replace"), digest_size=12).hexdigest()


def _pieces(text: str, depth: int = 0) -> Iterator[str]:
    """The text, its lines, and the sentences that are long enough not to be anybody's, without the marks around them;
    of JSON, its strings as well."""
    yield text.strip()
    lines = text.splitlines() if "\n" in text else [text]
    for line in lines:
        yield line.strip(_AROUND)
        yield from (one for sentence in _SENTENCE.split(line) if len(one := sentence.strip(_AROUND)) >= _ANCHOR)
    if depth < _DEPTH and text.lstrip()[:1] in ("{", "["):
        for one in _strings(text):
            yield from _pieces(one, depth + 1)


def _strings(text: str) -> Iterator[str]:
    """The strings in JSON, keys that are no names included."""
    try:
        waiting: list[object] = [orjson.loads(text)]
    except orjson.JSONDecodeError:
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value.values(), *(key for key in value if " " in key)]
        elif isinstance(value, list):
            waiting += value


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


def _cut_out(text: str, places: Iterable[tuple[int, int]]) -> str:
    """``text`` without what stands at ``places``, which may overlap: what two texts have in common hides neither."""
    is_json = _is_json(text)
    parts: list[str] = []
    done = 0
    for start, end in sorted(places):
        if is_json:
            end = _in_string(text, start, end)
        if end <= max(start, done):
            continue
        if start >= done:
            parts += text[done:start], MARK
        done = end
    return "".join([*parts, text[done:]])


def _places(text: str, anchor: str, forms: _Forms) -> Iterator[tuple[int, int]]:
    at = text.find(anchor)
    while at >= 0:
        end = at + max(_common(text, at, form, len(anchor)) for form in _nearest(text, at, forms))
        yield at, end
        at = text.find(anchor, end)


def _is_json(text: str) -> bool:
    if text[:1] not in ("{", "[", '"'):
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _in_string(text: str, start: int, end: int) -> int:
    """``end``, unless a quote before it is JSON's own: then that, or ``start`` where what is left is but a key."""
    quote = text.find('"', start, end)
    while quote >= 0:
        before = text[max(0, quote - _MOST_SLASHES) : quote]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return quote if quote - start >= _ANCHOR else start
        quote = text.find('"', quote + 1, end)
    return end


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
