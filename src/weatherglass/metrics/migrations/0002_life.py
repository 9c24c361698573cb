"""What a block is (raw, roll-up, histograms) and its place among the writes; how far roll-ups are; deletions."""

import sqlalchemy as sa
from alembic import op

revision = "metrics_0002"
down_revision = "metrics_0001"
branch_labels = None


def upgrade() -> None:
    for column in (
        sa.Column("kind", sa.Text, nullable=False, server_default="raw"),
        sa.Column("position", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("policy", sa.Text, nullable=False, server_default=""),
        sa.Column("granularity_ms", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("methods", sa.Text, nullable=False, server_default=""),
        sa.Column("rolled", sa.Boolean, nullable=False, server_default=sa.false()),
    ):
        op.add_column("metrics_blocks", column)
    op.execute("UPDATE metrics_blocks SET position = sequence")
    op.create_table(
        "metrics_rollups",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("policy", sa.Text, primary_key=True),
        sa.Column("granularity_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("stored", sa.Boolean, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "metrics_floors",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("policy", sa.Text, primary_key=True),
        sa.Column("granularity_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "metrics_deletions",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("first_ms", sa.BigInteger, nullable=False),
        sa.Column("last_ms", sa.BigInteger, nullable=False),
        sa.Column("series", sa.BigInteger, nullable=False),
    )
