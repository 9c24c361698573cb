"""What clients of the wire registered: indices, templates, pipelines, policies."""

import sqlalchemy as sa
from alembic import op

revision = "logs_0002"
down_revision = "logs_0001"


def upgrade() -> None:
    op.create_table(
        "logs_registered",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
