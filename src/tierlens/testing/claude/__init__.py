"""An offline Claude endpoint: Anthropic's Messages API on loopback, deterministic, with a ledger of its own.

Request in, answer out::

    server ─► api ─► messages ─┬─► validation          400s in Anthropic's words
      ▲        │               ├─► prompt, caching     what the input costs
    faults   batches           ├─► responder           answering (default), reply.by_rules, or one's own
      │                        ├─► completion          stop sequences, max_tokens, usage
      └── stream, pace ◄───────┴─► ledger              what was billed
"""

from __future__ import annotations

from tierlens.testing.claude.answering import answer
from tierlens.testing.claude.endpoint import ClaudeEndpoint
from tierlens.testing.claude.faults import Fault
from tierlens.testing.claude.reply import Reply, Responder, Rule, ToolCall, by_rules
from tierlens.testing.claude.request import MessagesRequest

__all__ = [
    "ClaudeEndpoint",
    "Fault",
    "MessagesRequest",
    "Reply",
    "Responder",
    "Rule",
    "ToolCall",
    "answer",
    "by_rules",
]
