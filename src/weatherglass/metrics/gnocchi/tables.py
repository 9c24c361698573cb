"""The tables of Gnocchi's model: policies, rules, types, resources with their history, metrics. Never a measure.

Instants are µs since the epoch; ids are UUIDs as text. A type's own attributes are JSON in the resource's row:
types come and go by requests, tables by migrations.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()
MIGRATIONS = "weatherglass.metrics.gnocchi.migrations"
ROOM = {"gnocchi": (METADATA, MIGRATIONS)}

POLICIES = sa.Table(
    "gnocchi_policies",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("back_window", sa.BigInteger, nullable=False),
    sa.Column("definition", sa.Text, nullable=False),  # JSON: [[granularity ns, points or null]]
    sa.Column("methods", sa.Text, nullable=False),  # JSON
)

RULES = sa.Table(
    "gnocchi_rules",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("pattern", sa.Text, nullable=False),
    sa.Column("policy", sa.Text, sa.ForeignKey("gnocchi_policies.name"), nullable=False),
    sa.Index("gnocchi_rules_by_policy", "policy"),
)

TYPES = sa.Table(
    "gnocchi_types",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("attributes", sa.Text, nullable=False),  # JSON
)


def _of_resource() -> list[sa.Column[Any]]:
    """What a resource has now, and had in each revision."""
    return [
        sa.Column("type", sa.Text, sa.ForeignKey("gnocchi_types.name"), nullable=False),
        sa.Column("creator", sa.Text),
        sa.Column("original_resource_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("project_id", sa.Text),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("revision_start", sa.BigInteger, nullable=False),
        sa.Column("attributes", sa.JSON, nullable=False),
    ]


RESOURCES = sa.Table(
    "gnocchi_resources",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    *_of_resource(),
    # the order of lists, so that a page is read and not sorted out of all
    sa.Index("gnocchi_resources_by_time", "revision_start", "started_at", "id"),
    sa.Index("gnocchi_resources_by_type", "type", "revision_start", "started_at", "id"),
    sa.Index("gnocchi_resources_by_original", "original_resource_id"),
    sa.Index("gnocchi_resources_by_project", "project_id"),
    sa.Index("gnocchi_resources_by_user", "user_id"),
    sa.Index("gnocchi_resources_by_end", "ended_at"),
)

HISTORY = sa.Table(
    "gnocchi_history",
    METADATA,
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, sa.ForeignKey("gnocchi_resources.id", ondelete="CASCADE"), nullable=False),
    *_of_resource(),
    sa.Column("revision_end", sa.BigInteger, nullable=False),
    sa.Index("gnocchi_history_by_id", "id", "revision"),
    sa.Index("gnocchi_history_by_type", "type", "revision_end"),
    sqlite_autoincrement=True,
)

METRICS = sa.Table(
    "gnocchi_metrics",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),  # whose partition its samples are in
    sa.Column(
        "series", sa.Text, nullable=False
    ),  # JSON: the labels its samples were and will be written under
    sa.Column("archive_policy_name", sa.Text, sa.ForeignKey("gnocchi_policies.name"), nullable=False),
    sa.Column("creator", sa.Text),
    sa.Column("resource_id", sa.Text, sa.ForeignKey("gnocchi_resources.id", ondelete="SET NULL")),
    sa.Column("name", sa.Text),
    sa.Column("unit", sa.Text),
    sa.Column("status", sa.Text, nullable=False),  # active, delete
    sa.UniqueConstraint("resource_id", "name", name="gnocchi_metrics_of_resource"),
    sa.Index("gnocchi_metrics_by_status", "status", "id"),
    sa.Index("gnocchi_metrics_by_name", "name"),
    sa.Index("gnocchi_metrics_by_policy", "archive_policy_name"),
    sa.Index("gnocchi_metrics_by_creator", "creator"),
)
