"""A real browser over every page, light and dark: no error in its console, no serious finding of axe-core, keys work.

WEATHERGLASS_SHOTS names a folder for pictures. The fakes serve; `visit` may be pointed at any address.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from portal import fake_cloud
from portal.fake_cloud import NOW, FakeRooms
from portal.made_logs import REQUEST, TRACE, line
from portal.serving import served

pytestmark = pytest.mark.browser

AXE = (Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js").read_text()
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = {
    "overview": "/", "map": "/map", "map-focus": "/map?focus=service/keystone", "alerts": "/i/", "incident": "/i/118",
    "entity": "/e/service/keystone", "entity-replica": "/e/replica/mariadb.1@ctl-2", "explore": "/explore",
    "explore-answer": "/explore?q=max+by+(service)+(weatherglass_probe_seconds)", "events": "/events", "deploy": "/deploy",
    "events-query": "/events?q=NOT+level:INFO&columns=service,request_id&range=6h", "templates": "/templates",
    "templates-compared": "/templates?against=before", "templates-bursting": "/templates?kind=bursting",
    "request": f"/request/{REQUEST}", "trace": f"/request/{TRACE}", "request-ask": "/request",
    "plan": "/deploy/plan", "run": "/deploy/runs/62", "ledger": "/ledger", "settings": "/settings", "search": "/search?q=key",
    "tenant": "/?lens=genomics", "cardinality": "/cardinality",
}  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[FakeRooms, str]]:
    rooms = fake_cloud.rich()
    with served(rooms) as address:
        yield rooms, address


def entered(
    chromium: Browser, address: str, *, scheme: str = "light", width: int = 1440, scripts: bool = True
) -> tuple[Page, list[str]]:
    """A page of someone signed in, and the list that its complaints go to."""
    context = chromium.new_context(
        viewport={"width": width, "height": 1000},
        color_scheme=scheme,
        java_script_enabled=scripts,
        bypass_csp=False,
    )
    context.add_cookies([{"name": "wg_session", "value": "mira", "url": address}])
    context.set_default_timeout(15_000)
    page, complaints = context.new_page(), []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


def findings(page: Page) -> list[str]:
    """Serious and critical findings of axe-core, a line each."""
    page.evaluate(AXE)
    result = page.evaluate(
        "() => axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:160]}"
        for v in result["violations"]
        if v["impact"] in ("serious", "critical")
    ]


def shoot(page: Page, name: str) -> None:
    folder = os.environ.get("WEATHERGLASS_SHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_in_a_browser(chromium: Browser, house: tuple[FakeRooms, str], scheme: str) -> None:
    page, complaints = entered(chromium, house[1], scheme=scheme)
    for name, path in PAGES.items():
        page.goto(house[1] + path)
        page.wait_for_selector("#live-chip:not([hidden])")
        if path.startswith("/map"):
            page.wait_for_selector("#map .box")
        shoot(page, f"{name}-{scheme}")
        assert complaints == [], name
        assert findings(page) == [], name
        assert (
            page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        ), name
    page.context.close()


def test_narrow_and_wide_contrast(chromium: Browser, house: tuple[FakeRooms, str]) -> None:
    page, complaints = entered(chromium, house[1], width=390)
    for name in ("overview", "incident", "map", "events", "entity", "settings", "templates", "request"):
        page.goto(house[1] + PAGES[name])
        assert (
            page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        ), name
        shoot(page, f"{name}-narrow")
    page.emulate_media(contrast="more")
    page.goto(house[1] + "/")
    assert findings(page) == [] and complaints == []
    page.context.close()


def test_by_keyboard(chromium: Browser, house: tuple[FakeRooms, str]) -> None:
    page, complaints = entered(chromium, house[1])
    page.goto(house[1] + "/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    page.keyboard.type("keyst")
    page.wait_for_selector("#quick a")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/e/service/keystone")
    for key, path in (("a", "/i/"), ("m", "/map"), ("o", "/")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(house[1] + path)
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.goto(house[1] + "/i/118")
    page.keyboard.press("t")
    assert page.locator("details.values[open] table").count() > 3
    assert complaints == []
    page.context.close()


def test_clicking_from_what_is_wrong_to_its_cause(chromium: Browser, house: tuple[FakeRooms, str]) -> None:
    rooms, address = house
    page, complaints = entered(chromium, address)
    page.goto(address + "/")
    page.click("text=The story")
    page.click("h1 a >> text=mariadb")
    page.wait_for_url("**/e/replica/mariadb.1@ctl-2")
    page.click("summary:has-text('Restart mariadb.1@ctl-2')")
    button = page.locator("details.confirm[open] button")
    page.fill("details.confirm[open] [name=why]", "it hangs")
    page.fill("details.confirm[open] [name=confirm]", "mariadb")
    assert button.is_disabled()
    page.fill("details.confirm[open] [name=confirm]", "mariadb.1@ctl-2")
    button.click()
    page.wait_for_url("**/deploy/runs/62")
    assert ("restart", "mariadb.1@ctl-2", "it hangs", "mira") in rooms.deploy.asked
    assert complaints == []
    page.context.close()


def test_asking_with_completion(chromium: Browser, house: tuple[FakeRooms, str]) -> None:
    page, complaints = entered(chromium, house[1])
    page.goto(house[1] + "/explore")
    page.click("#q")
    page.keyboard.type("node_lo")
    page.wait_for_selector("#words:not([hidden]) li")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.input_value("#q") == "node_load1"
    page.keyboard.press("Enter")
    page.wait_for_selector(".plot canvas")
    assert "q=node_load1" in page.url and complaints == []
    page.go_back()
    assert page.url == house[1] + "/explore"
    page.context.close()


def test_a_page_renews_itself_and_says_when_it_is_not_live(chromium: Browser) -> None:
    rooms = fake_cloud.rich()
    with served(rooms) as address:
        page, _ = entered(chromium, address)
        page.goto(address + "/i/")
        page.wait_for_selector("#live-chip:has-text('live'):not(.off)")
        assert page.locator("#open tbody tr").count() == 1
        rooms.inventory._incidents = []
        rooms.bus.publish("incident", {})
        page.wait_for_selector("#open .empty")
    page.wait_for_selector("#live-chip.off:has-text('not live, retrying')")
    page.context.close()


def test_before_any_script(chromium: Browser, house: tuple[FakeRooms, str]) -> None:
    page, _ = entered(chromium, house[1], scripts=False)
    page.goto(house[1] + "/map")
    assert page.locator("#rows table tbody tr").count() > 20 and not page.locator("#map").is_visible()
    page.goto(house[1] + "/i/118")
    assert page.locator("figure.chart svg polyline").count() > 4
    page.fill("#search", "keystone")
    page.press("#search", "Enter")
    assert "/search?q=keystone" in page.url
    page.context.close()


def test_events_by_hand(chromium: Browser) -> None:
    """Completed, asked, opened, brushed, followed: what scripts add to the page of events."""
    rooms = fake_cloud.rich()
    rooms.logs.start()
    try:
        with served(rooms) as address:
            page, complaints = entered(chromium, address)
            page.goto(address + "/events")
            page.click("#q")
            page.keyboard.type("serv")
            page.wait_for_selector("#words:not([hidden]) li")
            page.keyboard.press("ArrowDown")
            page.keyboard.press("Enter")
            page.wait_for_selector("#words li:has-text('neutron')")
            page.keyboard.type("neu")
            page.wait_for_selector("#words:not(:has(li:nth-child(2))) li:has-text('neutron')")
            page.keyboard.press("ArrowDown")
            page.keyboard.press("Enter")
            assert page.input_value("#q") == "service:neutron "
            page.keyboard.type('AND "binding failed"')
            page.keyboard.press("Enter")
            page.wait_for_url("**binding**")
            assert page.locator("#list .event").count() == 1
            page.keyboard.press("Escape")
            page.keyboard.press("j")
            page.keyboard.press("Enter")
            page.wait_for_selector("details.event[open] .anatomy")
            assert page.locator("details.event[open] .near a.line").count() > 3
            assert findings(page) == []
            shoot(page, "event-open")
            page.click("details.event[open] a:has-text('The request that caused it')")
            page.wait_for_selector("#waterfall")
            page.goto(address + "/events")
            box = page.locator("#bars").bounding_box()
            assert box is not None
            page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 30)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 30)
            page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 30)
            page.mouse.up()
            page.wait_for_url("**start=**")
            shown = page.evaluate("(Number(bars.dataset.end) - Number(bars.dataset.start)) / 1e9")
            assert 600 < shown < 840
            page.goto(address + "/events?q=level:CRITICAL")
            page.keyboard.press("f")
            page.wait_for_selector("#tail-note")
            page.wait_for_timeout(1200)
            rooms.logs.write_raw("site", [line(NOW, "CRITICAL", "nova.x", "the floor is wet")])
            page.wait_for_selector("#tail .event:has-text('the floor is wet')")
            page.click("#tail .event summary")
            page.wait_for_selector("#tail .event .anatomy")
            assert findings(page) == [] and complaints == []
            page.context.close()
    finally:
        rooms.logs.stop()


def test_a_request_without_scripts(chromium: Browser, house: tuple[FakeRooms, str]) -> None:
    page, _ = entered(chromium, house[1], scripts=False)
    page.goto(house[1] + "/events?q=binding")
    page.click("details.event summary >> nth=0")
    page.click("details.event[open] a:has-text('All about it')")
    page.click("main a:has-text('The whole request') >> nth=0")
    assert page.locator("#waterfall svg.fall rect").count() == 3
    page.goto(house[1] + "/templates?kind=bursting")
    page.click("#rows a >> nth=0")
    assert page.locator("#list .event").count() > 10
    page.context.close()
