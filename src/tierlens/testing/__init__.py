"""Public test doubles: an offline Claude endpoint, sinks to look into, a clock to turn."""

from __future__ import annotations

from tierlens.testing.claude import ClaudeEndpoint
from tierlens.testing.clock import FakeClock
from tierlens.testing.sinks import AnswerLost, FlakySink, KnowingSink, MemorySink

__all__ = ["AnswerLost", "ClaudeEndpoint", "FakeClock", "FlakySink", "KnowingSink", "MemorySink"]
