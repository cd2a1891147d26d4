"""What a model call costs, by the rates of genai-prices at the time it was made.

The same span has the same cost whenever and however often it is delivered. The package's own ``calc_price``
takes 110 µs a call, most of it look-up; rates are looked up once a model and quarter of an hour here, and the
sum of five products is all that is left for each span. It is imported with the first span that has tokens.
"""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tierlens import keys

Json = Mapping[str, Any]

log = logging.getLogger("tierlens")

# Some rates hold for a part of the day, which nobody lets begin at 16:37.
_QUARTER_NS: Final = 900 * 10**9
_PROVIDERS: Final = {
    "google_genai": "google",
    "google_vertexai": "google",
    "amazon_bedrock": "aws",
    "azure": "azure",
}


@dataclass(frozen=True, slots=True)
class Rate:
    """USD per million tokens; ``tiers`` are (start, rate), the last one with start < input tokens holds for all."""

    base: float
    tiers: tuple[tuple[int, float], ...] = ()

    def at(self, input_tokens: int) -> float:
        if not self.tiers or input_tokens <= self.tiers[0][0]:
            return self.base
        return next(price for start, price in reversed(self.tiers) if input_tokens > start)


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of one model. A cache rate that is not published is the plain input rate."""

    input: Rate
    output: Rate
    cache_read: Rate
    cache_write: Rate
    cache_write_1h: Rate

    def cost(self, usage: Mapping[str, int], share: float = 1.0) -> dict[str, float]:
        """USD as MLflow stores it: ``{input_cost, output_cost, total_cost}``.

        Args:
            usage: as MLflow stores it. ``input_tokens`` includes the cache's, ``cache_creation_input_tokens``
                those ``_above_1hr``.
            share: the part of the published price that is paid.
        """
        total, read = usage.get("input_tokens", 0), usage.get("cache_read_input_tokens", 0)
        hour = usage.get("cache_creation_input_tokens_above_1hr", 0)
        brief = max(usage.get("cache_creation_input_tokens", 0) - hour, 0)
        paid_in = max(total - read - brief - hour, 0) * self.input.at(total)
        if read:
            paid_in += read * self.cache_read.at(total)
        if brief:
            paid_in += brief * self.cache_write.at(total)
        if hour:
            paid_in += hour * self.cache_write_1h.at(total)
        paid_out = usage.get("output_tokens", 0) * self.output.at(total)
        paid_in, paid_out = round(share * paid_in / 1e6, 9), round(share * paid_out / 1e6, 9)
        return {"input_cost": paid_in, "output_cost": paid_out, "total_cost": round(paid_in + paid_out, 9)}


def cost_of(span: Json) -> dict[str, float] | None:
    """What a span, as OTLP JSON, is to be said to have cost.

    None where it says so itself, nothing was counted, the model has no published price, or it is not OTLP.
    """
    try:
        told = {attribute["key"]: attribute["value"] for attribute in span.get("attributes", ())}
        if keys.TOKEN_USAGE not in told or keys.MODEL not in told or keys.COST in told:
            return None
        usage = orjson.loads(told[keys.TOKEN_USAGE]["stringValue"])
        if "input_tokens" not in usage and "output_tokens" not in usage:
            return None
        provider = told.get(keys.PROVIDER, {}).get("stringValue", "")
        rates = _rates(provider, told[keys.MODEL]["stringValue"], int(span["startTimeUnixNano"]) // _QUARTER_NS)
        share = told.get(keys.PRICE_SHARE, {}).get("doubleValue", 1.0)
        return rates.cost(usage, share) if rates else None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
        return None


def price(
    provider: str, model: str, usage: Mapping[str, int], start_ns: int, share: float = 1.0
) -> dict[str, float] | None:
    """What a call cost, in USD; None where no price is published."""
    rates = _rates(provider, model, start_ns // _QUARTER_NS)
    return rates.cost(usage, share) if rates else None


def put_cost(span: dict[str, Any]) -> None:
    """Add to a span, as OTLP JSON, the cost of the model call that it is, where that can be told."""
    if cost := cost_of(span):
        span["attributes"].append({"key": keys.COST, "value": {"stringValue": orjson.dumps(cost).decode()}})


def load() -> None:
    """Import the prices now, for a thread that must not do so at any moment."""
    importlib.import_module("genai_prices")


@functools.lru_cache(maxsize=256)
def _rates(provider: str, model: str, quarter: int) -> Rates | None:
    """``quarter``: of an hour, counted from 1970."""
    import genai_prices

    moment = dt.datetime.fromtimestamp(quarter * (_QUARTER_NS // 10**9), dt.UTC)
    usage = genai_prices.Usage(input_tokens=1, output_tokens=1)
    for provider_id in dict.fromkeys((_PROVIDERS.get(provider, provider) or None, None)):
        try:
            found = genai_prices.calc_price(
                usage, model_ref=model, provider_id=provider_id, genai_request_timestamp=moment
            )
        except LookupError:
            continue
        return _from_prices(vars(found.model_price))
    _warn_unpriced(provider, model)
    return None


@functools.lru_cache(maxsize=1024)
def _warn_unpriced(provider: str, model: str) -> None:
    log.warning("tierlens: no published price for model %r of %r; its calls are stored without a cost", model, provider)


def _from_prices(prices: Mapping[str, Any]) -> Rates:
    read_in = _rate(prices.get("input_mtok")) or Rate(0.0)
    write = _rate(prices.get("cache_write_mtok")) or read_in
    return Rates(
        input=read_in,
        output=_rate(prices.get("output_mtok")) or Rate(0.0),
        cache_read=_rate(prices.get("cache_read_mtok")) or read_in,
        cache_write=write,
        cache_write_1h=_rate(prices.get("cache_write_1h_mtok")) or write,
    )


def _rate(price: Any) -> Rate | None:
    if price is None:
        return None
    if hasattr(price, "tiers"):
        return Rate(float(price.base), tuple((tier.start, float(tier.price)) for tier in price.tiers))
    return Rate(float(price))
