"""What is recorded, for whom, and where it goes: frozen, and decided before the first span."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal

from tierlens.errors import UnknownBrand
from tierlens.spans import Metric, RunsMode

RunnableKind = Literal["retriever", "reranker", "tool", "agent", "embedding", "guardrail"]
Direction = Literal["higher", "lower"]
RedactionRule = Literal["secrets", "email", "phone", "record_number", "card"]

TEMPLATE_FIELDS: Final = ("app", "brand", "tier", "agent", "environment", "date")


def template_fault(template: str) -> str | None:
    """What is wrong with a naming template, as the end of a sentence, or None."""
    known = ", ".join(f"{{{name}}}" for name in TEMPLATE_FIELDS)
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        return f"is not a naming template ({error}); its fields are {known}"
    for _, name, spec, conversion in parts:
        if name is not None and name not in TEMPLATE_FIELDS:
            return f"has the unknown field {{{name}}}; the fields are {known}"
        if spec or conversion:
            return f"formats the field {{{name}}}; a field stands alone, as in {{{name}}}"
    return None


@dataclass(frozen=True, slots=True)
class StatePolicy:
    """Which keys of a node's state are stored, and how much of each value.

    Attributes:
        include: only these keys of a state, not of what functions in it are called with; None means all.
        exclude: never these keys, of whatever.
        max_bytes: a longer value is cut, with its size and SHA-256 kept.
    """

    include: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    max_bytes: int = 16_384


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept whole although sampling would drop it: errors, or slower than ``slower_than_s``."""

    errors: bool = False
    slower_than_s: float | None = None

    def wants(self, failed: bool, seconds: float) -> bool:
        return (self.errors and failed) or (self.slower_than_s is not None and seconds > self.slower_than_s)


@dataclass(frozen=True, slots=True)
class MetricRule:
    """A custom metric: where it is found, what it means, which values it may have.

    Attributes:
        path: dotted, into the agent's outputs; "" where only code sets it.
        unit: "" where it has none.
        direction: which values are better; "" where nobody says.
        low, high: of a number, the bounds, themselves allowed.
    """

    path: str = ""
    unit: str = ""
    direction: Direction | Literal[""] = ""
    low: float | None = None
    high: float | None = None

    def fault(self, value: Metric) -> str:
        """What is wrong with a value, as the end of a sentence; "" where nothing is."""
        if self.low is None and self.high is None:
            return ""
        if isinstance(value, bool | str):
            return "is no number, and its rule gives a range"
        if self.low is not None and value < self.low:
            return f"is below {self.low:g}"
        return f"is above {self.high:g}" if self.high is not None and value > self.high else ""


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """The flags of one agent: config/agents/<agent>.yaml over the defaults of config/tierlens.yaml.

    Attributes:
        configured_experiment: what config/ says where the environment or code says another ``experiment``; "" where
            neither does.
        version: twelve hex digits that stand for all that config/ says: the same flags, the same version, wherever
            a process puts its traces.
    """

    agent: str = ""
    node: str = ""
    tier: int | None = None
    experiment: str = "{app}/{brand}"
    log_prompts: bool = True
    log_artifacts: bool = True
    sample: float = 1.0
    keep: Keep = Keep()
    state: StatePolicy = StatePolicy()
    redact: tuple[str, ...] = ()
    metrics: Mapping[str, MetricRule] = field(default_factory=dict)
    runs: RunsMode = "off"
    estimate_tokens: bool = False
    configured_experiment: str = field(compare=False, default="")
    version: str = field(init=False, compare=False, default="")

    def __post_init__(self) -> None:
        text = json.dumps(self.flags(), sort_keys=True)
        object.__setattr__(self, "version", hashlib.sha256(text.encode()).hexdigest()[:12])

    def flags(self) -> dict[str, Any]:
        """All that config/ says, as JSON has it."""
        found = {name: value for name, value in asdict(self).items() if name != "version"}
        found["experiment"] = found.pop("configured_experiment") or self.experiment
        plain: dict[str, Any] = json.loads(json.dumps(found, default=sorted))
        return plain


@dataclass(frozen=True, slots=True)
class Policies:
    """All policies of an application.

    Attributes:
        brands: the brands there are; empty means every brand is allowed.
        unknown_brand: "default" (recorded under ``default_brand``) or "reject" (UnknownBrand is raised
            where the brand is given, before any agent runs).
        default_brand: the brand of calls that name none, unless it is unknown itself and rejected.
        own_brand: the brand that comes before it (``TIERLENS_BRAND``); "" means there is none.
        defaults: the policy of roots and of nodes that have no file of their own.
        agents: by node name, and by agent name where that differs.
        runnables: kind of span for runnables named in YAML, by run name.
        question, answer: dotted paths (``inputs.question``) to what the trace list shows; "" means guess.
        source: where the brands were read from, for messages.
        files: text of the agents' files, by agent.
        by_invocation: some agent's file asks for a run for each invocation.
        keeps_secrets: some agent's prompts are not to be logged.
    """

    app: str = "tierlens"
    environment: str = ""
    brands: tuple[str, ...] = ()
    unknown_brand: Literal["default", "reject"] = "default"
    default_brand: str = "default"
    own_brand: str = ""
    trace_name: str = "{app} {brand}"
    defaults: AgentPolicy = AgentPolicy()
    agents: Mapping[str, AgentPolicy] = field(default_factory=dict)
    runnables: Mapping[str, RunnableKind] = field(default_factory=dict)
    question: str = ""
    answer: str = ""
    source: str = field(default="config/tierlens.yaml", compare=False)
    files: Mapping[str, str] = field(default_factory=dict, compare=False)
    by_invocation: bool = field(init=False, compare=False, default=False)
    keeps_secrets: bool = field(init=False, compare=False, default=False)

    def __post_init__(self) -> None:
        wanted = any(policy.runs == "per_invocation" for policy in self.agents.values())
        object.__setattr__(self, "by_invocation", wanted)
        private = not all(policy.log_prompts for policy in (self.defaults, *self.agents.values()))
        object.__setattr__(self, "keeps_secrets", private)

    def brand(self, name: str | None) -> str:
        """The brand to record under.

        Raises:
            UnknownBrand: the brand, or that of a call without one, is not one of ``brands`` and unknown ones
                are rejected.
        """
        wanted = name or self.own_brand or self.default_brand
        if not self.brands or wanted in self.brands:
            return wanted
        if self.unknown_brand == "default":
            return self.default_brand
        there_are = ", ".join(self.brands)
        if name:
            raise UnknownBrand(self.source, "brands", repr(name), f"is not one of the brands: {there_are}")
        mend = f"give one of {there_are} as brand= to callback(), attach() or using(), or set TIERLENS_BRAND"
        raise UnknownBrand(self.source, "brands", "a call names no brand", f"where unknown_brand is reject; {mend}")

    def experiment(self, brand: str, agent: AgentPolicy | None = None) -> str:
        """The experiment of a brand: the root's, or with ``agent`` that of the agent's own runs.

        No two brands share one. A template without ``{brand}`` therefore serves one brand as it stands, the
        only one configured or else ``default_brand``; any other gets its own, ``<name>/<brand>``.
        """
        policy = agent or self.defaults
        name = self.names(policy.experiment, brand=brand, agent=policy.agent, tier=policy.tier)
        owner = self.brands[0] if len(self.brands) == 1 else self.own_brand or self.default_brand
        by_brand = "{brand}" in policy.experiment.replace("{{", "")
        return name if by_brand or brand == owner else f"{name}/{brand}"

    def names(self, template: str, *, brand: str, agent: str = "", tier: int | None = None) -> str:
        """Fill a naming template; the fields are app, brand, tier, agent, environment and date (UTC)."""
        date = dt.datetime.now(dt.UTC).date().isoformat() if "{date}" in template else ""
        return _filled(template, self.app, brand, agent, tier, self.environment, date)


# Every trace asks for the same few names, three times each.
@lru_cache(maxsize=1024)
def _filled(template: str, app: str, brand: str, agent: str, tier: int | None, environment: str, date: str) -> str:
    tier_text = "" if tier is None else tier
    return template.format(app=app, brand=brand, tier=tier_text, agent=agent, environment=environment, date=date)
