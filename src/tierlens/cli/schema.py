"""``tierlens schema``: the JSON Schemas, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tierlens import settings


def schema(
    folder: Annotated[
        Path | None, typer.Argument(help="Where to write; without it, schemas/ in the config folder.")
    ] = None,
) -> None:
    """Write the JSON Schemas of the config files.

    Editors that speak yaml-language-server complete and check the files by them.

    Examples:

      tierlens schema

      tierlens schema docs/schemas
    """
    from tierlens.config.schema import SCHEMAS_FOLDER, schemas

    target = folder or settings.config_dir() / SCHEMAS_FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (target / name).write_text(text, encoding="utf-8")
        typer.echo(str(target / name))
