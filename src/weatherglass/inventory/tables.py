"""The inventory's tables. History is kept as intervals: a row holds from `start_ns` until before `end_ns`.

An open row has no end. Nothing is deleted here; a row that changes is closed and a new one begins.
"""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()
MIGRATIONS = "weatherglass.inventory.migrations"

ENTITIES = sa.Table(
    "inventory_entities",
    METADATA,
    sa.Column("row", sa.Integer, primary_key=True),
    sa.Column("entity", sa.Text, nullable=False),
    sa.Column("known_from", sa.Text, nullable=False),  # "declared", or "seen:<source>"
    sa.Column("body", sa.Text, nullable=False),  # labels and attributes, JSON
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("start_ns", sa.BigInteger, nullable=False),
    sa.Column("end_ns", sa.BigInteger),
    sa.Index("inventory_entities_by_entity", "entity", "start_ns"),
    sa.Index("inventory_entities_by_end", "end_ns"),
)

EDGES = sa.Table(
    "inventory_edges",
    METADATA,
    sa.Column("row", sa.Integer, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("relation", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("known_from", sa.Text, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("start_ns", sa.BigInteger, nullable=False),
    sa.Column("end_ns", sa.BigInteger),
    sa.Index("inventory_edges_by_end", "end_ns"),
)

STATES = sa.Table(
    "inventory_states",
    METADATA,
    sa.Column("row", sa.Integer, primary_key=True),
    sa.Column("entity", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("because", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),  # JSON
    sa.Column("start_ns", sa.BigInteger, nullable=False),
    sa.Column("end_ns", sa.BigInteger),
    sa.Index("inventory_states_by_entity", "entity", "start_ns"),
    sa.Index("inventory_states_by_end", "end_ns"),
)

INCIDENTS = sa.Table(
    "inventory_incidents",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("opened_ns", sa.BigInteger, nullable=False),
    sa.Column("closed_ns", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # JSON with its version
    sa.Index("inventory_incidents_by_opened", "opened_ns"),
)
