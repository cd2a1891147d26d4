"""What the page on monitoring, its alerts and the dashboard name is what a scrape has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from tests.docs.pages import ROOT, blocks, table
from tests.projection.works import MODEL, line
from tests.scraping import Scrape, scrape
from tierlens import keys
from tierlens.local.ports import free_port
from tierlens.projection.instruments import OBSERVED, RECORDED
from tierlens.projection.measurements import Agent, Sample, measured
from tierlens.projection.prices import PUBLISHED
from tierlens.shipping.metrics import observed
from tierlens.shipping.vitals import Vitals
from tierlens.sinks.metrics_plan import MetricsPlan
from tierlens.sinks.otel_metrics import OtelMeter
from tierlens.sinks.prometheus import prometheus_name

PAGE = ROOT / "docs" / "monitoring.md"
NAME = re.compile(r"\b((?:gen_ai|tierlens)_[a-z_]+|error_type)\b")


@pytest.fixture(scope="module")
def whole() -> Iterator[Scrape]:
    """A scrape that has every metric and every label there is."""
    port = free_port("127.0.0.1", 0)
    vitals = Vitals(9, 7, 1, {"quota": 1}, 100, 1.5, failing=True)
    meter = OtelMeter(MetricsPlan(port, label_values=1), lambda: observed(vitals, 1 << 30), print)
    meter.record(_points())
    yield scrape(port)
    meter.close()


def _points() -> Iterator[Sample]:
    call = line(1, "CHAT_MODEL", error="ValueError", said={**MODEL, keys.TTFT_MS: 1.0})
    unknown = line(5, "CHAT_MODEL", said={**MODEL, keys.MODEL: "of-our-own", keys.TOKENS_ESTIMATED: True})
    for one in (
        call,
        unknown,
        line(2, "AGENT", error="ValueError"),
        line(3, root=True),
        line(4, root=True, brand="Fabhalta"),
    ):
        if (figures := measured(one, PUBLISHED)) is not None:
            yield from figures.points(Agent("explainer", "5") if one is call else None)


def known(found: Scrape) -> set[str]:
    return {sample.name for sample in found.samples} | {name for one in found.samples for name in one.labels}


def test_every_metric_is_offered_under_the_name_that_the_page_has(whole: Scrape):
    named = {row[0].strip("`"): row[1].strip("`") for heading in ("agents", "delivery") for row in _rows(heading)}

    assert named.keys() == RECORDED.keys() | OBSERVED.keys()
    names = {sample.name for sample in whole.samples}
    for metric, one in (RECORDED | OBSERVED).items():
        expected = prometheus_name(metric, one.unit) + ("_total" if one.kind == "counter" else "")
        assert named[metric] == expected
        assert (f"{expected}_sum" if one.kind == "histogram" else expected) in names


def test_every_metric_is_described_as_the_code_has_it():
    said = {row[0].strip("`"): row[-1] for heading in ("agents", "delivery") for row in _rows(heading)}

    assert said == {name: one.about for name, one in (RECORDED | OBSERVED).items()}


def _rows(of: str) -> list[list[str]]:
    return table(PAGE, f"## Metrics of {of}")


def test_the_page_names_no_metric_and_no_label_that_is_not_offered(whole: Scrape):
    named = set(NAME.findall(PAGE.read_text(encoding="utf-8")))

    histograms = {prometheus_name(name, one.unit) for name, one in RECORDED.items() if one.kind == "histogram"}
    assert named - known(whole) - histograms == set()


def test_the_alerts_ask_for_what_is_offered(whole: Scrape):
    (block,) = [one for one in blocks(PAGE) if one.language == "yaml"]
    rules = [rule for group in yaml.safe_load(block.text)["groups"] for rule in group["rules"]]

    assert len(rules) == 10
    for rule in rules:
        named = set(NAME.findall(rule["expr"]))
        assert named
        assert named <= known(whole), rule["alert"]


def test_the_dashboard_asks_for_what_is_offered(whole: Scrape):
    dashboard = json.loads((ROOT / "docs" / "grafana.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [one["query"]["query"] for one in dashboard["templating"]["list"] if one["type"] == "query"]

    assert len(queries) > 15
    for query in queries:
        named = set(NAME.findall(query))
        assert named
        assert named <= known(whole), query
        assert query.count("(") == query.count(")")
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
