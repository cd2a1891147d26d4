from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import tierlens

REPOSITORY = Path(__file__).parents[2]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_the_configuration_in_this_repository_is_right() -> None:
    ran = tierlens(REPOSITORY, "check")

    assert (ran.code, ran.err) == (0, "")
    assert "config: ok, 11 agents, 3 brands" in ran.out


def test_all_errors_of_all_files_are_listed(tmp_path: Path) -> None:
    write(tmp_path / "config/tierlens.yaml", "brnads: [A]\nsettings: {shiper: thread}\n")
    write(tmp_path / "config/agents/a.yaml", "agent: a\nsample: 1.7\n")

    ran = tierlens(tmp_path, "check")

    assert ran.code == 1
    assert ran.out.splitlines() == [
        "config/tierlens.yaml:1: brnads is not a known key; did you mean brands?",
        "config/tierlens.yaml:2: settings: shiper is not a known key; did you mean shipper?",
        "config/agents/a.yaml:2: sample: 1.7 is not a share between 0 and 1",
    ]
    assert ran.err == "3 errors in config\n"


def test_an_address_in_a_file_that_nobody_can_deliver_to_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "config/tierlens.yaml", "app: a\nsettings:\n  tracking_uri: localhost:5000\n")

    ran = tierlens(tmp_path, "check")

    assert ran.code == 1
    assert ran.out == (
        "config/tierlens.yaml:3: settings.tracking_uri: 'localhost:5000' is not supported without a scheme: "
        "did you mean http://localhost:5000?\n"
    )


def test_errors_are_there_as_json_too(tmp_path: Path) -> None:
    write(tmp_path / "conf/agents/a.yaml", "agent: a\nsample: 1.7\n")

    ran = tierlens(tmp_path, "check", "--config-dir", "conf", "--json")

    assert ran.code == 1
    assert ran.json["errors"] == [
        {
            "where": "conf/agents/a.yaml:2",
            "key": "sample",
            "found": "1.7",
            "expected": "is not a share between 0 and 1",
            "message": "conf/agents/a.yaml:2: sample: 1.7 is not a share between 0 and 1",
        }
    ]


def test_a_bad_variable_is_listed_beside_the_errors_of_the_files(tmp_path: Path) -> None:
    write(tmp_path / "config/agents/a.yaml", "agent: a\nsample: 1.7\n")

    ran = tierlens(tmp_path, "check", TIERLENS_SEGMENT_MB="0")

    assert ran.code == 1
    assert "config/agents/a.yaml:2" in ran.out
    assert "environment: TIERLENS_SEGMENT_MB: '0' is less than 1" in ran.out


def test_experiments_are_shown_as_they_will_be_named(tmp_path: Path) -> None:
    write(tmp_path / "config/tierlens.yaml", "app: demo\nbrands: [A, B]\n")

    assert tierlens(tmp_path, "check", "--json").json["experiments"] == {"A": "demo/A", "B": "demo/B"}
    assert tierlens(tmp_path, "check", "--json", MLFLOW_EXPERIMENT_NAME="prod").json["experiments"] == {
        "A": "prod/A",
        "B": "prod/B",
    }


def test_a_folder_that_is_named_and_not_there_is_an_error(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "check", "--config-dir", "conf")

    assert ran.code == 1
    assert ran.out.startswith(f"--config-dir: 'conf' is not there ({tmp_path}/conf) and must be a folder with ")
    assert tierlens(tmp_path, "check", TIERLENS_CONFIG_DIR="conf").out.startswith(
        "environment: TIERLENS_CONFIG_DIR: 'conf' is not there"
    )


def test_no_folder_is_no_error(tmp_path: Path) -> None:
    ran = tierlens(tmp_path, "check")

    assert ran.code == 0
    assert "no such folder; defaults hold" in ran.out


def test_what_there_is_one_of_is_said_of_one(tmp_path: Path) -> None:
    write(tmp_path / "config/tierlens.yaml", "brands: [A]\n")
    write(tmp_path / "config/agents/a.yaml", "agent: a\n")
    assert "config: ok, 1 agent, 1 brand\n" in tierlens(tmp_path, "check").out

    write(tmp_path / "config/agents/a.yaml", "agent: a\nsample: 2\n")
    assert tierlens(tmp_path, "check").err == "1 error in config\n"

    (tmp_path / "config/agents/a.yaml").unlink()
    write(tmp_path / "config/tierlens.yaml", "")
    assert "config: ok, 0 agents, all brands\n" in tierlens(tmp_path, "check").out


@pytest.mark.parametrize(
    "stray", ["explainer.yaml", "agnets/explainer.yaml", "agents/tier5/explainer.yaml", "agents/explainer.YAML"]
)
def test_an_agents_file_where_none_is_read_is_warned_of(tmp_path: Path, stray: str) -> None:
    write(tmp_path / "config/tierlens.yaml", "brands: [A]\n")
    write(tmp_path / "config/database.yaml", "host: localhost\n")
    write(tmp_path / "config" / stray, "# private\nagent: explainer\nlog_prompts: false\n")

    ran = tierlens(tmp_path, "check")

    said = f"warning: config/{stray}: this file is not read; those of agents are config/agents/<agent>.yaml\n"
    assert (ran.code, ran.err) == (0, said)
    assert tierlens(tmp_path, "check", "--json").json["unread"] == [f"config/{stray}"]


def test_a_file_of_ours_with_another_ending_is_warned_of(tmp_path: Path) -> None:
    write(tmp_path / "config/tierlens.yml", "brands: [A]\n")

    assert "config/tierlens.yml: this file is not read; call it tierlens.yaml" in tierlens(tmp_path, "check").err
