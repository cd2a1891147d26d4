"""Spans for tests of the journal and of shipping."""

from __future__ import annotations

import hashlib

from hypothesis import strategies as st

from tierlens.spans import Artifact, Event, Invocation, Link, Routing, Span

START_NS = 1_700_000_000_000_000_000
EXPERIMENT = "app/Kisqali"
ROUTING = Routing(EXPERIMENT, "Kisqali")
ROOT = Routing(EXPERIMENT, "Kisqali", root=True)


def span(number: int, *, trace: int = 0, parent: int | None = None, text: str = "", end_ns: int = START_NS + 5) -> Span:
    """A span whose ids are its numbers, and whose one attribute is ``text``."""
    return Span(
        trace_id=f"{trace:032x}",
        span_id=f"{number:016x}",
        parent_id=None if parent is None else f"{parent:016x}",
        name=f"span {number}",
        start_ns=START_NS,
        end_ns=end_ns,
        attributes={"mlflow.spanInputs": text},
    )


def filled(number: int, size: int) -> Span:
    """A span of about ``size`` bytes that says itself whether it is whole."""
    text = f"{number:08d}" * (size // 8)
    return span(number, text=f"{hashlib.sha256(text.encode()).hexdigest()}:{text}")


def is_whole(text: str) -> bool:
    """Whether the text of a ``filled`` span is what was appended."""
    digest, _, rest = text.partition(":")
    return hashlib.sha256(rest.encode()).hexdigest() == digest


texts = st.text(alphabet=st.characters(exclude_categories=()), max_size=40)
values = st.one_of(texts, st.booleans(), st.integers(), st.floats())
attributes = st.dictionaries(texts, values, max_size=6)
times = st.integers(min_value=0, max_value=2**63 - 1)

spans = st.builds(
    Span,
    trace_id=st.binary(min_size=16, max_size=16).map(bytes.hex),
    span_id=st.binary(min_size=8, max_size=8).map(bytes.hex),
    parent_id=st.none() | st.binary(min_size=8, max_size=8).map(bytes.hex),
    name=texts,
    start_ns=times,
    end_ns=times,
    attributes=attributes,
    status=st.sampled_from(["UNSET", "OK", "ERROR"]),
    message=texts,
    events=st.lists(st.builds(Event, texts, times, attributes), max_size=2).map(tuple),
    links=st.lists(st.builds(Link, st.just("a" * 32), st.just("b" * 16), attributes), max_size=2).map(tuple),
)
calls = st.tuples(
    texts,
    texts,
    st.none() | st.floats(0, 2),
    st.none() | st.integers(1, 2**31),
    st.integers(0, 2**62),
    st.dictionaries(st.sampled_from(["input_tokens", "output_tokens"]), st.integers(0, 2**53)),
    st.floats(0, 1),
)
invocations = st.builds(
    Invocation,
    texts,
    st.sampled_from(["per_version", "per_invocation"]),
    texts,
    *[st.lists(calls, max_size=2).map(tuple)] * 2,
)
routings = st.builds(
    Routing,
    experiment=texts,
    brand=texts,
    root=st.booleans(),
    metrics=st.dictionaries(texts, st.one_of(st.floats(), st.booleans(), texts), max_size=3),
    artifacts=st.lists(st.builds(Artifact, texts, texts, st.integers(0, 2**53), texts), max_size=2).map(tuple),
    invocation=st.none() | invocations,
)
