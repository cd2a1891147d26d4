"""Work that goes on after the span it was started in has ended: a task, or a thread, that nobody waited for.

What LangChain says was started in a run goes below that run, in its trace, where that is still known. All other
such work, and that which has its handler from its own call, is a trace of its own: a thread may live on and serve
others. It has the policy, the agent, the brand, the user and the session of where it was started, and a link there.

What is still known of the span that has ended says `ended`. Here it becomes the place of the work, or the context of
its trace, whose `Origin` the root takes over where it is opened, in `opening`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tierlens.capture import current
from tierlens.capture.opening import span_id_of
from tierlens.capture.recorder import Recorder
from tierlens.capture.trace import Context, Open, Origin, Trace
from tierlens.policy import AgentPolicy
from tierlens.spans import Link


def parent(recorder: Recorder, key: int) -> Open | None:
    """The span of a run that has ended, to open others below; None where it is not known."""
    own = current.enclosing.get()
    found = recorder.ended.find(key, span_id_of(key), _traces(recorder, own))
    if found is not None:
        recorder.when_busy()
    return found


def context(recorder: Recorder, said: Context, key: int | None = None, thread: object = None) -> Context:
    """``said``, with what is to be known of where the running code was started, if that has ended.

    Args:
        key: of the run that LangChain says it was started in, and which is not known.
        thread: LangGraph's, which is its session then.
    """
    own, running = current.enclosing.get(), current.running()
    if own is None and running is None and key is None:
        return said
    ended = own or (parent(recorder, running) if running is not None else None)
    if ended is not None:
        # Its agent's run has its end already.
        about = of(ended, replace(ended.policy, runs="off"))
        return current.merged(said, replace(about, session=None) if thread else about)
    unknown = key if key is not None else running
    if unknown is None or not recorder.ended.may_have_been(unknown) or not recorder.policies.keeps_secrets:
        return said
    return replace(said, origin=Origin(recorder.policies.defaults, lost=True))


def of(started_in: Open, policy: AgentPolicy) -> Context:
    """What a trace of its own is to know of the span it was started in."""
    trace = started_in.trace
    origin = Origin(policy, started_in.agent, (Link(trace.trace_id, started_in.span_id),), trace.private.lost)
    private = trace.context.private | frozenset(trace.private.digests())
    about = replace(trace.context, brand=trace.brand, session=trace.session, remote=None, sampled=True)
    return replace(about, private=private, origin=origin)


def _traces(recorder: Recorder, own: Open | None) -> Iterable[Trace]:
    if own is not None:
        yield own.trace
    for opened in list(recorder.open.values()):
        yield opened.trace
