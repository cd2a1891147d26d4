"""The first words of a value: for the reader of a reference to it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

from tierlens.capture import payload
from tierlens.capture.messages import is_message
from tierlens.capture.shapes import has

HEAD: Final = 32


def head(value: object) -> str:
    """The first words of a text, of the texts in a list, or of a mapping's names; of anything else, what it is."""
    text = value if isinstance(value, str) else _text_in(value)
    if not isinstance(text, str) or not text:
        return payload.shape(value)
    words = text[:HEAD] if text.isascii() else payload.well_formed(text[:HEAD])
    return words if len(text) <= HEAD else words + "…"


def _text_in(value: object) -> object:
    if isinstance(value, Mapping | list):
        texts = (item if isinstance(item, str) else _message_text(item) for item in islice(value, HEAD))
        return ", ".join(text for text in texts if isinstance(text, str))
    return _message_text(value) or (getattr(value, "page_content", None) if has(value, "page_content") else None)


def _message_text(value: object) -> object:
    return getattr(value, "content", None) if is_message(value) else None
