"""Secrets known by their own form: tokens of many providers, key blocks, credentials in URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tierlens.capture.redaction.text import START, Range, Text

# How a long word begins where it may be a token, and what may stand before one. The names are the providers' own.
_BEGINNINGS: Final = frozenset(
    re.findall(
        "..",
        "AAAGAKASAIATABCCEAEZGOHRLTNRPMSKbebkcfcsdadcdodte2eyfcfifmfwghgiglgshfjililsnfnpntnvopoypapcplpnpppspupyr8rdrerkru"
        "sbsdshsksnsqtftstvvcwawhxaxkxo",
    )
)
_DOTTED: Final = (
    "ya29.",
    "hvs.",
    "hvb.",
    "hvr.",
    "SG.",
    "sl.",
    "atlasv1.",
    "dt0c01.",
    "dp.pt.",
    "dp.st.",
    "dp.sa.",
    "dp.ct.",
)
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TOKEN: Final = re.compile(
    # Amazon's secret key, where it stands beside the key's id, as in its own tables.
    r"(?:A[KS]IA[0-9A-Z]{16}(?!\w)(?:[\s,;:|]{1,6}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=]))?"
    r"|ABSK[A-Za-z0-9+/]{60,}+={0,2}|bedrock-api-key-[A-Za-z0-9+/]{60,}+={0,2}"
    r"|AIza[\w-]{30,}+|GOOG1E[0-9A-Z]{30,}+"
    r"|eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+){0,3}"
    r"|(?:ya29|hv[sbr]|dp\.[a-z]{2})\.[\w.-]{20,}+|(?:sl|atlasv1|dt0c01)\.[\w.-]{60,}+"
    r"|SG\.[\w-]{16,}+\.[\w-]{16,}+"
    r"|(?:dapi|dose|SK)[0-9a-f]{32}(?:-\d)?(?!\w)|sk_[0-9a-f]{40,64}(?!\w)|(?:fc-[0-9a-f]{32}|pul-[0-9a-f]{40})(?!\w)"
    r"|xox[a-z](?:\.xox[a-z])?-[\w-]{10,}+"
    r"|gl[a-z]{2,6}-[\w-]{16,}+(?:\.[0-9a-z]{2}\.[0-9a-z]{7,9})?(?!\w)"
    r"|[sr]k_(?:org_)?(?:live|test)_\w{16,}+"
    r"|(?:GOCSPX|xapp|pypi|xai|pplx|tvly|sq0[a-z]{3}|sk|csk|nvapi|tskey|xkeysib|PMAK|NRAK)-[\w-]{16,}+"
    r"|(?:gh[pousr]|github_pat|hf|npm|whsec|do[opr]_v1|shp[a-z]{2}|lsv2|gsk|pcsk)_\w{16,}+"
    r"|(?:dckr_[op]at|lin_api|figd|sntry[su]|sb_secret|pscale_(?:tkn|pw|oauth)|CCIPAT|pylf_v1|rubygems)_[\w-]{20,}+"
    r"|(?:gl(?:sa|c)|ntn|sbp|nfp|vcp|sq[apu]|wandb_v1|jina|e2b|tfp|pnu|rdme|bkua|cf[ua]t)_[A-Za-z0-9]{30,}+(?:_\w++)?"
    r"|(?:fw|r8)_[A-Za-z0-9]{20,}+(?!\w)|re_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}+|fm[12]_[\w+/=-]{60,}+|pa-[\w-]{43}(?![\w-])"
    rf"|(?:HRKU|sdk|pat-[a-z]{{2}}\d)-{_UUID}"
    r"|A(?:TATT3|TCTT3|TBB|KCp)[\w=-]{20,}+|ops_eyJ[\w-]{60,}+|AGE-SECRET-KEY-1[0-9A-Z]{50,}+"
    r"|(?<=\d:)AA[\w-]{32,35}(?![\w-])|EAA[A-Z][A-Za-z0-9]{50,}+|EZ[AT]K[A-Za-z0-9]{54}(?!\w)"
    r"|(?:LTAI[A-Za-z0-9]{20}|AKID[A-Za-z0-9]{32}|oy2[a-z0-9]{43})(?!\w))",
    re.ASCII,
)
_AZURE: Final = re.compile(START + r"[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~])", re.ASCII)

_KEY_BLOCK: Final = re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END: Final = re.compile(r"-----END [A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?-----")
_KEY_REST: Final = re.compile(r"(?:[A-Za-z0-9+/=\s:,.()-]|\\++[nrt])*+")

_USER_INFO: Final = re.compile(r"://([^\s/?#\"'\\<>:@]{0,256}+:[^\s/?#\"'\\<>]{1,256})@")
_HOOK: Final = re.compile(r"://hooks\.slack\.com/(?:services|workflows)/([\w/-]{16,}+)", re.ASCII)
_SIGNATURE: Final = re.compile(r"sig(?:nature)?=((?=[^&]{0,400}\d)[\w%/+=-]{20,400}+)", re.ASCII)
_USER: Final = re.compile(
    r"curl(?:\s[^\n]{0,200}?)?\s-(?:u|-user)[ =]\s{0,4}[\"']?[\w.@+-]{1,64}:(?!\$)([^\s\"'\\]{4,256})", re.ASCII
)
_BEARER: Final = re.compile(r"bearer\s{1,4}((?=[a-z._~+/=-]{0,200}\d)[\w.~+/=-]{8,}+)", re.ASCII)


def tokens(text: Text) -> Iterator[Range]:
    """What is a secret wherever it stands."""
    yield from _known(text)
    if "~" in text.raw:
        for at in text.positions("Q~"):
            if match := _AZURE.search(text.raw, max(0, at - 4), at + 40):
                yield match.span()
    for start in text.positions("://"):
        if match := _USER_INFO.match(text.raw, start) or _HOOK.match(text.raw, start):
            yield match.span(1)
    for start in text.positions("curl "):
        if match := _USER.match(text.raw, start):
            yield match.span(1)
    if "&" in text.raw:
        for start in text.positions("sig", lower=True):
            if match := _SIGNATURE.match(text.lower, start):
                yield match.span(1)
    if text.has_digits:
        for start in text.positions("bearer", lower=True):
            if match := _BEARER.match(text.lower, start):
                yield match.span(1)
    yield from _key_blocks(text)


def _known(text: Text) -> Iterator[Range]:
    raw, done = text.raw, 0
    for start, end in text.long_words():
        plain = raw[start : start + 2] not in _BEGINNINGS and raw[start - 1 : start] not in ("\\", ".")
        if (plain and raw.find("-", start, end) < 0) or not text.looks_generated(start, end):
            continue
        for begin in _beginnings(raw, start, end):
            match = _TOKEN.match(raw, begin) if begin >= done else None
            if match:
                done = match.end()
                yield match.span()


def _beginnings(raw: str, start: int, end: int) -> Iterator[int]:
    """Where in a long word a token may begin: at its beginning, behind an escape or a hyphen; or before it."""
    before = raw[start - 1 : start]
    if before == "\\":
        start += 1
    elif before == ".":
        yield from (start - len(known) for known in _DOTTED if raw.endswith(known, 0, start))
    while start >= 0:
        if raw[start : start + 2] in _BEGINNINGS:
            yield start
        start = raw.find("-", start, end) + 1 or -1


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
