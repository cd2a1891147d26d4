from __future__ import annotations

import datetime as dt
import enum
from types import GenericAlias
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from tierlens.testing.claude.schema_filling import fill

TEXT = (
    '{"causal_confidence": 0.83, "brand": "Kisqali"}\n'
    "Market share fell by 42% in 3 regions since 2026-04-01. Severity is high, so ask the drift monitor. "
    "Would 120 more calls in Boston help?"
)


class Severity(enum.StrEnum):
    LOW = "low"
    HIGH = "high"


class Finding(BaseModel):
    severity: Severity
    share_lost: float = Field(ge=0, le=1)
    note: str = Field(max_length=20)


class Report(BaseModel):
    brand: str
    causal_confidence: float = Field(gt=0, lt=1)
    regions: int = Field(ge=1, le=10)
    agents: list[Literal["gap_analyzer", "drift_monitor"]] = Field(min_length=1)
    since: dt.date
    question: str
    city: str
    findings: list[Finding]
    main: Finding | None = None


class Tree(BaseModel):
    label: str
    left: Tree | None = None
    children: list[Tree] = []


def test_values_are_taken_from_the_text() -> None:
    report = Report.model_validate(fill(Report.model_json_schema(), TEXT))
    assert report.brand == "Kisqali"
    assert report.causal_confidence == 0.83
    assert report.agents == ["drift_monitor"]
    assert report.since == dt.date(2026, 4, 1)
    assert report.question == "Would 120 more calls in Boston help?"
    assert report.findings[0].severity is Severity.HIGH
    assert report.city == "Boston"


def test_a_percentage_becomes_a_share_where_the_schema_ends_at_one() -> None:
    schema = {"type": "number", "minimum": 0, "maximum": 1}
    assert fill(schema, "It fell by 42% in a month.") == 0.42
    assert fill({"type": "number"}, "It fell by 42% in a month.") == 42


def test_the_background_gives_labelled_values_only() -> None:
    schema = {"type": "object", "properties": {"tier": {"type": "integer"}, "other": {"type": "integer"}}}
    assert fill(schema, "Nothing here.", "tier: 4. There are 11 agents.") == {"tier": 4, "other": 0}


def test_recursive_schemas_come_to_an_end() -> None:
    Tree.model_validate(fill(Tree.model_json_schema(), TEXT))


def test_formats_are_met_without_help_from_the_text() -> None:
    class Stamped(BaseModel):
        at: dt.datetime
        time: dt.time
        id: UUID

    Stamped.model_validate_json(orjson.dumps(fill(Stamped.model_json_schema(), "Nothing.")))


def test_a_pattern_is_met_where_the_text_has_something_for_it() -> None:
    schema = {"type": "string", "pattern": "^tr-[0-9a-f]{4}$"}
    assert fill(schema, "See tr-12af, please.") == "tr-12af"
    assert fill({"type": "string", "pattern": r"\p{L}"}, "A pattern Python does not know.") == ""


def test_a_map_takes_the_labelled_figures() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "number"}}
    assert fill(schema, "north_east: 0.4, south: 0.6") == {"north_east": 0.4, "south": 0.6}


def test_constants_tuples_unions_and_parts_are_followed() -> None:
    schema: dict[str, Any] = {
        "allOf": [{"$ref": "#/$defs/a~1b"}, {"properties": {"pair": {"prefixItems": [{"const": 1}, True]}}}],
        "$defs": {
            "a/b": {
                "type": "object",
                "properties": {"kind": {"const": "x"}, "n": {"type": ["null", "integer"]}},
            }
        },
    }
    assert fill(schema, "Seven is 7 here.") == {"kind": "x", "n": 7, "pair": [1, "Seven is 7 here."]}


def _floats() -> st.SearchStrategy[Any]:
    bounds = st.tuples(st.integers(-50, 50), st.integers(1, 50))
    return bounds.map(lambda pair: Annotated[float, Field(ge=pair[0], le=pair[0] + pair[1])])


def _integers() -> st.SearchStrategy[Any]:
    bounds = st.tuples(st.integers(-50, 50), st.integers(2, 50))
    return bounds.map(lambda pair: Annotated[int, Field(gt=pair[0], lt=pair[0] + pair[1])])


def _strings() -> st.SearchStrategy[Any]:
    return st.integers(0, 200).map(lambda size: Annotated[str, Field(min_length=size, max_length=size + 5)])


def _lists(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    sized = st.tuples(inner, st.integers(0, 4))
    return sized.map(
        lambda pair: Annotated[GenericAlias(list, pair[0]), Field(min_length=pair[1], max_length=pair[1] + 1)]
    )


def _models(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["summary", "score", "brand", "regions", "share_lost", "query"])
    fields = st.dictionaries(names, inner, max_size=4)
    return fields.map(lambda kinds: create_model("Made", **{name: (kind, ...) for name, kind in kinds.items()}))


_kinds = st.recursive(
    st.one_of(
        _floats(),
        _integers(),
        _strings(),
        st.just(bool),
        st.just(Literal["low", "high"]),
        st.just(Severity | None),
    ),
    lambda inner: st.one_of(_lists(inner), _models(inner)),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(_models(_kinds), st.one_of(st.just(TEXT), st.text(max_size=80)))
def test_whatever_the_model_and_the_text_the_value_is_valid_and_the_same_again(
    model: type[BaseModel], text: str
) -> None:
    schema = model.model_json_schema()
    filled = fill(schema, text)
    model.model_validate_json(orjson.dumps(filled))
    assert fill(schema, text) == filled
