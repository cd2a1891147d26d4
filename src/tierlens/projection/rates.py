"""What one model's tokens cost, once its rates are known: sums of products, and nothing looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tierlens import usages


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
    """The rates of one model. A cache rate that is not published is the plain input rate.

    Attributes:
        apart: rates of the tokens that some models price apart, by their names in `tierlens.usages`; of
            `usages.SEARCHES`, USD per million as well.
    """

    input: Rate
    output: Rate
    cache_read: Rate
    cache_write: Rate
    cache_write_1h: Rate
    apart: Mapping[str, Rate]

    def cost(self, usage: Mapping[str, int], share: float = 1.0) -> dict[str, float] | None:
        """USD as MLflow stores it: ``{input_cost, output_cost, total_cost}``.

        Web searches are in the total alone. None where audio was counted and its rate is not known: it costs
        many times what text does.

        Args:
            usage: as MLflow stores it, with the names of `tierlens.usages` beside. ``input_tokens`` includes the
                cache's, ``cache_creation_input_tokens`` those ``_above_1hr``.
            share: the part of the published price that is paid for tokens.
        """
        total, read = usage.get("input_tokens", 0), usage.get("cache_read_input_tokens", 0)
        hour = usage.get("cache_creation_input_tokens_above_1hr", 0)
        brief = max(usage.get("cache_creation_input_tokens", 0) - hour, 0)
        plain, written = max(total - read - brief - hour, 0), usage.get("output_tokens", 0)
        paid_in = paid_out = searches = 0.0
        if not _APART.isdisjoint(usage):
            known = {name: rate.at(total) for name, rate in self.apart.items()}
            if any(usage.get(name) and name not in known for name in usages.AUDIO):
                return None
            plain, paid_in = _apart(usage, known, usages.PART_OF_INPUT, plain)
            written, paid_out = _apart(usage, known, usages.PART_OF_OUTPUT, written)
            searches = usage.get(usages.SEARCHES, 0) * known.get(usages.SEARCHES, 0.0) / 1e6
        paid_in += plain * self.input.at(total)
        if read:
            paid_in += read * self.cache_read.at(total)
        if brief:
            paid_in += brief * self.cache_write.at(total)
        if hour:
            paid_in += hour * self.cache_write_1h.at(total)
        paid_out += written * self.output.at(total)
        paid_in, paid_out = round(share * paid_in / 1e6, 9), round(share * paid_out / 1e6, 9)
        in_all = round(paid_in + paid_out + searches, 9)
        return {"input_cost": paid_in, "output_cost": paid_out, "total_cost": in_all}


def _apart(
    usage: Mapping[str, int], known: Mapping[str, float], names: tuple[str, ...], rest: int
) -> tuple[int, float]:
    """What is left of ``rest`` at the plain rate, and what is paid for those taken out of it."""
    paid = 0.0
    for name in names:
        if name in known:
            count = min(usage.get(name, 0), rest)
            rest, paid = rest - count, paid + count * known[name]
    return rest, paid


_APART: Final = frozenset(usages.FINER)
_PUBLISHED: Final = {
    usages.AUDIO_IN: "input_audio_mtok",
    usages.AUDIO_OUT: "output_audio_mtok",
    usages.IMAGE_IN: "input_image_mtok",
    usages.IMAGE_OUT: "output_image_mtok",
    usages.REASONING: "output_reasoning_mtok",
}


def published(prices: Mapping[str, Any]) -> Rates:
    """The rates of genai-prices, given by their names there."""
    read_in = _rate(prices.get("input_mtok")) or Rate(0.0)
    write = _rate(prices.get("cache_write_mtok")) or read_in
    apart = {name: rate for name, key in _PUBLISHED.items() if (rate := _rate(prices.get(key)))}
    if (searches := prices.get("web_searches_kcount")) is not None:
        apart[usages.SEARCHES] = Rate(float(searches) * 1e3)
    return Rates(
        input=read_in,
        output=_rate(prices.get("output_mtok")) or Rate(0.0),
        cache_read=_rate(prices.get("cache_read_mtok")) or read_in,
        cache_write=write,
        cache_write_1h=_rate(prices.get("cache_write_1h_mtok")) or write,
        apart=apart,
    )


def _rate(price: Any) -> Rate | None:
    if price is None:
        return None
    if hasattr(price, "tiers"):
        return Rate(float(price.base), tuple((tier.start, float(tier.price)) for tier in price.tiers))
    return Rate(float(price))
