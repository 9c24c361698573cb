"""`images:` root file systems built here from Debian packages."""

from __future__ import annotations

import re
from typing import NamedTuple

from weatherglass.site.fields import NAME, Field, ListOf, MapOf, Record, Scalar, plain_name
from weatherglass.site.model import Image
from weatherglass.site.section import Context, Section

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,}(=[A-Za-z0-9.+:~-]+)?")


def _package(text: str) -> str:
    if not _PACKAGE.fullmatch(text):
        raise ValueError(f"{text!r} is not a Debian package's name")
    return text


class _Written(NamedTuple):
    debian: str
    packages: tuple[str, ...]


def _finish(context: Context) -> dict[str, Image]:
    return {name: Image(name, *written) for name, written in context.values["images"].items()}


PACKAGE = Scalar(_package, {"type": "string", "pattern": f"^{_PACKAGE.pattern}$"}, "a Debian package")

SECTION = Section(
    name="images",
    type=MapOf(
        Record(
            {
                "debian": Field(NAME, "the release of Debian it is built from", "bookworm"),
                "packages": Field(ListOf(PACKAGE), "what is installed in it, `name` or `name=version`", ()),
            },
            _Written,
        ),
        key=plain_name,
        nullable=True,
    ),
    doc="Images that are built here; any other image is named in full where it is used.",
    finish=_finish,
)
