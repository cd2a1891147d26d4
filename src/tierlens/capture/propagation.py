"""W3C trace context in and out: a graph that calls another service's graph is one trace.

``traceparent`` names our span. ``tracestate`` names it again, since proxies and instrumented HTTP clients on
the way put spans of their own into ``traceparent``, which MLflow does not hold. ``baggage`` carries for whom:
brand, session, user. The brand, which decides where the trace is stored, stands in ``tracestate`` again: an
instrumented HTTP client puts a ``baggage`` of its own in the place of ours.

https://www.w3.org/TR/trace-context/ and https://www.w3.org/TR/baggage/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

from tierlens.capture import active, current
from tierlens.capture.trace import Context

Headers = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]

MEMBER: Final = "tierlens"
BRAND, SESSION, USER = f"{MEMBER}.brand", f"{MEMBER}.session", f"{MEMBER}.user"
STATE_BRAND: Final = f"{MEMBER}-brand"
LONGEST: Final = 250
# What a vendor may put into one member, https://www.w3.org/TR/trace-context/#value
_MAX_STATE: Final = 256
_MAX_BAGGAGE: Final = 8_192
_TRACEPARENT: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?",
    re.ASCII | re.DOTALL,
)
_OWN: Final = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_SAMPLED: Final = 1


class Remote(NamedTuple):
    """A span in another process that what starts here goes below."""

    trace_id: str
    span_id: str
    sampled: bool


def trace_headers() -> dict[str, str]:
    """Headers for a request to another service, so that what it records joins the trace this code runs in.

    Empty where no span is open. They name brand, session and user: send them to services of your own only.
    """
    recorder = active.recorder()
    here = current.current(recorder) if recorder is not None else None
    if here is None:
        return {}
    trace = here.trace
    ids = f"{trace.trace_id}-{here.span_id}-{'01' if here.recording else '00'}"
    members = ((BRAND, trace.brand), (SESSION, trace.session), (USER, trace.context.user))
    baggage = ",".join(f"{name}={quote(value, safe='', errors='replace')}" for name, value in members if value)
    headers = {"traceparent": f"00-{ids}", "tracestate": f"{MEMBER}={ids}{_brand_member(trace.brand)}"}
    return {**headers, "baggage": baggage} if baggage else headers


def _brand_member(brand: str) -> str:
    value = quote(brand, safe="", errors="replace")
    return f",{STATE_BRAND}={value}" if brand and len(value) <= _MAX_STATE else ""


@contextmanager
def continue_trace(headers: Headers | None) -> Iterator[None]:
    """Have what starts in this block join the trace that a request's headers name.

    Args:
        headers: of the request, names in any case: a mapping, or pairs as ASGI has them. Without a valid
            ``traceparent`` they are ignored, as the specification says, and the block records traces of its own.
    """
    context = _context(_read(headers))
    if context is None:
        yield
        return
    with current.using(context):
        yield


def _context(headers: Mapping[str, list[str]]) -> Context | None:
    tracestate = headers.get("tracestate", [])
    remote = parse(headers.get("traceparent", []), tracestate)
    if remote is None:
        return None
    baggage = parse_baggage(headers.get("baggage", []))
    return Context(
        brand=_known(baggage.get(BRAND) or _stated_brand(tracestate)),
        session=baggage.get(SESSION),
        user=baggage.get(USER),
        remote=(remote.trace_id, remote.span_id),
        sampled=remote.sampled,
    )


def _known(brand: str | None) -> str | None:
    """A brand that a request names, if it is one that may be recorded under: anyone can send a header."""
    recorder = active.recorder()
    brands = recorder.policies.brands if recorder is not None else ()
    return brand if not brands or brand in brands else None


def parse(traceparent: list[str], tracestate: list[str]) -> Remote | None:
    """The span that ``traceparent`` and ``tracestate`` header values name, or None where they are invalid."""
    found = _TRACEPARENT.fullmatch(traceparent[0]) if len(traceparent) == 1 else None
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["rest"]):
        return None
    if not _is_set(found["trace"], found["span"]):
        return None
    # Whether a foreign caller keeps its own spans says nothing of ours.
    return _own(tracestate) or Remote(found["trace"], found["span"], sampled=True)


def _members(tracestate: list[str]) -> Iterator[tuple[str, str]]:
    for member in ",".join(tracestate).split(","):
        key, _, value = member.strip(" \t").partition("=")
        yield key, value


def _stated_brand(tracestate: list[str]) -> str | None:
    return next((_decoded(value) for key, value in _members(tracestate) if key == STATE_BRAND and value), None)


def _own(tracestate: list[str]) -> Remote | None:
    for key, value in _members(tracestate):
        found = _OWN.fullmatch(value) if key == MEMBER else None
        if found is not None and _is_set(found[1], found[2]):
            return Remote(found[1], found[2], bool(int(found[3], 16) & _SAMPLED))
    return None


def _is_set(trace_id: str, span_id: str) -> bool:
    return int(trace_id, 16) != 0 and int(span_id, 16) != 0


def parse_baggage(values: list[str]) -> dict[str, str]:
    """Our members of ``baggage`` header values, decoded; what is too long or not UTF-8 is left out."""
    joined = ",".join(values)
    if len(joined) > _MAX_BAGGAGE:
        return {}
    found: dict[str, str] = {}
    for member in joined.split(","):
        key, _, value = member.partition(";")[0].partition("=")
        if (name := key.strip(" \t")).startswith(MEMBER) and (text := _decoded(value.strip(" \t"))):
            found.setdefault(name, text)
    return found


def _decoded(value: str) -> str | None:
    try:
        text = unquote(value, errors="strict")
    except UnicodeDecodeError:
        return None
    return text if len(text) <= LONGEST and text.isprintable() else None


def _read(headers: Headers | None) -> dict[str, list[str]]:
    """The headers of the three names, lower-cased; nothing of what has not the shape of headers."""
    found: dict[str, list[str]] = {}
    try:
        given: Any = headers or ()
        for name, value in given.items() if hasattr(given, "items") else given:
            if (key := _text(name).strip().lower()) in ("traceparent", "tracestate", "baggage"):
                found.setdefault(key, []).append(_text(value).strip(" \t"))
    except (TypeError, ValueError):
        return {}
    return found


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
