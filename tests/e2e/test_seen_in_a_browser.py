"""The real institute's pages in headless Chromium: signed in by its form, clicked through, held to axe-core.

WEATHERGLASS_SHOTS names a folder for the pictures; `docs/images/` was made with
`WEATHERGLASS_SHOTS=docs/images pytest tests/e2e/test_seen_in_a_browser.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from institute import House, wait
from playwright.sync_api import Page, sync_playwright
from portal.test_browser import ARGS, findings

pytestmark = [pytest.mark.browser, pytest.mark.root]

PAGES = {
    "map": "/map",
    "entity": "/e/replica/mariadb.1@lab",
    "alerts": "/i/",
    "explore": "/explore?range=15m&q=sum+by+(service)+(rate(weatherglass_replica_cpu_seconds_total[1m]))",
    "events": "/events?range=15m",
    "templates": "/templates?range=15m",
    "deploy": "/deploy",
    "ledger": "/ledger",
    "settings": "/settings",
}


@pytest.fixture(scope="module")
def page(institute: House) -> Iterator[Page]:
    """A page of someone who signed in with the administrator's token."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
        context = browser.new_context(viewport={"width": 1440, "height": 1000}, color_scheme="light")
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.goto(f"{institute.url}/")
        page.wait_for_url("**/login**")
        page.fill("input[name=token]", institute.token)
        page.keyboard.press("Enter")
        page.wait_for_selector("nav [aria-current]")
        yield page
        browser.close()


def shoot(page: Page, name: str, *, whole: bool = False) -> None:
    folder = os.environ.get("WEATHERGLASS_SHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=whole)


def test_trouble_is_seen_on_the_overview_and_told_by_its_incident(institute: House, page: Page) -> None:
    """The database is killed; the page that is open tells it by itself, and the incident keeps the story."""
    wait(lambda: set(institute.states().values()) <= {"healthy", "unknown"}, 90, "all is well")
    before = len(institute.get("/api/v1/incidents")["incidents"])
    page.goto(f"{institute.url}/")
    httpx.post(
        f"{institute.url}/api/v1/faults",
        json={"host": "lab", "fault": "kill", "replica": "mariadb.1@lab"},
        headers={"Authorization": f"Bearer {institute.token}"},
        timeout=20,
    ).raise_for_status()
    page.wait_for_selector("h1:has-text('killed')")
    page.wait_for_selector("text=What needs you first")
    shoot(page, "overview")
    wait(lambda: len(institute.get("/api/v1/incidents")["incidents"]) > before, 30, "an incident")
    number = institute.get("/api/v1/incidents")["incidents"][0]["id"]
    wait(lambda: institute.get(f"/api/v1/incidents/{number}")["state"] == "closed", 90, "it is over")
    page.goto(f"{institute.url}/i/{number}")
    story = page.inner_text("main")
    assert "mariadb was killed" in story
    assert "genomics" in story
    shoot(page, "incident", whole=True)
    assert findings(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_of_the_real_house(institute: House, page: Page, scheme: str) -> None:
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for name, path in PAGES.items():
        page.goto(institute.url + path)
        page.wait_for_selector("#live-chip:not([hidden])")
        if name == "map":
            page.wait_for_selector("#map .box")
        if name in ("entity", "explore"):
            page.wait_for_selector(".plot canvas")
        shoot(page, name if scheme == "light" else f"{name}-dark")
        assert complaints == [], name
        assert findings(page) == [], name


def test_from_the_overview_to_the_cause_in_two_clicks(institute: House, page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{institute.url}/")
    page.click("nav >> text=Alerts")
    page.click("main table a >> nth=0")
    page.wait_for_url("**/i/*")
    page.click("h1 a >> nth=0")
    page.wait_for_url("**/e/**")
    assert "mariadb" in page.inner_text("h1")
