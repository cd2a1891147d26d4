"""Secrets: what is one by its own form, and what a name such as password announces."""

from __future__ import annotations

from collections.abc import Iterator

from tierlens.capture.redaction.named import named
from tierlens.capture.redaction.text import Range, Text
from tierlens.capture.redaction.tokens import tokens


def secrets(text: Text) -> Iterator[Range]:
    """Everything that opens a door."""
    yield from tokens(text)
    yield from named(text)
