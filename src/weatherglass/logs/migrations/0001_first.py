"""Blocks, how far each tenant's log is sealed, bytes taken in a day."""

import sqlalchemy as sa
from alembic import op

revision = "logs_0001"
down_revision = None
branch_labels = ("logs",)


def upgrade() -> None:
    op.create_table(
        "logs_blocks",
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
    op.create_table(
        "logs_sealed",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("before", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "logs_days",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("day", sa.BigInteger, primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
