"""The statsd listeners that the site declares: opened and closed as the declaration changes."""

from __future__ import annotations

import logging

from weatherglass.base.errors import Invalid
from weatherglass.base.ids import SITE_TENANT
from weatherglass.base.time import Clock
from weatherglass.metrics.scrape.statsd import Receiver, Statsd, read_address
from weatherglass.site import Site

_LOG = logging.getLogger(__name__)


class Statsds:
    """What listens now, for the tenant of the cloud itself."""

    def __init__(self, store: Receiver, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._declared: tuple[str, ...] = ()
        self._listening: Statsd | None = None

    def on_site(self, site: Site) -> None:
        """Listen where the site says. A port that is taken is told, and the house goes on without it."""
        declared = tuple(site.sections.get("statsd") or ())
        if declared == self._declared:
            return
        self.stop()
        self._declared = declared
        if not declared:
            return
        try:
            listening = Statsd(SITE_TENANT, [read_address(one) for one in declared], self._store, self._clock)
            listening.start()
        except Invalid as error:
            _LOG.warning("the site's statsd is not taken: %s", error)
            return
        self._listening = listening

    def stop(self) -> None:
        if self._listening is not None:
            self._listening.stop()
        self._listening, self._declared = None, ()
