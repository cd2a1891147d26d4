"""Redaction before the journal: named rules over plain strings and over JSON that was dumped already.

What a rule finds becomes ``[redacted:<rule>]``, and JSON stays JSON. A rule that fails drops the whole text.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, get_args

from tierlens.errors import ConfigError
from tierlens.policy import RedactionRule

if TYPE_CHECKING:
    from tierlens.capture.redaction.text import Recogniser, Text

DROPPED: Final = "[redacted:failed]"
RULES: Final[tuple[str, ...]] = get_args(RedactionRule)


@functools.cache
def redactor(rules: tuple[str, ...]) -> Callable[[str], str]:
    """A function that redacts one text.

    Raises:
        ConfigError: a rule is not one of those there are.
    """
    for rule in rules:
        if rule not in RULES:
            raise ConfigError("redact", "", repr(rule), f"is not one of the rules: {', '.join(RULES)}")
    recognisers = [(rule, _recogniser(rule)) for rule in rules]

    def redact(text: str) -> str:
        try:
            return _redacted(text, recognisers)
        except Exception:
            # Whatever went wrong, the text may hold what a rule was to keep back.
            return f'"{DROPPED}"' if str(text).lstrip()[:1] in ("{", "[", '"') else DROPPED

    return redact


def _recogniser(rule: str) -> Recogniser:
    # Compiling the patterns takes 15 ms, which `import tierlens` should not.
    from tierlens.capture.redaction import personal, secrets

    recognisers: dict[str, Recogniser] = {
        "secrets": secrets.secrets,
        "email": personal.email,
        "phone": personal.phone,
        "record_number": personal.record_number,
        "card": personal.card,
    }
    return recognisers[rule]


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
