"""The one Lens of this process: ``init`` starts it, or starts it anew where it is asked for something else."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tierlens import config, settings
from tierlens.capture.recorder import Step
from tierlens.lens.lens import Lens, Off
from tierlens.policy import Policies
from tierlens.settings import Settings

log = logging.getLogger("tierlens")
_lens: Lens | None = None
_warned: set[str] = set()
_lock = threading.RLock()


def init(
    *,
    tracking_uri: str | None = None,
    config_dir: str | os.PathLike[str] | None = None,
    journal_dir: str | os.PathLike[str] | None = None,
    steps: Sequence[Step] = (),
    **keywords: Any,
) -> Lens:
    """Start tierlens in this process, or return the Lens that runs already.

    Settings come from, in this order: keywords, environment (``TIERLENS_*`` and MLflow's own variables), ``.env``,
    ``config/tierlens.yaml``, defaults. All of them and the config folder are read at every call. Where they say
    what they said, the Lens that runs is returned. Where they say something else, it is closed, a warning says
    what has changed, and a new one is made: callbacks and attached graphs of the former record nothing any more.
    Where they are wrong, it goes on as it is.

    Args:
        tracking_uri: the MLflow server or database; ``MLFLOW_TRACKING_URI``.
        config_dir: folder of ``tierlens.yaml`` and ``agents/``; given, it must be there. ``config`` by default, if any.
        journal_dir: folder of the journal, on a local disk.
        steps: functions over every span, in order, before the journal, start records too; None drops the span.
        keywords: any other field of ``tierlens.settings.Settings``.

    Raises:
        SettingsError: a setting is unknown or cannot be used; says which source it came from.
        ConfigError: a file in the config folder is wrong; says path, line, key, found and expected.
    """
    global _lens
    given = {"tracking_uri": tracking_uri, "config_dir": config_dir, "journal_dir": journal_dir, **keywords}
    chosen = settings.load(**given)
    settings.must_deliver(chosen, **given)
    policies = _policies(chosen)
    with _lock:
        if (lens := running()) is not None:
            changed = list(_changes(lens, chosen, policies, tuple(steps)))
            if not changed:
                return lens
            log.warning(_ANEW, ", ".join(changed))
            lens.close()
        _lens = Lens(chosen, policies, tuple(steps)) if chosen.enabled else Off(chosen)
        return _lens


def running() -> Lens | None:
    """The Lens of this process, or None."""
    return None if _lens is None or _lens.closed else _lens


def current_trace_url() -> str | None:
    """Where MLflow shows the trace that the calling code runs in, or None."""
    lens = running()
    return lens.trace_url() if lens is not None else None


def _policies(chosen: Settings) -> Policies:
    if not chosen.enabled:
        return Policies()
    policies = config.load_policies(
        chosen.config_dir, environment=chosen.environment, experiment=chosen.mlflow_experiment
    )
    for stray in config.unread(chosen.config_dir):
        if str(stray) not in _warned:
            _warned.add(str(stray))
            log.warning("tierlens: %s", stray)
    return replace(policies, own_brand=policies.brand(chosen.brand)) if chosen.brand is not None else policies


def _changes(lens: Lens, chosen: Settings, policies: Policies, steps: tuple[Step, ...]) -> Iterator[str]:
    """What is asked for that the running Lens does not do, by name; no values, which may be credentials."""
    if lens.settings != chosen:
        names = Settings.model_fields
        yield from (name for name in names if getattr(lens.settings, name) != getattr(chosen, name))
    elif lens.policies != policies:
        yield f"the files in {chosen.config_dir}"
    if lens.steps != steps:
        yield "steps"


_ANEW = (
    "tierlens: init() was called again with something else (%s): the Lens that ran is closed and a new one started. "
    "Callbacks and attached graphs of the former one record nothing any more; take them from the one returned."
)
