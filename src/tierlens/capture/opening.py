"""What a span has from the start: its ids, and what it takes from the span around it or, as a root, from its context.

Ids are derived from LangChain's run ids, so that a parent is found by its run id alone: a root's run id is the trace
id, the last 16 digits of a run's id are its span id.
"""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import Final

from tierlens.capture import sampling
from tierlens.capture.ended import facts_of, unsaid
from tierlens.capture.shield import Shield
from tierlens.capture.tagging import list_agent
from tierlens.capture.trace import Context, Open, Origin, Trace
from tierlens.capture.withheld import Lost
from tierlens.errors import UnknownBrand
from tierlens.policy import AgentPolicy, Policies

_LOW_64: Final = 0xFFFFFFFFFFFFFFFF


def trace_id_of(key: Hashable) -> str:
    return f"{key:032x}" if type(key) is int else os.urandom(16).hex()


def span_id_of(key: Hashable) -> str:
    return "%016x" % (key & _LOW_64) if type(key) is int else os.urandom(8).hex()


def open_root(
    key: Hashable,
    name: str,
    kind: str,
    context: Context,
    policies: Policies,
    shield: Shield,
    policy: AgentPolicy | None,
    agent: str,
) -> Open:
    """Open the root of a new trace; that of a brand which is rejected is not recorded."""
    origin = context.origin
    if origin is not None:
        policy, agent = policy or origin.policy, agent or origin.agent
    policy = policy or policies.defaults
    brand, rejected = _brand(context, policies, shield)
    trace_id, parent_id = context.remote or (trace_id_of(key), None)
    trace = Trace(trace_id, context, brand, policies.experiment(brand, policy))
    facts = trace_id, policy, agent, None, True
    opened = Open(key, trace, span_id_of(key), parent_id, None, name, kind, policy, agent, facts)
    if origin is not None:
        _go_on(opened, origin)
    trace.by_invocation = policy.runs == "per_invocation"
    if trace.by_invocation or policies.by_invocation:
        trace.inner_calls = []
    if rejected or not context.sampled:
        opened.recording = False
    else:
        sampling.sample(opened)
    opened.facts = facts_of(opened)
    if agent:
        list_agent(opened)
    return opened


def inherit(opened: Open, parent: Open, policy: AgentPolicy | None, agent: str) -> None:
    """Have ``opened`` take from its parent what few spans have.

    Args:
        policy, agent: its own, if any.
    """
    opened.recording = parent.recording
    opened.hold = parent.own_hold or parent.hold
    if opened.trace.private.lost:
        opened.policy = unsaid(opened.policy)
    if policy is not None and parent.recording:
        if policy.runs == "per_invocation" and not opened.trace.by_invocation:
            opened.trace.by_invocation = True
            # What is on record of the root's start does not know of its run, which waits for an end.
            opened.root().start_recorded = False
        sampling.sample(opened, agent)
    opened.facts = facts_of(opened)


def _brand(context: Context, policies: Policies, shield: Shield) -> tuple[str, bool]:
    try:
        return policies.brand(context.brand), False
    except UnknownBrand as error:
        shield.warn("brand", f"calls are not recorded: {error}")
        return policies.default_brand, True


def _go_on(root: Open, origin: Origin) -> None:
    """Have the root of a trace of its own say where its work was started, and keep what is private there."""
    root.links += origin.links
    if origin.lost:
        root.trace.private = Lost()
        root.policy = unsaid(root.policy)
