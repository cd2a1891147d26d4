"""Versions of agents' configurations, from a graph that ran to a file put back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import tierlens
from tests.capture.graphs import chain
from tests.cli.running import Ran
from tests.cli.running import tierlens as command
from tests.conftest import StoredMlflow
from tierlens.shipping.hosts.run import run_once
from tierlens.sinks.mlflow_http import MlflowHttpSink
from tierlens.testing.http_stub import HttpStub, Recorded, Reply

pytestmark = pytest.mark.server
FIRST = "# the first\nagent: a\ntier: 1\n"
SECOND = "agent: a\ntier: 2\nlog_prompts: false\n"


class Shop:
    """One application, its configuration, and what was delivered of it."""

    def __init__(self, folder: Path, server: StoredMlflow, experiment: str, app: str = "shop") -> None:
        self.folder, self.server, self.name = folder, server, experiment
        self.config = folder / "config"
        (self.config / "agents").mkdir(parents=True)
        self.agent = f"agent-{experiment.replace('/', '-')}"
        self.file = self.config / "agents" / f"{self.agent}.yaml"
        (self.config / "tierlens.yaml").write_text(
            f'app: "{app}"\nbrands: [Kisqali, Fabhalta]\ndefaults: {{runs: per_version}}\n'
        )

    def run(self, text: str, brand: str = "Kisqali") -> None:
        """Run the graph with this file for its agent, and deliver."""
        self.file.write_text(text.replace("agent: a", f"agent: {self.agent}\nnode: a"))
        journal = self.folder / "journal"
        lens = tierlens.init(
            tracking_uri=self.server.uri,
            config_dir=self.config,
            journal_dir=journal,
            shipper="external",
            mlflow_experiment=self.name + "/{brand}",
        )
        try:
            chain().invoke({"question": "why"}, {"callbacks": [lens.callback(brand=brand)]})
        finally:
            lens.close()
        run_once(journal, MlflowHttpSink(self.server.uri))

    def ask(self, *arguments: str) -> Ran:
        where = {"MLFLOW_TRACKING_URI": self.server.uri, "MLFLOW_EXPERIMENT_NAME": self.name + "/{brand}"}
        return command(self.folder, "agents", *arguments, **where)

    def history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("history", self.agent, "--json").json
        return found


class Crowded(HttpStub):
    """A server that tells of its experiments one by one, and has no runs."""

    def __init__(self, experiments: int) -> None:
        super().__init__()
        self.experiments = experiments

    def reply_to(self, request: Recorded) -> Reply:
        if "experiments/search" not in request.path:
            return Reply(body=b"{}")
        number = int(request.json().get("page_token", 0))
        page = {"experiments": [{"experiment_id": str(number), "name": str(number), "lifecycle_stage": "active"}]}
        more = {"next_page_token": str(number + 1)} if number + 1 < self.experiments else {}
        return Reply(body=json.dumps(page | more).encode())


@pytest.fixture
def shop(tmp_path: Path, mlflow_server: StoredMlflow, experiment: str) -> Shop:
    return Shop(tmp_path, mlflow_server, experiment)


def test_every_configuration_that_ran_is_in_the_history(shop: Shop) -> None:
    shop.run(FIRST)
    shop.run(FIRST, brand="Fabhalta")
    shop.run(SECOND)

    second, first = shop.history()
    assert (first["tier"], second["tier"]) == ("1", "2")
    assert (first["brands"], second["brands"]) == (["Fabhalta", "Kisqali"], ["Kisqali"])
    assert (first["in_config"], second["in_config"]) == (False, True)
    assert f" {second['version']} " in shop.ask("list").out


def test_a_version_is_that_of_config_wherever_its_traces_went(shop: Shop) -> None:
    shop.run(FIRST)

    elsewhere = command(shop.folder, "agents", "history", shop.agent, "--json", MLFLOW_TRACKING_URI=shop.server.uri)

    assert [version["in_config"] for version in (*elsewhere.json, *shop.history())] == [True, True]


def test_each_model_that_was_asked_is_named_once(shop: Shop) -> None:
    shop.run(FIRST)
    client = MlflowClient(shop.server.uri)
    [run_id] = shop.history()[0]["runs"]
    run = client.get_run(run_id)
    for models in ("claude-a", "claude-a, claude-b"):
        other = client.create_run(run.info.experiment_id, tags=run.data.tags).info.run_id
        for name, text in {**run.data.params, "model": models}.items():
            client.log_param(other, name, text)

    assert shop.history()[0]["asked"] == ["claude-a", "claude-b"]


def test_a_version_is_an_agent_version_of_mlflow_that_its_run_came_from(shop: Shop) -> None:
    shop.run(FIRST)
    shop.run(FIRST)

    [version] = shop.history()
    client = MlflowClient(shop.server.uri)
    experiment_id = shop.server.experiment(f"{shop.name}/Kisqali")["experiment_id"]
    models = [m for m in client.search_logged_models([experiment_id]) if m.params.get("agent") == shop.agent]
    assert [(model.model_id, model.model_type, model.source_run_id) for model in models] == [
        (version["models"][0], "agent", version["runs"][0])
    ]
    assert models[0].params["version"] == version["version"]
    assert models[0].params["flags.tier"] == "1"


def test_the_traces_of_a_version_are_found_by_it(shop: Shop) -> None:
    for text in (FIRST, FIRST, SECOND):
        shop.run(text)

    client = MlflowClient(shop.server.uri)
    experiment_id = shop.server.experiment(f"{shop.name}/Kisqali")["experiment_id"]
    counts = [
        len(client.search_traces([experiment_id], f"span.attributes.`tierlens.version` LIKE '%{version['version']}%'"))
        for version in shop.history()
    ]
    assert counts == [1, 2]


def test_a_diff_is_that_of_the_files(shop: Shop) -> None:
    shop.run(FIRST)
    shop.run(SECOND)
    second, first = shop.history()

    shown = shop.ask("diff", shop.agent, first["version"], second["version"]).out

    assert {"-# the first", "-tier: 1", "+tier: 2", "+log_prompts: false"} <= set(shown.splitlines())
    assert shown.splitlines()[2:] == shop.ask("diff", shop.agent, first["version"]).out.splitlines()[2:]
    assert "are the same file" in shop.ask("diff", shop.agent, second["version"]).out


def test_a_rollback_puts_the_file_back_and_is_in_the_history(shop: Shop) -> None:
    shop.run(FIRST)
    before = shop.file.read_text()
    shop.run(SECOND)
    _, first = shop.history()

    shown = shop.ask("rollback", shop.agent, first["version"][:6]).out

    assert shop.file.read_text() == before
    assert "# the first" in before
    assert shop.file.with_name(f"{shop.file.name}.bak").read_text().endswith("log_prompts: false\n")
    assert f"as it stood in {first['version']}" in shown
    _, again = shop.history()
    assert (again["version"], again["in_config"], len(again["restored"])) == (first["version"], True, 1)


def test_a_second_rollback_leaves_what_the_first_one_replaced(shop: Shop) -> None:
    shop.run(FIRST)
    [first] = shop.history()
    never_ran = shop.file.read_text() + "sample: 0.5\n"
    shop.file.write_text(never_ran)

    for _ in range(2):
        assert shop.ask("rollback", shop.agent, first["version"]).code == 0

    assert shop.file.with_name(f"{shop.file.name}.bak").read_text() == never_ran


def test_a_broken_file_can_be_rolled_back(shop: Shop) -> None:
    shop.run(FIRST)
    good = shop.file.read_text()
    shop.file.write_text("agent: [")
    [first] = shop.history()

    assert not first["in_config"]
    assert " broken " in shop.ask("list").out
    assert shop.ask("rollback", shop.agent, first["version"], "--json").json["as_wanted"]
    assert shop.file.read_text() == good
    assert shop.file.with_name(f"{shop.file.name}.bak").read_text() == "agent: ["


def test_a_file_of_another_name_is_rolled_back_where_it_is(shop: Shop) -> None:
    shop.run(FIRST)
    good = shop.file.read_text()
    [first] = shop.history()
    elsewhere = shop.file.rename(shop.file.with_name("planning.yml"))
    elsewhere.write_text(good.replace("tier: 1", "tier: 3"))

    assert shop.ask("rollback", shop.agent, first["version"], "--json").json["as_wanted"]
    assert (elsewhere.read_text(), shop.file.exists()) == (good, False)


def test_a_rollback_to_what_is_not_valid_beside_todays_files_says_so(shop: Shop) -> None:
    shop.run(FIRST)
    [first] = shop.history()
    shop.file.unlink()
    shop.file.with_name("0-earlier.yaml").write_text("agent: other\nnode: a\n")

    assert "`tierlens check` says why" in shop.ask("rollback", shop.agent, first["version"]).out


def test_what_is_broken_elsewhere_is_still_said(shop: Shop) -> None:
    (shop.config / "tierlens.yaml").write_text("app: [")

    asked = shop.ask("history", shop.agent)

    assert (asked.code, asked.out) == (2, "")
    assert "config/tierlens.yaml" in asked.err


def test_a_rollback_that_cannot_write_is_said_and_not_in_the_history(shop: Shop) -> None:
    shop.run(FIRST)
    in_the_way = shop.file.with_name(f"{shop.file.name}.bak")
    in_the_way.mkdir()
    [first] = shop.history()
    shop.file.write_text(shop.file.read_text() + "sample: 0.5\n")

    asked = shop.ask("rollback", shop.agent, first["version"])

    assert (asked.code, asked.out) == (1, "")
    assert asked.err.startswith(f"tierlens: {in_the_way.relative_to(shop.folder)}: Is a directory; ")
    assert shop.history()[0]["restored"] == []


@pytest.mark.parametrize("command", [("history", ""), ("rollback", "", "abc")])
def test_no_name_is_the_name_of_no_agent(shop: Shop, command: tuple[str, ...]) -> None:
    shop.run(FIRST)
    asked = shop.ask(*command)
    assert (asked.code, asked.out) == (1, "")
    assert "no run of an agent '' is there" in asked.err


def test_a_rollback_says_where_the_defaults_have_changed_since(shop: Shop) -> None:
    shop.run(FIRST)
    [first] = shop.history()
    application = shop.config / "tierlens.yaml"
    application.write_text(application.read_text().replace("per_version}", "per_version, sample: 0.5}"))

    assert "`defaults:` gives has changed since" in shop.ask("rollback", shop.agent, first["version"]).out


@pytest.mark.parametrize(
    ("words", "why"),
    [(("history", "nobody"), "no run of an agent 'nobody'"), (("rollback", "", "ffff"), "is no version that ran")],
)
def test_what_is_not_there_is_said(shop: Shop, words: tuple[str, ...], why: str) -> None:
    shop.run(FIRST)

    asked = shop.ask(*(word or shop.agent for word in words))

    assert (asked.code, asked.out) == (1, "")
    assert why in asked.err


@pytest.mark.parametrize("runs", ["per_invocation", "off"])
def test_an_agent_that_has_no_versions_is_said_to_have_none(shop: Shop, runs: str) -> None:
    shop.run(f"{FIRST}runs: {runs}\n")

    history, listed = shop.ask("history", shop.agent), shop.ask("list")

    assert (history.code, history.out) == (1, "")
    assert f"it has `runs: {runs}`, and versions are kept of agents with `runs: per_version` only" in history.err
    assert (listed.code, f"{shop.agent} ({runs})" in listed.err) == (0, True)


def test_an_agent_that_had_versions_before_has_them_still(shop: Shop) -> None:
    shop.run(FIRST)
    shop.run(f"{FIRST}runs: per_invocation\n")

    listed = shop.ask("list")

    assert len(shop.history()) == 1
    assert (f" {shop.agent} " in f" {listed.out} ", listed.err) == (True, "")


def test_another_applications_agent_of_the_same_name_has_versions_of_its_own(shop: Shop, tmp_path: Path) -> None:
    other = Shop(tmp_path / "other", shop.server, shop.name, app="the shop's stall")
    shop.run(FIRST)
    other.run(SECOND)

    [[ours], [theirs]] = shop.history(), other.history()
    rolled_back = other.ask("rollback", other.agent, ours["version"])

    assert (ours["tier"], theirs["tier"]) == ("1", "2")
    assert (rolled_back.code, other.history()) == (1, [theirs])
    assert other.file.read_text().endswith("log_prompts: false\n")


def test_every_page_of_experiments_is_read(tmp_path: Path) -> None:
    with Crowded(3) as server:
        asked = command(tmp_path, "agents", "list", "--json", MLFLOW_TRACKING_URI=server.uri)

    assert (asked.code, asked.json) == (0, [])
    [search] = [request for request in server.requests if "runs/search" in request.path]
    assert search.json()["experiment_ids"] == ["0", "1", "2"]
