"""Who delivers a journal, as the settings have it. Each way is imported when it is the one: an agent whose child
ships needs nothing of what does.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from tierlens.config import prices
from tierlens.journal.writer import Journal
from tierlens.settings import Settings
from tierlens.shipping import Shipping

if TYPE_CHECKING:
    from tierlens.sinks.base import Sink


def shipping_for(settings: Settings, journal: Journal, version: str) -> Shipping:
    """What ``settings.shipper`` names, for this process's journal; not started.

    Args:
        version: ours; a shipping process of another one makes way.

    Raises:
        ConfigError: config/prices.yaml is not what it should be.
    """
    if settings.shipper == "external":
        from tierlens.shipping.external import ExternalShipping

        return ExternalShipping(journal)
    from tierlens.shipping.spawn import beginnings

    begin = beginnings({**os.environ, **settings.as_environment(), **prices.as_variables(settings.config_dir)}, version)
    in_thread = partial(_shipping_thread, settings, journal, begin.destination)
    if settings.shipper == "thread":
        return in_thread()
    from tierlens.shipping.process import ShippingProcess

    return ShippingProcess(journal, begin, in_thread)


def _shipping_thread(settings: Settings, journal: Journal, destination: str) -> Shipping:
    from tierlens.shipping.limits import limits_of_thread
    from tierlens.shipping.metrics import tally_from
    from tierlens.shipping.thread import ShippingThread

    environment = {**os.environ, **settings.as_environment()}
    open_tally = tally_from(environment, journal.directory)
    return ShippingThread(
        journal,
        partial(_sink, settings),
        destination=destination,
        limits=limits_of_thread(environment),
        open_tally=open_tally,
    )


def _sink(settings: Settings) -> Sink:
    from tierlens.sinks.configured import sink_for

    return sink_for(settings)
