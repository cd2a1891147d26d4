"""Graphs of every shape, for the oracle."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Annotated, Any, TypedDict

from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.cache.memory import InMemoryCache
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import CachePolicy, Command, RetryPolicy, Send
from packaging.version import Version


class State(TypedDict, total=False):
    question: str
    notes: Annotated[list[str], operator.add]


class Model(BaseChatModel):
    """Says ``replies`` in turn, by how many answers the conversation already holds; streams word by word."""

    replies: list[AIMessage]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Model:
        return self

    def _reply(self, messages: list[BaseMessage]) -> AIMessage:
        said = sum(message.type == "ai" for message in messages)
        reply = self.replies[said % len(self.replies)]
        usage = UsageMetadata(input_tokens=7, output_tokens=3, total_tokens=10)
        return reply.model_copy(update={"id": None, "usage_metadata": usage})

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._reply(messages))])

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        reply = self._reply(messages)
        for word in reply.text.split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        calls = [
            {"name": call["name"], "args": json.dumps(call["args"]), "id": call["id"], "index": 0}
            for call in reply.tool_calls
        ]
        yield ChatGenerationChunk(
            message=AIMessageChunk("", tool_call_chunks=calls, usage_metadata=reply.usage_metadata)
        )


class Notes(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document(page_content=f"note {n} about {query}", id=f"d{n}") for n in range(3)]


def model(*replies: Any) -> Model:
    return Model(replies=[AIMessage(reply) if isinstance(reply, str) else reply for reply in replies])


def graph(**nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    """A chain of nodes in the order given."""
    built = StateGraph(State)
    before = START
    for name, node in nodes.items():
        built.add_node(name, node)
        built.add_edge(before, name)
        before = name
    built.add_edge(before, END)
    return built


def chain() -> Runnable[Any, Any]:
    llm = model("one", "two")

    def a(state: State, config: RunnableConfig) -> State:
        return {"notes": [llm.invoke(state["question"], config).text]}

    def b(state: State) -> State:
        return {"notes": [llm.invoke(state["question"]).text]}

    return graph(a=a, b=b).compile()


def parallel() -> Runnable[Any, Any]:
    built = StateGraph(State)
    llm = model("branch")
    for name in ("left", "middle", "right"):
        built.add_node(name, lambda state: {"notes": [llm.invoke("x").text]})
        built.add_edge(START, name)
        built.add_edge(name, "join")
    built.add_node("join", lambda state: {"notes": ["joined"]})
    return built.compile()


def send() -> Runnable[Any, Any]:
    built = StateGraph(State)
    built.add_node("map", lambda state: {"notes": [str(state["item"])]})
    built.add_conditional_edges(START, lambda state: [Send("map", {"item": n}) for n in range(4)], ["map"])
    return built.compile()


def loop() -> Runnable[Any, Any]:
    built = StateGraph(State)
    built.add_node("work", lambda state: {"notes": ["again"]})
    built.add_edge(START, "work")
    built.add_conditional_edges("work", lambda state: END if len(state["notes"]) > 3 else "work")
    return built.compile()


def subgraph() -> Runnable[Any, Any]:
    return graph(before=lambda state: {"notes": ["b"]}, inner=chain(), after=lambda state: {"notes": ["a"]}).compile()


def nested_call() -> Runnable[Any, Any]:
    inner = chain()
    return graph(outer=lambda state: {"notes": inner.invoke({"question": "deep"})["notes"]}).compile()


def retries() -> Runnable[Any, Any]:
    def flaky(state: State, runtime: Runtime[Any]) -> State:
        assert runtime.execution_info is not None
        if runtime.execution_info.node_attempt < 3:
            raise ConnectionError("not yet")
        return {"notes": ["done"]}

    built = StateGraph(State)
    policy = RetryPolicy(max_attempts=3, initial_interval=0.001, jitter=False, retry_on=ConnectionError)
    built.add_node("flaky", flaky, retry_policy=policy)
    built.add_edge(START, "flaky")
    return built.compile()


def cached() -> Runnable[Any, Any]:
    built = StateGraph(State)
    built.add_node("slow", lambda state: {"notes": ["cached"]}, cache_policy=CachePolicy())
    built.add_edge(START, "slow")
    return built.compile(cache=InMemoryCache())


def handoff() -> Runnable[Any, Any]:
    inner = graph(leave=lambda state: Command(goto="other", graph=Command.PARENT, update={"notes": ["left"]}))
    built = StateGraph(State)
    built.add_node("first", inner.compile(), destinations=("other",))
    built.add_node("other", lambda state: Command(goto="last", update={"notes": ["other"]}), destinations=("last",))
    built.add_node("last", lambda state: {"notes": ["last"]})
    built.add_edge(START, "first")
    return built.compile()


def functional() -> Runnable[Any, Any]:
    @task
    def add(number: int) -> int:
        return number + 1

    @task
    def twice(number: int) -> int:
        return 2 * add(number).result()

    @entrypoint()
    def flow(inputs: dict[str, Any]) -> int:
        # Blocking tasks of two concurrent calls must fit into asyncio's six default threads.
        return twice(1).result() + add(1).result()

    return flow


def agent() -> Runnable[Any, Any]:
    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    call = AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "c1"}])
    inner = create_agent(model(call, "three"), [add], name="calculator")

    def ask(state: State, **mode: Any) -> Any:
        return {"messages": [("user", state["question"])]}

    return RunnableLambda(ask) | inner


def rag() -> Runnable[Any, Any]:
    rerank = RunnableLambda(lambda documents: list(reversed(documents)), name="reranker")

    def explain(state: State, config: RunnableConfig) -> State:
        found = rerank.invoke(Notes().invoke(state["question"], config), config)
        prompt = "\n".join(document.page_content for document in found)
        return {"notes": [model("because").invoke(prompt, config).text]}

    return graph(explain=explain).compile()


def lcel() -> Runnable[Any, Any]:
    steps = RunnableParallel(a=RunnableLambda(lambda x: x), b=RunnableLambda(lambda x: x) | RunnableLambda(str))
    return graph(work=lambda state: {"notes": [str(steps.invoke(state["question"]))]}).compile()


def failing() -> Runnable[Any, Any]:
    def broken(state: State) -> State:
        raise ValueError("broken on purpose")

    return graph(fine=lambda state: {"notes": ["ok"]}, broken=broken).compile()


SHAPES: dict[str, Callable[[], Runnable[Any, Any]]] = {
    made.__name__: made
    for made in (
        chain, parallel, send, loop, subgraph, nested_call, retries, cached, handoff, functional, agent, rag, lcel,
        failing,
    )
}  # fmt: skip


class Tree:
    """A run tree as nested (name, children) with children in a fixed order."""

    @staticmethod
    def of(nodes: list[tuple[str, str | None, str]]) -> list[Any]:
        below: dict[str | None, list[tuple[str, str]]] = {}
        for identity, parent, name in nodes:
            below.setdefault(parent, []).append((identity, name))

        def build(parent: str | None) -> list[Any]:
            return sorted(([name, build(identity)] for identity, name in below.get(parent, [])), key=repr)

        return build(None)


class Silent(BaseCallbackHandler):
    run_inline = True


def works_alone(shape: str, way: str) -> bool:
    """Whether LangGraph itself runs this: before 1.2.22, blocking tasks have no result under ``astream_events``."""
    return (shape, way) != ("functional", "astream_events") or Version(version("langgraph")) >= Version("1.2.22")
