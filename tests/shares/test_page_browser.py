"""The shares page in a real browser, light and dark: nothing in its console, nothing serious of axe-core, nothing too wide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from portal import fake_cloud
from portal.serving import served
from portal.test_browser import chromium as chromium  # the fixture
from portal.test_browser import entered, findings, shoot

from shares.fake_kit import FakeKit
from weatherglass.shares.room import Shares

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    room = Shares(FakeKit(Path(tmp_path_factory.mktemp("kit"))))  # type: ignore[arg-type]
    room.prove()
    rooms = fake_cloud.rich()
    rooms.more = {"shares": room}
    with served(rooms) as at:
        yield at


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 390)])
def test_the_page_in_a_browser(chromium: Browser, address: str, scheme: str, width: int) -> None:
    page, complaints = entered(chromium, address, scheme=scheme, width=width)
    page.goto(f"{address}/shares")
    page.get_by_text("4 stations").first.click()
    assert page.get_by_text("a NID is its peer's own").first.is_visible()
    shoot(page, f"shares-{scheme}-{width}")
    assert complaints == []
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.context.close()
