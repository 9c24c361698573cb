"""Ports that the site declares and a room listens on (syslog, statsd): opened and closed as the declaration changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from weatherglass.base.errors import Invalid
from weatherglass.site import Site

_LOG = logging.getLogger(__name__)


class Listener(Protocol):
    def start(self) -> None:
        """Raises Invalid for a port that cannot be had."""
        ...

    def stop(self) -> None: ...


class Listeners:
    """What listens now for one section of the declaration; `make` turns its addresses into a listener."""

    def __init__(self, section: str, make: Callable[[tuple[str, ...]], Listener]) -> None:
        self._section, self._make = section, make
        self._declared: tuple[str, ...] = ()
        self._listening: Listener | None = None

    def on_site(self, site: Site) -> None:
        """Listen where the site says. A port that is taken is told, and the house goes on without it."""
        declared = tuple(site.sections.get(self._section) or ())
        if declared == self._declared:
            return
        self.stop()
        self._declared = declared
        if not declared:
            return
        try:
            listening = self._make(declared)
            listening.start()
        except Invalid as error:
            _LOG.warning("the site's %s is not taken: %s", self._section, error)
            return
        self._listening = listening

    def stop(self) -> None:
        if self._listening is not None:
            self._listening.stop()
        self._listening, self._declared = None, ()
