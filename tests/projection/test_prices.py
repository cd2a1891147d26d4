"""What a model call costs is worked out from its span, and is what genai-prices says of the time it was made."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
from typing import Any

import genai_prices
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierlens import keys
from tierlens.negotiated import Negotiated
from tierlens.projection.attributes import attributes_of
from tierlens.projection.paid import ITSELF, UNKNOWN, Paid, paid_as, put_source
from tierlens.projection.prices import PUBLISHED, PriceBook

counts = st.integers(0, 300_000)
MODELS = [
    ("anthropic", "claude-sonnet-4-5"), ("anthropic", "claude-haiku-4-5"), ("anthropic", "claude-opus-4-1"),
    ("openai", "gpt-4o"), ("google_genai", "gemini-2.5-pro"), ("deepseek", "deepseek-chat"),
]  # fmt: skip
USAGE = {"input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}
NOON = dt.datetime(2026, 11, 21, 12, 7, 31, tzinfo=dt.UTC)
moments = st.datetimes(dt.datetime(2024, 6, 1), dt.datetime(2027, 1, 1), timezones=st.just(dt.UTC))


def told(**values: object) -> dict[str, Any]:
    kinds = {str: "stringValue", float: "doubleValue", int: "intValue"}
    return {kinds[type(value)]: str(value) if type(value) is int else value for value in values.values()}


def call(
    usage: Any = USAGE,
    model: str | None = "claude-sonnet-4-5",
    provider: str | None = "anthropic",
    at: dt.datetime = NOON,
    **more: object,
) -> dict[str, Any]:
    """A model call's span, as OTLP JSON."""
    attributes = {
        keys.TOKEN_USAGE: usage if isinstance(usage, str) else json.dumps(usage),
        keys.MODEL: model,
        keys.PROVIDER: provider,
        **more,
    }
    return {
        "startTimeUnixNano": str(int(at.timestamp() * 1e9)),
        "attributes": [{"key": k, "value": told(value=v)} for k, v in attributes.items() if v is not None],
    }


def cost_of(book: PriceBook, span: dict[str, Any]) -> Any:
    """What a span is delivered with; None where that is no cost."""
    book.put_cost(span)
    return json.loads(attributes_of(span).get(keys.COST, "null"))


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(MODELS), counts, counts, counts, counts, counts, moments)
def test_a_cost_is_what_genai_prices_says_of_that_time(
    model: tuple[str, str], plain: int, output: int, read: int, five: int, hour: int, at: dt.datetime
) -> None:
    provider, name = model
    if provider != "anthropic":
        five = hour = 0
    usage = {
        "input_tokens": plain + read + five + hour,
        "output_tokens": output,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": five + hour,
        "cache_creation_input_tokens_above_1hr": hour,
    }

    ours = cost_of(PUBLISHED, call(usage, name, provider, at))

    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=plain + read + five + hour,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=five + hour,
            cache_write_1h_tokens=hour,
        ),
        model_ref=name,
        provider_id=provider.removesuffix("_genai"),
        genai_request_timestamp=at,
    )
    assert ours is not None
    assert ours["total_cost"] == pytest.approx(float(theirs.total_price), rel=1e-9, abs=1e-9)
    assert ours["input_cost"] == pytest.approx(float(theirs.input_price), rel=1e-9, abs=1e-9)
    assert ours["input_cost"] + ours["output_cost"] == pytest.approx(ours["total_cost"])


def test_both_lifetimes_of_cache_writes_are_priced_apart() -> None:
    usage = {
        "input_tokens": 1_000, "output_tokens": 0,
        "cache_creation_input_tokens": 900, "cache_creation_input_tokens_above_1hr": 500,
    }  # fmt: skip

    assert cost_of(PUBLISHED, call(usage)) == pytest.approx(
        {"input_cost": 3.0 * (100 + 400 * 1.25 + 500 * 2.0) / 1e6, "output_cost": 0.0, "total_cost": 0.0048}
    )


def test_a_price_that_depends_on_the_hour_is_that_of_the_call() -> None:
    night, day = (NOON.replace(year=2025, month=3, hour=hour) for hour in (20, 12))

    at_night, by_day = (
        cost_of(PUBLISHED, call(model="deepseek-chat", provider="deepseek", at=at)) for at in (night, day)
    )

    assert at_night is not None
    assert by_day is not None
    assert at_night["total_cost"] < by_day["total_cost"]


def test_a_batchs_results_cost_their_share() -> None:
    whole, half = cost_of(PUBLISHED, call()), cost_of(PUBLISHED, call(**{keys.PRICE_SHARE: 0.5}))

    assert whole is not None
    assert half == pytest.approx({name: dollars / 2 for name, dollars in whole.items()})


def test_a_span_is_given_its_cost_as_mlflow_reads_it() -> None:
    span = call()

    PUBLISHED.put_cost(span)
    PUBLISHED.put_cost(span)

    (cost,) = (attribute["value"] for attribute in span["attributes"] if attribute["key"] == keys.COST)
    assert json.loads(cost["stringValue"]) == {"input_cost": 0.003, "output_cost": 0.0015, "total_cost": 0.0045}


def test_a_cost_that_the_span_tells_itself_stands() -> None:
    assert cost_of(PUBLISHED, call(**{keys.COST: '{"total_cost": 1.0}'})) == {"total_cost": 1.0}


def test_each_book_has_its_own_prices_whoever_else_is_asked() -> None:
    books = [PriceBook([Negotiated("*", "claude-*", rate, 0.0)]) for rate in (1_000.0, 2_000.0)]
    every = [PUBLISHED, *books, PriceBook()]

    told = [cost_of(book, call()) for _ in range(2) for book in every]

    assert [cost and cost["total_cost"] for cost in told] == pytest.approx([0.0045, 1.0, 2.0, 0.0045] * 2)


def test_a_book_keeps_the_prices_it_was_made_of() -> None:
    own = [Negotiated("*", "claude-*", 1_000.0, 0.0)]
    book = PriceBook(own)

    own.clear()

    assert (cost_of(book, call()) or {})["total_cost"] == pytest.approx(1.0)


OF_ROOT = {keys.PRICE: "2026-11-21", keys.PRICE_SOURCE: f"genai-prices {importlib.metadata.version('genai-prices')}"}


def said(span: dict[str, Any]) -> dict[str, str]:
    return {one["key"]: one["value"]["stringValue"] for one in span["attributes"] if one["key"].startswith(keys.PRICE)}


def test_a_price_says_its_day_and_where_it_is_from_unless_it_is_published() -> None:
    own = PriceBook([Negotiated("*", "claude-*", 1.0, 1.0)])
    found = []
    for book, model in ((own, call()), (PUBLISHED, call()), (own, call(model="llama3", provider="ollama"))):
        book.put_cost(model)
        found.append(said(model))

    day = {keys.PRICE: "2026-11-21"}
    assert found == [
        day | {keys.PRICE_SOURCE: "config/prices.yaml"},
        day,
        day | {keys.PRICE_SOURCE: "ollama: no charge by token"},
    ]


def test_the_day_is_that_of_the_call_in_universal_time() -> None:
    late = dt.datetime(2026, 11, 22, 1, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    model = call(at=late)

    PUBLISHED.put_cost(model)

    assert said(model) == {keys.PRICE: "2026-11-21"}


def test_a_cost_that_the_span_tells_itself_has_no_date_and_says_so() -> None:
    model = call(**{keys.COST: '{"total_cost": 1.0}'})
    to_come = PUBLISHED.paid(model, attributes_of(model))

    for _ in range(2):
        PUBLISHED.put_cost(model)

    stored = attributes_of(model)
    assert said(model) == {keys.PRICE_SOURCE: ITSELF}
    assert to_come == paid_as(stored[keys.COST], stored, OF_ROOT) == Paid(1.0, "", ITSELF)


def test_a_call_without_a_price_says_so_and_what_mlflow_makes_of_it_does_not_count() -> None:
    model = call(model="made-up-8b", provider="nobody")

    PUBLISHED.put_cost(model)

    assert said(model) == {keys.PRICE: UNKNOWN}
    assert paid_as('{"total_cost": 1.0}', attributes_of(model), OF_ROOT) is None


def test_a_root_names_the_published_prices_of_its_day_once() -> None:
    bare: dict[str, Any] = {"startTimeUnixNano": call()["startTimeUnixNano"]}

    days = [put_source(root) for root in (bare, bare)]

    assert said(bare) == OF_ROOT
    assert days == ["2026-11-21"] * 2


def test_a_root_that_is_a_call_by_a_price_of_ones_own_names_that() -> None:
    root = call()

    PriceBook([Negotiated("*", "claude-*", 1.0, 1.0)]).put_cost(root)

    assert put_source(root) == ""
    assert said(root)[keys.PRICE_SOURCE] == "config/prices.yaml"


def test_a_root_that_is_not_otlp_is_left_alone() -> None:
    for broken in ({}, {"attributes": 7, "startTimeUnixNano": "1"}, {"startTimeUnixNano": "soon"}):
        before = dict(broken)
        put_source(broken)
        assert broken == before


def test_a_call_says_the_day_of_its_published_price_where_that_is_not_its_roots() -> None:
    same, other = call(), call()

    PUBLISHED.put_cost(same, "2026-11-21")
    PUBLISHED.put_cost(other, "2026-11-20")

    assert (said(same), said(other)) == ({}, {keys.PRICE: "2026-11-21"})


def test_what_was_paid_is_the_same_of_a_span_to_come_and_of_one_as_stored() -> None:
    version = importlib.metadata.version("genai-prices")
    model = call()
    to_come = PUBLISHED.paid(model, attributes_of(model))
    PUBLISHED.put_cost(model)
    stored = attributes_of(model)

    assert to_come == Paid(0.0045, "2026-11-21", f"genai-prices {version}")
    assert paid_as(stored[keys.COST], stored, OF_ROOT) == to_come
    assert paid_as(None, stored, OF_ROOT) is None


def test_a_model_that_no_provider_is_known_of_is_found_by_its_name() -> None:
    assert (
        cost_of(PUBLISHED, call(provider="unknown"))
        == cost_of(PUBLISHED, call(provider=None))
        == cost_of(PUBLISHED, call())
    )


def test_a_model_without_a_published_price_has_no_cost_and_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    for hour in range(3):
        assert (
            cost_of(PUBLISHED, call(model="made-up-7b", provider="nobody", at=NOON + dt.timedelta(hours=hour))) is None
        )

    assert caplog.text.count("no published price for model 'made-up-7b' of 'nobody'") == 1


@pytest.mark.parametrize(
    "span",
    [
        {},
        {"attributes": None},
        {"attributes": [{}]},
        {"attributes": [7]},
        call(model=None),
        call(usage={}),
        call(usage={"total_tokens": 5}),
        call(usage="not json"),
        call(usage="[]"),
        call(usage='{"input_tokens": "many", "output_tokens": null}'),
        call(usage={"input_tokens": 10**400}),
        call() | {"startTimeUnixNano": "soon"},
        call() | {"startTimeUnixNano": str(10**30)},
        {"attributes": call()["attributes"]},
        {"attributes": [{"key": keys.TOKEN_USAGE, "value": {"intValue": "1"}}, {"key": keys.MODEL, "value": {}}]},
    ],
)
def test_what_cannot_be_priced_is_left_as_it_is_but_for_a_word_on_its_price(span: dict[str, Any]) -> None:
    before = json.dumps(span)

    PUBLISHED.put_cost(span)

    word = {"key": keys.PRICE, "value": {"stringValue": UNKNOWN}}
    if (span.get("attributes") or [None])[-1] == word:
        span["attributes"].pop()
    assert json.dumps(span) == before
