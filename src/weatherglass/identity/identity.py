"""Tokens and sessions kept in tables: made, resolved, revoked. What a role may do is in `permissions`.

A session and a login ticket always belong to a token: who revokes the token ends them too. Names of tokens in
force are unique, so that the ledger's `who` says one thing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Row, delete, insert, select, update

from weatherglass.base.errors import Conflict, Invalid, NotFound, Unauthenticated
from weatherglass.base.ids import SITE_TENANT, is_plain_name
from weatherglass.base.time import SECOND_NS, Clock
from weatherglass.engine.protocols import Entry, Ledger, Principal, Role
from weatherglass.engine.tables import Tables
from weatherglass.identity import secrets
from weatherglass.identity.tables import SESSIONS, TICKETS, TOKENS

TICKET_S = 600.0
SESSION_S = 12 * 3600.0
_REMEMBERED_S = 2.0  # how long a resolved token is believed without asking the tables again
_REMEMBERED = 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@ -]{0,127}")


class Issued(NamedTuple):
    """A new token; `token` is its whole text, told once and never again."""

    id: str
    token: str


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What may be told of a token: everything but its secret."""

    id: str
    name: str
    role: Role
    tenants: tuple[str, ...]
    host: str
    created_ns: int
    created_by: str
    expires_ns: int
    revoked_ns: int

    def holds(self, now_ns: int) -> bool:
        return not self.revoked_ns and (not self.expires_ns or now_ns < self.expires_ns)


class DeclaredTenant(Protocol):
    """What identity reads of a tenant in the declaration."""

    @property
    def seats(self) -> int: ...

    @property
    def expires_ns(self) -> int: ...

    @property
    def limits(self) -> Any: ...


DeclaredTenants = Callable[[], Mapping[str, Any]]
"""The tenants now declared, by name (values as DeclaredTenant): `lambda: site().tenants`."""


class Identity:
    """Who is asking. Safe from threads; one owner of its tables."""

    def __init__(
        self,
        tables: Tables,
        clock: Clock,
        ledger: Ledger,
        tenants: DeclaredTenants = dict,
    ) -> None:
        self._tables, self._clock, self._ledger, self._tenants = tables, clock, ledger, tenants
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, TokenInfo]] = {}  # digest of the whole text → until, token

    # --- tokens ------------------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        role: Role | str,
        tenants: Sequence[str],
        ttl_s: float = 0,
        host: str = "",
        *,
        who: str = "house",
        why: str = "",
    ) -> Issued:
        """A new token; `ttl_s` 0 never ends. An agent's is bound to one `host`. Raises Invalid, Conflict."""
        role, tenants, host = _checked(name, role, tenants, ttl_s, host)
        now = self._clock.now_ns()
        minted = secrets.mint_token()
        with self._tables.write() as connection:
            if _by_name(connection, name, now):
                raise Conflict(
                    f"a token named {name!r} is in force",
                    where="name",
                    mend=f"choose another name, or revoke it: weatherglass token revoke {name}",
                )
            connection.execute(
                insert(TOKENS).values(
                    id=minted.id,
                    name=name,
                    role=str(role),
                    tenants=" ".join(tenants),
                    host=host,
                    digest=minted.digest,
                    created_ns=now,
                    created_by=who,
                    expires_ns=now + int(ttl_s * SECOND_NS) if ttl_s else 0,
                    revoked_ns=0,
                )
            )
            # Before the commit: whatever is killed when, no token is in force that the ledger does not tell of.
            self._ledger.append(
                Entry(
                    now,
                    who,
                    "token.create",
                    _entity(tenants, host),
                    why,
                    after={"id": minted.id, "name": name, "role": str(role), "tenants": list(tenants)},
                )
            )
        return Issued(minted.id, minted.text)

    def resolve(self, token: str) -> Principal:
        """The principal of a token's text. Raises Unauthenticated."""
        return self._principal(self._resolve(token))

    def revoke(self, token: str, *, who: str = "house", why: str = "") -> TokenInfo:
        """End a token, by its id or its name, and every session made from it. Raises NotFound."""
        now = self._clock.now_ns()
        with self._tables.write() as connection:
            info = _by_id(connection, token) or next(iter(_by_name(connection, token, now)), None)
            if info is None or not info.holds(now):
                raise NotFound(f"no token in force is named {token!r}", mend="weatherglass token list")
            connection.execute(update(TOKENS).where(TOKENS.c.id == info.id).values(revoked_ns=now))
            for table in (SESSIONS, TICKETS):
                connection.execute(delete(table).where(table.c.token == info.id))
            self._ledger.append(
                Entry(
                    now,
                    who,
                    "token.revoke",
                    _entity(info.tenants, info.host),
                    why,
                    before={"id": info.id, "name": info.name, "role": str(info.role)},
                )
            )
        with self._lock:
            self._known.clear()
        return info

    def list(self, *, all: bool = False) -> Sequence[TokenInfo]:
        """Tokens in force, newest first; with `all` the expired and revoked too."""
        now = self._clock.now_ns()
        with self._tables.read() as connection:
            rows = connection.execute(select(TOKENS).order_by(TOKENS.c.created_ns.desc())).all()
        return [info for info in map(_info, rows) if all or info.holds(now)]

    # --- tenants from the declaration --------------------------------------------------------------------

    def issue_seats(self, tenant: str, *, who: str = "house") -> Sequence[tuple[str, Issued]]:
        """(name, token) for every declared seat of a tenant that has none in force: members of it alone.

        They end when the tenant does. Raises NotFound, Invalid.
        """
        declared = self._tenants().get(tenant)
        if declared is None:
            raise NotFound(f"tenant {tenant} is not declared", mend="add it under `tenants:` and apply")
        now = self._clock.now_ns()
        if declared.seats <= 0:
            raise Invalid(
                f"tenant {tenant} has no seats",
                where=f"tenants.{tenant}.seats",
                mend="declare seats: 30 and expires: 2027-07-04",
            )
        if declared.expires_ns and declared.expires_ns <= now:
            raise Invalid(f"tenant {tenant} has expired", where=f"tenants.{tenant}.expires")
        ttl_s = (declared.expires_ns - now) / SECOND_NS if declared.expires_ns else 0
        taken = {info.name for info in self.list()}
        names = (f"{tenant}-{number:02d}" for number in range(1, declared.seats + 1))
        return [
            (name, self.create(name, Role.MEMBER, (tenant,), ttl_s, who=who, why=f"seat of tenant {tenant}"))
            for name in names
            if name not in taken
        ]

    def limits(self, tenant: str) -> Any:
        """The declared limits of a tenant (the site's `Limits`), or None where it declares none."""
        declared = self._tenants().get(tenant)
        return declared.limits if declared is not None else None

    # --- sessions ----------------------------------------------------------------------------------------

    def login_ticket(self, principal: Principal) -> str:
        """A one-time code that opens a session as `principal`'s token; good for ten minutes."""
        now = self._clock.now_ns()
        minted = secrets.mint_code()
        with self._tables.write() as connection:
            tokens = _by_name(connection, principal.name, now)
            if not tokens or tokens[0].role is Role.AGENT:
                raise Unauthenticated("a login needs a person's token in force")
            connection.execute(delete(TICKETS).where(TICKETS.c.expires_ns <= now))
            connection.execute(
                insert(TICKETS).values(
                    digest=minted.digest, token=tokens[0].id, expires_ns=now + int(TICKET_S * SECOND_NS)
                )
            )
        return minted.text

    def redeem(self, code: str) -> str:
        """A session's secret for a ticket, which is spent by it. Raises Unauthenticated."""
        now = self._clock.now_ns()
        with self._tables.write() as connection:
            mine = TICKETS.c.digest == secrets.digest(code)
            row = connection.execute(select(TICKETS).where(mine)).first()
            connection.execute(delete(TICKETS).where(mine))
            info = _by_id(connection, row.token) if row is not None and now < row.expires_ns else None
            session = _open_session(connection, info.id, now) if info is not None and info.holds(now) else ""
        if not session:
            raise Unauthenticated(
                "this login address has expired or was used", mend="weatherglass open prints a new one"
            )
        return session

    def login(self, token: str) -> str:
        """A session's secret for a token's text. Raises Unauthenticated; an agent has no sessions."""
        info = self._resolve(token)
        if info.role is Role.AGENT:
            raise Unauthenticated("an agent's token opens no session")
        with self._tables.write() as connection:
            return _open_session(connection, info.id, self._clock.now_ns())

    def session(self, session: str) -> Principal:
        """The principal of a session's secret. Raises Unauthenticated."""
        now = self._clock.now_ns()
        key = secrets.digest(session)
        info = self._recall(key)
        if info is None:
            with self._tables.read() as connection:
                row = connection.execute(select(SESSIONS).where(SESSIONS.c.digest == key)).first()
                info = _by_id(connection, row.token) if row is not None and now < row.expires_ns else None
            if info is not None:
                self._remember(key, info)
        if info is None or not info.holds(now):
            raise Unauthenticated("the session has ended", mend="log in again")
        return self._principal(info)

    def logout(self, session: str) -> None:
        """End a session; one that is not there is as good."""
        key = secrets.digest(session)
        with self._tables.write() as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.digest == key))
        with self._lock:
            self._known.pop(key, None)

    def csrf(self, session: str) -> str:
        """The CSRF token that goes with a session."""
        return secrets.csrf_of(session)

    def csrf_holds(self, session: str, token: str) -> bool:
        return secrets.same(secrets.csrf_of(session), token)

    # --- inside ------------------------------------------------------------------------------------------

    def _resolve(self, token: str) -> TokenInfo:
        now = self._clock.now_ns()
        key = secrets.digest(token)
        info = self._recall(key)
        if info is None:
            parts = secrets.split_token(token)
            if parts is not None:
                with self._tables.read() as connection:
                    row = connection.execute(select(TOKENS).where(TOKENS.c.id == parts[0])).first()
                if row is not None and secrets.same(row.digest, secrets.digest(parts[1])):
                    info = _info(row)
                    self._remember(key, info)
        if info is None or info.revoked_ns:
            raise Unauthenticated(
                "the token is unknown or was revoked", mend="ask an admin: weatherglass token create"
            )
        if not info.holds(now):
            raise Unauthenticated("the token has expired", mend="ask an admin: weatherglass token create")
        return info

    def _principal(self, info: TokenInfo) -> Principal:
        """A tenant whose declared end has passed drops out; a token with no tenant left does not hold."""
        now, declared = self._clock.now_ns(), self._tenants()

        def ended(tenant: str) -> bool:
            found = declared.get(tenant)
            return found is not None and bool(found.expires_ns) and found.expires_ns <= now

        tenants = tuple(tenant for tenant in info.tenants if not ended(tenant))
        if not tenants:
            raise Unauthenticated(f"tenant {', '.join(info.tenants)} has expired")
        return Principal(info.name, info.role, tenants, info.host, info.expires_ns)

    def _recall(self, key: str) -> TokenInfo | None:
        with self._lock:
            until, info = self._known.get(key, (0.0, None))
        return info if self._clock.monotonic() < until else None

    def _remember(self, key: str, info: TokenInfo) -> None:
        with self._lock:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = (self._clock.monotonic() + _REMEMBERED_S, info)


def _checked(
    name: str, role: Role | str, tenants: Sequence[str], ttl_s: float, host: str
) -> tuple[Role, tuple[str, ...], str]:
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{name!r} cannot name a token", where="name", mend="letters, digits, - _ . @, at most 128"
        )
    if role not in set(Role):
        raise Invalid(f"{role!r} is not a role", where="role", mend=f"one of {', '.join(Role)}")
    if not tenants:
        raise Invalid(
            "a token lists at least one tenant", where="tenants", mend="name one, or * for every one"
        )
    for tenant in tenants:
        if tenant != "*" and not is_plain_name(tenant):
            raise Invalid(f"{tenant!r} cannot name a tenant", where="tenants")
    if not 0 <= ttl_s < 100 * 365 * 86400:
        raise Invalid(f"{ttl_s} is not a time to live", where="ttl", mend="seconds; 0 for a token that stays")
    role = Role(role)
    host = host.removeprefix("host/")
    if (role is Role.AGENT) != bool(host):
        raise Invalid(
            "an agent's token, and no other, is bound to one host",
            where="host",
            mend="--role agent --host ctl-1",
        )
    if host and not is_plain_name(host):
        raise Invalid(f"{host!r} cannot name a host", where="host")
    return role, tuple(dict.fromkeys(tenants)), f"host/{host}" if host else ""


def _entity(tenants: Sequence[str], host: str) -> str:
    if host:
        return host
    return f"tenant/{tenants[0]}" if len(tenants) == 1 and tenants[0] not in ("*", SITE_TENANT) else ""


def _info(row: Row[Any]) -> TokenInfo:
    return TokenInfo(
        row.id,
        row.name,
        Role(row.role),
        tuple(row.tenants.split(" ")),
        row.host,
        row.created_ns,
        row.created_by,
        row.expires_ns,
        row.revoked_ns,
    )


def _by_id(connection: Connection, token: str) -> TokenInfo | None:
    row = connection.execute(select(TOKENS).where(TOKENS.c.id == token)).first()
    return _info(row) if row is not None else None


def _by_name(connection: Connection, name: str, now_ns: int) -> list[TokenInfo]:
    rows: Iterator[Row[Any]] = iter(connection.execute(select(TOKENS).where(TOKENS.c.name == name)).all())
    return [info for info in map(_info, rows) if info.holds(now_ns)]


def _open_session(connection: Connection, token: str, now_ns: int) -> str:
    minted = secrets.mint_code()
    connection.execute(delete(SESSIONS).where(SESSIONS.c.expires_ns <= now_ns))
    connection.execute(
        insert(SESSIONS).values(
            digest=minted.digest,
            token=token,
            created_ns=now_ns,
            expires_ns=now_ns + int(SESSION_S * SECOND_NS),
        )
    )
    return minted.text
