"""All that whoever ships is told, as environment variables: it reads no configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tierlens.config.prices import as_variables

if TYPE_CHECKING:
    # pydantic takes as long to import as all of delivery, which a shipping process does without.
    from tierlens.settings import Settings


def environment_of(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``environ``, with the settings and config/prices.yaml over it.

    Raises:
        ConfigError: config/prices.yaml is not what it should be.
    """
    return {**environ, **settings.as_environment(), **as_variables(settings.config_dir)}
