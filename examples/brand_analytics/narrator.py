"""Claude, asked to word what an agent has computed; the figures are there before it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage

from .panel import SIMULATED
from .state import Figures, State

HANDBOOK: Final = (Path(__file__).parent / "handbook.md").read_text("utf-8")


class Narrator:
    """Words figures through a chat model."""

    def __init__(self, llm: BaseChatModel) -> None:
        self._llm = llm

    def word(self, role: str, state: State, figures: Figures, context: str = "") -> str:
        """A short paragraph on ``figures``, in answer to the state's question."""
        messages = [_system(role), HumanMessage(_task(state, figures, context))]
        return str(self._llm.invoke(messages).text).strip()


def _system(role: str) -> SystemMessage:
    """The handbook comes first and is the same for all agents, so that Claude caches it once for all."""
    handbook = {"type": "text", "text": HANDBOOK, "cache_control": {"type": "ephemeral"}}
    return SystemMessage([handbook, {"type": "text", "text": role}])


def _task(state: State, figures: Figures, context: str) -> str:
    lines = [f"- {name}: {_plain(value)}" for name, value in figures.items()]
    parts = [
        f"Question: {state['question']}",
        f"Brand: {state['brand']}. {SIMULATED}",
        "Figures (computed; use them as they are):\n" + "\n".join(lines),
    ]
    if context:
        parts.append(f"Notes (cite them by their id in brackets):\n{context}")
    return "\n\n".join(parts)


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return str(value)
