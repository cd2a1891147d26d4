"""The default responder: short, readable answers made of the request's own words and figures, the same every time."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import orjson

from tierlens.testing.claude import reading
from tierlens.testing.claude.reply import Reply, ToolCall
from tierlens.testing.claude.request import Json, MessagesRequest
from tierlens.testing.claude.schema_filling import fill

MAX_FIGURES: Final = 6
MAX_SENTENCES: Final = 3
_CLOSINGS: Final = (
    "I would act on these figures and check them again next month.",
    "The figures point one way, so I would keep the plan and watch them.",
    "I would treat this as a first reading until another month of data is in.",
    "Before money is moved I would have a second analyst confirm these figures.",
)


def answer(request: MessagesRequest) -> Reply:
    """Calls a tool where the request forces one or clearly asks for one, else answers in the form it wants."""
    call = tool_call(request)
    thinking = _thinking(request) if request.thinks else ""
    if call is not None:
        return Reply(tool_calls=(call,), thinking=thinking)
    schema = request.output_schema
    if schema is not None:
        return Reply(orjson.dumps(_filled(schema, request)).decode(), thinking=thinking)
    return Reply(text_answer(request), thinking=thinking)


def tool_call(request: MessagesRequest) -> ToolCall | None:
    """The call ``tool_choice`` demands; under "auto" the call of a tool whose words the user's turn has, once."""
    choice, tools = request.tool_choice, request.tools
    if not tools or choice["type"] == "none":
        return None
    if choice["type"] == "tool":
        chosen = next((tool for tool in tools if tool["name"] == choice["name"]), None)
    else:
        best = max(tools, key=lambda tool: _fit(tool, request.user_text))
        wanted = not request.tool_results and _fit(best, request.user_text) > 0
        chosen = best if choice["type"] == "any" or wanted else None
    return ToolCall(chosen["name"], _filled(chosen["input_schema"], request)) if chosen else None


def text_answer(request: MessagesRequest) -> str:
    """The role from the system prompt, the figures and figure-bearing sentences of the user's turn, a closing line."""
    role = reading.role(request.system_text)
    opening = f"As {role}, this is how I read it." if role else "This is how I read it."
    body = _figure_sentences(request.user_text) or [_about(request.user_text)]
    return " ".join([opening, *body, _closing(request)])


def _figure_sentences(text: str) -> list[str]:
    figures = reading.labelled_figures(text)[:MAX_FIGURES]
    said = [f"{figure.label} is {figure.shown}" for figure in figures]
    restated = [_sentence(reading.listed(said[at : at + 3])) for at in range(0, len(said), 3)]
    quoted = [one for one in reading.sentences(text) if any(mark.isdigit() for mark in one)]
    return [*restated, *(_sentence(one) for one in quoted[:MAX_SENTENCES])]


def _about(text: str) -> str:
    found = reading.sentences(text)
    subject = found[0][:200] if found else text.strip()[:200]
    return (
        f"You gave me no figures, so I go by your words: {subject.rstrip('.!?')}."
        if subject
        else "You gave me nothing."
    )


def _closing(request: MessagesRequest) -> str:
    digest = hashlib.sha256(
        (request.system_text + "\x00" + request.user_text).encode("utf-8", "replace")
    ).digest()
    return _CLOSINGS[digest[0] % len(_CLOSINGS)]


def _thinking(request: MessagesRequest) -> str:
    figures = reading.numbers(request.user_text)
    return (
        f"The request gives {len(figures)} figures and offers {len(request.tools)} tools. "
        f"{_about(request.user_text) if not figures else 'I weigh the figures first and then answer in plain words.'}"
    )


def _filled(schema: Json, request: MessagesRequest) -> Any:
    return fill(schema, request.user_text, request.system_text)


def _fit(tool: Json, text: str) -> int:
    """How well a tool fits a text: words of its name count three times, two or more of its description once each."""
    described = reading.overlap(text, str(tool.get("description", "")), 5)
    return 3 * reading.overlap(text, tool["name"], 4) + (described if described >= 2 else 0)


def _sentence(text: str) -> str:
    closed = text if text.endswith((".", "!", "?")) else f"{text}."
    return closed[:1].upper() + closed[1:]
