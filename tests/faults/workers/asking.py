"""A graph whose model does not answer."""

from __future__ import annotations

import threading
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from tests.faults.workers.orders import Orders
from tests.faults.workers.recording import Recording


class State(TypedDict, total=False):
    question: str
    found: str
    answer: str


class SlowModel(BaseChatModel):
    """Answers at once while it is not ``stuck``; then it says that it was asked, and never answers."""

    recording: Any
    stuck: bool = False

    @property
    def _llm_type(self) -> str:
        return "slow"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.stuck:
            self.recording.witness.returned()
            self.recording.receipts.note("asked", prompt=str(messages[-1].content))
            threading.Event().wait()
        return ChatResult(generations=[ChatGeneration(message=AIMessage("42"))])


def graph_of(model: SlowModel) -> Any:
    """Two nodes: one that finds, one that asks the model."""
    graph = StateGraph(State)
    graph.add_node("gap_analyzer", lambda state: {"found": f"for {state['question']}"})
    graph.add_node("explainer", lambda state: {"answer": model.invoke(state["question"]).content})
    graph.add_edge(START, "gap_analyzer")
    graph.add_edge("gap_analyzer", "explainer")
    graph.add_edge("explainer", END)
    return graph.compile()


def stuck_in_a_model_call(orders: Orders, question: str) -> None:
    """Ask once and be answered, ask again and wait for ever."""
    recording = Recording(orders, shipper="external")
    model = SlowModel(recording=recording)
    graph, config = graph_of(model), {"callbacks": [recording.lens.callback(brand="Kisqali")]}
    graph.invoke({"question": "the first"}, config)
    recording.witness.returned()
    model.stuck = True
    graph.invoke({"question": question}, config)
