"""The texts that open doors: tokens, tickets, session identifiers, CSRF tokens. Pure but for the randomness.

A secret carries 256 random bits, so one SHA-256 is a sound way to keep it: there is nothing to guess that a
slower hash would protect. Compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

_TOKEN = re.compile(r"wg_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


class Minted(NamedTuple):
    """A new secret: its public half, the whole text (shown once) and what is stored of it."""

    id: str
    text: str
    digest: str


def digest(secret: str) -> str:
    """Hex SHA-256 of a secret's text."""
    return hashlib.sha256(secret.encode()).hexdigest()


def mint_token() -> Minted:
    """`wg_<id>_<secret>`: 48 public bits, 256 secret ones."""
    public, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return Minted(public, f"wg_{public}_{secret}", digest(secret))


def split_token(text: str) -> tuple[str, str] | None:
    """(id, secret) of a token's text, or None when it is not one."""
    form = _TOKEN.fullmatch(text)
    return (form[1], form[2]) if form else None


def mint_code() -> Minted:
    """A ticket or a session: found by its digest, which is therefore also its id."""
    text = secrets.token_urlsafe(32)
    return Minted(digest(text), text, digest(text))


def same(left: str, right: str) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())


def csrf_of(session: str) -> str:
    """The CSRF token of a session: an HMAC keyed by the session's secret, so that nothing more is stored."""
    return hmac.new(session.encode(), b"weatherglass csrf", hashlib.sha256).hexdigest()
