"""Redaction before the journal: named rules over plain strings and over JSON that was dumped already.

What a rule finds becomes ``[redacted:<rule>]``, and JSON stays JSON. A rule that fails drops the whole text.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, get_args

from tierlens.errors import ConfigError
from tierlens.patterns import own_rule, pattern_fault
from tierlens.policy import RedactionRule

if TYPE_CHECKING:
    from tierlens.capture.redaction.text import Recogniser, Text

DROPPED: Final = "[redacted:failed]"
RULES: Final[tuple[str, ...]] = get_args(RedactionRule)
# Names, ids and prompts come again and again. What is remembered was clean, so no secret stays in memory for it.
_REMEMBERED: Final = 256
_LONGEST: Final = 16_384


@functools.cache
def redactor(rules: tuple[str, ...]) -> Callable[[str], str]:
    """A function that redacts one text.

    Args:
        rules: of ``RULES``, or ``name=pattern``.

    Raises:
        ConfigError: a rule is not one of those there are.
    """
    recognisers = [_named(rule) for rule in rules]
    clean: dict[str, None] = {}

    def redact(text: str) -> str:
        try:
            if text in clean:
                return text
            redacted = _redacted(text, recognisers)
            if redacted is text and len(text) <= _LONGEST:
                if len(clean) >= _REMEMBERED:
                    clean.clear()
                clean[text] = None
            return redacted
        except Exception:
            # Whatever went wrong, the text may hold what a rule was to keep back.
            return f'"{DROPPED}"' if str(text).lstrip()[:1] in ("{", "[", '"') else DROPPED

    return redact


def _named(rule: str) -> tuple[str, Recogniser]:
    """What a rule's findings are called, and how they are found."""
    # Compiling the patterns takes 15 ms, which `import tierlens` should not.
    from tierlens.capture.redaction import own, personal, phones, secrets

    recognisers: dict[str, Recogniser] = {
        "secrets": secrets.secrets,
        "email": personal.email,
        "phone": phones.phone,
        "record_number": personal.record_number,
        "card": personal.card,
    }
    if rule in recognisers:
        return rule, recognisers[rule]
    named = own_rule(rule)
    if named is None:
        raise ConfigError("redact", "", repr(rule), f"is not one of the rules: {', '.join(RULES)}; or name=pattern")
    if fault := pattern_fault(named[1]):
        raise ConfigError("redact", "", repr(rule), fault)
    return named[0], own.own(named[1])


def _redacted(raw: str, recognisers: Iterable[tuple[str, Recogniser]]) -> str:
    from tierlens.capture.redaction.text import Text

    text = Text(raw)
    found = [(start, end, rule) for rule, recognise in recognisers for start, end in recognise(text)]
    return _replaced(text, sorted(found)) if found else raw


def _replaced(text: Text, found: Iterable[tuple[int, int, str]]) -> str:
    """``text`` with every range replaced; of overlapping ranges the first names the rule."""
    parts: list[str] = []
    done = 0
    for start, end, rule in found:
        if end <= done:
            continue
        if start < done:
            done = end
            continue
        mark = f"[redacted:{rule}]"
        # A number outside all strings becomes a string.
        quoted = text.between_strings(start) and text.is_number(start, end)
        parts += text.raw[done:start], f'"{mark}"' if quoted else mark
        done = end
    return "".join([*parts, text.raw[done:]])
