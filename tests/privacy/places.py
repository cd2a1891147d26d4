"""Every place of a span that can carry text, filled with what a test wants to plant there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import anthropic
from langchain_core.callbacks import dispatch_custom_event
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

import tierlens
from tierlens.capture.otel import span_processor


class State(TypedDict, total=False):
    question: str
    facts: dict[str, Any]
    notes: Annotated[list[str], lambda old, new: [*old, *new]]


class Model(BaseChatModel):
    """Answers with its ``reply``, and calls a tool with it."""

    reply: str
    model_name: str = "scripted"

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "stop": [self.reply]}

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        calls = [{"name": "look_up", "args": {"about": self.reply}, "id": "call-1"}]
        message = AIMessage(self.reply, tool_calls=calls, response_metadata={"note": self.reply})
        return ChatResult(generations=[ChatGeneration(message=message)], llm_output={"note": self.reply})


class Finder(BaseRetriever):
    """Finds one document."""

    content: str
    source: str

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document(page_content=self.content, metadata={"source": self.source}, id=self.source)]


class Trouble(Exception):
    """An error with a local variable, a cause and notes that all say too much."""


@dataclass(frozen=True)
class Panel:
    """A value that has no JSON form of its own."""

    title: str

    def __repr__(self) -> str:
        return f"<panel {self.title}>"


class Places:
    """Runs agents that say ``texts`` wherever text can be said, each place the next one.

    Args:
        meanwhile: called while spans are open.

    Attributes:
        lens: what records them.
        count: how many places were filled.
    """

    def __init__(
        self, lens: tierlens.Lens, client: anthropic.Anthropic, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        self.lens, self._client, self._meanwhile = lens, tierlens.wrap(client), meanwhile
        provider = TracerProvider()
        provider.add_span_processor(span_processor())
        self._tracer = provider.get_tracer("library")
        self._texts: Iterator[str] = iter(())
        self.count = 0

    def fill(self, texts: Sequence[str]) -> None:
        """One trace of every kind, with the texts in turn."""
        self._texts = cycle(texts)
        self._run_graph()
        self._run_functions()

    def _next(self) -> str:
        self.count += 1
        return next(self._texts)

    def _run_graph(self) -> None:
        graph = StateGraph(State)
        nodes = {"talk": self._talk, "search": self._search, "note": self._note, "fail": self._fail}
        for (name, node), before in zip(nodes.items(), (START, *nodes), strict=False):
            graph.add_node(name, node, metadata={"said": self._next()})
            graph.add_edge(before, name)
        graph.add_edge("fail", END)
        handler = self.lens.callback(
            brand="Kisqali",
            kpi=self._next(),
            user=self._next(),
            session=self._next(),
            tags={"said": self._next(), self._next(): "tag"},
        )
        config: Any = {
            "callbacks": [handler],
            "metadata": {"said": self._next(), self._next(): 1},
            "tags": [self._next()],
            "run_name": self._next(),
        }
        state = {"question": self._next(), "facts": {"deep": [{"er": self._next()}], self._next(): 1}, "notes": []}
        with contextlib.suppress(Trouble):
            graph.compile().invoke(state, config)

    def _talk(self, state: State) -> State:
        model = Model(reply=self._next(), model_name=self._next())
        said = model.invoke([SystemMessage(self._next()), HumanMessage([{"type": "text", "text": self._next()}])])
        self._meanwhile()
        return {"notes": [said.text, self._next()]}

    def _search(self, state: State) -> State:
        found = Finder(content=self._next(), source=self._next()).invoke(self._next())
        looked_up = self._next()

        @tool
        def look_up(about: str) -> str:
            """Look it up."""
            return looked_up

        return {"notes": [found[0].page_content, look_up.invoke({"about": self._next()})]}

    def _note(self, state: State) -> State:
        tierlens.metric("contact", self._next())
        tierlens.metric(self._next(), 0.5)
        tierlens.tag("contact", self._next())
        tierlens.tag(self._next(), "x")
        tierlens.artifact(f"{self._next()}.txt", self._next())
        tierlens.artifact("facts.json", {"found": self._next()})
        dispatch_custom_event(self._next(), {"found": self._next()})
        self._ask_claude()
        self._elsewhere()
        return {"notes": []}

    def _ask_claude(self) -> None:
        self._client.messages.create(
            model="claude-sonnet-4-6",
            max_tokens=4_000,
            thinking={"type": "enabled", "budget_tokens": 1_024},
            system=self._next(),
            messages=[{"role": "user", "content": self._next()}],
            metadata={"user_id": self._next()},
            tools=[{"name": "look_up", "description": self._next(), "input_schema": {"type": "object"}}],
        )
        with contextlib.suppress(anthropic.APIError):
            self._client.messages.create(model="", max_tokens=0, messages=[{"role": "user", "content": self._next()}])

    def _elsewhere(self) -> None:
        """A span of another library's, with all that OpenTelemetry lets it carry."""
        link = Link(SpanContext(0xA1, 0xB2, is_remote=True), {"why": self._next(), self._next(): 1})
        attributes = {
            "http.url": self._next(),
            self._next(): 1,
            "names": [self._next()],
            "gen_ai.request.model": self._next(),
        }
        with self._tracer.start_as_current_span(self._next(), links=[link], attributes=attributes) as span:
            span.add_event(self._next(), {"body": self._next(), self._next(): 1})
            span.record_exception(Trouble(self._next()))
            span.set_status(Status(StatusCode.ERROR, self._next()))

    def _fail(self, state: State) -> State:
        try:
            raise KeyError(self._next())
        except KeyError as cause:
            error = Trouble(self._next())
            error.add_note(self._next())
            raise error from cause

    def _run_functions(self) -> None:
        @tierlens.retriever
        def search(query: str) -> list[Document]:
            return [Document(page_content=self._next(), metadata={"note": self._next()})]

        @tierlens.tool
        def tell(panel: Panel) -> dict[str, Any]:
            return {"panel": panel, "bytes": self._next().encode()}

        @tierlens.agent(self._next())
        def work(about: str, *more: Any) -> Iterator[str]:
            search(self._next())
            tell(Panel(self._next()))
            yield self._next()
            raise Trouble(self._next())

        context = self.lens.using(brand="Kisqali", user=self._next(), session=f"{uuid4()} {self._next()}")
        with context, contextlib.suppress(Trouble):
            list(work(self._next(), {"more": self._next()}))
