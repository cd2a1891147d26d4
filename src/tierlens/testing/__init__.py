"""Public test doubles: an offline Claude endpoint, sinks to look into, a clock to turn."""

from __future__ import annotations

from tierlens.testing.claude import ClaudeEndpoint

__all__ = ["ClaudeEndpoint"]
