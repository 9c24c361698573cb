"""Entities, edges, states as intervals; incidents."""

import sqlalchemy as sa
from alembic import op

revision = "inventory_0001"
down_revision = None
branch_labels = ("inventory",)


def upgrade() -> None:
    op.create_table(
        "inventory_entities",
        sa.Column("row", sa.Integer, primary_key=True),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("known_from", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("start_ns", sa.BigInteger, nullable=False),
        sa.Column("end_ns", sa.BigInteger),
    )
    op.create_index("inventory_entities_by_entity", "inventory_entities", ["entity", "start_ns"])
    op.create_index("inventory_entities_by_end", "inventory_entities", ["end_ns"])
    op.create_table(
        "inventory_edges",
        sa.Column("row", sa.Integer, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("relation", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("known_from", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("start_ns", sa.BigInteger, nullable=False),
        sa.Column("end_ns", sa.BigInteger),
    )
    op.create_index("inventory_edges_by_end", "inventory_edges", ["end_ns"])
    op.create_table(
        "inventory_states",
        sa.Column("row", sa.Integer, primary_key=True),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("start_ns", sa.BigInteger, nullable=False),
        sa.Column("end_ns", sa.BigInteger),
    )
    op.create_index("inventory_states_by_entity", "inventory_states", ["entity", "start_ns"])
    op.create_index("inventory_states_by_end", "inventory_states", ["end_ns"])
    op.create_table(
        "inventory_incidents",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("opened_ns", sa.BigInteger, nullable=False),
        sa.Column("closed_ns", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("inventory_incidents_by_opened", "inventory_incidents", ["opened_ns"])
