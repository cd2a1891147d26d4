"""The files of config/: what they mean, and every way in which they can be wrong."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlens import config
from tierlens.errors import ConfigError, UnknownBrand
from tierlens.policy import AgentPolicy, Keep, MetricRule, Policies, StatePolicy

WHOLE_AGENT = """
agent: causal_impact
node: estimate
tier: 2
mlflow_experiment: "{app}/{brand}/causal"
log_prompts: false
log_artifacts: false
sample: 0.25
keep: [error, slow>30s, slow>500ms]
state: {include: [question, brand], exclude: [panel], max_bytes: 100}
redact: [secrets, email]
metrics: {causal_confidence: outputs.causal_confidence}
runs: per_invocation
estimate_tokens: true
"""


def folder(root: Path, application: str | None = None, **agents: str) -> Path:
    """A config folder below ``root`` with these files."""
    path = root / "config"
    (path / "agents").mkdir(parents=True)
    if application is not None:
        (path / "tierlens.yaml").write_text(application, encoding="utf-8")
    for name, text in agents.items():
        (path / "agents" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return path


def complaints(path: Path) -> list[str]:
    """What `check` finds, with the folder's own path left off."""
    return [str(error).removeprefix(f"{path}/") for error in config.check(path)]


def test_no_folder_means_defaults_and_every_brand(tmp_path: Path) -> None:
    policies = config.load_policies(tmp_path / "nowhere", environment="prod", experiment="x/{brand}")

    assert policies == Policies(environment="prod", defaults=AgentPolicy(experiment="x/{brand}"))
    assert policies.brand("anything") == "anything"


def test_an_empty_folder_means_the_same_defaults(tmp_path: Path) -> None:
    assert config.load_policies(folder(tmp_path, "")).defaults == AgentPolicy()
    assert config.load_policies(folder(tmp_path / "b")).app == "tierlens"


def test_every_flag_of_an_agent_is_read(tmp_path: Path) -> None:
    policies = config.load_policies(folder(tmp_path, "app: demo", causal_impact=WHOLE_AGENT))

    assert policies.agents["estimate"] == AgentPolicy(
        agent="causal_impact",
        node="estimate",
        tier=2,
        experiment="{app}/{brand}/causal",
        log_prompts=False,
        log_artifacts=False,
        sample=0.25,
        keep=Keep(errors=True, slower_than_s=0.5),
        state=StatePolicy(frozenset({"question", "brand"}), frozenset({"panel"}), 100),
        redact=("secrets", "email"),
        metrics={"causal_confidence": MetricRule("outputs.causal_confidence")},
        runs="per_invocation",
        estimate_tokens=True,
    )
    assert policies.agents["causal_impact"] is policies.agents["estimate"]


def test_everything_about_the_application_is_read(tmp_path: Path) -> None:
    text = """
app: demo
environment: staging
brands: [Kisqali, Fabhalta]
unknown_brand: reject
default_brand: Kisqali
naming: {trace: "{agent}"}
defaults: {mlflow_experiment: "{environment}/{brand}"}
question: inputs.question
answer: outputs.answer
runnables: {bm25: retriever, fuse: reranker}
"""
    policies = config.load_policies(folder(tmp_path, text))

    assert (policies.app, policies.environment, policies.default_brand) == ("demo", "staging", "Kisqali")
    assert policies.brands == ("Kisqali", "Fabhalta")
    assert policies.defaults.experiment == "{environment}/{brand}"
    assert policies.trace_name == "{agent}"
    assert (policies.question, policies.answer) == ("inputs.question", "outputs.answer")
    assert policies.runnables == {"bm25": "retriever", "fuse": "reranker"}
    with pytest.raises(UnknownBrand, match=r"config/tierlens\.yaml:4: brands: 'X' is not one of the brands: Kisqali, "):
        policies.brand("X")


def test_the_default_brand_need_not_be_listed_where_it_is_the_one_that_holds_unsaid(tmp_path: Path) -> None:
    text = "brands: [Kisqali]\nunknown_brand: default\ndefault_brand: default\n"

    assert config.load_policies(folder(tmp_path, text)).brand("X") == "default"


def test_no_brand_is_a_brand_too_that_may_be_unknown() -> None:
    listed = Policies(brands=("A", "B"))
    rejecting = replace(listed, unknown_brand="reject")

    assert listed.brand(None) == listed.brand("X") == "default"
    assert replace(listed, own_brand="B").brand(None) == "B"
    assert replace(rejecting, own_brand="B").brand(None) == "B"
    assert replace(rejecting, default_brand="A").brand("") == "A"
    with pytest.raises(UnknownBrand, match=r"brands: a call names no brand .* give one of A, B as brand="):
        rejecting.brand(None)


def test_an_agent_takes_from_the_defaults_what_it_leaves_out(tmp_path: Path) -> None:
    defaults = (
        "defaults: {log_prompts: false, keep: [error], redact: [email], state: {exclude: [panel]}, "
        "metrics: {a: outputs.a}}"
    )
    policies = config.load_policies(
        folder(
            tmp_path, defaults, a="agent: a\nstate: {max_bytes: 5}\nmetrics: {b: outputs.b}", b="agent: b\nredact: []"
        )
    )

    a, b = policies.agents["a"], policies.agents["b"]
    assert (a.log_prompts, a.keep.errors, a.redact) == (False, True, ("email",))
    assert a.state == StatePolicy(exclude=frozenset({"panel"}), max_bytes=5)
    assert a.metrics == {"a": MetricRule("outputs.a"), "b": MetricRule("outputs.b")}
    assert b.redact == ()
    assert (policies.defaults.agent, policies.defaults.log_prompts) == ("", False)


def test_settings_win_over_the_file(tmp_path: Path) -> None:
    path = folder(tmp_path, 'environment: file\ndefaults: {mlflow_experiment: "file/{brand}"}', a="agent: a")

    policies = config.load_policies(path, environment="env", experiment="env/{brand}")

    assert policies.environment == "env"
    assert policies.agents["a"].experiment == policies.defaults.experiment == "env/{brand}"


def test_what_the_environment_says_of_experiments_is_no_other_version(tmp_path: Path) -> None:
    path = folder(tmp_path, "app: x", a="agent: a", b="agent: b\nmlflow_experiment: own")

    here, there = config.load_policies(path), config.load_policies(path, experiment="env/{brand}")

    assert there.experiment("K", there.agents["a"]) == "env/K"
    assert {name: policy.version for name, policy in here.agents.items()} == {
        name: policy.version for name, policy in there.agents.items()
    }
    assert [there.agents[name].flags() for name in "ab"] == [here.agents[name].flags() for name in "ab"]
    assert here.defaults.version == there.defaults.version
    (path / "agents/a.yaml").write_text("agent: a\nmlflow_experiment: other\n")
    assert config.load_policies(path).agents["a"].version != here.agents["a"].version


@pytest.mark.parametrize("template", ["fixed", "{app}", "{app}-{environment}", "{{brand}}"])
@given(brands=st.lists(st.text(min_size=1), unique=True, max_size=4), listed=st.booleans())
def test_no_two_brands_ever_share_an_experiment(template: str, brands: list[str], listed: bool) -> None:
    policies = Policies(brands=tuple(brands) if listed else (), defaults=AgentPolicy(experiment=template))
    used = {policies.brand(brand) for brand in [*brands, None]}

    assert len({policies.experiment(brand) for brand in used}) == len(used)


def test_a_fixed_experiment_is_used_as_it_stands_by_the_one_brand_that_may() -> None:
    fixed = AgentPolicy(experiment="prod")

    assert Policies(defaults=fixed).experiment("default") == "prod"
    assert Policies(defaults=fixed).experiment("Kisqali") == "prod/Kisqali"
    assert Policies(defaults=fixed, brands=("Kisqali",)).experiment("Kisqali") == "prod"
    assert Policies().experiment("Kisqali") == "tierlens/Kisqali"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("sample: 1.7", "sample: 1.7 is not a share between 0 and 1"),
        ("sample: .nan", "sample: nan is not a share between 0 and 1"),
        ("sample: half", "sample: 'half' is not a share between 0 and 1"),
        ("sample:", "sample: nothing is not a share between 0 and 1"),
        ("smaple: 1", "smaple is not a known key; did you mean sample?"),
        ("zzz: 1", "zzz is not a known key; there are agent, estimate_tokens, keep, log_artifacts, log_prompts, "),
        ("log_prompts: 'no'", "log_prompts: 'no' is not true or false"),
        ("log_prompts: 1", "log_prompts: 1 is not true or false"),
        ("tier: two", "tier: 'two' is not a whole number, 0 or more"),
        ("tier: true", "tier: true is not a whole number, 0 or more"),
        ("app: demo", "app is not a known key here; it belongs into tierlens.yaml"),
        ("shipper: thread", "shipper is not a known key here; it belongs into tierlens.yaml, under settings:"),
        ("node: 2026-01-02", "node: 2026-01-02 is not text; put it in quotes"),
        ("node: ''", "node: '' is not a name of 1 to 250 characters"),
        ("keep: error", "keep: 'error' is not a list"),
        ("keep: [errors]", "keep[0]: 'errors' is not error, or slow>DURATION"),
        ("keep: [error, slow>30]", "keep[1]: 'slow>30' is not error, or slow>DURATION with ms, s, m or h"),
        ("keep: [slow>-1s]", "keep[0]: 'slow>-1s' is not error, or slow>DURATION"),
        (
            "redact: ['Staff=[0-9]{5}']",
            "'record_number' or 'card', nor name=pattern, with a name of lower-case letters, digits and _",
        ),
        ("redact: [emial]", "redact[0]: 'emial' is not one of 'secrets', 'email', 'phone', 'record_number' or 'card'"),
        ("state: [a]", "state: a list is not a mapping of keys to values"),
        ("state: {inclde: [a]}", "state: inclde is not a known key; did you mean include?"),
        ("state: {max_bytes: -1}", "state.max_bytes: -1 is not a number of bytes, 0 or more"),
        ("state: {include: panel}", "state.include: 'panel' is not a list"),
        ("metrics: {a: {path: x}}", "metrics.a.path: 'x' is not a path such as outputs.confidence"),
        ("metrics: {a: {pth: outputs.a}}", "metrics.a: pth is not a known key; did you mean path?"),
        ("metrics: {a: {min: 2, max: 1}}", "metrics.a: a mapping allows no value: min 2 is above max 1"),
        ("metrics: {a: {direction: up}}", "metrics.a.direction: 'up' is not one of 'higher' or 'lower'"),
        ("metrics: {a: 3}", "metrics.a: 3 is not a path such as outputs.confidence"),
        ("runs: sometimes", "runs: 'sometimes' is not one of 'per_version', 'per_invocation' or 'off'"),
        ("metrics: {a: confidence}", "metrics.a: 'confidence' is not a path such as outputs.confidence"),
        ("metrics: {'': outputs.a}", "metrics.: '' is not a name of 1 to 250 characters"),
        (
            "mlflow_experiment: '{app}/{brnd}'",
            "mlflow_experiment: '{app}/{brnd}' has the unknown field {brnd}; the fields",
        ),
        ("mlflow_experiment: '{app.x}'", "mlflow_experiment: '{app.x}' has the unknown field {app.x}"),
        ("mlflow_experiment: '{app!r}'", "mlflow_experiment: '{app!r}' formats the field {app}"),
        ("mlflow_experiment: '{app'", "mlflow_experiment: '{app' is not a naming template"),
        ("tier: !!python/name:os.system x", "tier: this python/name:os.system is not a plain YAML value"),
        ("tier: !!int x", "tier: this int is not a plain YAML value"),
        ("tier: 2026-13-45", "tier: this timestamp is not a plain YAML value"),
        ("<<: {tier: 1}", "<< is not a known key"),
        ("? [a]\n: 1", "a key is not plain text"),
        ("tier: 1\ntier: 2", "tier: this key stands on line 2 already"),
        ("tier: [1", "is not valid YAML"),
        ("tier: \x07", "character '\\x07' is not allowed"),
        ("---\nagent: b", "is not valid YAML"),
    ],
)
def test_a_bad_line_is_refused_with_what_was_found_and_expected(tmp_path: Path, line: str, complaint: str) -> None:
    path = folder(tmp_path, a=f"agent: a\n{line}\n")

    found = complaints(path)

    assert len(found) == 1
    where, _, text = found[0].partition(": ")
    assert where.startswith("agents/a.yaml:")
    assert int(where.rpartition(":")[2]) in (2, 3)
    assert complaint in text
    with pytest.raises(ConfigError, match=r"agents/a\.yaml"):
        config.load_policies(path)


def test_the_example_of_the_documentation_is_word_for_word(tmp_path: Path) -> None:
    path = folder(tmp_path, gap_analyzer="agent: gap_analyzer\n\n\n\n\n\nsample: 1.7\n")

    with pytest.raises(ConfigError) as caught:
        config.load_policies(path)

    where = f"{path}/agents/gap_analyzer.yaml:7"
    assert str(caught.value) == f"{where}: sample: 1.7 is not a share between 0 and 1"
    error = caught.value
    assert (error.where, error.key) == (where, "sample")
    assert (error.found, error.expected) == ("1.7", "is not a share between 0 and 1")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("brands: [A, B, A]", "1: brands[2]: 'A' is listed already"),
        (
            "brands: [A, B]\ndefault_brand: AB",
            "2: default_brand: 'AB' is not one of the brands: A, B; list it there too, or leave default_brand out",
        ),
        (
            "brands: [A]\ndefault_brand: default\nunknown_brand: reject",
            "2: default_brand: 'default' is not one of the brands: A; list it there too, or leave default_brand out",
        ),
        ("brands: [NO]", "1: brands[0]: false is not text; put it in quotes"),
        ("unknown_brand: reject", "1: unknown_brand: reject needs brands: to be listed"),
        ("unknown_brand: refuse", "1: unknown_brand: 'refuse' is not one of 'default' or 'reject'"),
        ("settings: {mlflow_experiment: a}", "1: settings.mlflow_experiment: this belongs under defaults:, or into an"),
        ("runnables: {a: searcher}", "1: runnables.a: 'searcher' is not one of 'retriever', 'reranker'"),
        ("defaults: {agent: x}", "1: defaults: agent is not a known key here; it belongs into the agent's own file"),
        (
            "log_prompts: false",
            "1: log_prompts is not a known key here; it belongs under defaults:, or into",
        ),
        ("tracking_uri: http://x", "1: tracking_uri is not a known key here; it belongs under settings:"),
        ("brand: [A]", "1: brand is not a known key; did you mean brands?"),
        ("settings:\n  shipper: tread", "2: settings.shipper: 'tread' is not one of 'thread', 'process' or 'external'"),
        ("settings:\n  tracking_token: hush", "2: settings.tracking_token: this is a credential"),
        ("- a", "1: this file is not a mapping of keys to values"),
        ("question: question", "1: question: 'question' is not a path such as"),
    ],
)
def test_a_bad_application_file_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    found = complaints(folder(tmp_path, text))

    assert len(found) == 1
    assert found[0].startswith(f"tierlens.yaml:{complaint}")


def test_check_lists_everything_at_once_by_file_and_line(tmp_path: Path) -> None:
    path = folder(
        tmp_path, "app: x\nbrnads: []\nnaming: {trace: '{x}'}", a="sample: 2\ntier: x\nagent: a", b="", c="agent: c"
    )

    assert [line.partition(": ")[0] for line in complaints(path)] == [
        "tierlens.yaml:2",
        "tierlens.yaml:3",
        "agents/a.yaml:1",
        "agents/a.yaml:2",
        "agents/b.yaml:1",
    ]


def test_an_empty_agent_file_lacks_its_agent(tmp_path: Path) -> None:
    assert complaints(folder(tmp_path, a="")) == ["agents/a.yaml:1: agent: nothing is given; this key is required"]


def test_two_files_cannot_describe_one_agent_or_node(tmp_path: Path) -> None:
    path = folder(tmp_path, a="agent: x", b="tier: 1\nagent: x", c="agent: y\nnode: x")

    assert complaints(path) == [
        f"agents/b.yaml:2: agent: 'x' is described in {path}/agents/a.yaml:1 already",
        f"agents/c.yaml:2: node: 'x' is described in {path}/agents/a.yaml:1 already",
    ]


def test_aliases_are_read_and_bombs_are_not(tmp_path: Path) -> None:
    layers = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 12))
    path = folder(
        tmp_path,
        "app: &name demo\ndefault_brand: *name",
        bomb=f"agent: bomb\nl0: &l0 [x]\n{layers}\n",
        loop="agent: loop\nkeep: &a [*a]\n",
        deep="agent: deep\nkeep: " + "[" * 5000 + "]" * 5000,
        long="agent: long\n#" + "x" * 1_000_000,
        many="agent: many\nkeep: [" + "x, " * 300_000 + "]",
    )

    began = time.process_time()
    found = complaints(path)

    assert time.process_time() - began < 10
    assert len(found) == 5
    assert "has more than 20000 values" in found[0]
    assert "is nested more than 40 deep" in found[1]
    assert "bytes are more than 1000000" in found[2]
    assert "is nested more than 40 deep" in found[3]
    assert "has more than 20000 values" in found[4]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "agents/bytes.yaml").write_bytes(b"agent: x\nnode: \xff")
    (path / "agents/dir.yaml").mkdir()
    os.mkfifo(path / "agents/fifo.yaml")
    (path / "agents/gone.yaml").symlink_to("nowhere")
    (path / "agents/loop.yaml").symlink_to("loop.yaml")
    (path / "agents/.swap.yaml").write_text("[")
    (path / "agents/readme.md").write_text("[")

    assert complaints(path) == [
        "agents/bytes.yaml:2: byte 0xff is not UTF-8",
        "agents/dir.yaml: this is not a regular file",
        "agents/fifo.yaml: this is not a regular file",
        "agents/gone.yaml: cannot be read: No such file or directory",
        "agents/loop.yaml: cannot be read: Too many levels of symbolic links",
    ]


def test_a_config_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("app: x")

    assert [str(error) for error in config.check(path)] == [f"{path}: this is not a folder"]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "agents/a.yaml").write_bytes(b"\xef\xbb\xbfagent: a\r\ntier: 3\r\n")

    assert config.load_policies(path).agents["a"].tier == 3


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "config"
    (path / "agents").mkdir(parents=True)
    (path / "agents/a.yaml").write_bytes(content)

    assert all(isinstance(error, ConfigError) for error in config.check(path))


def test_what_stops_the_start_names_the_second_fault_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"key is required \(and 1 more: .*did you mean agent\?; `tierlens check`"):
        config.load_policies(folder(tmp_path, "", a="agnet: a"))


def test_an_agent_may_say_one_thing_more_of_a_metric_that_the_defaults_describe(tmp_path: Path) -> None:
    defaults = "defaults: {metrics: {gap: {path: outputs.gap, unit: '%', direction: lower, min: 0}}}"
    agent = "agent: a\nmetrics: {gap: {max: 100}}"

    found = config.load_policies(folder(tmp_path, defaults, a=agent)).agents["a"]

    assert found.metrics == {"gap": MetricRule("outputs.gap", "%", "lower", 0.0, 100.0)}


def test_what_has_a_file_has_runs_of_its_versions_unless_the_files_say_otherwise(tmp_path: Path) -> None:
    def runs(name: str, defaults: str) -> tuple[str, ...]:
        found = config.load_policies(folder(tmp_path / name, defaults, a="agent: a", b="agent: b\nruns: off"))
        return found.defaults.runs, found.agents["a"].runs, found.agents["b"].runs

    assert runs("left_out", "") == ("off", "per_version", "off")
    assert runs("off", "defaults: {runs: off}") == ("off", "off", "off")
    assert runs("each", "defaults: {runs: per_invocation}") == ("per_invocation", "per_invocation", "off")


def test_an_unquoted_off_means_no_runs(tmp_path: Path) -> None:
    assert config.load_policies(folder(tmp_path, "defaults: {runs: off}")).defaults.runs == "off"


def test_a_metric_says_unit_direction_and_range(tmp_path: Path) -> None:
    agent = "agent: a\nmetrics: {gap: {path: outputs.gap, unit: '%', direction: lower, min: 0, max: 1}}"

    policies = config.load_policies(folder(tmp_path, "", a=agent))

    assert policies.agents["a"].metrics == {"gap": MetricRule("outputs.gap", "%", "lower", 0, 1)}
