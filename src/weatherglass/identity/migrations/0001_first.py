"""Tokens, login tickets and sessions; of every secret its SHA-256 alone."""

import sqlalchemy as sa
from alembic import op

revision = "identity_0001"
down_revision = None
branch_labels = ("identity",)


def upgrade() -> None:
    op.create_table(
        "identity_tokens",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("name", sa.String(128), nullable=False, index=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("tenants", sa.String, nullable=False),
        sa.Column("host", sa.String(128), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
        sa.Column("revoked_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "identity_tickets",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("token", sa.String(12), sa.ForeignKey("identity_tokens.id"), nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "identity_sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("token", sa.String(12), sa.ForeignKey("identity_tokens.id"), nullable=False, index=True),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
    )
