"""Who delivers a journal, as the settings have it. Each way is imported when it is the one: an agent whose child
ships needs nothing of what does.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tierlens.config.environment import environment_of
from tierlens.journal.writer import Journal
from tierlens.settings import Settings
from tierlens.shipping import Shipping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tierlens.shipping.hosts.spawn import Beginnings
    from tierlens.sinks.base import Sink


def shipping_for(settings: Settings, journal: Journal, version: str) -> Shipping:
    """What ``settings.shipper`` names, for this process's journal; not started.

    Args:
        version: ours; a shipping process of another one makes way.

    Raises:
        ConfigError: config/prices.yaml is not what it should be.
    """
    if settings.shipper == "external":
        from tierlens.shipping.hosts.external import ExternalShipping

        return ExternalShipping(journal)
    from tierlens.shipping.hosts.spawn import beginnings

    begin = beginnings(environment_of(settings), version)
    in_thread = partial(_shipping_thread, begin, journal)
    if settings.shipper == "thread":
        return in_thread()
    from tierlens.shipping.hosts.process import ShippingProcess

    return ShippingProcess(journal, begin, in_thread)


def _shipping_thread(begin: Beginnings, journal: Journal) -> Shipping:
    from tierlens.shipping.hosts.thread import ShippingThread
    from tierlens.shipping.limits import limits_of_thread
    from tierlens.shipping.metrics import tally_from

    return ShippingThread(
        journal,
        partial(_sink, begin.environment),
        destination=begin.destination,
        limits=limits_of_thread(begin.environment),
        open_tally=tally_from(begin.environment, journal.directory),
    )


def _sink(environment: Mapping[str, str]) -> Sink:
    from tierlens.sinks.configured import sink_from

    return sink_from(environment)
