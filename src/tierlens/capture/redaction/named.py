"""Secrets known by the name that stands before them: ``password=…``, ``"api_key": "…"``, ``--token …``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tierlens.capture.redaction.text import Range, Text

# What may close a name and stand between it and its value, and the quote that opens the value.
_GAP: Final = (
    r"(?:\\*+[\"'])?"
    r"(?:(?P<pair>[,;]?(?:\s|\\++[nr]){0,12}(?:\\*+[\"'])?value(?:\\*+[\"'])?\s{0,4}[:=]\s{0,4})"
    r"|\s{0,8}(?:={1,3}>?|:=?|%3d)\s{0,8}(?:[|>][+-]?(?:\s|\\++[nr]){1,16})?|(?P<tag>>)"
    r"|(?P<space>\s{0,4}(?:\||-{1,2}>)\s{0,4}|\s{1,4})(?P<verb>(?:is|was|to):?\s{1,4})?)"
    r"(?P<quote>\\*+[\"'])?(?P<scheme>)"
)
_SCHEME: Final = r"(?P<scheme>(?:basic|bearer|digest|negotiate|token|apikey)\s{1,4})?"
# Each word with what may go on with it, and the characters that then can follow it.
_NAMED: Final = tuple(
    (word, frozenset("\"'\\:=>%|, \t\r\n" + letters), re.compile(pattern + gap, re.ASCII))
    for word, letters, pattern, gap in (
        ("pass", "wpcs_", r"pass(?P<whole>word|wort|wd|phrase|code)?(?:_?hash|s)?", _GAP),
        ("pwd", "", r"(?P<whole>pwd)", _GAP),
        ("secret", "ak_-", r"(?P<whole>secret)(?:[_-]?(?:access[_-]?)?key)?", _GAP),
        ("credential", "s", r"(?P<whole>credential)s?", _GAP),
        ("key", "", r"(?P<whole>key)", _GAP),
        ("token", "", r"(?P<whole>token)", _GAP),
        ("authorization", "", r"(?P<whole>authorization)", _GAP.replace("(?P<scheme>)", _SCHEME)),
    )
)
# `key` alone names a dictionary's key far more often than a secret.
_KINDS_OF_KEY: Final = re.compile(
    r"(?:api|access|private|account|secret|shared|encryption|signing|auth|subscription|master|license|deploy|functions)"
    r"[ _-]?$"
)
# Words of prose and of a model's bookkeeping, of which only what looks generated is taken: for the first ones
# always, for the others where no quotes mark them as a name and its value.
_MILD: Final = frozenset({"authorization", "token"})
_MILD_IN_PROSE: Final = _MILD | {"secret", "credential", "key"}
_FLAG: Final = re.compile(r"(?<![\w-])--?(?:[a-z]{1,12}-){0,3}$")
_BARE: Final = re.compile(
    r"(?:[^\s\"'\\&;<]|<(?![/a-z!])|(?<=\w)'(?=\w)|\\\\(?=\w)"
    r"|&(?!amp;|\s|[\w.-]{1,40}=)|;(?!\s|[\w .-]{1,40}=)(?=[^\s\"'\\]))*+",
    re.ASCII,
)
# What tells a value that was generated from a word; in prose, passwords are told by their capitals, too.
_UNLIKE_WORDS: Final = re.compile(r"[\d!#%^*~$@]")
_ODD_CASE: Final = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.ASCII)
_NO_VALUE: Final = re.compile(
    r"(?:null|none|nil|undefined|true|false|str|string|bytes|any|final|[\[{(\]})*.]+|\[redacted:\w+)",
    re.IGNORECASE | re.ASCII,
)
# Where code and templates say from where they take the value.
_REFERENCE: Final = re.compile(
    r"os\.(?:environ|getenv)|self\.|settings\.|config\.|args\.|request\.|process\.env|environ[.\[(]|getpass|input\("
    r"|\$\{|\$\(|\$[A-Z_]{3,}(?![a-z])|\{\{"
)
_CALL: Final = re.compile(r"[A-Za-z_][\w.]*[(\[]", re.ASCII)
_CLOSER: Final = re.compile(r"""(?<!\\)(\\*+)(["'])""")


def named(text: Text) -> Iterator[Range]:
    """Values of names such as password, in the notations of shells, YAML, JSON, XML, URLs and code."""
    for word, followers, pattern in _NAMED:
        if word not in text.lower:
            continue
        done = 0
        for start in text.positions(word, lower=True):
            if start < done or text.lower[start + len(word) : start + len(word) + 1] not in followers:
                continue
            match = pattern.match(text.lower, start)
            if match is None or (word == "key" and not _is_secret_key(text, start)):
                continue
            found = _value(text, match)
            if found:
                done = found[1]
                if _is_secret(text, word, match, text.raw[slice(*found)]):
                    yield found


def _is_secret_key(text: Text, start: int) -> bool:
    return _KINDS_OF_KEY.search(text.lower, max(0, start - 14), start) is not None


def _value(text: Text, match: re.Match[str]) -> Range | None:
    if match["quote"]:
        return _quoted(text, match)
    start = match.end()
    if match["tag"]:
        end = text.raw.find("</", start, start + 4096)
        return (start, end) if end > start else None
    number = _NUMBER.match(text.lower, start)
    if number and text.between_strings(start):
        return number.span()
    value = _BARE.match(text.raw, start, start + 4096)
    return (start, start + len(value[0].rstrip(",.)]}"))) if value else None


def _is_secret(text: Text, word: str, match: re.Match[str], value: str) -> bool:
    if not value or _NO_VALUE.fullmatch(value.rstrip("]")) or _REFERENCE.match(value):
        return False
    if _speaks_for_itself(text, word, match, value):
        return True
    if match["space"] and match["whole"] not in ("word", "wort", "wd", "pwd"):
        return False
    generated = _UNLIKE_WORDS.search(value) is not None and not _NUMBER.fullmatch(value)
    generated = generated or (word in ("pass", "pwd") and _ODD_CASE.search(value) is not None)
    long = len(value) >= 16 and not match["space"]
    if len(value) < 6 or " " in value or value.endswith(":"):
        return False
    return (generated or long) and (bool(match["quote"]) or not _CALL.match(value))


def _speaks_for_itself(text: Text, word: str, match: re.Match[str], value: str) -> bool:
    """Whether name and notation leave no doubt, so that any value is taken."""
    start = match.start()
    if match["scheme"]:
        return True
    if match["space"]:
        return word in ("pass", "pwd", "secret") and _FLAG.search(text.lower, max(0, start - 40), start) is not None
    if match["whole"] is None:
        return text.lower[start - 1 : start] in ("_", "-")
    if word == "pwd" and value.startswith(("/", "~", ".")):
        return False
    marked = bool(match["quote"] or match["tag"])
    if word not in (_MILD if marked else _MILD_IN_PROSE):
        return True
    # A variable of the environment.
    return not marked and text.raw[start : match.end("whole")].isupper() and not _NUMBER.fullmatch(value)


def _quoted(text: Text, match: re.Match[str]) -> Range | None:
    """The inside of the quotes that ``match`` opens.

    Dumped JSON inside dumped JSON has its quotes behind 1, 3, 7 … backslashes. An opener behind ``depth`` of
    them is closed by the same, or by those and a multiple of ``2 (depth + 1)`` that belong to the value. A
    quote behind fewer ends a string further out, as in a text that was cut.
    """
    opener = match["quote"]
    depth, quote = len(opener) - 1, opener[-1]
    start = match.end()
    if quote == '"' and depth % 2 == 0 and (depth or text.closes_string(match.end("quote") - 1)):
        return None
    for closer in _CLOSER.finditer(text.raw, start):
        slashes = len(closer[1])
        if quote == "'":
            return start, closer.start()
        if closer[2] == '"' and (slashes < depth or (slashes - depth) % (2 * (depth + 1)) == 0):
            return start, max(closer.start(), closer.end() - 1 - depth)
    return start, len(text.raw)
