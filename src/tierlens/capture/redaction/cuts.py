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
    """JSON of inputs or outputs without the first words of references, and with cut values ending before their
    last word."""
    if '"head":' not in text:
        return text
    return _CUT.sub(_shortened, _REFERENCE.sub(r'\1"', text))


def _shortened(match: re.Match[str]) -> str:
    words = match[2]
    end = words.rfind(" ", max(0, len(words) - _LONGEST_WORD))
    kept = words[: end if end >= 0 else max(0, len(words) - _LONGEST_WORD)]
    if half := _HALF_ESCAPE.search(kept):
        kept = kept[: half.start(1)]
    return f'{match[1]}{_NUMBERS.sub("", kept)}"'
