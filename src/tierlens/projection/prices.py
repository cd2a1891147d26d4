"""What a model call costs: by one's own prices where there are any, else by genai-prices, at the time it was made.

The same span has the same cost whenever and however often it is delivered, by the same table. The package's own
``calc_price`` takes 110 µs a call, most of it look-up; rates are looked up once a model and quarter of an hour here,
and the sum of five products is all that is left for each span. It is imported with the first span that has tokens.
"""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import importlib.metadata
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tierlens import keys, usages
from tierlens.negotiated import Negotiated
from tierlens.projection.attributes import Json, add_attributes, counts, readable_attributes
from tierlens.projection.paid import (
    ITSELF,
    QUARTER_NS,
    UNKNOWN,
    Paid,
    day_of,
    moment_of,
    paid_as,
    published_source,
)
from tierlens.projection.rates import Rate, Rates, published

log = logging.getLogger("tierlens")

_REMEMBERED: Final = 256
_PROVIDERS: Final = {
    "google_genai": "google",
    "google_vertexai": "google",
    "amazon_bedrock": "aws",
    "anthropic-bedrock": "aws",
    "bedrock_converse": "aws",
    "mistralai": "mistral",
    "xai": "x-ai",
}
_FREE: Final = frozenset({"ollama"})
_COUNTED: Final = frozenset({"input_tokens", "output_tokens"})
_STANDARD: Final = frozenset({"", "default", "standard", "auto", "batch", "on_demand"})


@dataclass(frozen=True, slots=True)
class Price:
    """What a call cost, and by which price.

    Attributes:
        cost: USD as MLflow stores it: ``{input_cost, output_cost, total_cost}``.
        source: ``genai-prices`` and its version, or the file of one's own prices.
        date: of the call, UTC: the day whose price it is.
    """

    cost: Mapping[str, float]
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class _Tariff:
    """The rates of one model at one time, and where they are from.

    Attributes:
        batch: their own share for batches.
        published: they are of genai-prices.
    """

    rates: Rates
    source: str
    date: str
    batch: float | None = None
    published: bool = False


class PriceBook:
    """By what calls are priced: one's own prices, the first that holds, and the published ones for all the rest.

    It never changes, so that whoever is handed the same book prices the same call alike, for as long as it delivers.

    Args:
        own: one's own, in the order in which they are looked through.
    """

    __slots__ = ("_tariff",)

    def __init__(self, own: Iterable[Negotiated] = ()) -> None:
        # Of each book, not of the class: another one's rates are for other prices.
        self._tariff: Final = functools.lru_cache(maxsize=_REMEMBERED)(functools.partial(_look_up, tuple(own)))

    def paid(self, span: Json, attributes: Mapping[str, Any]) -> Paid | None:
        """What a span, as OTLP JSON, cost in all: as its ``attributes`` say, else by this book."""
        if isinstance(cost := attributes.get(keys.COST), str):
            return paid_as(cost, {**attributes, keys.PRICE_SOURCE: ITSELF})
        if (found := self._priced(span)) is None:
            return None
        tariff, costs = found
        return Paid(costs["total_cost"], tariff.date, tariff.source)

    def price(
        self, provider: str, model: str, usage: Mapping[str, int], start_ns: int, share: float = 1.0, tier: str = ""
    ) -> Price | None:
        """What a call cost; None where no price is known.

        Args:
            provider: as LangChain names it.
            usage: as MLflow has it, with the names of `tierlens.usages` beside.
            share: the part of the published price that is paid, 0.5 in a batch.
            tier: of service, in the provider's words.
        """
        tariff = self._tariff(provider, model, start_ns // QUARTER_NS, tier)
        cost = _cost(tariff, usage, share) if tariff else None
        return Price(cost, tariff.source, tariff.date) if tariff and cost else None

    def put_cost(self, span: dict[str, Any], of_trace: str = "") -> None:
        """Add to a span, as OTLP JSON, what the model call that it is cost, where that is known, and by which price.

        The published prices are named on the trace's root alone: on every span they would cost an SQLite database a
        page for each call, 3 KB.

        Args:
            of_trace: the day whose published prices the root names; "" where the root is not known.
        """
        if found := self._priced(span):
            tariff, cost = found
            added = {keys.COST: orjson.dumps(cost).decode()}
            if not tariff.published:
                added |= {keys.PRICE: tariff.date, keys.PRICE_SOURCE: tariff.source}
            elif tariff.date != of_trace:
                added[keys.PRICE] = tariff.date
            add_attributes(span, added)
        elif keys.COST not in (attributes := readable_attributes(span)):
            if keys.MODEL in attributes and not _COUNTED.isdisjoint(counts(attributes.get(keys.TOKEN_USAGE))):
                # MLflow's server may know a price of its own, which is not that of the call's tier, or of its audio.
                add_attributes(span, {keys.PRICE: UNKNOWN})
        elif keys.PRICE_SOURCE not in attributes:
            add_attributes(span, {keys.PRICE_SOURCE: ITSELF})

    def _priced(self, span: Json) -> tuple[_Tariff, Mapping[str, float]] | None:
        try:
            values = {attribute["key"]: attribute["value"] for attribute in span.get("attributes", ())}
            if keys.TOKEN_USAGE not in values or keys.MODEL not in values or keys.COST in values:
                return None
            usage = orjson.loads(values[keys.TOKEN_USAGE]["stringValue"])
            if _COUNTED.isdisjoint(usage):
                return None
            if keys.FINER_USAGE in values:
                usage |= orjson.loads(values[keys.FINER_USAGE]["stringValue"])
            provider = values.get(keys.PROVIDER, {}).get("stringValue", "")
            tier = values[keys.SERVICE_TIER]["stringValue"] if keys.SERVICE_TIER in values else ""
            quarter = int(span["startTimeUnixNano"]) // QUARTER_NS
            tariff = self._tariff(provider, values[keys.MODEL]["stringValue"], quarter, tier)
            share = values[keys.PRICE_SHARE]["doubleValue"] if keys.PRICE_SHARE in values else 1.0
            cost = _cost(tariff, usage, share) if tariff else None
            return (tariff, cost) if tariff and cost else None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
            return None


def load() -> None:
    """Import the published prices now, for a thread that must not do so at any moment."""
    importlib.import_module("genai_prices")


def _cost(tariff: _Tariff, usage: Mapping[str, int], share: float) -> dict[str, float] | None:
    if share < 1.0 and tariff.batch is not None:
        share *= tariff.batch / usages.BATCH_SHARE
    return tariff.rates.cost(usage, share)


def _look_up(negotiated: tuple[Negotiated, ...], provider: str, model: str, quarter: int, tier: str) -> _Tariff | None:
    """``quarter``: of an hour, counted from 1970."""
    moment, day = moment_of(quarter), day_of(quarter)
    for own in negotiated:
        if own.holds(provider, model, day):
            return _Tariff(_negotiated(own), own.source, day, own.batch)
    if provider in _FREE:
        nothing = Rate(0.0)
        return _Tariff(Rates(nothing, nothing, nothing, nothing, nothing, {}), f"{provider}: no charge by token", day)
    prices = _published(provider, model, moment, "" if tier in _STANDARD else tier)
    if prices is None:
        _warn_unpriced(provider, model, tier)
        return None
    return _Tariff(published(prices), published_source(), day, published=True)


def _published(provider: str, model: str, moment: dt.datetime, tier: str) -> Mapping[str, Any] | None:
    """What genai-prices has; a tier of service whose price it does not have costs we do not know what."""
    import genai_prices

    usage = genai_prices.Usage(input_tokens=1, output_tokens=1)
    look = functools.partial(genai_prices.calc_price, usage, model_ref=model, genai_request_timestamp=moment)
    for provider_id in dict.fromkeys((_PROVIDERS.get(provider, provider) or None, None)):
        try:
            found = vars(look(provider_id=provider_id).model_price)
            if not tier:
                return found
            of_tier = vars(
                look(provider_id=provider_id, price_context={"service_tier": tier, "speed": tier}).model_price
            )
        except LookupError:
            continue
        return of_tier if of_tier != found else None
    return None


def _negotiated(own: Negotiated) -> Rates:
    read_in = Rate(own.input)
    write = read_in if own.cache_write is None else Rate(own.cache_write)
    return Rates(
        input=read_in,
        output=Rate(own.output),
        cache_read=read_in if own.cache_read is None else Rate(own.cache_read),
        cache_write=write,
        cache_write_1h=write if own.cache_write_1h is None else Rate(own.cache_write_1h),
        apart={},
    )


# Of the process, whatever books it has: spans and metrics have one each, and one line is enough.
@functools.lru_cache(maxsize=1024)
def _warn_unpriced(provider: str, model: str, tier: str) -> None:
    of_tier = "" if tier in _STANDARD else f", tier {tier!r}"
    log.warning(
        "tierlens: no published price for model %r of %r%s; its calls are stored without a cost; "
        "config/prices.yaml can give one",
        model,
        provider,
        of_tier,
    )


PUBLISHED: Final = PriceBook()
"""For whoever has no prices of their own."""
