"""Chat messages as MLflow renders them: ``{role, content}`` with string content and OpenAI-shaped tool calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tierlens.capture.shapes import fields

ROLES = {"human": "user", "ai": "assistant", "system": "system"} | {
    "AIMessageChunk": "assistant",
    "HumanMessageChunk": "user",
}
_TEXT = frozenset({"text", "input_text", "output_text"})
_CALLS = frozenset({"tool_use", "tool_call", "function_call", "input_json_delta"})
# Run by the provider: nobody answers them, and they are part of what was said.
_SERVED = frozenset({"server_tool_use", "server_tool_call", "mcp_tool_use"})
_TOLD = ("title", "url", "text", "stdout", "stderr", "error_code")


def is_message(value: object) -> bool:
    """Whether ``value`` looks like a LangChain message."""
    # Its fields are read from where pydantic keeps them: asking for one that is not there costs 3 µs.
    try:
        fields = value.__dict__
        return "additional_kwargs" in fields and "content" in fields and "type" in fields
    except Exception:  # an object without fields, or one that raises when it is asked
        return False


def as_message(value: Any) -> dict[str, object]:
    """A LangChain message, ``{role, content}`` mapping, ``(role, content)`` tuple or string as a chat message."""
    fields = getattr(value, "__dict__", None)
    if fields and "type" in fields and "content" in fields:
        return _from_fields(fields)
    if isinstance(value, str):
        return {"role": "user", "content": value}
    if isinstance(value, Mapping):
        return _from_mapping(value)
    if isinstance(value, tuple | list) and len(value) == 2:
        return {"role": ROLES.get(str(value[0]), str(value[0])), "content": content_text(value[1])}
    return {"role": "user", "content": str(value)}


def _from_fields(fields: dict[str, Any]) -> dict[str, object]:
    kind, content = fields["type"], fields["content"]
    out: dict[str, object] = {"role": ROLES.get(kind) or fields.get("role") or kind, "content": content}
    if type(content) is not str:
        out["content"] = content_text(content)
        if thoughts := thinking(content):
            out["thinking"] = thoughts
    if name := fields.get("name"):
        out["name"] = name
    if kind != "human" and kind != "system":
        if calls := fields.get("tool_calls"):
            out["tool_calls"] = [tool_call(call) for call in calls]
        if call_id := fields.get("tool_call_id"):
            out["tool_call_id"] = call_id
    return out


def _from_mapping(value: Mapping[str, Any]) -> dict[str, object]:
    role = value.get("role") or value.get("type") or "user"
    content = value.get("content", "")
    out: dict[str, object] = {"role": ROLES.get(str(role), role), "content": content_text(content)}
    for key in ("name", "tool_calls", "tool_call_id"):
        if value.get(key):
            out[key] = value[key]
    if blocks := _calls_in(content):
        out.setdefault("tool_calls", [tool_call(block) for block in blocks])
    if thoughts := thinking(content):
        out["thinking"] = thoughts
    return out


def content_text(content: object) -> str:
    """The text of a message's content: a string, or the text of its blocks, with a word for each other block."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, Sequence):
        return str(content)
    return "\n".join(part for part in map(_block_text, content) if part)


def _block_text(block: object) -> str:
    if isinstance(block, str):
        return block
    if not isinstance(block, Mapping):
        return str(getattr(block, "text", "") or "")
    kind = block.get("type", "text")
    if kind in _TEXT:
        return str(block.get("text", ""))
    if kind == "tool_result":
        return content_text(block.get("content"))
    if kind in _CALLS or "thinking" in str(kind) or kind == "reasoning":
        return ""
    if kind in _SERVED:
        return f"[{block.get('name') or kind} {_arguments(block)}]"
    if _is_found(kind):
        return f"[{kind}] {_result_text(block.get('content'))}".rstrip()
    return f"[{kind}{_source_note(block)}]"


def _is_found(kind: object) -> bool:
    return kind == "compaction" or str(kind).endswith("_tool_result")


def spoken_text(content: object) -> str:
    """The text of a message's content without what the provider's tools were asked and found."""
    if not isinstance(content, list):
        return content_text(content)
    kinds = ((block, block.get("type") if isinstance(block, Mapping) else None) for block in content)
    return content_text([block for block, kind in kinds if kind not in _SERVED and not _is_found(kind)])


def _result_text(content: object) -> str:
    """What a tool of the provider's found: texts, titles and addresses, and nothing that is encrypted."""
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        return "\n".join(filter(None, map(_result_text, content)))
    found = fields(content)
    told = [text for name in _TOLD if isinstance(text := found.get(name), str) and text]
    return " ".join([*told, *filter(None, [_result_text(found["content"]) if "content" in found else ""])])


def _source_note(block: Mapping[str, Any]) -> str:
    source = block.get("source") or block.get("image_url") or block
    if not isinstance(source, Mapping):
        return ""
    media = source.get("media_type") or source.get("mime_type")
    data = source.get("data") or source.get("base64") or source.get("url") or ""
    if not data:
        return "".join(f" {one}" for one in (media, source.get("file_id")) if one)
    return f" {media or ''} {len(str(data))} characters".replace("  ", " ")


def thinking(content: object) -> str:
    """The text of a message's thinking blocks, "" where there are none."""
    if not isinstance(content, list | tuple):
        return ""
    thoughts = (
        block.get("thinking") or block.get("reasoning") or ""
        for block in content
        if isinstance(block, Mapping) and block.get("type") in ("thinking", "reasoning")
    )
    return "\n".join(str(thought) for thought in thoughts if thought)


def _calls_in(content: object) -> list[Mapping[str, Any]]:
    if not isinstance(content, list | tuple):
        return []
    return [block for block in content if isinstance(block, Mapping) and block.get("type") == "tool_use"]


def tool_call(call: Mapping[str, Any]) -> dict[str, object]:
    """A tool call of LangChain (``args``) or Anthropic (``input``) in OpenAI's shape."""
    return {
        "id": call.get("id") or "",
        "type": "function",
        "function": {"name": call.get("name") or "", "arguments": _arguments(call)},
    }


def _arguments(call: Mapping[str, Any]) -> str:
    arguments = call.get("args", call.get("input", {}))
    if isinstance(arguments, str):
        return arguments
    return orjson.dumps(arguments, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def tool_definition(tool: Mapping[str, Any]) -> dict[str, object]:
    """A tool offered to the model (Anthropic's or OpenAI's shape) as ``mlflow.chat.tools`` wants it."""
    if tool.get("type") == "function" and "function" in tool:
        return dict(tool)
    function = {"name": tool.get("name", ""), "description": tool.get("description", "")}
    if schema := tool.get("input_schema") or tool.get("parameters"):
        function["parameters"] = schema
    return {"type": "function", "function": function}
