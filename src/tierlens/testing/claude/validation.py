"""What Anthropic refuses with a 400, checked in its order and said in its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tierlens.testing.claude.completion import signature
from tierlens.testing.claude.prompt import PromptBlock, as_blocks
from tierlens.testing.claude.refusal import invalid
from tierlens.testing.claude.request import Json, MessagesRequest

MAX_CACHE_MARKS: Final = 4
MIN_THINKING_BUDGET: Final = 1024
_ROLES: Final = ("user", "assistant", "system")


def checked(body: Any, *, counting: bool = False) -> MessagesRequest:
    """The request, if its shape is right. ``counting`` is for count_tokens, which takes no ``max_tokens``.

    Raises:
        Refusal: 400, naming the first member that is wrong.
    """
    if not isinstance(body, dict):
        raise invalid("Input should be a valid dictionary")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise invalid("model: Field required")
    if not counting:
        _check_limits(body)
    _check_messages(body.get("messages"))
    _check_tools(body)
    if not counting:
        _check_thinking(body)
    return MessagesRequest(body)


def check_cache_marks(blocks: Sequence[PromptBlock]) -> None:
    """At most four marks, and none for an hour after one for five minutes."""
    marked = [block for block in blocks if block.ttl]
    if len(marked) > MAX_CACHE_MARKS:
        raise invalid(
            f"A maximum of {MAX_CACHE_MARKS} blocks with cache_control may be provided. Found {len(marked)}."
        )
    seen_short = False
    for block in marked:
        if block.ttl not in ("5m", "1h"):
            raise invalid(f"{block.where}.cache_control.ephemeral.ttl: Input should be '5m' or '1h'")
        if block.ttl == "1h" and seen_short:
            raise invalid(
                f"{block.where}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
                "cache_control block. Note that blocks are processed in the following order: `tools`, `system`, `messages`."
            )
        seen_short = seen_short or block.ttl == "5m"


def _check_limits(body: Json) -> None:
    limit = body.get("max_tokens")
    if limit is None:
        raise invalid("max_tokens: Field required")
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise invalid("max_tokens: Input should be a valid integer")
    if limit < 0:
        raise invalid("max_tokens: Input should be greater than or equal to 0")
    for name in ("temperature", "top_p"):
        value = body.get(name)
        if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
            raise invalid(f"{name}: range: 0..1")


def _check_messages(messages: Any) -> None:
    if messages is None:
        raise invalid("messages: Field required")
    if not isinstance(messages, list):
        raise invalid("messages: Input should be a valid list")
    if not messages:
        raise invalid("messages: at least one message is required")
    for at, message in enumerate(messages):
        _check_message(f"messages.{at}", message)
    if messages[0]["role"] != "user":
        raise invalid('messages: first message must use the "user" role')
    _check_tool_results(messages)


def _check_message(where: str, message: Any) -> None:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        raise invalid(f"{where}.role: Input should be 'user', 'assistant' or 'system'")
    content = message.get("content")
    if not isinstance(content, str | list):
        raise invalid(f"{where}.content: Input should be a valid string or list")
    for at, block in enumerate(as_blocks(content)):
        _check_block(f"{where}.content.{at}", block)
    if not content and message["role"] == "user":
        raise invalid(f"{where}: user messages must have non-empty content")


def _check_block(where: str, block: Any) -> None:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        raise invalid(f"{where}.type: Field required")
    kind = block["type"]
    required = {
        "text": "text",
        "tool_use": "input",
        "tool_result": "tool_use_id",
        "image": "source",
        "document": "source",
    }
    if kind in required and required[kind] not in block:
        raise invalid(f"{where}.{kind}.{required[kind]}: Field required")
    if kind == "text" and not block["text"]:
        raise invalid("messages: text content blocks must be non-empty")
    if (
        kind == "thinking"
        and block.get("thinking")
        and block.get("signature") != signature(block["thinking"])
    ):
        raise invalid(f"{where}: Invalid `signature` in `thinking` block")


def _check_tool_results(messages: Sequence[Json]) -> None:
    """Every tool_use is answered in the very next turn, and nothing else is."""
    turns = _merged(messages)
    for at, (_, blocks) in enumerate(turns):
        called = _ids(turns[at - 1][1], "tool_use", "id") if at else set()
        answered = _ids(blocks, "tool_result", "tool_use_id")
        if stray := sorted(answered - called):
            raise invalid(
                f"messages.{at}.content: unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(stray)}. "
                "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        if missing := sorted(called - answered):
            raise invalid(
                f"messages.{at - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            )


def _merged(messages: Sequence[Json]) -> list[tuple[str, list[Json]]]:
    """Turns with their blocks; neighbours of one role are one turn, as the API takes them."""
    turns: list[tuple[str, list[Json]]] = []
    for message in messages:
        if turns and turns[-1][0] == message["role"]:
            turns[-1][1].extend(as_blocks(message["content"]))
        else:
            turns.append((message["role"], as_blocks(message["content"])))
    return turns


def _ids(blocks: Sequence[Json], kind: str, member: str) -> set[str]:
    return {str(block.get(member)) for block in blocks if block["type"] == kind}


def _check_tools(body: Json) -> None:
    tools = body.get("tools") or []
    names = []
    for at, tool in enumerate(tools):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            raise invalid(f"tools.{at}.name: Field required")
        schema = tool.get("input_schema")
        if schema is not None and (not isinstance(schema, dict) or schema.get("type") != "object"):
            raise invalid(f"tools.{at}.custom.input_schema.type: Field required")
        names.append(tool["name"])
    if len(set(names)) != len(names):
        raise invalid("tools: Tool names must be unique.")
    _check_tool_choice(body.get("tool_choice"), names)


def _check_tool_choice(choice: Json | None, names: Sequence[str]) -> None:
    if choice is None:
        return
    if choice.get("type") not in ("auto", "any", "tool", "none"):
        raise invalid("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    if not names and choice["type"] != "none":
        raise invalid("tool_choice: tool_choice may only be specified while providing tools.")
    if choice["type"] == "tool" and choice.get("name") not in names:
        raise invalid(f"Tool '{choice.get('name')}' not found in provided tools")


def _check_thinking(body: Json) -> None:
    thinking = body.get("thinking") or {}
    if thinking.get("type") not in ("enabled", "adaptive"):
        return
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    if body.get("temperature") not in (None, 1):
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
    if thinking["type"] == "adaptive":
        return
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int):
        raise invalid("thinking.enabled.budget_tokens: Field required")
    if budget < MIN_THINKING_BUDGET:
        raise invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if budget >= body["max_tokens"]:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
