"""`/gnocchi/…`: Gnocchi's HTTP API over `metrics.gnocchi`. The table of paths and methods; each handler is a page.

Handlers are plain functions in a pool: a request in, an answer out, errors in Gnocchi's words.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.routing import BaseRoute

from weatherglass.gateway.context import Context


def routes(context: Context) -> Iterable[BaseRoute]:
    """The one route that everything under the prefix comes through."""
    from weatherglass.gateway.gnocchi.serving import serving

    return serving(context)
