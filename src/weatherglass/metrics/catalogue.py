"""The tables of the metrics room: which block files and index segments there are, never a row a series."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()

BLOCKS = sa.Table(
    "metrics_blocks",
    METADATA,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("first_ms", sa.BigInteger, nullable=False),
    sa.Column("last_ms", sa.BigInteger, nullable=False),
    sa.Column("series", sa.BigInteger, nullable=False),
    sa.Column("samples", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

SEGMENTS = sa.Table(
    "metrics_segments",
    METADATA,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("series", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

TENANTS = sa.Table(
    "metrics_tenants",
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    # The log's records of the tenant below this offset are in blocks.
    sa.Column("sealed", sa.BigInteger, nullable=False),
    sa.Column("next_number", sa.BigInteger, nullable=False),
)

TABLES = (METADATA, "weatherglass.metrics.migrations")
"""What `Tables.migrate` wants under the name `metrics`."""
