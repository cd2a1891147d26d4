"""What runs between `init` and `close`: the recorder, the journal, and who delivers."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypedDict, TypeVar, Unpack

from langchain_core.callbacks import BaseCallbackHandler

from tierlens import __version__
from tierlens.capture import active, autolog, threads
from tierlens.capture.callback import MlflowCallbackHandler, SilentHandler
from tierlens.capture.current import using
from tierlens.capture.notes import current_span
from tierlens.capture.otel import bridge_installed_provider, span_processor
from tierlens.capture.paths import lookup
from tierlens.capture.recorder import Recorder, Step
from tierlens.capture.redaction import redactor
from tierlens.capture.shield import Shield
from tierlens.capture.starts import StartRecords
from tierlens.capture.trace import Context
from tierlens.errors import SettingsError, TierlensError
from tierlens.journal.configurations import Configuration, store_configuration
from tierlens.journal.pauses import Pauses
from tierlens.journal.segment import PAUSED
from tierlens.journal.writer import Journal
from tierlens.policy import Policies
from tierlens.settings import Settings
from tierlens.shipping.configured import shipping_for

if TYPE_CHECKING:
    from tierlens.shipping import FlushReport
    from tierlens.sinks.links import TraceLinks

_INPUT_PATH: Final = re.compile(r"inputs(\.[^.\s]+)+")
log = logging.getLogger("tierlens")
Graph = TypeVar("Graph", bound="Configurable")


class Configurable(Protocol):
    """Anything of LangChain's that takes a config: a compiled graph, a chain, an agent."""

    def with_config(self, config: Any = None, **kwargs: Any) -> Any: ...


class About(TypedDict, total=False):
    """For whom and about what calls are made: what ``callback``, ``attach`` and ``using`` take.

    Attributes:
        brand: whose experiment the traces go to; by default ``TIERLENS_BRAND``.
        kpi, user: tags of their own.
        session: groups traces; by default the graph's ``thread_id``.
        tags: put on every trace.
    """

    brand: str | None
    kpi: str | None
    user: str | None
    session: str | None
    tags: Mapping[str, str] | None


class Lens:
    """A running tierlens. ``init`` makes the one of a process; ``close`` ends it.

    Args:
        chosen: where and how to record and deliver.
        policies: what is recorded, for whom.
        steps: functions over every span, in order, before the journal, start records too; None drops the span.

    Attributes:
        closed: it records nothing any more, nor do its callbacks and attached graphs.
    """

    def __init__(self, chosen: Settings, policies: Policies, steps: tuple[Step, ...] = ()) -> None:
        self.settings = chosen
        self.policies = policies
        self.steps = steps
        self._journal = Journal(
            chosen.journal_dir,
            resource={"service.name": policies.app},
            quota_bytes=chosen.journal_quota_mb << 20,
            segment_bytes=chosen.segment_mb << 20,
            fsync_interval_s=chosen.fsync_interval_s,
        )
        self._recorder = Recorder(self._journal, policies, Shield(strict=chosen.strict), steps)
        self._starts = StartRecords(self._recorder)
        self._pauses = Pauses(chosen.journal_dir / PAUSED)
        self._shipping = shipping_for(chosen, self._journal, __version__)
        self._shipping.start()
        self._links: TraceLinks | None = None
        self.closed = False
        active.activate(self._recorder)
        autolog.take_over()
        warm_up = functools.partial(_warm_up, chosen.journal_dir, policies, self._pauses)
        threading.Thread(target=warm_up, name="tierlens-warm-up", daemon=True).start()
        if chosen.propagate_threads:
            threads.install()
        bridge_installed_provider()
        atexit.register(self.close)

    def callback(self, **about: Unpack[About]) -> BaseCallbackHandler:
        """A handler for ``config={"callbacks": [...]}`` of any LangGraph or LangChain call; reusable and thread-safe.

        Args:
            about: ``brand``, ``kpi``, ``user``, ``session`` and ``tags`` of its traces; see `About`.

        Raises:
            UnknownBrand: the configuration lists brands, rejects others, and this is not one of them.
        """
        return MlflowCallbackHandler(self._recorder, self._context(**about), self._pauses)

    def attach(self, graph: Graph, *, brand_from: str | None = None, **about: Unpack[About]) -> Graph:
        """``graph`` with every call recorded; the graph passed in stays as it is.

        Args:
            brand_from: dotted path to the brand in a call's input, as in ``inputs.brand``.
            about: as in ``callback``.

        Raises:
            UnknownBrand: as in ``callback``; an unknown brand found by ``brand_from`` is logged and not recorded.
            SettingsError: ``graph`` is no runnable, or ``brand_from`` no such path.
        """
        if not hasattr(graph, "with_config"):
            raise SettingsError("attach", "", f"this {type(graph).__name__}", "is no graph, nor another runnable")
        if brand_from is not None and not _INPUT_PATH.fullmatch(brand_from):
            raise SettingsError("attach", "brand_from", repr(brand_from), "must be a path such as inputs.brand")
        brand_of = functools.partial(_brand_at, brand_from) if brand_from is not None else None
        handler = MlflowCallbackHandler(self._recorder, self._context(**about), self._pauses, brand_of)
        attached: Graph = graph.with_config(callbacks=[handler])
        return attached

    @contextlib.contextmanager
    def using(self, **about: Unpack[About]) -> Iterator[None]:
        """Have traces that start in this block, decorated functions' and wrapped clients' too, recorded so.

        Args:
            about: as in ``callback``; what a call says itself comes first.

        Raises:
            UnknownBrand: as in ``callback``.
        """
        with using(self._context(**about)):
            yield

    def _context(
        self,
        *,
        brand: str | None = None,
        kpi: str | None = None,
        user: str | None = None,
        session: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Context:
        if tags is not None and not isinstance(tags, Mapping):
            raise SettingsError("tags", "", repr(tags), "must be names with values, such as {'release': '2026.11'}")
        if (named := _text(brand)) is not None:
            self.policies.brand(named)
        return Context(named, _text(kpi), _text(user), _text(session), dict(tags or {}))

    def flush(self, timeout_s: float = 10.0) -> FlushReport:
        """Wait until what was accepted so far is stored or refused.

        Args:
            timeout_s: seconds, at most.

        Returns:
            What had become of this process's spans by then; what is ``pending`` is delivered later.
        """
        return self._shipping.flush(timeout_s)

    def trace_url(self) -> str | None:
        """Where MLflow shows the trace the calling code runs in; None outside of one, or without a server to ask."""
        here = current_span()
        if here is None or not self.settings.tracking_uri.startswith(("http://", "https://")):
            return None
        try:
            if self._links is None:
                from tierlens.sinks.links import TraceLinks

                self._links = TraceLinks(self.settings)
            return self._links.of(here.trace.experiment, here.trace.trace_id)
        except (TierlensError, OSError) as error:
            log.warning("tierlens: no link to the current trace: %s", error)
            return None

    def span_processor(self) -> Any:
        """A processor for a TracerProvider set after ``init``: its OpenTelemetry spans appear in our traces."""
        return span_processor()

    def close(self, timeout_s: float | None = None) -> None:
        """Deliver what can be delivered in time, and stop; the rest stays in the journal.

        Args:
            timeout_s: seconds, at most; None is the setting ``exit_timeout_s``. A server that does not answer is not
                waited for.
        """
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        if active.recorder() is self._recorder:
            active.activate(None)
            threads.uninstall()
        self._starts.close()
        if self._links is not None:
            self._links.close()
        self._shipping.close(self.settings.exit_timeout_s if timeout_s is None else timeout_s)
        self._journal.close()


class Off(Lens):
    """A Lens that is turned off: nothing is read, started or recorded."""

    def __init__(self, chosen: Settings) -> None:
        self.settings = chosen
        self.policies = Policies()
        self.steps = ()
        self.closed = False

    def callback(self, **about: Unpack[About]) -> BaseCallbackHandler:
        return SilentHandler()

    def attach(self, graph: Graph, *, brand_from: str | None = None, **about: Unpack[About]) -> Graph:
        return graph

    @contextlib.contextmanager
    def using(self, **about: Unpack[About]) -> Iterator[None]:
        yield

    def flush(self, timeout_s: float = 10.0) -> FlushReport:
        from tierlens.shipping.report import FlushReport

        return FlushReport(accepted=0, stored=0, pending=0)

    def trace_url(self) -> None:
        return None

    def close(self, timeout_s: float | None = None) -> None:
        self.closed = True


def _warm_up(directory: Path, policies: Policies, pauses: Pauses) -> None:
    """Compile what the first span would otherwise wait for on the agent's thread, redaction patterns; say which
    configurations run; then tidy."""
    every = (policies.defaults, *policies.agents.values())
    for policy in every:
        redactor(policy.redact)
    try:
        for policy in every:
            configuration = Configuration(policy.agent, policy.flags(), policies.files.get(policy.agent, ""))
            store_configuration(directory, policy.version, configuration)
    except OSError as error:
        log.warning("tierlens: the agents' configurations cannot be stored in %s: %s", directory, error)
    pauses.sweep()


def _text(value: object) -> str | None:
    """A user's id, say, may well be a number."""
    return None if value is None else _said(value)


def _said(value: object) -> str:
    # str() of a member of ``class Brand(str, Enum)`` is its name, not what it is.
    return str.__str__(value) if isinstance(value, str) else str(value)


def _brand_at(path: str, inputs: object) -> str | None:
    found = lookup({"inputs": inputs}, path)
    return _said(found) if isinstance(found, str | int) else None
