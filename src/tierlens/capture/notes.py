"""What code says about the span it runs in: metrics, artifacts, tags."""

from __future__ import annotations

import functools
import io
import json
import logging
import mimetypes
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, Protocol

import orjson

from tierlens import keys
from tierlens.capture import active, current, payload, privacy
from tierlens.capture.measuring import measure
from tierlens.capture.recorder import Recorder
from tierlens.capture.tagging import add_tags
from tierlens.capture.trace import Open
from tierlens.errors import JournalRefused
from tierlens.journal.otlp import plain_text
from tierlens.spans import Artifact, Metric

P = ParamSpec("P")
log = logging.getLogger("tierlens")
MAX_ARTIFACT = 32 * 1024 * 1024
_LONGEST_TAG = 4_096
_LONGEST_NAME = 200
_URI = re.compile(r"prompts:/([^/@]+)(?:/(\d+)|@.+)?")
_TEXTS = frozenset({"application/json", "application/xml", "application/yaml", "application/sql", "image/svg+xml"})


class PromptVersion(Protocol):
    """What MLflow's ``load_prompt`` and ``register_prompt`` return has these."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...


def current_span() -> Open | None:
    """The open span that the calling code runs in, or None."""
    recorder = active.recorder()
    return current.current(recorder) if recorder is not None else None


def _harmless(say: Callable[P, None]) -> Callable[P, None]:
    """Whatever the value is, the code that says it goes on."""

    @functools.wraps(say)
    def said(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            say(*args, **kwargs)
        except Exception as error:
            if (recorder := active.recorder()) is not None:
                recorder.shield.report(f"tierlens.{say.__name__}", error)

    return said


@_harmless
def metric(name: str, value: Metric) -> None:
    """Put a custom metric on the agent span this code runs in; MLflow charts it as an assessment.

    Args:
        name: the metric's name, as in ``causal_confidence``.
        value: a finite number, a bool or a label of up to 250 characters, in the range that the agent's YAML may give.
            Anything else is refused: the reason stands on the span and in the log, and nothing is stored as 0.
    """
    recorder, here = active.recorder(), current_span()
    if recorder is not None and here is not None:
        measure(recorder, here.nearest_agent(), str(name), value)
    elif recorder is not None:
        recorder.shield.warn(f"metric {name}", f"metric {name!r} was not recorded: no span is open here")


@_harmless
def tag(name: str, value: object) -> None:
    """Put a tag on the trace this code runs in; outside of one, nothing.

    Args:
        name: what MLflow lists it under; one that begins with ``mlflow.`` is left out.
        value: its text, or anything by its ``str``, up to 4,096 characters. Of None and "", there is no tag.
    """
    here = current_span()
    if here is None:
        return
    # The root is redacted as its own policy has it, and this is text of the agent that says it.
    said = value if value is None or isinstance(value, str) else payload.safe_str(value)
    add_tags(here.root().attributes, {privacy.redacted(here, str(name)): said and privacy.tagged(here, said)})


@_harmless
def link_prompt(prompt: str | PromptVersion, version: int | str | None = None) -> None:
    """Say which version of a prompt the agent works with that this code runs in.

    The trace is linked to it in MLflow, the agent's run has it as param ``prompt.<name>``, and ``tierlens costs
    --by prompt`` adds up the calls of agents that were linked to the same versions.

    Args:
        prompt: its name; or what MLflow's ``load_prompt`` returned, or ``prompts:/name/3``, which know the version.
        version: as in ``3``.
    """
    recorder, here = active.recorder(), current_span()
    if recorder is None or here is None:
        return
    told = (prompt, version) if isinstance(prompt, str) else (prompt.name, prompt.version)
    name, number = (plain_text("" if one is None else one) for one in told)
    if found := _URI.fullmatch(name):
        name, number = found[1], number or found[2]
    if not name or not number:
        recorder.shield.warn(
            f"prompt {name}",
            f"prompt {privacy.in_log(here, name)} was not linked: say which, as in link_prompt('gap', 1)",
        )
        return
    named = {"name": privacy.redacted(here, name), "version": privacy.redacted(here, number)}
    for span, key in ((here.nearest_agent(), keys.PROMPTS), (here.root(), keys.TRACE_TAG + keys.LINKED_PROMPTS)):
        linked = orjson.loads(str(span.attributes.get(key, "[]")))
        text = orjson.dumps([*linked, *([named] if named not in linked else [])]).decode()
        if len(text) > _LONGEST_TAG:
            said = privacy.in_log(here, name)
            recorder.shield.warn("prompts", f"prompt {said} was not linked: a trace's tag has no more room")
            return
        span.attributes[key] = text


@_harmless
def artifact(name: str, content: Any) -> None:
    """Attach a file to the agent span this code runs in.

    Args:
        name: its file name; the ending gives the type. Of a path, what would lead elsewhere is left out: ``../x`` is
            ``x``. Characters that cannot be printed become ``_``.
        content: bytes, text, a ``pathlib.Path`` to copy, a matplotlib figure, or anything with a JSON form.
    """
    recorder, here = active.recorder(), current_span()
    if recorder is None or here is None or not here.policy.log_artifacts or not here.nearest_agent().recording:
        return
    try:
        _attach(recorder, here.nearest_agent(), str(name), _bytes(str(name), content))
    except (JournalRefused, ValueError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else privacy.cleaned(here, str(error))
        log.warning("tierlens: artifact %s was not stored: %s", privacy.in_log(here, str(name)), why)


def _file_name(name: str) -> str:
    """``name`` as a path below any folder.

    Raises:
        ValueError: nothing of it is a name, or it is too long for one.
    """
    printable = "".join(one if one.isprintable() else "_" for one in name.replace("\\", "/"))
    parts = [part for part in printable.split("/") if part.strip(". ")]
    if not parts:
        raise ValueError("it has no file name, such as uplift.png")
    if len(safe := "/".join(parts)) > _LONGEST_NAME:
        raise ValueError(f"its name has {len(safe)} characters, more than the {_LONGEST_NAME} allowed")
    return safe


def _attach(recorder: Recorder, span: Open, name: str, content: bytes) -> None:
    if len(content) > MAX_ARTIFACT:
        raise ValueError(f"{len(content)} bytes are more than the {MAX_ARTIFACT} allowed")
    # By the ending alone: a name with a colon would be taken for an address, whose ending may be its query's.
    kind = mimetypes.guess_type(f"file{Path(name).suffix}")[0] or "application/octet-stream"
    name, content = privacy.clean_file(span, name, content, is_text=kind.startswith("text/") or kind in _TEXTS)
    # Only now: a rule that looks for an address does not know it with a slash less.
    name = _file_name(name)
    span.artifacts += (Artifact(name, recorder.journal.store_blob(content), len(content), kind),)


def _bytes(name: str, content: Any) -> bytes:
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    if isinstance(content, Path):
        return content.read_bytes()
    if isinstance(content, str):
        return content.encode("utf-8", "replace")
    if hasattr(content, "savefig"):
        file = io.BytesIO()
        content.savefig(file, format=Path(name).suffix.lstrip(".") or "png")
        return file.getvalue()
    return json.dumps(json.loads(payload.dumps(content)), indent=2).encode()
