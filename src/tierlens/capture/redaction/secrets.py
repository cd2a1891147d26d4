"""Secrets: tokens known by their form, key blocks, credentials in URLs, values of names such as password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tierlens.capture.redaction.text import START, Range, Text

# The providers' own formats. Most are found by a - or _ that a long word follows, which is rare in clean text
# and quick to look for; then what stands before it must be one of their prefixes.
_JOINED: Final = (
    (
        re.compile(r"-(?=[A-Za-z0-9][\w-]{9})", re.ASCII),
        re.compile(START + r"(?:sk|glpat|xox[a-z]|xapp)$", re.ASCII),
        re.compile(r"-(?:[\w-]{16,}+|(?<!sk-)[\w-]{10,}+)", re.ASCII),
    ),
    (
        re.compile(r"_(?=[A-Za-z0-9]{16})"),
        re.compile(START + r"(?:gh[pousr]|github_pat|hf|npm|[sr]k_(?:live|test))$", re.ASCII),
        re.compile(r"_\w{16,}+", re.ASCII),
    ),
)
_LONGEST_PREFIX: Final = 16
_AMAZON_OR_GOOGLE: Final = re.compile(r"A(?:[KS]IA[0-9A-Z]{16}(?!\w)|Iza[\w-]{30,}+)", re.ASCII)
_LITERAL: Final = tuple(
    (literal, re.compile(START + form, re.ASCII))
    for literal, form in (
        ("eyJ", r"eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*+"),
        ("ya29.", r"ya29\.[\w-]{20,}+"),
        ("dapi", r"dapi[0-9a-f]{32}(?!\w)"),
    )
)
_BEARER: Final = re.compile(r"bearer\s{1,4}((?=[a-z._~+/=-]{0,200}\d)[\w.~+/=-]{8,}+)", re.ASCII)

_KEY_BLOCK: Final = re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----")
_KEY_END: Final = re.compile(r"-----END [A-Z ]{0,20}PRIVATE KEY-----")
_KEY_REST: Final = re.compile(r"(?:[A-Za-z0-9+/=\s:,.-]|\\++[nrt])*+")

_USER_INFO: Final = re.compile(r"://([^\s/?#\"'\\<>:@]{0,256}+:[^\s/?#\"'\\<>]{1,256})@")


def secrets(text: Text) -> Iterator[Range]:
    """Everything that opens a door."""
    yield from _tokens(text)
    for start in text.positions("bearer", lower=True):
        if match := _BEARER.match(text.lower, start):
            yield match.span(1)
    for start in text.positions("://"):
        if match := _USER_INFO.match(text.raw, start):
            yield match.span(1)
    yield from _key_blocks(text)
    yield from _named(text)


def _tokens(text: Text) -> Iterator[Range]:
    for joint, prefix, rest in _JOINED:
        done = 0
        for found in joint.finditer(text.raw):
            at = found.start()
            begin = prefix.search(text.raw, max(0, at - _LONGEST_PREFIX), at) if at >= done else None
            match = rest.match(text.raw, at) if begin else None
            if begin and match:
                done = match.end()
                if any(map(str.isdigit, match[0])):
                    yield begin.start(), done
    for match in _AMAZON_OR_GOOGLE.finditer(text.raw):
        yield match.span()
    for literal, pattern in _LITERAL:
        for start in text.positions(literal):
            if match := pattern.match(text.raw, start):
                yield match.span()


def _key_blocks(text: Text) -> Iterator[Range]:
    """PEM private keys, to their END line, or as far as they go where the text was cut."""
    done = 0
    for start in text.positions("-----BEGIN "):
        begin = _KEY_BLOCK.match(text.raw, start) if start >= done else None
        if begin is None:
            continue
        rest = _KEY_REST.match(text.raw, begin.end())
        limit = rest.end() if rest else begin.end()
        end = _KEY_END.search(text.raw, begin.end(), limit)
        done = end.end() if end else limit
        yield start, done


# What may close a name and stand between it and its value, and the quote that opens the value.
_GAP: Final = r"(?:\\*+[\"'])?\s{0,8}(?:=>|:=|[:=])\s{0,8}(?P<quote>\\*+[\"'])?(?P<scheme>)"
_SCHEME: Final = r"(?P<scheme>(?:basic|digest|negotiate)\s{1,4})?"
_NAMED: Final = tuple(
    (word, re.compile(pattern, re.ASCII))
    for word, pattern in (
        ("pass", rf"pass(?:word|wd|phrase|code){_GAP}"),
        ("pwd", rf"pwd{_GAP}"),
        ("secret", rf"secret(?:[_-]?(?:access[_-]?)?key)?{_GAP}"),
        ("credential", rf"credentials?{_GAP}"),
        ("key", rf"key{_GAP}"),
        ("authorization", rf"authorization{_GAP.replace('(?P<scheme>)', _SCHEME)}"),
        ("token", rf"token{_GAP}"),
    )
)
# `key` alone names a dictionary's key far more often than a secret.
_KINDS_OF_KEY: Final = re.compile(
    r"(?:api|access|private|account|secret|encryption|signing|auth|subscription|master)[ _-]?$"
)
# Words of prose and of a model's bookkeeping, of which only what looks generated is taken: for the first two
# always, for the others where no quotes mark them as a name and its value.
_MILD: Final = frozenset({"authorization", "token"})
_MILD_IN_PROSE: Final = _MILD | {"secret", "credential", "key"}
_BARE: Final = re.compile(r"[^\s\"'\\&;<>]{1,4096}+")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.ASCII)
_NO_VALUE: Final = re.compile(r"(?:null|none|nil|true|false|[\[{(\]})]+|\[redacted:\w+)", re.IGNORECASE)
_CLOSER: Final = re.compile(r"""(?<!\\)(\\*+)(["'])""")


def _named(text: Text) -> Iterator[Range]:
    """``password=…``, ``"api_key": "…"``, ``{\\"token\\": \\"…\\"}`` and their like."""
    for word, pattern in _NAMED:
        done = 0
        for start in text.positions(word, lower=True):
            match = pattern.match(text.lower, start) if start >= done else None
            if match is None or (word == "key" and not _is_secret_key(text, start)):
                continue
            found = _quoted(text, match) if match["quote"] else _bare(text, match.end())
            if found:
                done = found[1]
                marked = "scheme" if match["scheme"] else "quotes" if match["quote"] else ""
                if _is_secret(text.raw[slice(*found)], word, marked):
                    yield found


def _is_secret_key(text: Text, start: int) -> bool:
    return _KINDS_OF_KEY.search(text.lower, max(0, start - 14), start) is not None


def _is_secret(value: str, word: str, marked: str) -> bool:
    """``marked``: what tells the name and its value from prose, a scheme, quotes or nothing."""
    if not value or _NO_VALUE.fullmatch(value.rstrip("]")):
        return False
    if marked == "scheme" or word not in (_MILD if marked else _MILD_IN_PROSE):
        return True
    generated = any(map(str.isdigit, value)) and not _NUMBER.fullmatch(value)
    return len(value) >= 6 and (generated or len(value) >= 16) and " " not in value


def _bare(text: Text, start: int) -> Range | None:
    value = _BARE.match(text.raw, start)
    if value is None:
        return None
    number = _NUMBER.match(text.lower, start) if text.between_strings(start) else None
    return number.span() if number else (start, start + len(value[0].rstrip(",.)]}")))


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
