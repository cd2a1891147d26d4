"""The one composition root: settings and policies in, running parts out."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from langchain_core.callbacks import BaseCallbackHandler

from tierlens import config, settings
from tierlens.capture import active, autolog, threads
from tierlens.capture.callback import MlflowCallbackHandler, SilentHandler
from tierlens.capture.current import using
from tierlens.capture.notes import current_span
from tierlens.capture.otel import bridge_installed_provider, span_processor
from tierlens.capture.paths import lookup
from tierlens.capture.pauses import Pauses
from tierlens.capture.recorder import Recorder, Step
from tierlens.capture.redaction import redactor
from tierlens.capture.starts import StartRecords
from tierlens.capture.trace import Context
from tierlens.errors import TierlensError
from tierlens.journal.writer import Journal
from tierlens.policy import Policies
from tierlens.settings import Settings

if TYPE_CHECKING:
    from tierlens.shipping import FlushReport, Shipping
    from tierlens.sinks.base import Sink
    from tierlens.sinks.links import TraceLinks

log = logging.getLogger("tierlens")
Graph = TypeVar("Graph", bound="Configurable")


class Configurable(Protocol):
    """Anything of LangChain's that takes a config: a compiled graph, a chain, an agent."""

    def with_config(self, config: Any = None, **kwargs: Any) -> Any: ...


class Lens:
    """A running tierlens. ``init`` makes the one of a process; ``close`` ends it.

    Args:
        chosen: where and how to record and deliver.
        policies: what is recorded, for whom.
        steps: functions over every span, in order, before the journal, start records too; None drops the span.
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
        self._recorder = Recorder(self._journal, policies, steps=steps)
        self._starts = StartRecords(self._recorder)
        self._pauses = Pauses(chosen.journal_dir / "paused")
        self._shipping = _shipping(chosen, self._journal)
        self._shipping.start()
        self._links: TraceLinks | None = None
        self._closed = False
        active.activate(self._recorder)
        autolog.take_over()
        threading.Thread(target=_warm_up, args=(policies,), name="tierlens-warm-up", daemon=True).start()
        if chosen.propagate_threads:
            threads.install()
        bridge_installed_provider()
        atexit.register(self.close)

    def callback(
        self,
        *,
        brand: str | None = None,
        kpi: str | None = None,
        user: str | None = None,
        session: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> BaseCallbackHandler:
        """A handler for ``config={"callbacks": [...]}`` of any LangGraph or LangChain call; reusable and thread-safe.

        Args:
            brand: whose experiment the traces go to; by default ``TIERLENS_BRAND``.
            session: groups traces; by default the graph's ``thread_id``.
            tags: put on every trace.

        Raises:
            UnknownBrand: the configuration lists brands, rejects others, and this is not one of them.
        """
        return MlflowCallbackHandler(self._recorder, self._context(brand, kpi, user, session, tags), self._pauses)

    def attach(
        self,
        graph: Graph,
        *,
        brand: str | None = None,
        brand_from: str | None = None,
        kpi: str | None = None,
        user: str | None = None,
        session: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Graph:
        """``graph`` with every call recorded; the graph passed in stays as it is.

        Args:
            brand_from: dotted path to the brand in a call's input, as in ``inputs.brand``.

        Raises:
            UnknownBrand: as in ``callback``; an unknown brand found by ``brand_from`` is logged and not recorded.
        """
        brand_of: Callable[[object], str | None] | None = None
        if brand_from is not None:
            brand_of = functools.partial(_brand_at, brand_from)
        context = self._context(brand, kpi, user, session, tags)
        handler = MlflowCallbackHandler(self._recorder, context, self._pauses, brand_of)
        attached: Graph = graph.with_config(callbacks=[handler])
        return attached

    @contextlib.contextmanager
    def using(
        self,
        *,
        brand: str | None = None,
        kpi: str | None = None,
        user: str | None = None,
        session: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Iterator[None]:
        """Have traces that start in this block, decorated functions' and wrapped clients' too, recorded so."""
        with using(self._context(brand, kpi, user, session, tags)):
            yield

    def _context(
        self,
        brand: str | None,
        kpi: str | None,
        user: str | None,
        session: str | None,
        tags: Mapping[str, str] | None,
    ) -> Context:
        if brand is not None:
            self.policies.brand(brand)
        return Context(
            brand=brand,
            kpi=kpi,
            user=user,
            session=session,
            tags=dict(tags or {}),
        )

    def flush(self, timeout_s: float = 10.0) -> FlushReport:
        """Wait until what was accepted so far is stored, but never longer than ``timeout_s``."""
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
        """Deliver what can be delivered within ``timeout_s`` and stop; the rest stays in the journal."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        if active.recorder() is self._recorder:
            active.activate(None)
            threads.uninstall()
        self._starts.close()
        self._shipping.close(self.settings.exit_timeout_s if timeout_s is None else timeout_s)
        self._journal.close()
        _forget(self)


class Off(Lens):
    """A Lens that is turned off: nothing is read, started or recorded."""

    def __init__(self, chosen: Settings) -> None:
        self.settings = chosen
        self.policies = Policies()
        self.steps = ()

    def callback(self, **context: Any) -> BaseCallbackHandler:
        return SilentHandler()

    def attach(self, graph: Graph, **context: Any) -> Graph:
        return graph

    @contextlib.contextmanager
    def using(self, **context: Any) -> Iterator[None]:
        yield

    def flush(self, timeout_s: float = 10.0) -> FlushReport:
        from tierlens.shipping.report import FlushReport

        return FlushReport(accepted=0, stored=0, pending=0)

    def trace_url(self) -> None:
        return None

    def close(self, timeout_s: float | None = None) -> None:
        _forget(self)


_lens: Lens | None = None
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
    ``config/tierlens.yaml``, defaults. Called again with other settings, the running Lens is closed and a new one
    made.

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
    with _lock:
        if _lens is not None and (_lens.settings, _lens.steps) == (chosen, tuple(steps)):
            return _lens
        if _lens is not None:
            _lens.close()
        _lens = _start(chosen, tuple(steps))
        return _lens


def _start(chosen: Settings, steps: tuple[Step, ...]) -> Lens:
    if not chosen.enabled:
        return Off(chosen)
    policies = config.load_policies(chosen.config_dir, environment=chosen.environment, experiment=chosen.mlflow_experiment)
    if chosen.brand is not None:
        policies = replace(policies, own_brand=policies.brand(chosen.brand))
    return Lens(chosen, policies, steps)


def _warm_up(policies: Policies) -> None:
    """Compile what the first span would otherwise wait for on the agent's thread: redaction patterns."""
    for policy in (policies.defaults, *policies.agents.values()):
        redactor(policy.redact)


def _forget(lens: Lens) -> None:
    global _lens
    with _lock:
        if _lens is lens:
            _lens = None


def running() -> Lens | None:
    """The Lens of this process, or None."""
    return _lens


def current_trace_url() -> str | None:
    """Where MLflow shows the trace that the calling code runs in, or None."""
    lens = running()
    return lens.trace_url() if lens is not None else None


def _brand_at(path: str, inputs: object) -> str | None:
    found = lookup({"inputs": inputs}, path)
    return None if found is None else str(found)


def _shipping(chosen: Settings, journal: Journal) -> Shipping:
    # Not before it is needed: importing what lies behind the disk takes as long as all the rest.
    if chosen.shipper == "external":
        from tierlens.shipping.external import ExternalShipping

        return ExternalShipping(journal)
    from tierlens import __version__
    from tierlens.shipping.spawn import beginnings

    begin = beginnings({**os.environ, **chosen.as_environment()}, __version__)
    in_thread = functools.partial(_shipping_thread, chosen, journal, begin.destination)
    if chosen.shipper == "thread":
        return in_thread()
    from tierlens.shipping.process import ShippingProcess

    return ShippingProcess(journal, begin, in_thread)


def _shipping_thread(chosen: Settings, journal: Journal, destination: str) -> Shipping:
    from tierlens.shipping.thread import ShippingThread

    return ShippingThread(journal, functools.partial(_sink, chosen), destination=destination)


def _sink(chosen: Settings) -> Sink:
    from tierlens.sinks.configured import sink_for

    return sink_for(chosen)
