"""The tables of the metrics room: which files there are and how far roll-ups and retention are, never a row a series."""

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
    sa.Column("kind", sa.Text, nullable=False, server_default="raw"),  # raw, rollup, histograms
    sa.Column("position", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("policy", sa.Text, nullable=False, server_default=""),
    sa.Column("granularity_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("methods", sa.Text, nullable=False, server_default=""),  # of a roll-up, with spaces between
    sa.Column("rolled", sa.Boolean, nullable=False, server_default=sa.false()),
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

ROLLUPS = sa.Table(
    "metrics_rollups",
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("policy", sa.Text, primary_key=True),
    sa.Column("granularity_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("spec", sa.Text, nullable=False),  # what was declared: another makes them anew
    sa.Column("stored", sa.Boolean, nullable=False),  # or derived from raw samples at every reading
    sa.Column("until_ms", sa.BigInteger, nullable=False),  # groups that begin before are in roll-up blocks
)

FLOORS = sa.Table(
    "metrics_floors",
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("policy", sa.Text, primary_key=True),
    sa.Column("granularity_ms", sa.BigInteger, primary_key=True, autoincrement=False),  # 0: raw samples
    sa.Column("first_ms", sa.BigInteger, nullable=False),  # what is older may have been dropped
)

DELETIONS = sa.Table(
    "metrics_deletions",
    METADATA,
    # Counts for blocks whose position is lower.
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("first_ms", sa.BigInteger, nullable=False),
    sa.Column("last_ms", sa.BigInteger, nullable=False),
    sa.Column("series", sa.BigInteger, nullable=False),
)

TABLES = (METADATA, "weatherglass.metrics.migrations")
"""What `Tables.migrate` wants under the name `metrics`."""
