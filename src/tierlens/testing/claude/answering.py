"""The default responder: short, readable answers from the request's own words and figures."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import orjson

from tierlens.testing.claude import reading
from tierlens.testing.claude.reply import Reply, ToolCall
from tierlens.testing.claude.request import Json, MessagesRequest
from tierlens.testing.claude.schema_filling import fill

MAX_FACTS: Final = 6
MAX_QUOTES: Final = 3
MAX_NOTES: Final = 2
MAX_CHARACTERS_READ: Final = 50_000
_CLOSINGS: Final = (
    "I would act on these figures and check them again next month.",
    "I would keep the plan as it is and watch these figures.",
    "I would treat this as a first reading until another month of data is in.",
    "Before money is moved I would have a second analyst confirm this.",
)


def answer(request: MessagesRequest) -> Reply:
    """Calls a tool where the request forces or clearly asks for one, else answers in the form it wants."""
    call = tool_call(request)
    thinking = _thinking(request) if request.thinks else ""
    if call is not None:
        return Reply(tool_calls=(call,), thinking=thinking)
    schema = request.output_schema
    if schema is not None:
        return Reply(orjson.dumps(_filled(schema, request)).decode(), thinking=thinking)
    return Reply(text_answer(request), thinking=thinking)


def tool_call(request: MessagesRequest) -> ToolCall | None:
    """The call that ``tool_choice`` demands; under "auto" one of the tool whose words the user's turn has.

    Under "auto" a turn that brings tool results gets no further call, so that agent loops end.
    """
    choice, tools = request.tool_choice, request.tools
    if not tools or choice["type"] == "none":
        return None
    if choice["type"] == "tool":
        chosen = next((tool for tool in tools if tool["name"] == choice["name"]), None)
        return _call(chosen, request) if chosen else None
    asked = reading.plain(_asked(request))
    best = max(tools, key=lambda tool: _fit(tool, asked))
    wanted = not request.tool_results and _fit(best, asked) > 0
    return _call(best, request) if choice["type"] == "any" or wanted else None


def text_answer(request: MessagesRequest) -> str:
    """The system prompt's role, the facts, figures and notes of the user's turn, a closing line."""
    role, asked = reading.role(request.system_text), _asked(request)
    opening = f"As {role}, this is how I read it." if role else "This is how I read it."
    body = [*_facts(asked), *_notes(asked)] or [_about(asked)]
    return " ".join([opening, *body, _closing(request)])


def _asked(request: MessagesRequest) -> str:
    return request.user_text[:MAX_CHARACTERS_READ]


def _call(tool: Json, request: MessagesRequest) -> ToolCall:
    return ToolCall(tool["name"], _filled(tool["input_schema"], request))


def _filled(schema: Json, request: MessagesRequest) -> Any:
    return fill(schema, _asked(request), request.system_text[:MAX_CHARACTERS_READ])


def _fit(tool: Json, plain_text: str) -> int:
    """Words of the tool's name in the text count three times, two or more of its description's once each."""
    described = reading.overlap(plain_text, str(tool.get("description", "")), 5)
    return 3 * reading.overlap(plain_text, tool["name"], 4) + (described if described >= 2 else 0)


def _facts(text: str) -> list[str]:
    """The facts of a list, or else labelled figures and sentences with figures, restated three to a sentence."""
    facts = reading.listed_facts(text)
    pairs = facts or [(figure.label, figure.shown) for figure in reading.labelled_figures(text)]
    said = [f"{label} is {value}" for label, value in pairs[:MAX_FACTS] if "," not in value]
    restated = [reading.listed(said[at : at + 3]) for at in range(0, len(said), 3)]
    lists = [f"{label}: {value}" for label, value in pairs[:MAX_FACTS] if "," in value]
    quoted = [] if facts else [one for one in reading.sentences(text) if _has_figure(one)]
    return [_sentence(one) for one in (*restated, *lists, *quoted[:MAX_QUOTES])]


def _notes(text: str) -> list[str]:
    """Of the notes that share words with the question, the sentences that share most, each with its note's id."""
    asked = reading.plain(reading.question(text))
    found = []
    for note_id, note in reading.notes(text):
        ranked = [(reading.overlap(asked, one, 4), len(one), one) for one in reading.sentences(note)]
        shared, _, sentence = max(ranked, default=(0, 0, ""))
        if shared:
            found.append((-shared, f"{_sentence(sentence)} [{note_id}]"))
    found.sort(key=lambda pair: pair[0])
    return [cited for _, cited in found[:MAX_NOTES]]


def _has_figure(sentence: str) -> bool:
    return any(mark.isdigit() for mark in sentence) and not sentence.endswith("?")


def _about(text: str) -> str:
    said = [one[:200] for one in reading.sentences(text)]
    subject = f"You say: “{said[0]}” " if said else ""
    return f"{subject}There are no figures to go by."


def _closing(request: MessagesRequest) -> str:
    material = f"{request.system_text}\0{request.user_text}".encode()
    return _CLOSINGS[hashlib.sha256(material).digest()[0] % len(_CLOSINGS)]


def _thinking(request: MessagesRequest) -> str:
    figures, tools = len(reading.numbers(_asked(request))), len(request.tools)
    return (
        f"Figures in the request: {figures}; tools on offer: {tools}. "
        "I weigh the figures first, then answer in plain words."
    )


def _sentence(text: str) -> str:
    closed = text if text.endswith((".", "!", "?")) else f"{text}."
    return closed[:1].upper() + closed[1:]
