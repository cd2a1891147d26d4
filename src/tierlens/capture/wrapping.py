"""``wrap``: recording put around what has no decorator and no callback."""

from __future__ import annotations

from typing import TypeVar

from tierlens.capture.anthropic import is_client, wrap_client
from tierlens.capture.compressors import is_compressor, wrap_compressor

Target = TypeVar("Target")


def wrap(target: Target) -> Target:
    """A copy of ``target``, of the same type, whose work is recorded; ``target`` itself stays as it is.

    Args:
        target: a client of the anthropic package (``Anthropic``, ``AsyncAnthropic``, those for Bedrock and
            Vertex), whose calls become CHAT_MODEL spans; or a LangChain document compressor, whose compressions
            become RERANKER spans.

    Raises:
        TypeError: it is neither.
    """
    if is_client(target):
        return wrap_client(target)
    if is_compressor(target):
        return wrap_compressor(target)
    raise TypeError(
        "tierlens.wrap takes a client of the anthropic package or a LangChain document compressor, "
        f"not {type(target).__name__}"
    )
