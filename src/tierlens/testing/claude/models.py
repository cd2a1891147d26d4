"""The models the endpoint lists, with their documented minimum lengths for prompt caching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

DEFAULT_MIN_CACHEABLE_TOKENS: Final = 1024


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of ``GET /v1/models``. ``released`` is an RFC 3339 date; the limits are in tokens."""

    id: str
    display_name: str
    released: str
    line: str
    min_cacheable_tokens: int = DEFAULT_MIN_CACHEABLE_TOKENS
    max_input_tokens: int = 200_000
    max_tokens: int = 64_000

    def to_wire(self) -> dict[str, Any]:
        """The body Anthropic answers with."""
        return {
            "type": "model",
            "id": self.id,
            "display_name": self.display_name,
            "created_at": f"{self.released}T00:00:00Z",
            "lifecycle": "active",
            "line": self.line,
            "max_input_tokens": self.max_input_tokens,
            "max_tokens": self.max_tokens,
        }


MODELS: Final = (
    Model("claude-opus-5", "Claude Opus 5", "2026-06-01", "opus", 512, 1_000_000, 128_000),
    Model("claude-sonnet-5", "Claude Sonnet 5", "2026-06-01", "sonnet", 1024, 1_000_000, 128_000),
    Model("claude-opus-4-8", "Claude Opus 4.8", "2026-05-01", "opus", 1024, 1_000_000, 128_000),
    Model("claude-opus-4-7", "Claude Opus 4.7", "2026-04-01", "opus", 2048, 1_000_000, 128_000),
    Model("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-17", "sonnet", 1024, 1_000_000),
    Model("claude-opus-4-6", "Claude Opus 4.6", "2026-02-05", "opus", 4096, 1_000_000, 128_000),
    Model("claude-opus-4-5", "Claude Opus 4.5", "2025-11-24", "opus", 4096),
    Model("claude-haiku-4-5", "Claude Haiku 4.5", "2025-10-15", "haiku", 4096),
    Model("claude-sonnet-4-5", "Claude Sonnet 4.5", "2025-09-29", "sonnet"),
)


def find(name: str) -> Model | None:
    """The listed model that ``name`` is or is a dated snapshot of (``claude-sonnet-4-5-20250929``), or None."""
    for model in MODELS:
        suffix = name.removeprefix(model.id)
        if name.startswith(model.id) and (not suffix or (suffix[0] == "-" and len(suffix) == 9)):
            return model
    return None


def min_cacheable_tokens(name: str) -> int:
    """The shortest prefix of ``name`` that is cached; unlisted models take the usual 1,024 tokens."""
    model = find(name)
    return model.min_cacheable_tokens if model else DEFAULT_MIN_CACHEABLE_TOKENS
