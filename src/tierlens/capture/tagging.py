"""What a trace's root says of the whole trace: tags, a name, the agents in it."""

from __future__ import annotations

from collections.abc import Mapping

from tierlens import keys
from tierlens.capture import payload
from tierlens.capture.outcomes import Outcome
from tierlens.capture.trace import Open
from tierlens.policy import Policies
from tierlens.spans import AttributeValue


def list_agent(opened: Open) -> None:
    """Note an agent, which has just started, with its trace; say which it is where its name does not, and its tier."""
    trace, agent, tier = opened.trace, opened.agent, opened.policy.tier
    trace.agents[agent] = None
    if agent != opened.name:
        opened.attributes[keys.AGENT] = agent
    if tier is not None:
        trace.tiers[str(tier)] = None
        opened.attributes[keys.TIER] = tier


def tag_start(root: Open, policies: Policies) -> None:
    """Put on a root what is known of its trace from the first moment on: should its process die, it is still known
    whose it was."""
    trace, context = root.trace, root.trace.context
    tags: Mapping[str, object] = {
        **context.tags,
        "app": policies.app,
        "brand": trace.brand,
        "kpi": context.kpi,
        "user": context.user,
        "session": trace.session,
        "environment": policies.environment,
    }
    add_tags(root.attributes, tags)
    name = policies.names(policies.trace_name, brand=trace.brand, agent=root.agent, tier=root.policy.tier)
    root.attributes[keys.TRACE_NAME] = name.strip() or root.name
    if trace.session:
        root.attributes[keys.SESSION] = str(trace.session)[:250]
    if context.user:
        root.attributes[keys.USER] = context.user


def tag_trace(root: Open, outcome: Outcome, policies: Policies) -> None:
    """Put on a root, which is about to end, all that MLflow lists and searches its trace by."""
    # Again, since whatever ran inside may have said otherwise.
    tag_start(root, policies)
    trace = root.trace
    tags = {"agents": ", ".join(trace.agents), "tiers": ", ".join(sorted(trace.tiers)), "outcome": outcome.word}
    add_tags(root.attributes, tags)
    root.attributes[keys.SPANS_STARTED] = trace.spans + 1


def add_tags(attributes: dict[str, AttributeValue], tags: Mapping[str, object]) -> None:
    """Put trace tags on a root. MLflow's own names are left out: some would make the trace unreadable."""
    for tag, value in tags.items():
        if value is None:
            continue
        text = value if isinstance(value, str) else payload.safe_str(value)
        if text and not tag.startswith("mlflow."):
            attributes[keys.TRACE_TAG + tag] = text[:4_096]
