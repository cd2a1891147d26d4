"""The shape of a request body; members that are not named here are taken as they are."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError

from tierlens.testing.claude.refusal import invalid


def check_shape(body: Any, *, counting: bool) -> None:
    """Whether a body is one of Messages, or of token counting, which needs no ``max_tokens``.

    Raises:
        Refusal: 400 with the path and the fault of the first member that is wrong.
    """
    try:
        (CountingBody if counting else MessagesBody).model_validate(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise invalid(f"{path}: {first['msg']}" if path else "The request body must be an object.") from error


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow")


class CacheControl(_Shape):
    """A mark that ends a cached prefix."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class _Block(_Shape):
    type: str
    cache_control: CacheControl | None = None


class _Text(_Block):
    text: str = Field(min_length=1)


class _Thinking(_Block):
    thinking: str
    signature: str


class _ToolUse(_Block):
    id: str
    name: str
    input: dict[str, Any]


class _Sourced(_Block):
    source: dict[str, Any]


def _as_list(content: Any) -> Any:
    """A string is one text block; a missing tool result is none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [] if content is None else content


def _kind(block: Any) -> str:
    kind = block.get("type") if isinstance(block, dict) else None
    return kind if isinstance(kind, str) and kind in _KINDS else "block"


_KINDS: Final = ("text", "thinking", "tool_use", "tool_result", "image", "document")


class _ToolResult(_Block):
    tool_use_id: str
    content: Annotated[list[Block], BeforeValidator(_as_list)] = []


Block = Annotated[
    Annotated[_Text, Tag("text")]
    | Annotated[_Thinking, Tag("thinking")]
    | Annotated[_ToolUse, Tag("tool_use")]
    | Annotated[_ToolResult, Tag("tool_result")]
    | Annotated[_Sourced, Tag("image")]
    | Annotated[_Sourced, Tag("document")]
    | Annotated[_Block, Tag("block")],
    Discriminator(_kind),
]


class _Message(_Shape):
    role: Literal["user", "assistant", "system"]
    content: Annotated[list[Block], BeforeValidator(_as_list)] = Field(min_length=1)


class _Schema(_Shape):
    type: Literal["object"]
    properties: dict[str, Any] | None = None


class _Tool(_Shape):
    name: str = Field(min_length=1, max_length=128)
    input_schema: _Schema | None = None
    cache_control: CacheControl | None = None


class _ToolChoice(_Shape):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class _ThinkingConfig(_Shape):
    type: str
    budget_tokens: int | None = Field(default=None, ge=1024)


class _OutputFormat(_Shape):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class _OutputConfig(_Shape):
    format: _OutputFormat | None = None


class CountingBody(_Shape):
    """What token counting takes."""

    model: str = Field(min_length=1)
    messages: list[_Message] = Field(min_length=1)
    system: Annotated[list[_Text], BeforeValidator(_as_list)] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    thinking: _ThinkingConfig | None = None
    cache_control: CacheControl | None = None


class MessagesBody(CountingBody):
    """What Messages takes."""

    max_tokens: int = Field(ge=0)
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    output_config: _OutputConfig | None = None
