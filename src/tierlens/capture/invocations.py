"""What agents' spans say to MLflow's runs: the model calls made in each, and the configuration it ran with."""

from __future__ import annotations

from typing import Any, Final

from tierlens import keys
from tierlens.capture.redaction import redactor
from tierlens.capture.trace import Open
from tierlens.policy import Policies
from tierlens.spans import Invocation, RunsMode

# NONE is a view of a dict, which JSON does not know.
_NOTHING: Final[dict[str, int]] = {}


def count(call: Open) -> None:
    """A model call has ended: note it with the agent it was made in, or with the root where there is none."""
    said = call.attributes.get
    redact = redactor(call.policy.redact) if call.policy.redact else str
    temperature, max_tokens = call.asked or (None, None)
    noted = (
        redact(str(said(keys.PROVIDER, ""))),
        redact(str(said(keys.MODEL, ""))),
        temperature if isinstance(temperature, int | float) else None,
        max_tokens if isinstance(max_tokens, int) else None,
        call.start_ns,
        call.usage or _NOTHING,
        call.share,
        redact(call.service_tier),
    )
    agent = call
    while agent.parent is not None and agent.kind != "AGENT":
        agent = agent.parent
    if agent.calls is None:
        agent.calls = []
    agent.calls.append(noted)
    if agent.parent is not None and (inner := agent.trace.inner_calls) is not None:
        inner.append(noted)


def tells(opened: Open) -> bool:
    """Whether a span has something to say to a run: an agent's, or a root."""
    if opened.parent is None:
        return opened.policy.runs != "off" or opened.trace.by_invocation
    return opened.kind == "AGENT" and opened.policy.runs != "off"


def of(opened: Open, policies: Policies) -> Invocation:
    """What the span of an agent, or a root, has to say so far."""
    policy, trace = opened.policy, opened.trace
    alone = opened.parent is None and trace.by_invocation
    runs: RunsMode = "per_invocation" if alone else policy.runs
    calls = tuple(opened.calls or ())
    inner: tuple[tuple[Any, ...], ...] = ()
    if alone and trace.inner_calls:
        inner = tuple(trace.inner_calls)
    own = policy.experiment != policies.defaults.experiment
    experiment = policies.experiment(trace.brand, policy) if own else ""
    return Invocation(policy.version, runs, "" if experiment == trace.experiment else experiment, calls, inner)
