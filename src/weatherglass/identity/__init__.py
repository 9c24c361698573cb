"""Who is asking, for which tenant, and what they may do. Tokens, sessions, roles; nothing of HTTP lives here."""

from weatherglass.identity.identity import Identity, Issued, TokenInfo
from weatherglass.identity.permissions import AGENT_MAY, PERMISSIONS, allow, may
from weatherglass.identity.tables import ROOM

__all__ = ["AGENT_MAY", "PERMISSIONS", "ROOM", "Identity", "Issued", "TokenInfo", "allow", "may"]
