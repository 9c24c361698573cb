"""What the tests of pages share: the addresses of all pages, a client signed in, a reader of HTML that is strict."""

from __future__ import annotations

import warnings
from html.parser import HTMLParser

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

from portal.fake_cloud import FakeRooms
from portal.made_logs import REQUEST, TRACE
from portal.serving import application

EVERYWHERE = (
    "/", "/map", "/map?view=table&state=ill", "/i/", "/explore", "/explore?q=weatherglass_probe_seconds",
    "/explore?q=sum(", "/events", "/events?level=ERROR&words=lost", "/deploy", "/deploy/plan", "/ledger",
    "/settings", "/search", "/search?q=key", "/search?q=nothing-is-called-this", "/cardinality",
    "/events?q=level:ERROR+AND+lost", "/events?q=(", "/events?follow=1&columns=host,request_id",
    "/templates", "/templates?kind=new", "/templates?kind=new&since=24h", "/templates?kind=bursting&range=6h",
    "/templates?kind=rare&q=level:ERROR", "/templates?against=before", "/templates?q=(", "/request",
    "/request/req-nobody-knows",
)  # fmt: skip
"""Pages that any house has."""

OF_THE_INSTITUTE = (
    "/i/118", "/i/117", "/e/service/keystone", "/e/replica/mariadb.1@ctl-2", "/e/host/ctl-2", "/e/host/str-2",
    "/e/volume/objects", "/e/tenant/genomics", "/e/zone/rack-a", "/map?focus=service/keystone",
    "/map?focus=service/keystone&toward=up", "/map?at=2026-11-22T13:00", "/map?kind=replica", "/deploy/runs/61",
    "/deploy/runs/62", "/events?around=1795356590000000000", "/events?entity=service/keystone",
    f"/request/{REQUEST}", f"/request/{TRACE}", "/templates?service=keystone&against=24h&range=24h",
    "/explore?q=node_load1&range=6h", "/ledger?entity=service/mariadb",
)  # fmt: skip
"""Pages that the fake institute has besides."""

OF_A_TENANT = (
    "/", "/map", "/i/", "/i/118", "/i/117", "/e/tenant/genomics", "/e/service/keystone", "/e/service/object-store",
    "/explore", "/events", "/ledger", "/settings", "/search?q=s", "/search/quick?q=e", "/deploy", "/e/host/ctl-2",
    "/e/tenant/imaging", "/map?focus=service/keystone", "/map?at=2026-11-22T13:00", "/e/replica/mariadb.1@ctl-2",
)  # fmt: skip

VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
PAGE = {"accept": "text/html"}


def client(rooms: FakeRooms, who: str = "mira") -> TestClient:
    """A browser of `who`, signed in."""
    if rooms.app is None:
        rooms.app = application(rooms)
    found = TestClient(rooms.app, follow_redirects=False, raise_server_exceptions=False)
    if who:
        found.cookies.set("wg_session", who)
    return found


class Strict(HTMLParser):
    """Collects what is wrong with a page: tags that do not match, ids twice, anything inline that CSP forbids."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.wrong: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {k: v or "" for k, v in attrs}
        self.tags.append((tag, values))
        if len(values) != len(attrs):
            self.wrong.append(f"<{tag}> has an attribute twice")
        for name in values:
            if name == "style" or (name.startswith("on") and name != "on"):
                self.wrong.append(f"<{tag}> has {name}=")
        if tag == "style" or (tag == "script" and not values.get("src")):
            self.wrong.append(f"inline <{tag}>")
        if "id" in values:
            if values["id"] in self.ids:
                self.wrong.append(f"id {values['id']} twice")
            self.ids.add(values["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.wrong.append(
                f"</{tag}> closes {self.open[-1] if self.open else 'nothing'} at {self.getpos()}"
            )
            if tag in self.open:
                while self.open.pop() != tag:
                    pass
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Strict:
    """The page, parsed; `wrong` is empty for a good one."""
    reader = Strict()
    reader.feed(text)
    reader.close()
    reader.wrong += [f"<{tag}> is never closed" for tag in reader.open]
    return reader
