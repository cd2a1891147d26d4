"""Metrics as Prometheus and an OTLP receiver get them, over real sockets."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry import metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics import parser as openmetrics

from tests.journal.processes import eventually
from tests.scraping import CALLS, TOKENS, Scrape, scrape, scrape_until
from tierlens.local.ports import free_port, is_free
from tierlens.projection import instruments
from tierlens.projection.labels import COMBINATIONS, OTHER
from tierlens.projection.measurements import BRAND, OUTCOME, TOKEN_TYPE, Sample
from tierlens.sinks.metrics_plan import MetricsPlan
from tierlens.sinks.otel_metrics import OtelMeter
from tierlens.testing.http_stub import HttpStub, Reply

HOST = "127.0.0.1"
SLOW_S = 3_600.0


class Scene:
    """Meters that come and go, and what they warned of."""

    def __init__(self) -> None:
        self.port = free_port(HOST, 0)
        self.warnings: list[str] = []
        self.observed: list[Sample] = []
        self.meters: list[OtelMeter] = []

    def meter(self, **plan: Any) -> OtelMeter:
        given = {"port": self.port, "interval_s": SLOW_S, **plan}
        made = OtelMeter(MetricsPlan(**given), lambda: self.observed, lambda cause, text: self.warnings.append(text))
        self.meters.append(made)
        return made

    def scrape(self) -> Scrape:
        return scrape(self.port)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    for meter in made.meters:
        meter.close()


def calls(*brands: str, seconds: float = 1.0) -> list[Sample]:
    return [Sample(instruments.CALLS, seconds, {BRAND: brand, OUTCOME: "ok"}) for brand in brands]


def tokens(count: int, kind: str = "input", brand: str = "Kisqali") -> Sample:
    return Sample(instruments.TOKENS, count, {BRAND: brand, TOKEN_TYPE: kind})


def test_histograms_have_the_buckets_that_the_conventions_advise(scene: Scene) -> None:
    scene.meter().record([*calls("Kisqali", seconds=0.03), tokens(100)])

    found = scene.scrape()

    seconds = {one.labels["le"]: one.value for one in found.named(f"{CALLS}_bucket")}
    assert (len(seconds), seconds["0.02"], seconds["0.04"], seconds["+Inf"]) == (15, 0, 1, 1)
    assert [float(one.labels["le"]) for one in found.named(f"{TOKENS}_bucket")][-3:] == [4**12, 4**13, math.inf]
    assert found.sum(f"{TOKENS}_sum", gen_ai_token_type="input") == 100


def test_who_asks_for_openmetrics_as_prometheus_does_gets_the_same(scene: Scene) -> None:
    scene.observed = [Sample(instruments.REFUSED, 3, {"tierlens.reason": "quota"})]
    scene.meter().record([*calls("Kisqali", 'a"b\\c'), tokens(100)])

    answer = httpx.get(
        f"http://{HOST}:{scene.port}/metrics",
        headers={"Accept": "application/openmetrics-text;version=1.0.0"},
        trust_env=False,
    )

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = openmetrics.text_string_to_metric_families(answer.text)
    found = Scrape(tuple(sample for family in families for sample in family.samples))
    assert {(one.name, str(one.labels), one.value) for one in found.samples} == {
        (one.name, str(one.labels), one.value) for one in scene.scrape().samples
    }


def test_what_is_observed_is_asked_for_at_each_scrape(scene: Scene) -> None:
    scene.meter()
    scene.observed = [Sample(instruments.LAG, 12.5, {}), Sample(instruments.REFUSED, 3, {"tierlens.reason": "quota"})]
    first = scene.scrape()
    scene.observed = [Sample(instruments.LAG, 0, {})]

    assert first.sum("tierlens_delivery_lag_seconds") == 12.5
    assert first.by("tierlens_spans_refused_total", "tierlens_reason") == {"quota": 3}
    assert scene.scrape().sum("tierlens_delivery_lag_seconds") == 0


def test_who_offers_the_metrics_is_said(scene: Scene) -> None:
    scene.meter().record(calls("Kisqali"))

    (target,) = scene.scrape().named("target_info")

    assert target.labels["service_name"] == "tierlens"
    assert target.labels["process_pid"] == str(os.getpid())
    assert len(target.labels["service_instance_id"]) == 36


def test_ten_thousand_brands_are_a_hundred_and_the_others_and_none_is_lost(scene: Scene) -> None:
    meter = scene.meter()
    for number in range(10_000):
        meter.record(calls(f"brand {number}"))

    found = scene.scrape()

    by_brand = found.by(f"{CALLS}_count", "tierlens_brand")
    assert (len(by_brand), sum(by_brand.values()), by_brand[OTHER]) == (101, 10_000, 9_900)
    assert found.by("tierlens_metrics_folded_total", "tierlens_label") == {BRAND: 9_900}
    assert len(found.samples) < 2_500


def test_no_series_is_dropped_by_the_sdks_own_bound(scene: Scene) -> None:
    meter = scene.meter(label_values=150)
    for brand in range(150):
        for agent in range(20):
            meter.record([Sample(instruments.CALLS, 1.0, {BRAND: f"b{brand}", "gen_ai.agent.name": f"a{agent}"})])

    found = scene.scrape()

    assert len(found.named(f"{CALLS}_count")) == 150 * COMBINATIONS
    assert not [one for one in found.samples if "otel_metric_overflow" in one.labels]


@pytest.mark.parametrize(
    "hostile",
    [
        '"} 1\nup 0\n# ',
        "\\",
        '"',
        "two\nlines",
        "\x00\x07\x1b[31m",
        "\u202e",
        '{a="b"}',
        "x" * 100_000,
        "日本",
        "# HELP x y",
    ],
)
def test_a_hostile_label_is_a_label_and_nothing_else(scene: Scene, hostile: str) -> None:
    scene.meter().record(calls(hostile, "Kisqali"))

    found = scene.scrape()

    by_brand = found.by(f"{CALLS}_count", "tierlens_brand")
    (shown,) = by_brand.keys() - {"Kisqali"}
    assert by_brand == {shown: 1, "Kisqali": 1}
    assert len(shown) <= 120
    assert shown.isprintable()
    assert not found.named("up")


def test_a_port_that_is_taken_is_a_warning_that_says_how_to_mend_it(scene: Scene) -> None:
    with socket.create_server((HOST, scene.port)):
        meter = scene.meter()
        meter.record(calls("Kisqali"))

    (warning,) = scene.warnings
    assert f"{HOST}:{scene.port}" in warning
    assert "TIERLENS_METRICS_PORT of its own" in warning


def test_a_port_that_becomes_free_is_taken(scene: Scene) -> None:
    with socket.create_server((HOST, scene.port)):
        scene.meter(interval_s=0.05).record(calls("Kisqali"))

    found = scrape_until(scene.port, lambda one: bool(one.named(f"{CALLS}_count")))

    assert found.sum(f"{CALLS}_count") == 1


def test_a_closed_meter_has_let_go_of_its_port(scene: Scene) -> None:
    meter = scene.meter()
    scene.scrape()

    meter.close()

    assert is_free(HOST, scene.port)


def test_many_scrape_at_once_and_each_gets_every_series_once(scene: Scene) -> None:
    meter = scene.meter()
    meter.record(calls(*(f"brand {number}" for number in range(50))))
    found: list[Scrape] = []
    scrapers = [threading.Thread(target=lambda: found.append(scene.scrape())) for _ in range(12)]

    for scraper in scrapers:
        scraper.start()
    for scraper in scrapers:
        scraper.join()

    assert [len(one.named(f"{CALLS}_count")) for one in found] == [50] * 12


def test_a_forked_child_that_outlives_its_parent_does_not_keep_the_port(scene: Scene) -> None:
    meter = scene.meter()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        meter.abandon()
        os.read(read, 1)
        os._exit(0)

    try:
        meter.close()
        eventually(lambda: is_free(HOST, scene.port))
    finally:
        os.write(write, b".")
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


def test_neither_the_processs_provider_nor_its_registry_is_touched(scene: Scene) -> None:
    before = {family.name for family in REGISTRY.collect()}

    meter = scene.meter()
    meter.record(calls("Kisqali"))

    assert {family.name for family in REGISTRY.collect()} == before
    assert not hasattr(metrics.get_meter_provider(), "force_flush")


def received(stub: HttpStub) -> list[ExportMetricsServiceRequest]:
    return [ExportMetricsServiceRequest.FromString(request.body) for request in list(stub.requests)]


def points(push: ExportMetricsServiceRequest, name: str) -> list[Any]:
    scopes = [scope for resource in push.resource_metrics for scope in resource.scope_metrics]
    found = next(metric for scope in scopes for metric in scope.metrics if metric.name == name)
    return list(getattr(found, found.WhichOneof("data")).data_points)


def labels(point: Any) -> dict[str, str]:
    return {one.key: one.value.string_value for one in point.attributes}


def test_what_is_pushed_is_otlp_with_the_figures_and_the_headers(scene: Scene) -> None:
    scene.observed = [Sample(instruments.PENDING, 7, {})]
    with HttpStub() as stub:
        plan = {"port": None, "endpoint": f"{stub.uri}/v1/metrics", "headers": {"x-key": "secret"}}
        meter = scene.meter(**plan, interval_s=0.05)
        meter.record([tokens(100), tokens(20, "output"), *calls("Kisqali", "Fabhalta")])
        eventually(lambda: bool(stub.requests))
        meter.close()

        last = received(stub)[-1]
        assert stub.requests[-1].headers["x-key"] == "secret"
    assert {(labels(one)["gen_ai.token.type"], one.sum, one.count) for one in points(last, instruments.TOKENS)} == {
        ("input", 100, 1),
        ("output", 20, 1),
    }
    assert {labels(one)["tierlens.brand"] for one in points(last, instruments.CALLS)} == {"Kisqali", "Fabhalta"}
    assert [one.as_int for one in points(last, instruments.PENDING)] == [7]
    about = {one.key: one.value for one in last.resource_metrics[0].resource.attributes}
    assert about["process.pid"].int_value == os.getpid()
    assert about["service.instance.id"].string_value


def test_what_came_since_the_last_push_is_pushed_at_the_end(scene: Scene) -> None:
    with HttpStub() as stub:
        meter = scene.meter(port=None, endpoint=f"{stub.uri}/v1/metrics")
        meter.record([tokens(100)])
        meter.close()

        (push,) = received(stub)
    assert [one.sum for one in points(push, instruments.TOKENS)] == [100]


def test_a_receiver_that_is_down_is_a_warning_and_gets_all_figures_later(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    with HttpStub(otherwise=Reply(400)) as stub:
        meter = scene.meter(port=None, endpoint=f"{stub.uri}/v1/metrics", interval_s=0.05)
        meter.record([tokens(100)])
        eventually(lambda: bool(scene.warnings))
        meter.record([tokens(5)])
        stub.then()
        meter.close()

        last = received(stub)[-1]
    assert "nothing of them is lost" in scene.warnings[0]
    assert caplog.text == "", "the exporter's own words, several at every try, are not repeated"
    assert [one.sum for one in points(last, instruments.TOKENS)] == [105]


def test_a_receiver_that_never_answers_does_not_hold_up_the_end(scene: Scene) -> None:
    answered = threading.Event()
    with HttpStub(otherwise=Reply(wait=answered)) as stub:
        meter = scene.meter(port=None, endpoint=f"{stub.uri}/v1/metrics")
        meter.record([tokens(100)])
        began = time.monotonic()

        meter.close(deadline_s=0.5)

        assert time.monotonic() - began < 5
        answered.set()
