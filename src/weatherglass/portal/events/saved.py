"""Saved searches, as files: `searches/NAME.yaml`, written from the page into the house's state, one folder a tenant.

A file holds a question's own words (q, level, entity, columns, range …) and who saved it when; it may be written,
copied or kept in git by hand. What stands beside the site's declaration in `searches/` is listed too, and only read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from weatherglass.base.errors import Conflict, Invalid, NotFound
from weatherglass.base.time import iso
from weatherglass.engine.files import RealFiles
from weatherglass.portal.events.question import LASTING
from weatherglass.portal.kit import Desk, Visit

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,60}")
AT_MOST = 200
MOST_BYTES = 20_000


@dataclass(frozen=True, slots=True)
class Search:
    """One saved search; `path` is "" for one that only git may change."""

    name: str
    query: Mapping[str, str]
    who: str
    own: bool


def add(router: APIRouter, desk: Desk) -> None:
    @router.post("/events/saved")
    def save(
        request: Request, csrf: str = Form(""), name: str = Form(""), address: str = Form("")
    ) -> Response:
        visit = desk.open(request)
        visit.check_form(csrf)
        folder = _folder(visit)
        name = name.strip()
        if not _NAME.fullmatch(name):
            raise Invalid(
                f"{name[:80]!r} cannot be a file's name", where="name", mend="letters, digits, spaces, - _ ."
            )
        asked = _asked(address)
        if not asked:
            raise Invalid("There is nothing to keep: no words, no filter.", where="address")
        path = folder / f"{name}.yaml"
        if path.exists():
            raise Conflict(f"A search is called {name} already.", where=name, mend="choose another name")
        if len(list(folder.glob("*.yaml"))) >= AT_MOST:
            raise Conflict(f"{AT_MOST} searches are saved already.", mend="remove one that nobody uses")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = {**asked, "saved_by": visit.principal.name, "saved_at": iso(visit.now_ns)}
        RealFiles().write_atomic(path, yaml.safe_dump(told, allow_unicode=True, sort_keys=False).encode())
        return visit.redirect("/events", **asked)

    @router.post("/events/saved/remove")
    def remove(request: Request, csrf: str = Form(""), name: str = Form("")) -> Response:
        visit = desk.open(request)
        visit.check_form(csrf)
        path = _folder(visit) / f"{name}.yaml"
        if not _NAME.fullmatch(name) or not path.exists():
            raise NotFound(f"No search is called {name[:80]}.", where="name")
        path.unlink()
        return visit.redirect("/events")


def listed(visit: Visit) -> list[Search]:
    """All that this lens may see, by name."""
    found = [Search(name, query, who, True) for name, query, who in _read(_folder(visit))]
    if visit.lens.operator:
        beside = _beside(visit)
        found += [Search(name, query, who, False) for name, query, who in (_read(beside) if beside else ())]
    return sorted(found, key=lambda one: one.name.casefold())


def _asked(address: str) -> dict[str, str]:
    """The question of an address' query string; what is no question's word is left out."""
    from urllib.parse import parse_qsl

    given = dict(parse_qsl(address.partition("?")[2] or address, max_num_fields=30)) if address else {}
    return {name: given[name][:4000] for name in LASTING if given.get(name)}


def _folder(visit: Visit) -> Path:
    return Path(visit.rooms.state) / "searches" / visit.lens.partition


def _beside(visit: Visit) -> Path | None:
    """`searches/` beside the site's declaration, where it is known."""
    source = getattr(visit.rooms.deploy, "site_path", None)
    return Path(source).parent / "searches" if source else None


def _read(folder: Path) -> Iterator[tuple[str, dict[str, str], str]]:
    """(name, question, who) of the files that can be read; one that cannot is passed over, not the page's end."""
    for path in sorted(folder.glob("*.yaml"))[:AT_MOST] if folder.is_dir() else ():
        try:
            told = yaml.safe_load(path.read_bytes()[:MOST_BYTES])
        except (OSError, yaml.YAMLError):
            continue
        if isinstance(told, dict):
            query = {name: str(told[name]) for name in LASTING if told.get(name) not in (None, "")}
            if query:
                yield path.stem, query, str(told.get("saved_by", ""))
