"""The one description of the files in config/: what validates them, and what their JSON Schemas come from."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from tierlens.invalid import expected
from tierlens.patterns import NAME, own_rule, pattern_fault
from tierlens.policy import Direction, RedactionRule, RunnableKind, template_fault
from tierlens.settings import NOT_IN_YAML, Settings
from tierlens.spans import RunsMode

_PATH: Final = r"^(inputs|outputs)(\.[^.\s]+)*$"
_A_PATH: Final = "a path such as outputs.confidence; it starts with inputs or outputs"
_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_KEEP: Final = r"^(?:error|slow>([0-9]+(?:\.[0-9]+)?)(ms|s|m|h))$"


def slower_than_s(rule: str) -> float | None:
    """Seconds of ``slow>30s``; None for ``error``."""
    match = re.match(_KEEP, rule)
    return float(match[1]) * _UNITS_S[match[2]] if match and match[2] else None


def _template(template: str) -> str:
    if fault := template_fault(template):
        raise PydanticCustomError("expected", "{text}", {"text": fault})
    return template


_RULES: Final = get_args(RedactionRule)
_ONE_OF: Final = ", ".join(map(repr, _RULES[:-1])) + f" or {_RULES[-1]!r}"


def _rule(rule: str) -> str:
    named = own_rule(rule)
    if rule not in _RULES and named is None:
        text = f"is not one of {_ONE_OF}, nor name=pattern, with a name of lower-case letters, digits and _"
        raise PydanticCustomError("expected", "{text}", {"text": text})
    if named is not None and (fault := pattern_fault(named[1])):
        raise PydanticCustomError("expected", "{text}", {"text": fault})
    return rule


def _quoted(found: object) -> object:
    """What YAML takes for something else than text unless it stands in quotes: 7, 2026-01-01, no."""
    if isinstance(found, bool | int | float | dt.date):
        text = "is not text; put it in quotes if it is meant to be"
        raise PydanticCustomError("expected", "{text}", {"text": text})
    return found


_Short = Annotated[str, Field(min_length=1, max_length=250)]
Name = Annotated[
    _Short, expected("a name of 1 to 250 characters"), BeforeValidator(_quoted, json_schema_input_type=_Short)
]
Template = Annotated[str, Field(min_length=1), AfterValidator(_template)]
Share = Annotated[float, Field(ge=0, le=1), expected("a share between 0 and 1")]
Bytes = Annotated[int, Field(ge=0), expected("a number of bytes, 0 or more")]
Tier = Annotated[int, Field(ge=0), expected("a whole number, 0 or more")]
Rule = Annotated[
    str,
    AfterValidator(_rule),
    WithJsonSchema({"anyOf": [{"enum": [*_RULES]}, {"type": "string", "pattern": f"^{NAME}=.+"}]}),
]
ValuePath = Annotated[
    str,
    Field(pattern=_PATH),
    expected(_A_PATH),
]
KeepRule = Annotated[
    str,
    Field(pattern=_KEEP),
    expected("error, or slow>DURATION with ms, s, m or h, such as slow>30s"),
]

# An unquoted off is false in YAML 1.1, which the reader speaks.
Runs = Annotated[RunsMode, BeforeValidator(lambda found: "off" if found is False else found)]


class _Strict(BaseModel):
    """``elsewhere`` says of keys that are not its own where they belong."""

    elsewhere: ClassVar[Mapping[str, str]] = {}
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class State(_Strict):
    """Which keys of the agent's state are stored, and how much of each value."""

    include: list[str] | None = Field(default=None, description="Only these keys. Left out: all of them.")
    exclude: list[str] = Field(default=[], description="Never these keys.")
    max_bytes: Bytes = Field(default=16_384, description="A longer value is cut; its size and SHA-256 are kept.")


class MetricFields(_Strict):
    """A custom metric: where it lies, what it means, which values it may have."""

    path: ValuePath | None = Field(default=None, description="Where in the output it lies. Left out: code sets it.")
    unit: str = Field(default="", description="Its unit, such as % or USD.")
    direction: Direction | None = Field(default=None, description="Which values are better.")
    min: float | None = Field(default=None, description="The least value that is valid.", allow_inf_nan=False)
    max: float | None = Field(default=None, description="The greatest value that is valid.", allow_inf_nan=False)

    @model_validator(mode="after")
    def _in_order(self) -> MetricFields:
        if self.min is not None and self.max is not None and self.min > self.max:
            text = f"allows no value: min {self.min:g} is above max {self.max:g}"
            raise PydanticCustomError("expected", "{text}", {"text": text})
        return self


def _spelled_out(found: object) -> object:
    """A metric that is given by its path alone."""
    if isinstance(found, str) and re.match(_PATH, found):
        return {"path": found}
    if not isinstance(found, dict):
        keys = ", ".join(MetricFields.model_fields)
        raise PydanticCustomError("expected", "{text}", {"text": f"is not {_A_PATH}; nor a mapping of {keys}"})
    return found


Metric = Annotated[
    MetricFields,
    BeforeValidator(_spelled_out, json_schema_input_type=ValuePath | MetricFields),
]


class Flags(_Strict):
    """What can be set for one agent, and in `defaults:` for all."""

    elsewhere: ClassVar[Mapping[str, str]] = dict.fromkeys(("agent", "node", "tier"), "into the agent's own file")

    mlflow_experiment: Template | None = Field(
        default=None,
        description="Experiment of its runs, and of traces it is the root of. "
        "Fields: {app} {brand} {tier} {agent} {environment} {date}.",
    )
    log_prompts: bool = Field(
        default=True,
        description="false: no prompt or completion text leaves the process, not even to the journal.",
    )
    log_artifacts: bool = Field(default=True, description="false: files set by tierlens.artifact() are not stored.")
    sample: Share = Field(default=1.0, description="Share of traces that is kept.")
    keep: list[KeepRule] = Field(default=[], description="What is kept whole whatever `sample` says: error, slow>30s.")
    state: State = Field(default=State(), description=State.__doc__)
    redact: list[Rule] = Field(
        default=[],
        description="Rules applied to all text before it reaches the journal: by name, or name=pattern of your own.",
    )
    metrics: dict[Name, Metric] = Field(
        default={}, description="Custom metrics, by name: where in the output each lies, or all there is to say of it."
    )
    runs: Runs | None = Field(
        default=None,
        description="MLflow runs: one for each version of its configuration, one for each invocation, or none. "
        "Left out: per_version for an agent with a file, off for a node without one.",
    )
    estimate_tokens: bool = Field(
        default=False,
        description="true: tokens of model calls that report none are estimated, and marked as such.",
    )


class AgentFile(Flags):
    """config/agents/<agent>.yaml: the flags of one agent, over the defaults of config/tierlens.yaml."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(Settings.model_fields.keys() - NOT_IN_YAML.keys(), "into tierlens.yaml, under settings:"),
        **dict.fromkeys(("app", "brands", "unknown_brand", "default_brand", "naming"), "into tierlens.yaml"),
        **dict.fromkeys(("question", "answer", "runnables"), "into tierlens.yaml"),
    }

    agent: Name = Field(description="The agent's name, in MLflow and in naming templates.")
    node: Name | None = Field(default=None, description="The graph node it is, where that is named otherwise.")
    tier: Tier | None = Field(default=None, description="Its tier in the system.")


class Naming(_Strict):
    """Templates of names. Fields: {app} {brand} {tier} {agent} {environment} {date}."""

    trace: Template = Field(default="{app} {brand}", description="What a trace is called.")


class ApplicationFile(_Strict):
    """config/tierlens.yaml: the application, its brands, and what holds for every agent."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(Settings.model_fields.keys() - NOT_IN_YAML.keys(), "under settings:"),
        **dict.fromkeys(Flags.model_fields, "under defaults:, or into an agent's file"),
    }

    app: Name = Field(default="tierlens", description="The application's name.")
    environment: str = Field(
        default="", description="Deployment, such as prod, where TIERLENS_ENVIRONMENT does not say."
    )
    brands: list[Name] = Field(default=[], description="The brands there are. Left out: every brand is allowed.")
    unknown_brand: Literal["default", "reject"] = Field(
        default="default",
        description="What a brand not listed, or none, gets: recorded under default_brand, or an error.",
    )
    default_brand: Name = Field(
        default="default",
        description="The brand of calls that name none: one of brands, or `default`; with reject, only if listed.",
    )
    naming: Naming = Field(default=Naming(), description=Naming.__doc__)
    question: ValuePath | None = Field(
        default=None, description="What the trace list shows as request, e.g. inputs.question."
    )
    answer: ValuePath | None = Field(
        default=None, description="What the trace list shows as response, e.g. outputs.answer."
    )
    runnables: dict[Name, RunnableKind] = Field(
        default={}, description="Runnables by their run name, and what each is."
    )
    defaults: Flags = Field(default=Flags(), description=Flags.__doc__)
    settings: Annotated[Settings, Field(strict=False)] = Field(
        default=Settings(),
        description="Settings, where neither a keyword, the environment nor .env says otherwise.",
    )
