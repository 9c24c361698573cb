"""What clients of the wire registered with a tenant: indices and their fields, templates, pipelines, policies.

Small JSON objects by (tenant, kind, name), in the room's tables and, once read, in memory. Nothing here knows what
they mean: that is the protocol's.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from weatherglass.engine.tables import Tables
from weatherglass.logs.catalogue import REGISTERED as _TABLE

Body = Mapping[str, Any]


class Registered:
    """The one owner of these rows. A change is durable on return; what was handed out never changes."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._lock = threading.RLock()  # held over a write: changes of a tenant come one after another
        self._known: dict[tuple[str, str], dict[str, Body]] = {}

    def all(self, tenant: str, kind: str) -> Mapping[str, Body]:
        """Everything of a kind, by name. The caller changes nothing in it."""
        with self._lock:
            found = self._known.get((tenant, kind))
            if found is None:
                with self._tables.read() as connection:
                    rows = connection.execute(
                        sa.select(_TABLE.c.name, _TABLE.c.body).where(
                            _TABLE.c.tenant == tenant, _TABLE.c.kind == kind
                        )
                    )
                    found = {row.name: json.loads(row.body) for row in rows}
                self._known[tenant, kind] = found
            return found

    def get(self, tenant: str, kind: str, name: str) -> Body | None:
        return self.all(tenant, kind).get(name)

    def put(self, tenant: str, kind: str, name: str, body: Body) -> None:
        """Register or replace. Raises Unavailable."""
        self.change(tenant, kind, name, lambda _: body)

    def change(self, tenant: str, kind: str, name: str, how: Callable[[Body | None], Body]) -> Body:
        """What `how` makes of what is there (None where nothing is), registered in its place.

        `how` may be asked to leave all as it is by giving back the very same object; what it raises passes through.
        """
        with self._lock:
            there = self.all(tenant, kind)
            before = there.get(name)
            after = how(before)
            if after is before and before is not None:
                return before
            text = json.dumps(after)
            with self._tables.write() as connection:
                mine = (_TABLE.c.tenant == tenant, _TABLE.c.kind == kind, _TABLE.c.name == name)
                if not connection.execute(sa.update(_TABLE).where(*mine).values(body=text)).rowcount:
                    connection.execute(
                        sa.insert(_TABLE).values(tenant=tenant, kind=kind, name=name, body=text)
                    )
            # A new object: whoever iterates over the one before is not disturbed.
            self._known[tenant, kind] = {**there, name: json.loads(text)}
            return self._known[tenant, kind][name]

    def drop(self, tenant: str, kind: str, name: str) -> bool:
        """Whether there was one. Raises Unavailable."""
        with self._lock:
            there = self.all(tenant, kind)
            if name not in there:
                return False
            with self._tables.write() as connection:
                connection.execute(
                    sa.delete(_TABLE).where(
                        _TABLE.c.tenant == tenant, _TABLE.c.kind == kind, _TABLE.c.name == name
                    )
                )
            self._known[tenant, kind] = {key: body for key, body in there.items() if key != name}
            return True
