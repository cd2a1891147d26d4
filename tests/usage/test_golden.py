"""Every golden payload is counted as its provider counts, and costs what its formula says."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.capture.conftest import Capture
from tests.usage.delivering import as_otlp, attribute, captured
from tests.usage.golden import Case, cases, evaluated
from tierlens import keys
from tierlens.projection.paid import UNKNOWN
from tierlens.projection.prices import PUBLISHED

CASES = cases()


def test_there_are_as_many_as_were_promised() -> None:
    assert len(CASES) >= 200
    assert len({case.case for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.case)
def test_a_payload_is_counted_as_billed_and_costs_what_the_formula_says(case: Case, tmp_path: Path) -> None:
    span = as_otlp(captured(Capture(tmp_path), case), case.start_ns)

    PUBLISHED.put_cost(span)

    counted = [json.loads(text) for key in (keys.TOKEN_USAGE, keys.FINER_USAGE) if (text := attribute(span, key))]
    assert ({name: count for part in counted for name, count in part.items()} or None) == case.usage
    cost = attribute(span, keys.COST)
    counted_only = UNKNOWN if case.usage else None
    assert attribute(span, keys.PRICE) == (case.at[:10] if case.formula else counted_only)
    if case.formula is None:
        assert case.cost is cost is None
        return
    assert round(evaluated(case.formula), 9) == Decimal(str(case.cost))
    assert json.loads(cost)["total_cost"] == pytest.approx(case.cost, abs=1e-9)


@pytest.mark.parametrize("case", CASES[:60], ids=lambda case: case.case)
def test_a_price_asked_for_by_itself_is_the_spans(case: Case, tmp_path: Path) -> None:
    stored = captured(Capture(tmp_path), case)
    share, tier = float(stored.attributes.get(keys.PRICE_SHARE, 1.0)), str(stored.attributes.get(keys.SERVICE_TIER, ""))

    found = (
        PUBLISHED.price(case.provider, case.model, case.usage or {}, case.start_ns, share, tier) if case.usage else None
    )

    assert (found.cost["total_cost"] if found else None) == (
        case.cost if case.cost is None else pytest.approx(case.cost)
    )
    if found:
        assert found.source.startswith("genai-prices ")
        assert found.date == case.at[:10]


def test_a_formula_is_numbers_and_nothing_else() -> None:
    assert evaluated("(1200-1000)*3/1000000 + 0.5*2") == Decimal("1.0006")
    for hostile in ("__import__('os')", "2**9", "price", "-1"):
        with pytest.raises(ValueError, match="only numbers"):
            evaluated(hostile)
