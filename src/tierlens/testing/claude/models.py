"""The models the endpoint lists, with the minimum lengths documented for prompt caching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

DEFAULT_MIN_CACHEABLE_TOKENS: Final = 1024
_SNAPSHOT: Final = len("-20250929")


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of ``GET /v1/models``."""

    id: str
    display_name: str
    line: str
    min_cacheable_tokens: int = DEFAULT_MIN_CACHEABLE_TOKENS
    lifecycle: str = "active"

    def to_wire(self) -> dict[str, Any]:
        """The body Anthropic answers with; its epoch date stands for an unknown one."""
        return {
            "type": "model",
            "id": self.id,
            "display_name": self.display_name,
            "created_at": "1970-01-01T00:00:00Z",
            "lifecycle": self.lifecycle,
            "line": self.line,
        }


MODELS: Final = (
    Model("claude-opus-5-5", "Claude Opus 5.5", "opus"),
    Model("claude-sonnet-5-5", "Claude Sonnet 5.5", "sonnet"),
    Model("claude-haiku-5-5", "Claude Haiku 5.5", "haiku"),
    Model("claude-opus-5", "Claude Opus 5", "opus", 512),
    Model("claude-sonnet-5", "Claude Sonnet 5", "sonnet"),
    Model("claude-opus-4-8", "Claude Opus 4.8", "opus"),
    Model("claude-opus-4-7", "Claude Opus 4.7", "opus", 2048),
    Model("claude-sonnet-4-6", "Claude Sonnet 4.6", "sonnet"),
    Model("claude-opus-4-6", "Claude Opus 4.6", "opus", 4096),
    Model("claude-opus-4-5", "Claude Opus 4.5", "opus", 4096),
    Model("claude-haiku-4-5", "Claude Haiku 4.5", "haiku", 4096),
    Model("claude-sonnet-4-5", "Claude Sonnet 4.5", "sonnet", lifecycle="deprecated"),
)


def find(name: str) -> Model | None:
    """The listed model of that name or with that dated snapshot (``claude-haiku-4-5-20251001``), or None."""
    for model in MODELS:
        rest = name.removeprefix(model.id)
        if name.startswith(model.id) and (not rest or (rest[0] == "-" and len(rest) == _SNAPSHOT)):
            return model
    return None


def min_cacheable_tokens(name: str) -> int:
    """The shortest prefix that the model caches; unlisted models take the usual 1,024 tokens."""
    model = find(name)
    return model.min_cacheable_tokens if model else DEFAULT_MIN_CACHEABLE_TOKENS
