"""What Anthropic refuses with a 400 beyond a wrong shape, said as it says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tierlens.testing.claude.completion import signature
from tierlens.testing.claude.prompt import PromptBlock, as_blocks
from tierlens.testing.claude.refusal import Refusal, invalid
from tierlens.testing.claude.request import Json, MessagesRequest
from tierlens.testing.claude.shape import check_shape

MAX_CACHE_MARKS: Final = 4


def checked(body: Any, *, counting: bool = False) -> MessagesRequest:
    """The request, if nothing is wrong with it; ``counting`` tokens takes no ``max_tokens``.

    Raises:
        Refusal: 400, naming the first thing that is wrong.
    """
    check_shape(body, counting=counting)
    _check_thread(body)
    _check_order(body["messages"])
    _check_signatures(body["messages"])
    _check_tools(body)
    if not counting:
        _check_thinking(body)
    return MessagesRequest(body)


def check_cache_marks(blocks: Sequence[PromptBlock]) -> None:
    """At most four marks, and none for an hour after one for five minutes."""
    marked = [block for block in blocks if block.ttl]
    if len(marked) > MAX_CACHE_MARKS:
        allowed = f"A maximum of {MAX_CACHE_MARKS} blocks with cache_control may be provided."
        raise invalid(f"{allowed} Found {len(marked)}.")
    short = next((at for at, block in enumerate(marked) if block.ttl == "5m"), len(marked))
    for block in marked[short:]:
        if block.ttl == "1h":
            raise invalid(
                f"{block.where}.cache_control.ttl: a ttl='1h' cache_control block must not come after a "
                "ttl='5m' cache_control block. Note that blocks are processed in the following order: "
                "`tools`, `system`, `messages`."
            )


def _check_thread(body: Json) -> None:
    """The endpoint keeps no conversations; told so, the client's tool runner sends all of one with each request."""
    if body.get("thread"):
        details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
        raise Refusal(400, "thread: this endpoint keeps no message threads", details)


def _check_order(messages: Sequence[Json]) -> None:
    """A user begins; every tool_use is answered in the very next turn, and nothing else is."""
    turns = _turns(messages)
    if not turns or turns[0][0] != "user":
        raise invalid('messages: first message must use the "user" role')
    for at, (_, blocks) in enumerate(turns):
        called = _ids(turns[at - 1][1], "tool_use", "id") if at else set()
        answered = _ids(blocks, "tool_result", "tool_use_id")
        if stray := sorted(answered - called):
            raise invalid(
                f"messages.{at}.content: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{stray[0]}. Each `tool_result` block must have a corresponding `tool_use` block in the "
                "previous message."
            )
        if missing := sorted(called - answered):
            raise invalid(
                f"messages.{at - 1}: `tool_use` ids were found without `tool_result` blocks immediately "
                f"after: {', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` "
                "block in the next message."
            )


def _turns(messages: Sequence[Json]) -> list[tuple[str, list[Json]]]:
    """(role, blocks) of user and assistant; neighbours of one role are one turn, as the API takes them."""
    turns: list[tuple[str, list[Json]]] = []
    for message in messages:
        if message["role"] == "system":
            continue
        if turns and turns[-1][0] == message["role"]:
            turns[-1][1].extend(as_blocks(message["content"]))
        else:
            turns.append((message["role"], as_blocks(message["content"])))
    return turns


def _ids(blocks: Sequence[Json], kind: str, member: str) -> set[str]:
    return {block[member] for block in blocks if block["type"] == kind}


def _check_signatures(messages: Sequence[Json]) -> None:
    """Thinking comes back as it was given, or hidden as it was given."""
    for turn, message in enumerate(messages):
        for at, block in enumerate(as_blocks(message["content"])):
            thought = block["thinking"] if block["type"] == "thinking" else ""
            if thought and block["signature"] != signature(thought):
                raise invalid(f"messages.{turn}.content.{at}: Invalid `signature` in `thinking` block")


def _check_tools(body: Json) -> None:
    names = [tool["name"] for tool in body.get("tools") or ()]
    if len(set(names)) != len(names):
        raise invalid("tools: Tool names must be unique.")
    choice = body.get("tool_choice") or {"type": "none"}
    if choice["type"] != "none" and not names:
        raise invalid("tool_choice: tool_choice may only be specified while providing tools.")
    if choice["type"] == "tool" and choice.get("name") not in names:
        raise invalid(f"Tool '{choice.get('name')}' not found in provided tools")


def _check_thinking(body: Json) -> None:
    thinking = body.get("thinking") or {"type": "disabled"}
    if thinking["type"] not in ("enabled", "adaptive"):
        return
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    if body.get("temperature") not in (None, 1):
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
    if thinking["type"] == "adaptive":
        return
    if thinking.get("budget_tokens") is None:
        raise invalid("thinking.enabled.budget_tokens: Field required")
    if thinking["budget_tokens"] >= body["max_tokens"]:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
