"""Tokens of a call whose provider reports none, where ``estimate_tokens`` asks for a guess.

It is LangChain's own: four characters to a token, and three tokens to a message. No tokenizer is loaded, since the
public ones come over the network and fit one provider's models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately

from tierlens.capture.usage import Usage


def estimated(prompt: Sequence[object], replies: Sequence[object]) -> Usage:
    """The tokens of a call, guessed from what was asked and answered."""
    asked = count_tokens_approximately([_message(one, HumanMessage) for one in prompt])
    answered = [count_tokens_approximately([_message(one, AIMessage)], extra_tokens_per_message=0) for one in replies]
    return Usage(input=asked, output=sum(answered))


def _message(found: Any, kind: type[BaseMessage]) -> Any:
    return kind(found) if isinstance(found, str) else found
