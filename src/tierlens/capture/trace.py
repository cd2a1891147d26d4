"""What is open: traces, and the spans in them that have started and not ended."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

from tierlens import keys
from tierlens.capture.ledger import StateLedger
from tierlens.capture.outcomes import Outcome
from tierlens.capture.withheld import Withheld
from tierlens.policy import AgentPolicy
from tierlens.spans import NONE, Artifact, AttributeValue, Event, Link, Metric, Routing, Span


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose work is that makes a trace of its own although it was started in another, which is over: see `late`.

    Attributes:
        policy, agent: those of the span it was started in.
        links: to that span.
        lost: what is private in it is not known any more.
    """

    policy: AgentPolicy
    agent: str = ""
    links: tuple[Link, ...] = ()
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """What a caller says of the calls it makes: for whom, about what, in which session.

    Attributes:
        remote: ids (trace_id, span_id) of the caller's span in another process, from W3C trace context.
        sampled: False where that process has dropped the trace.
        private: digests of what earlier traces of the same thread kept private.
        origin: where the work was started, if that is over.
    """

    brand: str | None = None
    kpi: str | None = None
    user: str | None = None
    session: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    remote: tuple[str, str] | None = None
    sampled: bool = True
    private: frozenset[str] = frozenset()
    origin: Origin | None = None


class Trace:
    """One trace as far as this process sees it.

    Times are the wall clock at the trace's start plus a monotonic difference, so that a clock that is set
    while a trace runs neither turns its spans round nor makes one last a day.

    Attributes:
        spans: how many of it were handed to the journal, taken or not.
        thread: LangGraph's, which may go on in other traces; "" where there is none.
        by_invocation: it has a run to itself: its root asks for that, or an agent that ran in it.
        documents: those that were retrieved, by name and beginning, with passages of each; see `passages`.
        inner_calls: model calls made in agents below the root, where it may turn out to have one.
    """

    __slots__ = (
        "agents",
        "brand",
        "by_invocation",
        "clock_ns",
        "context",
        "documents",
        "experiment",
        "inner_calls",
        "ledger",
        "open",
        "private",
        "root_routing",
        "routing",
        "session",
        "spans",
        "thread",
        "tiers",
        "trace_id",
    )

    def __init__(self, trace_id: str, context: Context, brand: str, experiment: str) -> None:
        self.trace_id = trace_id
        self.context = context
        self.brand = brand
        self.experiment = experiment
        self.session = context.session
        self.thread = ""
        self.routing = Routing(experiment, brand)
        self.root_routing = Routing(experiment, brand, root=True)
        self.ledger = StateLedger()
        self.open: set[Open] = set()
        self.spans = 0
        self.by_invocation = False
        self.inner_calls: list[tuple[Any, ...]] | None = None
        self.agents: dict[str, None] = {}
        self.tiers: dict[str, None] = {}
        self.documents: dict[tuple[str, bytes], tuple[bytes, ...]] = {}
        self.private = Withheld()
        if context.private:
            self.private.expected = context.private
            # A reference's first words might be some of it.
            self.ledger.heads = False
        self.clock_ns = time.time_ns() - perf_counter_ns()

    def now(self) -> int:
        """Unix time in nanoseconds, on this trace's own steady clock."""
        return self.clock_ns + perf_counter_ns()


class Hold:
    """Spans of a trace or agent that sampling would drop, kept back until it has ended and ``keep`` can decide.

    Attributes:
        lost: how many there was no room for.
    """

    __slots__ = ("decided", "lost", "outer", "spans")

    def __init__(self, outer: Hold | None) -> None:
        self.outer = outer
        self.spans: list[tuple[Span, Routing]] = []
        self.decided: bool | None = None
        self.lost = 0

    @property
    def count(self) -> int:
        """How many spans it is for; one that was journalled again, as retried, counts once."""
        return len({span.span_id for span, _ in self.spans}) + self.lost


Facts = tuple[str, AgentPolicy, str, Hold | None, bool]
"""Of a span: trace id, policy, agent, what holds it back or None, whether it is recorded."""


class Open:
    """A span that has started. ``recording`` is False where sampling has already dropped it.

    What few spans have stands as a default on the class: one is made for every piece of work.

    Attributes:
        agent: the agent it is, or lies in.
        facts: what is known of it once it has ended; the same object for all that has the same.
        is_call: of a decorated function, unless its arguments are an agent's own inputs.
        described: its inputs are on it.
        start_recorded: there is, or need not be, a record of its start.
        namespace: LangGraph's checkpoint namespace, which names a node's task; a retry has the same.
        attempts: starts so far of each task below it: more than one is a retry.
        failed: the last failed try of each such task, and of other work below it, by name.
        first_token_ns: when the first token of a stream arrived, 0 before.
        caches_for_an_hour: of a model call, whether all it has cached is to be kept that long.
        limits: of a graph, how often its nodes may be tried.
        outcome: how it will have ended, where that is known before it ends.
        waiting: what work below it has asked a person, and ended with.
        given: of an agent that keeps its prompts, the texts it was given by others.
        resumed_at: of a graph, the checkpoint it went on from after a pause.
        before, inner: of retrieval: the documents to re-order, those each inner retriever found.
        asked: of a model call, temperature and the most tokens it may write.
        prompt: of a model call whose tokens may have to be estimated, what was asked.
        usage, share: of a model call, what was counted, as `spans.Call` has it, and the part of the price that is paid.
        service_tier: of a model call, where it has a price of its own.
        served: of a model call, the speed and the place it asked for.
        counts: of a model call, Anthropic's own, where LangChain hands them on.
        calls: of an agent or a root, the model calls made in it, as `spans.Call` has them.
    """

    recording = True
    hold: Hold | None = None
    own_hold: Hold | None = None
    is_node = False
    is_call = False
    described = False
    start_recorded = False
    namespace = ""
    first_token_ns = 0
    end_ns = 0
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    metrics: dict[str, Metric] | None = None
    attempts: dict[str, int] | None = None
    failed: dict[str, Open] | None = None
    caches_for_an_hour = False
    limits: Mapping[str, int] = NONE
    outcome: Outcome | None = None
    waiting: tuple[object, ...] = ()
    given: frozenset[str] | None = None
    resumed_at = ""
    before: list[dict[str, Any]] | None = None
    inner: list[list[dict[str, Any]]] | None = None
    asked: tuple[Any, Any] | None = None
    usage: Mapping[str, int] = NONE
    share = 1.0
    service_tier = ""
    served: Mapping[str, Any] = NONE
    counts: Mapping[str, Any] = NONE
    prompt: Sequence[object] = ()
    calls: list[tuple[Any, ...]] | None = None

    def __init__(
        self,
        key: Hashable,
        trace: Trace,
        span_id: str,
        parent_id: str | None,
        parent: Open | None,
        name: str,
        kind: str,
        policy: AgentPolicy,
        agent: str,
        facts: Facts,
    ) -> None:
        self.key = key
        self.trace = trace
        self.span_id = span_id
        self.parent_id = parent_id
        self.parent = parent
        self.name = name
        self.kind = kind
        self.policy = policy
        self.agent = agent
        self.facts = facts
        self.start_ns = trace.clock_ns + perf_counter_ns()
        self.attributes: dict[str, AttributeValue] = {keys.SPAN_TYPE: kind}

    @property
    def in_node(self) -> bool:
        """Whether it lies in a graph's node, or is one."""
        here: Open | None = self
        while here is not None and not here.is_node:
            here = here.parent
        return here is not None

    def within(self, other: Open) -> bool:
        """Whether ``other`` is this span or one that encloses it."""
        here: Open | None = self
        while here is not None:
            if here is other:
                return True
            here = here.parent
        return False

    def measure(self, name: str, value: Metric) -> None:
        """Put a custom metric on this span; a label is text, and so not for an agent without ``log_prompts``."""
        if isinstance(value, str) and not self.policy.log_prompts:
            return
        if self.metrics is None:
            self.metrics = {}
        self.metrics[name] = value
        self.attributes[keys.METRIC + name] = value

    def root(self) -> Open:
        """The span that its trace began with, or itself."""
        here = self
        while here.parent is not None:
            here = here.parent
        return here

    def nearest_agent(self) -> Open:
        """The agent span this one lies in, or itself where it lies in none."""
        here: Open | None = self
        while here is not None:
            if here.kind == "AGENT":
                return here
            here = here.parent
        return self
