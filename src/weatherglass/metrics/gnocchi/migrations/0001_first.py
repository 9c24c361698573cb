"""Policies, rules, types, resources with their history, metrics."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "gnocchi_0001"
down_revision = None
branch_labels = ("gnocchi",)


def of_resource() -> list[sa.Column[Any]]:
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


def upgrade() -> None:
    op.create_table(
        "gnocchi_policies",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("back_window", sa.BigInteger, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("methods", sa.Text, nullable=False),
    )
    op.create_table(
        "gnocchi_rules",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("pattern", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, sa.ForeignKey("gnocchi_policies.name"), nullable=False),
    )
    op.create_index("gnocchi_rules_by_policy", "gnocchi_rules", ["policy"])
    types = op.create_table(
        "gnocchi_types",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("attributes", sa.Text, nullable=False),
    )
    op.bulk_insert(types, [{"name": "generic", "attributes": "{}"}])
    op.create_table("gnocchi_resources", sa.Column("id", sa.Text, primary_key=True), *of_resource())
    order = ["revision_start", "started_at", "id"]
    op.create_index("gnocchi_resources_by_time", "gnocchi_resources", order)
    op.create_index("gnocchi_resources_by_type", "gnocchi_resources", ["type", *order])
    op.create_index("gnocchi_resources_by_original", "gnocchi_resources", ["original_resource_id"])
    op.create_index("gnocchi_resources_by_project", "gnocchi_resources", ["project_id"])
    op.create_index("gnocchi_resources_by_user", "gnocchi_resources", ["user_id"])
    op.create_index("gnocchi_resources_by_end", "gnocchi_resources", ["ended_at"])
    op.create_table(
        "gnocchi_history",
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, sa.ForeignKey("gnocchi_resources.id", ondelete="CASCADE"), nullable=False),
        *of_resource(),
        sa.Column("revision_end", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("gnocchi_history_by_id", "gnocchi_history", ["id", "revision"])
    op.create_index("gnocchi_history_by_type", "gnocchi_history", ["type", "revision_end"])
    op.create_table(
        "gnocchi_metrics",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("series", sa.Text, nullable=False),
        sa.Column("archive_policy_name", sa.Text, sa.ForeignKey("gnocchi_policies.name"), nullable=False),
        sa.Column("creator", sa.Text),
        sa.Column("resource_id", sa.Text, sa.ForeignKey("gnocchi_resources.id", ondelete="SET NULL")),
        sa.Column("name", sa.Text),
        sa.Column("unit", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.UniqueConstraint("resource_id", "name", name="gnocchi_metrics_of_resource"),
    )
    op.create_index("gnocchi_metrics_by_status", "gnocchi_metrics", ["status", "id"])
    op.create_index("gnocchi_metrics_by_name", "gnocchi_metrics", ["name"])
    op.create_index("gnocchi_metrics_by_policy", "gnocchi_metrics", ["archive_policy_name"])
    op.create_index("gnocchi_metrics_by_creator", "gnocchi_metrics", ["creator"])
