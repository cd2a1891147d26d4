"""Settings: one order of sources, and errors that name the source."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tierlens import settings
from tierlens.errors import ConfigError, SettingsError
from tierlens.settings import Settings


def load(folder: Path, **keywords: Any) -> Settings:
    """Settings of a process that runs in ``folder``, with no variables but those given."""
    (folder / "config").mkdir(exist_ok=True)
    keywords = {"environ": {}, "env_file": folder / ".env", "config_dir": folder / "config"} | keywords
    return settings.load(**keywords)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_without_any_source_the_defaults_hold(tmp_path: Path) -> None:
    loaded = load(tmp_path)

    assert loaded.enabled
    assert loaded.tracking_uri == "sqlite:///mlflow.db"
    assert loaded.shipper == "process"
    assert loaded.journal_dir == Path("var/tierlens/journal").absolute()
    assert loaded.propagate_threads


def test_each_source_wins_over_those_below_it(tmp_path: Path) -> None:
    write(tmp_path / "config/tierlens.yaml", "settings: {environment: yaml, segment_mb: 3}")
    assert load(tmp_path).environment == "yaml"

    write(tmp_path / ".env", "TIERLENS_ENVIRONMENT=dotenv\n")
    assert load(tmp_path).environment == "dotenv"

    variables = {"TIERLENS_ENVIRONMENT": "variable"}
    assert load(tmp_path, environ=variables).environment == "variable"

    loaded = load(tmp_path, environ=variables, environment="keyword")
    assert (loaded.environment, loaded.segment_mb) == ("keyword", 3)


def test_the_process_environment_is_read_when_none_is_given() -> None:
    code = "from tierlens import settings; print(settings.load(env_file=None).brand)"
    environ = {**os.environ, "TIERLENS_BRAND": "Kisqali"}
    run = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "Kisqali"


def test_mlflows_own_variables_are_understood(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        environ={
            "MLFLOW_TRACKING_URI": "https://mlflow.example",
            "MLFLOW_EXPERIMENT_NAME": "prod",
            "MLFLOW_ARTIFACT_LOCATION": "s3://bucket",
            "MLFLOW_TRACKING_TOKEN": "hush",
        },
    )

    assert loaded.tracking_uri == "https://mlflow.example"
    assert (loaded.mlflow_experiment, loaded.artifact_location) == ("prod", "s3://bucket")
    assert loaded.tracking_token is not None
    assert "hush" not in repr(loaded)


@pytest.mark.parametrize("name", ["TIERLENS_ENABLED", "MLFLOW_ENABLE_TRACKING", "MLFLOW_ENABLE_TRACING"])
@pytest.mark.parametrize("off", ["false", "False", "0", "no"])
def test_each_of_three_switches_turns_it_off(tmp_path: Path, name: str, off: str) -> None:
    assert not load(tmp_path, environ={name: off}).enabled
    assert load(tmp_path, environ={name: "true"}).enabled


def test_a_switch_of_mlflows_wins_over_our_own(tmp_path: Path) -> None:
    assert not load(tmp_path, environ={"MLFLOW_ENABLE_TRACING": "false"}, enabled=True).enabled


@pytest.mark.parametrize("uri", ["http://localhost:5000", "otlp+http://collector:4318", "postgresql://db/mlflow"])
def test_wherever_to_a_process_ships_unless_the_settings_say(tmp_path: Path, uri: str) -> None:
    assert load(tmp_path, tracking_uri=uri).shipper == "process"
    assert load(tmp_path, tracking_uri=uri, shipper="external").shipper == "external"


def test_an_empty_variable_and_a_keyword_of_none_count_as_not_given(tmp_path: Path) -> None:
    loaded = load(tmp_path, environ={"MLFLOW_TRACKING_URI": ""}, brand=None)

    assert loaded.tracking_uri == "sqlite:///mlflow.db"
    assert loaded.brand is None


def test_a_bad_keyword_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, shipper="tread")

    assert str(caught.value) == "keyword shipper: 'tread' is not one of 'thread', 'process' or 'external'"
    assert (caught.value.where, caught.value.found) == ("keyword shipper", "'tread'")


def test_an_unknown_keyword_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"keyword: journal_dirs is not a setting; did you mean journal_dir\?"):
        load(tmp_path, journal_dirs="x")


def test_a_bad_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, environ={"TIERLENS_JOURNAL_QUOTA_MB": "lots"})

    assert str(caught.value) == "environment: TIERLENS_JOURNAL_QUOTA_MB: 'lots' is not a whole number"
    assert caught.value.key == "TIERLENS_JOURNAL_QUOTA_MB"


def test_a_bad_line_of_the_env_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / ".env", "# ours\nTIERLENS_BRAND=x\n\nexport TIERLENS_FSYNC_INTERVAL_S='-1'  # often\n")

    with pytest.raises(SettingsError) as caught:
        load(tmp_path)

    assert caught.value.where == f"{tmp_path}/.env:4"
    assert str(caught.value).endswith("TIERLENS_FSYNC_INTERVAL_S: '-1' is not more than 0")


def test_a_line_that_assigns_nothing_is_named(tmp_path: Path) -> None:
    write(tmp_path / ".env", "TIERLENS_BRAND=x\n= 5\n")

    with pytest.raises(SettingsError, match=r"\.env:2: this line is not NAME=value"):
        load(tmp_path)


def test_a_bad_value_in_yaml_is_named_by_its_line(tmp_path: Path) -> None:
    write(tmp_path / "config/tierlens.yaml", "app: x\nsettings:\n  segment_mb: 0\n")

    with pytest.raises(SettingsError, match=r"config/tierlens\.yaml:3: settings\.segment_mb: 0 is less than 1"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("TIERLENS_OTLP_ENDPOINT", "collector:4318", "is not an address such as http://collector:4318/v1/traces"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "collector:4318",
            "is not an address such as http://collector:4318/v1/metrics",
        ),
        ("TIERLENS_SHIP_REDACTOR", "my redactor", "is not presidio, presidio:<spaCy model> or module:function"),
        ("TIERLENS_EXIT_TIMEOUT_S", "nan", "is not a finite number"),
        ("TIERLENS_FSYNC_INTERVAL_S", "inf", "is not a finite number"),
    ],
)
def test_what_is_expected_is_said_in_words(tmp_path: Path, variable: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, environ={variable: value})

    assert str(caught.value) == f"environment: {variable}: '{value}' {expected}"


def test_an_unknown_setting_in_yaml_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    write(tmp_path / "config/tierlens.yaml", "settings:\n  shiper: thread\n")

    with pytest.raises(SettingsError, match=r":2: settings: shiper is not a known key; did you mean shipper\?"):
        load(tmp_path)


@pytest.mark.parametrize(
    "name", ["tracking_token", "tracking_password", "config_dir", "otlp_headers", "mlflow_experiment"]
)
def test_what_does_not_belong_into_yaml_is_said_to_belong_elsewhere(tmp_path: Path, name: str) -> None:
    write(tmp_path / "config/tierlens.yaml", f"settings:\n  {name}: hush\n")

    with pytest.raises(SettingsError, match=f"settings.{name}: this .* give") as caught:
        load(tmp_path)

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("source", ["keyword", "environment", ".env"])
@pytest.mark.parametrize("what", ["not there", "a file"])
def test_a_config_folder_that_is_named_must_be_there(tmp_path: Path, source: str, what: str) -> None:
    folder = tmp_path / "conf"
    if what == "a file":
        folder.write_text("app: x\n")
    given: dict[str, Any] = {"config_dir": folder if source == "keyword" else None}
    if source == "environment":
        given["environ"] = {"TIERLENS_CONFIG_DIR": str(folder)}
    if source == ".env":
        write(tmp_path / ".env", f"TIERLENS_CONFIG_DIR={folder}\n")

    with pytest.raises(SettingsError) as caught:
        load(tmp_path, **given)

    named = {"keyword": "keyword config_dir", "environment": "environment: TIERLENS_CONFIG_DIR"}
    where = named.get(source, f"{tmp_path}/.env:1: TIERLENS_CONFIG_DIR")
    assert str(caught.value).startswith(f"{where}: '{folder}' is {what} ({folder}) and must be a folder with ")
    assert f"`tierlens init MODULE:GRAPH --config-dir {folder}`" in str(caught.value)


def test_only_the_default_config_folder_may_be_missing(tmp_path: Path) -> None:
    code = (
        "from tierlens import settings; loaded = settings.load(environ={}, env_file=None); "
        "assert settings.load(environ=loaded.as_environment(), env_file=None) == loaded; print(loaded.config_dir)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert run.stdout == "config\n"


@pytest.mark.parametrize(("value", "complaint"), [(5, "5 is not a path"), ("~nobody-of-this-name", "is not there")])
def test_a_config_folder_that_is_no_path_is_refused(tmp_path: Path, value: object, complaint: str) -> None:
    with pytest.raises(SettingsError, match=f"keyword config_dir: .*{complaint}"):
        load(tmp_path, config_dir=value)


def test_a_home_that_nobody_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"keyword journal_dir: '~nobody-of-this-name/j' names a user without"):
        load(tmp_path, journal_dir="~nobody-of-this-name/j")


def test_a_config_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    write(tmp_path / "config/tierlens.yaml", "app: [\n")

    with pytest.raises(ConfigError, match=r"config/tierlens\.yaml:2: "):
        load(tmp_path)


def test_the_experiment_must_be_a_naming_template(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"MLFLOW_EXPERIMENT_NAME: 'x/\{brnd\}' has the unknown field \{brnd\}"):
        load(tmp_path, environ={"MLFLOW_EXPERIMENT_NAME": "x/{brnd}"})


def test_the_experiment_has_one_name_wherever_it_is_given(tmp_path: Path) -> None:
    assert load(tmp_path, mlflow_experiment="a/{brand}").mlflow_experiment == "a/{brand}"
    with pytest.raises(SettingsError, match=r"keyword: experiment is not a setting; did you mean mlflow_experiment\?"):
        load(tmp_path, experiment="a")


def test_an_unknown_variable_of_ours_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    variables = {"TIERLENS_SEGMENT_MBS": "1", "HOME": "/"}
    with caplog.at_level(logging.WARNING, logger="tierlens"):
        load(tmp_path, environ=variables)
        load(tmp_path, environ=variables)

    assert caplog.messages == [
        "environment: TIERLENS_SEGMENT_MBS is not a variable of tierlens; did you mean TIERLENS_SEGMENT_MB?"
    ]


def test_settings_are_frozen(tmp_path: Path) -> None:
    loaded = load(tmp_path)

    with pytest.raises(ValidationError):
        loaded.enabled = False


def test_settings_survive_a_journey_through_the_environment(tmp_path: Path) -> None:
    loaded = load(tmp_path, tracking_uri="http://x", tracking_token="hush", segment_mb=3, propagate_threads=False)

    assert settings.load(environ=loaded.as_environment(), env_file=None) == loaded


def test_settings_and_config_import_neither_pydantic_settings_nor_yaml_until_they_read() -> None:
    code = (
        "import sys, tierlens; before = set(sys.modules); import tierlens.settings, tierlens.config; "
        "print([name for name in ('pydantic_settings', 'yaml', 'mlflow') if name in sys.modules.keys() - before])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("localhost:5000", "'localhost:5000' is not supported without a scheme: did you mean http://localhost:5000?"),
        ("mlruns", "'mlruns' is a folder, which MLflow keeps no traces in any more"),
        ("databricks", r"'databricks' is not supported \(Databricks\)"),
        ("ftp://ann:s3cret@host", "'ftp://host' is not supported: give the address of an MLflow server"),
        ("http://", "'http://' names no host"),
        ("http://mlflow:5000/#/experiments/1", "is the address of a page: leave out what follows http://mlflow:5000/"),
    ],
)
def test_a_process_that_delivers_refuses_an_address_that_nobody_can_deliver_to(
    tmp_path: Path, uri: str, complaint: str
) -> None:
    environ = {"MLFLOW_TRACKING_URI": uri}

    with pytest.raises(SettingsError, match=f"^environment: MLFLOW_TRACKING_URI: .*{complaint}"):
        settings.must_deliver(load(tmp_path, environ=environ), environ=environ, config_dir=tmp_path / "config")
    with pytest.raises(SettingsError, match=f"^keyword tracking_uri: .*{complaint}"):
        settings.must_deliver(load(tmp_path, tracking_uri=uri), environ={}, tracking_uri=uri)


@pytest.mark.parametrize("off", [{"shipper": "external"}, {"enabled": False}, {"enable_tracing": False}])
def test_a_process_that_delivers_nothing_may_have_any_address(tmp_path: Path, off: dict[str, Any]) -> None:
    given = {"tracking_uri": "databricks", **off}

    settings.must_deliver(load(tmp_path, **given), environ={}, **given)


@pytest.mark.parametrize("uri", ["http://mlflow:5000/team", "sqlite:///mlflow.db", "otlp+http://collector:4318"])
def test_an_address_that_may_answer_is_left_to_delivery(tmp_path: Path, uri: str) -> None:
    settings.must_deliver(load(tmp_path, tracking_uri=uri), environ={}, tracking_uri=uri)
