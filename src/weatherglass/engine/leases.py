"""Leases: a name held by one at a time, for a while, with a fencing token. Elections and retries live with callers.

The token rises with every new holder, so that whoever is written to can refuse one who believes to hold a lease
that has passed on (Kleppmann 2016). Time is the wall clock of whoever asks: it bounds how soon a lost holder is
replaced; that two never act at once rests on the token alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from weatherglass.base.errors import Conflict
from weatherglass.base.time import SECOND_NS, Clock
from weatherglass.engine.tables import Rooms, Tables

METADATA = sa.MetaData()
_LEASES = sa.Table(
    "engine_leases",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("expires_ns", sa.BigInteger, nullable=False),
)

ROOM: Rooms = {"engine": (METADATA, "weatherglass.engine.migrations")}
"""What `Tables.migrate` needs for these tables."""


@dataclass(frozen=True, slots=True)
class Lease:
    """`name` is held by `holder` until `expires_ns`, under `token`."""

    name: str
    holder: str
    token: int
    expires_ns: int


class Leases:
    """Leases in the tables."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables, self._clock = tables, clock

    def acquire(self, name: str, holder: str, ttl_s: float) -> Lease | None:
        """The lease, or None while another holds it. Whoever holds it already gets it prolonged, same token."""
        with self._tables.write() as connection:
            now = self._clock.now_ns()
            row = connection.execute(
                sa.select(_LEASES).where(_LEASES.c.name == name).with_for_update()
            ).one_or_none()
            held = row is not None and row.expires_ns > now
            if row is not None and held and row.holder != holder:
                return None
            token = 1 if row is None else row.token if held else row.token + 1
            lease = Lease(name, holder, token, now + int(ttl_s * SECOND_NS))
            values = {"holder": lease.holder, "token": lease.token, "expires_ns": lease.expires_ns}
            if row is None:
                connection.execute(sa.insert(_LEASES).values(name=name, **values))
            else:
                connection.execute(sa.update(_LEASES).where(_LEASES.c.name == name).values(values))
            return lease

    def renew(self, lease: Lease, ttl_s: float) -> Lease:
        """The same lease for longer. Raises Conflict when it has run out or passed on: stop acting."""
        now = self._clock.now_ns()
        renewed = Lease(lease.name, lease.holder, lease.token, now + int(ttl_s * SECOND_NS))
        with self._tables.write() as connection:
            done = connection.execute(
                sa.update(_LEASES)
                .where(
                    _LEASES.c.name == lease.name, _LEASES.c.token == lease.token, _LEASES.c.expires_ns > now
                )
                .values(expires_ns=renewed.expires_ns)
            )
            if done.rowcount != 1:
                raise Conflict(
                    f"the lease {lease.name} is no longer {lease.holder}'s", mend="acquire it again"
                )
        return renewed

    def release(self, lease: Lease) -> None:
        """Give it back; nothing when it has passed on. The token is remembered, so that the next one is higher."""
        with self._tables.write() as connection:
            connection.execute(
                sa.update(_LEASES)
                .where(_LEASES.c.name == lease.name, _LEASES.c.token == lease.token)
                .values(expires_ns=0)
            )
