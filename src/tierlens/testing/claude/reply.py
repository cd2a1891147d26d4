"""What a responder gives back, and the hooks to write one's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tierlens.testing.claude.request import MessagesRequest


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one of the request's tools; ``input`` should fit its schema."""

    name: str
    input: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's turn before ``stop_sequences`` and ``max_tokens`` cut it.

    Attributes:
        text: the answer; may be empty beside tool calls.
        tool_calls: in order, after the text.
        thinking: what comes first where the request asked for thinking; "" lets the endpoint write a line.
    """

    text: str = ""
    tool_calls: Sequence[ToolCall] = ()
    thinking: str = ""


Responder = Callable[[MessagesRequest], Reply]
"""Answers a request; the same request must get the same reply. An exception becomes a 500."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Answers requests whose texts match every pattern given (``re.search``, case ignored).

    Attributes:
        reply: a Reply, its text, or a function of the request.
        user: pattern for the last user turn and its tool results.
        system: pattern for the system prompt.
        model: pattern for the model's name.
    """

    reply: Reply | str | Responder
    user: str = ""
    system: str = ""
    model: str = ""

    def matches(self, request: MessagesRequest) -> bool:
        """Whether this rule answers ``request``."""
        pairs = (
            (self.user, request.user_text),
            (self.system, request.system_text),
            (self.model, request.model),
        )
        return all(re.search(pattern, text, re.IGNORECASE) for pattern, text in pairs)

    def answer(self, request: MessagesRequest) -> Reply:
        """The reply to a request that matches."""
        if isinstance(self.reply, str):
            return Reply(self.reply)
        return self.reply if isinstance(self.reply, Reply) else self.reply(request)


def by_rules(rules: Sequence[Rule], otherwise: Responder) -> Responder:
    """A responder that asks the first rule that matches, else ``otherwise``."""

    def respond(request: MessagesRequest) -> Reply:
        rule = next((rule for rule in rules if rule.matches(request)), None)
        return rule.answer(request) if rule else otherwise(request)

    return respond
