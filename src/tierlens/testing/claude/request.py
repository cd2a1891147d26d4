"""A Messages API request as a responder sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MessagesRequest:
    """A checked request body, read-only.

    Attributes:
        body: the JSON as it came.
    """

    body: Json

    @property
    def model(self) -> str:
        """The model asked for."""
        return str(self.body["model"])

    @property
    def messages(self) -> Sequence[Json]:
        """The turns, ``{"role", "content"}`` each."""
        turns: Sequence[Json] = self.body["messages"]
        return turns

    @property
    def tools(self) -> Sequence[Json]:
        """The tools the client runs: those with an input schema."""
        return [tool for tool in self.body.get("tools") or () if "input_schema" in tool]

    @property
    def tool_choice(self) -> Json:
        """``{"type": auto | any | tool | none, …}``; auto where nothing was said."""
        choice: Json = self.body.get("tool_choice") or {"type": "auto"}
        return choice

    @property
    def output_schema(self) -> Json | None:
        """The JSON Schema of ``output_config.format`` or the older ``output_format``, if one was given."""
        config = self.body.get("output_config") or {}
        form = config.get("format") or self.body.get("output_format")
        schema: Json | None = form.get("schema") if form and form.get("type") == "json_schema" else None
        return schema

    @property
    def thinks(self) -> bool:
        """Whether thinking blocks were asked for."""
        return (self.body.get("thinking") or {}).get("type") in ("enabled", "adaptive")

    @property
    def system_text(self) -> str:
        """The system prompt, its blocks joined by newlines."""
        return text_of(self.body.get("system") or "")

    @property
    def user_text(self) -> str:
        """The text of the last user turn that has some, and the tool results that the last turn brings."""
        turns = [turn for turn in self.messages if turn["role"] == "user"]
        asked = next((text for turn in reversed(turns) if (text := text_of(turn["content"], "tool_result"))), "")
        results = "\n".join(self.tool_results)
        return "\n".join(filter(None, (asked, results)))

    @property
    def tool_results(self) -> Sequence[str]:
        """The texts of the tool results that the last turn brings."""
        content = self.messages[-1]["content"]
        if isinstance(content, str):
            return []
        return [text_of(block.get("content") or "") for block in content if block["type"] == "tool_result"]


def text_of(content: str | Sequence[Json], but: str = "") -> str:
    """The text of a string or of content blocks, ``but`` those of one type, joined by newlines."""
    if isinstance(content, str):
        return content
    return "\n".join(filter(None, (_block_text(block) for block in content if block["type"] != but)))


def _block_text(block: Json) -> str:
    if block["type"] == "tool_result":
        return text_of(block.get("content") or "")
    if block["type"] == "document":
        source = block.get("source") or {}
        return str(source.get("data", "")) if source.get("type") == "text" else ""
    return str(block.get("text", ""))
