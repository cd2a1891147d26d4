"""``tierlens init``: a first config/ from the nodes of a compiled graph."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from tierlens import settings
from tierlens.cli.graphs import Graph, load_graph
from tierlens.cli.output import counted
from tierlens.errors import ConfigError


def init(
    graph: Annotated[str, typer.Argument(metavar="MODULE:GRAPH", help="pkg.mod:attribute, or file.py:attribute.")],
    config_dir: Annotated[
        Path | None, typer.Option(help="Folder to write to; without it, as TIERLENS_CONFIG_DIR has it, or config.")
    ] = None,
    app: Annotated[str, typer.Option(help="The application's name; without it, that of this folder.")] = "",
    brand: Annotated[list[str] | None, typer.Option(help="A brand there is; may be repeated.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be written, and write nothing.")] = False,
) -> None:
    """Write a first config/ for a compiled graph.

    The module is imported as Python would import it from this folder. One file is written for the
    application, one for each node of the graph, and the JSON Schemas that editors check them by. Files that
    are there are never overwritten without --force.

    Examples:

      tierlens init my_package.graph:graph

      tierlens init app.py:graph --brand Kisqali --brand Fabhalta --dry-run
    """
    from tierlens.config.schema import SCHEMAS_FOLDER, schemas

    folder = config_dir or settings.config_dir()
    texts = config_files(load_graph(graph), app or Path.cwd().name, brand or [])
    files = {folder / name: text for name, text in texts.items()}
    if dry_run:
        for path, text in files.items():
            typer.echo(f"# {path}\n{text}")
        return
    _write(files, force)
    _write({folder / SCHEMAS_FOLDER / name: text for name, text in schemas().items()}, force=True)
    for path in files:
        typer.echo(str(path))
    typer.echo(f"{counted(len(files), 'file')} written; `tierlens check` validates them")


def config_files(graph: Graph, app: str, brands: Sequence[str]) -> Mapping[str, str]:
    """The files' texts by their paths below the config folder."""
    files = {"tierlens.yaml": _APPLICATION.format(app=_scalar(app), brands=_brands(brands))}
    keys = ", ".join(graph.state_keys) or "key"
    for node in graph.nodes:
        files[f"agents/{_file_name(node, files)}.yaml"] = _AGENT.format(agent=_scalar(node), keys=keys)
    return files


def _file_name(node: str, taken: Mapping[str, str]) -> str:
    """The node's name as a file's, distinct from the others on any file system."""
    words = re.sub(r"[^\w-]+", "_", node).encode()[:_LONGEST_NAME].decode(errors="ignore")
    stem = words.strip("_") or "agent"
    lower = {path.lower() for path in taken}
    name, number = stem, 1
    while f"agents/{name}.yaml".lower() in lower:
        number += 1
        name = f"{stem}_{number}"
    return name


def _scalar(text: str) -> str:
    """``text`` as it stands in YAML, in quotes where it would not be read as that text."""
    import json

    import yaml

    plain = re.fullmatch(r"\w[\w -]*", text) is not None and yaml.safe_load(text) == text
    return text if plain else json.dumps(text, ensure_ascii=False)


def _brands(brands: Sequence[str]) -> str:
    if brands:
        return f"brands: [{', '.join(map(_scalar, brands))}]"
    return "# brands: [Kisqali, Fabhalta]   # left out: every brand is allowed"


def _write(files: Mapping[Path, str], force: bool) -> None:
    if there := [path for path in files if path.exists() and not force]:
        names = ", ".join(map(str, there))
        raise ConfigError(names, "", "would be overwritten;", "give --force if that is wanted")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


# Bytes; file systems take 255, ending included.
_LONGEST_NAME: Final = 200
_APPLICATION = """\
# yaml-language-server: $schema=schemas/tierlens.json
# The application: its name, its brands, and what holds for every agent. One file an agent lies in agents/.

app: {app}
{brands}
unknown_brand: default      # what a brand not listed gets: default (recorded under default_brand), or reject
default_brand: default      # the brand of calls that name none; with reject, one of those listed

# prices.yaml beside this file: what you pay for models where that is not the published price

naming:                     # fields: {{app}} {{brand}} {{tier}} {{agent}} {{environment}} {{date}}
  trace: "{{app}} {{brand}}"  # what a trace is called

# question: inputs.question   # what the trace list shows as request; left out: a guess
# answer: outputs.answer      # and as response

# runnables:                  # runnables by run name, and what each is
#   my_retriever: retriever   # retriever, reranker, tool, agent, embedding or guardrail

defaults:                   # any flag of an agent's file can stand here, for all of them
  mlflow_experiment: "{{app}}/{{brand}}"   # one MLflow experiment a brand, made on first use
  log_prompts: true
  sample: 1.0
  keep: [error]
  redact: [secrets]
"""

_AGENT = """\
# yaml-language-server: $schema=../schemas/agent.json
agent: {agent}
# node: name_in_the_graph   # where the graph's node has another name
# tier: 1                   # its tier in the system: a tag on its spans, and {{tier}} in names

# What is left out holds as tierlens.yaml's `defaults:` has it.
# mlflow_experiment: "{{app}}/{{brand}}"   # experiment of its traces, where it is called outside a graph
# log_prompts: true         # false: no prompt or completion text leaves the process, not even to the journal
# log_artifacts: true       # false: files set by tierlens.artifact() are not stored
# sample: 1.0               # share of traces that is kept
# keep: [error, slow>30s]   # kept whole whatever `sample` says
# state:                    # what is stored of the state; the graph has: {keys}
#   include: [{keys}]
#   exclude: []
#   max_bytes: 16384        # a longer value is cut; its size and SHA-256 are kept
# redact: [secrets, email]  # secrets, email, phone, record_number, card
# metrics:                  # custom metrics, by name: where in the node's output each lies
#   confidence: outputs.confidence
"""
