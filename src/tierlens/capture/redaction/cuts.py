"""Text that was cut before it came here: the end of it may be half a secret, which no rule recognises."""

from __future__ import annotations

import re
from typing import Final

_STRING: Final = r'((?:[^"\\]++|\\.)*+)"'
# As `tierlens.capture.ledger` writes them.
_REFERENCE: Final = re.compile(r'("\$(?:same|from)":"[^"]*","head":")' + _STRING, re.DOTALL)
_CUT: Final = re.compile(r'("\$cut":\{[^{}]*\},"head":")' + _STRING, re.DOTALL)
_LONGEST_WORD: Final = 200
_HALF_ESCAPE: Final = re.compile(r"(?<!\\)(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)$")
_NUMBERS: Final = re.compile(r"[\d+() ./,-]{1,64}$")


def whole_words(text: str) -> str:
    """JSON of inputs or outputs with what was cut in it, and the first words of references, ending before the word
    that the cut went through."""
    if '"head":' not in text:
        return text
    return _CUT.sub(_without_end, _REFERENCE.sub(_first_words, text))


def _first_words(match: re.Match[str]) -> str:
    if not match[2].endswith("…"):
        return match[0]
    words = match[2].partition('\\"')[0]  # what is quoted may be a secret of many words
    return f'{match[1]}{_shortened(words).rstrip()}…"'


def _without_end(match: re.Match[str]) -> str:
    return f'{match[1]}{_shortened(match[2])}"'


def _shortened(words: str) -> str:
    end = words.rfind(" ", max(0, len(words) - _LONGEST_WORD))
    kept = words[: end if end >= 0 else max(0, len(words) - _LONGEST_WORD)]
    if half := _HALF_ESCAPE.search(kept):
        kept = kept[: half.start(1)]
    return _NUMBERS.sub("", kept)
