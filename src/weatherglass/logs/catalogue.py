"""What blocks there are, how far each tenant's log is sealed, how much was taken in a day: rows, and no bytes.

A seal is one transaction (`sealed`): the block's row, the tenant's mark and the day's count come together or
not at all. Files that no row names are nobody's; a crash left them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from weatherglass.engine.tables import Rooms, Tables

METADATA = sa.MetaData()
_BLOCKS = sa.Table(
    "logs_blocks",
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("bytes_in", sa.BigInteger, nullable=False),
    sa.Column("bytes_stored", sa.BigInteger, nullable=False),
    sa.Column("first_ns", sa.BigInteger, nullable=False),
    sa.Column("last_ns", sa.BigInteger, nullable=False),
    sa.Column("seen_ns", sa.BigInteger, nullable=False),
    sa.Column("levels", sa.Text, nullable=False),
)
_SEALED = sa.Table(
    "logs_sealed",
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("before", sa.BigInteger, nullable=False),
)
_DAYS = sa.Table(
    "logs_days",
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("day", sa.BigInteger, primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

_MINERS = sa.Table(
    "logs_miners",
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("state", sa.LargeBinary, nullable=False),
)

REGISTERED = sa.Table(
    "logs_registered",  # `registered`'s
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
)

ROOM: Rooms = {"logs": (METADATA, "weatherglass.logs.migrations")}
"""What `Tables.migrate` needs for these tables."""

EVERYONE = ""
"""In place of a tenant in the marks; no tenant has this name."""


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One sealed block. Times are the events' own, but `seen_ns`: when its last event was seen (retention's age)."""

    tenant: str
    path: str  # below the folder of blocks
    format: int
    events: int
    bytes_in: int
    bytes_stored: int
    first_ns: int
    last_ns: int
    seen_ns: int
    levels: Mapping[str, int]

    @property
    def errors(self) -> int:
        return self.levels.get("ERROR", 0) + self.levels.get("CRITICAL", 0)


class Catalogue:
    """The rows. Each method is one transaction."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def load(self) -> tuple[list[BlockRow], dict[str, int], dict[tuple[str, int], int]]:
        """Every block; tenant → offset before which its log is sealed; (tenant, day) → bytes taken.

        The offset under EVERYONE is the one before which nobody's log is of use any more.
        """
        with self._tables.read() as connection:
            blocks = [
                BlockRow(**{**row._mapping, "levels": json.loads(row.levels)})
                for row in connection.execute(sa.select(_BLOCKS))
            ]
            sealed = {row.tenant: row.before for row in connection.execute(sa.select(_SEALED))}
            days = {(row.tenant, row.day): row.bytes for row in connection.execute(sa.select(_DAYS))}
        return blocks, sealed, days

    def miners(self) -> dict[str, bytes]:
        """Tenant → the state of its miner as it was saved last."""
        with self._tables.read() as connection:
            return {row.tenant: row.state for row in connection.execute(sa.select(_MINERS))}

    def sealed(
        self,
        block: BlockRow,
        before: int,
        everyone: int,
        days: Mapping[int, int],
        miner: bytes | None = None,
    ) -> None:
        """`block` holds its tenant's records up to `before`, blocks hold everyone's up to `everyone`; `days` gives
        the block's bytes by the day they came. `miner`: the state of the tenant's, where it has changed."""
        with self._tables.write() as connection:
            connection.execute(sa.insert(_BLOCKS).values(_values(block)))
            if miner is not None:
                connection.execute(sa.delete(_MINERS).where(_MINERS.c.tenant == block.tenant))
                connection.execute(sa.insert(_MINERS).values(tenant=block.tenant, state=miner))
            for tenant, offset in ((block.tenant, before), (EVERYONE, everyone)):
                found = connection.execute(
                    sa.update(_SEALED).where(_SEALED.c.tenant == tenant).values(before=offset)
                )
                if not found.rowcount:
                    connection.execute(sa.insert(_SEALED).values(tenant=tenant, before=offset))
            for day, count in days.items():
                found = connection.execute(
                    sa.update(_DAYS)
                    .where(_DAYS.c.tenant == block.tenant, _DAYS.c.day == day)
                    .values(bytes=_DAYS.c.bytes + count)
                )
                if not found.rowcount:
                    connection.execute(sa.insert(_DAYS).values(tenant=block.tenant, day=day, bytes=count))

    def replaced(self, old: Iterable[BlockRow], new: BlockRow | None) -> None:
        """What the `old` blocks held is in the new one, or is not to be kept."""
        with self._tables.write() as connection:
            for block in old:
                connection.execute(
                    sa.delete(_BLOCKS).where(_BLOCKS.c.tenant == block.tenant, _BLOCKS.c.path == block.path)
                )
            if new is not None:
                connection.execute(sa.insert(_BLOCKS).values(_values(new)))

    def dropped(self, blocks: Iterable[BlockRow], before_day: int) -> None:
        """These are gone; so are the counts of days before `before_day`."""
        with self._tables.write() as connection:
            for block in blocks:
                connection.execute(
                    sa.delete(_BLOCKS).where(_BLOCKS.c.tenant == block.tenant, _BLOCKS.c.path == block.path)
                )
            connection.execute(sa.delete(_DAYS).where(_DAYS.c.day < before_day))


def _values(block: BlockRow) -> dict[str, object]:
    values = {name: getattr(block, name) for name in BlockRow.__dataclass_fields__}
    values["levels"] = json.dumps(dict(block.levels))
    return values
