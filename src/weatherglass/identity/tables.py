"""Identity's tables: tokens, login tickets, sessions. Secrets are stored as SHA-256 alone."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, MetaData, String, Table

from weatherglass.engine.tables import Rooms

METADATA = MetaData()

TOKENS = Table(
    "identity_tokens",
    METADATA,
    Column("id", String(12), primary_key=True),
    Column("name", String(128), nullable=False, index=True),
    Column("role", String(16), nullable=False),
    Column("tenants", String, nullable=False),  # names, separated by spaces
    Column("host", String(128), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("expires_ns", BigInteger, nullable=False),  # 0: never
    Column("revoked_ns", BigInteger, nullable=False),  # 0: not
)

TICKETS = Table(
    "identity_tickets",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("token", String(12), ForeignKey("identity_tokens.id"), nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
)

SESSIONS = Table(
    "identity_sessions",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("token", String(12), ForeignKey("identity_tokens.id"), nullable=False, index=True),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
)

ROOM: Rooms = {"identity": (METADATA, "weatherglass.identity.migrations")}
"""What `Tables.migrate` needs for these tables."""
