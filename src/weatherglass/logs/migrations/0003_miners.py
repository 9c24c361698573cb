"""What each tenant's template miner knows, so that ids and aliases outlive a restart."""

import sqlalchemy as sa
from alembic import op

revision = "logs_0003"
down_revision = "logs_0002"


def upgrade() -> None:
    op.create_table(
        "logs_miners",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
