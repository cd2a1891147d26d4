"""The checks behind ``tierlens doctor``: each yields what it found, and changes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from tierlens import config, presence, settings
from tierlens.addresses import shown
from tierlens.cli.check import summary
from tierlens.cli.destination import destination_findings
from tierlens.cli.filesystem import filesystem_findings
from tierlens.cli.finding import Finding
from tierlens.cli.metrics_findings import metrics_findings
from tierlens.cli.output import counted, megabytes, moment
from tierlens.cli.redactor_findings import redactor_findings
from tierlens.errors import ConfigError
from tierlens.journal.lock import is_orphan
from tierlens.journal.segment import SHIPPER_LOCK
from tierlens.policy import Policies
from tierlens.settings import Settings, variable
from tierlens.upkeep.survey import Survey, survey

_PACKAGES: Final = ("tierlens", "mlflow", "langgraph", "langchain-core", "anthropic")
_ALARM_SHARE: Final = 0.8


def diagnose() -> Iterator[Finding]:
    """All findings, in the order in which a person would mend them."""
    yield Finding("packages", "ok", ", ".join(map(_installed, _PACKAGES)))
    try:
        loaded = settings.load()
    except ConfigError as error:
        yield Finding("settings", "fail", str(error), "set it right; `.env.example` lists all variables")
        return
    yield from _switches(loaded)
    policies = Policies()
    for finding, read in _config(loaded):
        policies = read
        yield finding
    waiting = frozenset[str]()
    for finding, state in _journal(loaded):
        waiting = state.experiments if state else waiting
        yield finding
    yield from redactor_findings(loaded)
    yield from metrics_findings(loaded)
    yield from destination_findings(loaded, policies, waiting)


def _installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} missing"


def _switches(loaded: Settings) -> Iterator[Finding]:
    if loaded.enabled:
        yield Finding("settings", "ok", f"delivery to {shown(loaded.tracking_uri)}")
        return
    off = [name for name in ("enable_tracking", "enable_tracing") if not getattr(loaded, name)] or ["enabled"]
    names = ", ".join(map(variable, off))
    yield Finding("settings", "warn", f"{names} turns tierlens off: every call is a no-op", f"unset {names}")


def _config(loaded: Settings) -> Iterator[tuple[Finding, Policies]]:
    folder = loaded.config_dir
    if errors := config.check(folder) if presence.exists(folder) else ():
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        yield Finding("config", "fail", f"{errors[0]}{more}", "`tierlens check` lists all"), Policies()
        return
    policies = config.load_policies(folder, environment=loaded.environment, experiment=loaded.mlflow_experiment)
    if presence.exists(folder):
        found, mend = f"{folder}: {summary(policies)}", ""
    else:
        found = f"no folder {folder}: defaults hold, and every brand is allowed"
        mend = "`tierlens init MODULE:GRAPH` writes one"
    yield Finding("config", "ok", found, mend), policies
    for stray in config.unread(folder):
        yield Finding("config", "warn", str(stray), "move or rename it, or its flags do not hold"), policies
    if loaded.brand and policies.brands and loaded.brand not in policies.brands:
        yield _unknown_brand(loaded.brand, policies), policies


def _unknown_brand(brand: str, policies: Policies) -> Finding:
    found, mend = f"TIERLENS_BRAND={brand} is not one of the brands", f"use one of {', '.join(policies.brands)}"
    if policies.unknown_brand == "reject":
        return Finding("brand", "fail", f"{found}: calls that name none are rejected", mend)
    return Finding("brand", "warn", f"{found}: calls that name none go to the default, {policies.default_brand}", mend)


def _journal(loaded: Settings) -> Iterator[tuple[Finding, Survey | None]]:
    """What there is to say of the journal, with what lies there where that can be read."""
    directory = loaded.journal_dir
    try:
        nearest = next(path for path in (directory, *directory.parents) if presence.exists(path))
    except OSError as error:
        yield _unreadable(directory, error), None
        return
    if not presence.is_dir(nearest) or not os.access(nearest, os.W_OK | os.X_OK):
        mend = "give this user write permission, or set TIERLENS_JOURNAL_DIR"
        yield Finding("journal", "fail", f"{nearest} cannot be written to", mend), None
        return
    yield _space(loaded, nearest), None
    for finding in filesystem_findings(nearest):
        yield finding, None
    if presence.exists(directory):
        try:
            state = survey(directory)
        except OSError as error:
            yield _unreadable(directory, error), None
            return
        for finding in _contents(loaded, state):
            yield finding, state
    else:
        yield Finding("journal", "ok", f"{directory} will be made at the first span"), None
    yield _delivery(loaded), None


def _unreadable(directory: Path, error: OSError) -> Finding:
    mend = "mend its permissions, or run this as the user whose agents write there"
    return Finding("journal", "fail", f"{directory} cannot be read: {error.strerror}", mend)


def _space(loaded: Settings, place: Path) -> Finding:
    free, quota = shutil.disk_usage(place).free, loaded.journal_quota_mb << 20
    found = f"{megabytes(free)} free, the journal may take {megabytes(quota)}"
    if free < loaded.segment_mb << 20:
        return Finding("disk", "fail", found, "make room, or set TIERLENS_JOURNAL_DIR to another disk")
    if free < quota:
        return Finding("disk", "warn", found, "lower TIERLENS_JOURNAL_QUOTA_MB, or make room")
    return Finding("disk", "ok", found)


def _contents(loaded: Settings, state: Survey) -> Iterator[Finding]:
    found = (
        f"{loaded.journal_dir}: {megabytes(state.size)}, {counted(state.pending, 'span waits', 'spans wait')}, "
        f"{counted(state.living, 'process writes', 'processes write')}, "
        f"{counted(state.orphaned, 'has ended', 'have ended')}"
    )
    if state.size > _ALARM_SHARE * (loaded.journal_quota_mb << 20):
        mend = "deliver with `tierlens ship --once`, or raise TIERLENS_JOURNAL_QUOTA_MB"
        yield Finding("journal", "warn", f"{found}; the quota is nearly used up", mend)
    elif state.pending and not state.living and state.shipper is None:
        yield Finding("journal", "warn", f"{found}; nobody delivers", "`tierlens ship --once` delivers them")
    else:
        yield Finding("journal", "ok", found)
    yield from _losses(loaded, state)
    if letters := sum(state.dead_letters.values()):
        found = f"{counted(letters, 'span')} in {loaded.journal_dir}/dead-letter"
        yield Finding(
            "refused", "warn", found, "`tierlens journal deadletter list` says why MLflow would not take them"
        )


def _losses(loaded: Settings, state: Survey) -> Iterator[Finding]:
    """Spans that the journal did not accept, and what would have it accept them."""
    mends = {
        "quota": f"raise TIERLENS_JOURNAL_QUOTA_MB (now {loaded.journal_quota_mb}), or have it delivered sooner",
        "full": "make room on the disk",
        "io": "look after the disk",
        "too_large": "record less of it: `state: max_bytes`",
    }
    lost = {reason: state.refused[reason] for reason in mends if state.refused.get(reason)}
    if not lost:
        return
    counts = ", ".join(f"{reason}: {count:,}" for reason, count in lost.items())
    since = f" since {moment(state.refused_since_ns // 1_000_000)} UTC" if state.refused_since_ns else ""
    going_on = "; the latest was refused too" if state.refusing else ""
    mend = "; ".join(mends[reason] for reason in lost)
    found = f"{counted(sum(lost.values()), 'span was', 'spans were')} refused{since} ({counts}){going_on}"
    yield Finding("losses", "fail" if state.refusing else "warn", found, mend)


def _delivery(loaded: Settings) -> Finding:
    if loaded.shipper != "external":
        where = "of the agent's" if loaded.shipper == "thread" else "that the agent starts"
        return Finding("shipper", "ok", f"a {loaded.shipper} {where}")
    if not is_orphan(loaded.journal_dir / SHIPPER_LOCK):
        return Finding("shipper", "ok", "external, and one is running")
    return Finding("shipper", "warn", "external, and none is running", "start `tierlens ship` beside the agent")
