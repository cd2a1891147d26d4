"""What a model call costs, by the rates of genai-prices.

The package's own ``calc_price`` takes 110 µs a call, most of it look-up; rates are looked up once a model
and hour here, and the sum of five products is all that is left for the agent's thread.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tierlens.capture.usage import Usage

log = logging.getLogger("tierlens")
_PROVIDERS = {
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

    def cost(self, usage: Usage) -> dict[str, float]:
        """USD as MLflow stores it: ``{input_cost, output_cost, total_cost}``."""
        total, written = usage.input or 0, usage.output or 0
        read, five, hour = usage.cache_read or 0, usage.cache_write_5m or 0, usage.cache_write_1h or 0
        plain = max(total - read - five - hour, 0)
        paid_in = plain * self.input.at(total)
        if read:
            paid_in += read * self.cache_read.at(total)
        if five:
            paid_in += five * self.cache_write.at(total)
        if hour:
            paid_in += hour * self.cache_write_1h.at(total)
        paid_in, paid_out = round(paid_in / 1e6, 9), round(written * self.output.at(total) / 1e6, 9)
        return {"input_cost": paid_in, "output_cost": paid_out, "total_cost": round(paid_in + paid_out, 9)}


def cost(provider: str, model: str, usage: Usage) -> dict[str, float] | None:
    """Cost of a call, or None where the model has no published price or nothing was counted."""
    if not model or (usage.input is None and usage.output is None):
        return None
    rates = _rates(provider, model, int(time.time() // 3600))
    return rates.cost(usage) if rates else None


def load() -> None:
    """Read the price table now: it takes 50 ms, or 300 where no bytecode is cached."""
    _rates("anthropic", "claude-sonnet-4-5", int(time.time() // 3600))


@functools.lru_cache(maxsize=256)
def _rates(provider: str, model: str, hour: int) -> Rates | None:
    """``hour`` is only there to have prices looked up again: some depend on the time of day."""
    import genai_prices

    usage = genai_prices.Usage(input_tokens=1, output_tokens=1)
    for provider_id in dict.fromkeys((_PROVIDERS.get(provider, provider) or None, None)):
        try:
            found = genai_prices.calc_price(usage, model_ref=model, provider_id=provider_id)
        except LookupError:
            continue
        return _from_prices(vars(found.model_price))
    log.warning(
        "tierlens: no published price for model %r of %r; its calls are stored without a cost",
        model,
        provider,
    )
    return None


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
