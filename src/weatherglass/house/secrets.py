"""The site's secrets: one file each in a folder that only the house reads. Made when first named, never shown."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.base.ids import is_plain_name
from weatherglass.engine.files import Files

_KEY = ".fingerprints"


class Secrets:
    """Values by name. `value` makes a random one where there is none, so that a site needs no preparation."""

    def __init__(self, folder: Path, files: Files) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        self._folder, self._files = folder, files
        self._key = self._read_or_make(_KEY)

    def value(self, name: str) -> str:
        """The secret's value; a new random one the first time. Raises Invalid for a name that is none."""
        return self._read_or_make(_checked(name))

    def existing(self, name: str) -> str:
        """The value of a secret that was named before. Raises NotFound."""
        path = self._folder / _checked(name)
        if not path.exists():
            raise NotFound(f"there is no secret {name!r}", where=name)
        return path.read_text()

    def fingerprint(self, name: str) -> str:
        """Changes when the value does and tells nothing of it: a keyed digest, cut short."""
        return hmac.new(self._key.encode(), self.value(name).encode(), hashlib.sha256).hexdigest()[:16]

    def _read_or_make(self, name: str) -> str:
        path = self._folder / name
        if not path.exists():
            self._files.write_atomic(path, secrets.token_urlsafe(24).encode())
            path.chmod(0o600)
        return path.read_text()


def _checked(name: str) -> str:
    if not is_plain_name(name):
        raise Invalid(f"{name!r} cannot name a secret", mend="lower-case letters, digits, - and _")
    return name
