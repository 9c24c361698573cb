"""Explore, dashboards and resources in a real browser over a real store: what is typed, drawn, renewed, and accessible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from portal import fake_cloud, real_metrics
from portal.fake_cloud import NOW, FakeRooms
from portal.serving import served
from portal.test_browser import chromium, entered, findings, shoot
from weatherglass.base.time import MS_NS, ManualClock
from weatherglass.engine.protocols import Samples
from weatherglass.metrics.dashboards import Dashboards
from weatherglass.metrics.gnocchi import Gnocchi

pytestmark = pytest.mark.browser

__all__ = ["chromium"]

BOARD = """
title: Queues
description: How long jobs wait on each host, and how many get done.
range: 30m
tenants: ["*"]
variables:
  host: {query: "label_values(queue_seconds, host)", multi: true, all: true, label: Host}
  top: {values: [3, 2, 1], label: How many}
rows:
  - title: Now
    panels:
      - {title: Jobs done a second, kind: stat, query: 'sum(rate(jobs_done_total{host=~"$host"}[$__rate_interval]))', unit: /s, width: 6}
      - {title: Longest wait, kind: gauge, query: 'max(queue_seconds)', unit: s, least: 0, most: 10, width: 6, thresholds: [{state: healthy}, {at: 4, state: sick}]}
      - {title: "The $top longest", kind: bars, query: 'topk($top, queue_seconds)', legend: "{{host}}", unit: s, width: 12}
  - title: Over time
    panels:
      - {title: "Waiting on $host", query: 'queue_seconds{host=~"$host"}', legend: "{{host}}", unit: s, thresholds: [{at: 5, state: dying}], width: 12, description: From enqueued to taken.}
      - {title: Waits, kind: heatmap, query: queue_seconds, unit: s, width: 12, told: [drawn without its legend]}
      - {title: Hosts, kind: table, query: [{expr: queue_seconds, legend: Wait}, {expr: jobs_done_total, legend: Done}], width: 16}
      - {title: How to read this, kind: text, text: "A wait above five seconds is worth a look.", width: 8}
"""
WEB = "5a7c9f0e-0c6e-4a4e-9b1f-0d8d2b1f6a01"
PAGES = {
    "explore-start": "/explore",
    "explore-several": "/explore?q=queue_seconds&q=rate(jobs_done_total%5B1m%5D)*60&range=30m&beside=1h&plan=1",
    "explore-mistake": "/explore?q=sum(queue_seconds)+bby",
    "dashboards": "/dashboards",
    "dashboard": "/dashboards/queues",
    "resources": "/resources?type=instance",
    "resource": f"/resources/instance/{WEB}?range=1h",
    "policies": "/resources/policies",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeRooms, str]]:
    folder = Path(tmp_path_factory.mktemp("seen"))
    rooms = fake_cloud.rich()
    metrics, tables = real_metrics.opened(folder)
    gnocchi = Gnocchi(tables=tables, store=metrics, clock=ManualClock(NOW))
    gnocchi.start()
    who = gnocchi.caller(creator="ceilometer:service", roles=frozenset({"admin"}), tenant="site")
    string = {"type": "string", "required": False, "min_length": 0, "max_length": 255}
    gnocchi.types.create(who, {"name": "instance", "attributes": {"display_name": string, "host": string}})
    for i in range(1, 4):
        given = {
            "id": f"{WEB[:-1]}{i}",
            "project_id": "genomics",
            "display_name": f"web-{i}",
            "host": f"cmp-{i}",
        }
        named = {name: {"archive_policy_name": "low"} for name in ("cpu", "memory.usage", "disk.root.size")}
        gnocchi.resources.create(who, "instance", {**given, "metrics": named})
    gnocchi.resources.change(who, "instance", WEB, lambda: {"host": "cmp-6"})
    for number, one in enumerate(gnocchi.resources.metrics_of(who, "instance", WEB)):
        at = [(NOW - (60 - i) * 60 * 10**9) / 1e9 for i in range(60)]
        points = [{"timestamp": t, "value": (i * 7 % 23) * (number + 1.0)} for i, t in enumerate(at)]
        gnocchi.measures.post(who, gnocchi.metrics.get(one.id), points)
    (folder / "boards").mkdir()
    (folder / "boards" / "queues.yaml").write_text(BOARD)
    rooms.metrics = metrics  # type: ignore[assignment]
    rooms.more = {"gnocchi": gnocchi, "dashboards": Dashboards(lambda: [folder / "boards"])}
    with served(rooms) as address:
        yield rooms, address
    gnocchi.stop()
    metrics.stop()
    tables.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page(chromium: Browser, house: tuple[FakeRooms, str], scheme: str) -> None:
    page, complaints = entered(chromium, house[1], scheme=scheme)
    for name, path in PAGES.items():
        page.goto(house[1] + path)
        page.wait_for_selector("#live-chip:not([hidden])")
        shoot(page, f"{name}-{scheme}")
        assert complaints == [], name
        assert findings(page) == [], name
    page.set_viewport_size({"width": 390, "height": 800})
    for name, path in PAGES.items():
        page.goto(house[1] + path)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        shoot(page, f"{name}-narrow-{scheme}")
        assert wide <= 0, name
    page.emulate_media(contrast="more")
    page.goto(house[1] + PAGES["dashboard"])
    assert findings(page) == []
    page.context.close()


def test_completion_knows_labels_and_values(chromium: Browser, house: tuple[FakeRooms, str]) -> None:
    page, complaints = entered(chromium, house[1])
    page.goto(house[1] + "/explore")
    page.click("#q")
    for typed, chosen in (("queue", "queue_seconds"), ("{", "host"), ('="2', "ctl-2")):
        page.keyboard.insert_text(typed)  # one question, one answer
        page.wait_for_selector(f"#words:not([hidden]) li[data-word='{chosen}']")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
    page.keyboard.type('"}')
    assert page.input_value("#q") == 'queue_seconds{host="ctl-2"}'
    page.keyboard.press("Enter")
    page.wait_for_selector(".plot canvas")
    assert page.locator("#answer tbody tr").count() == 1
    page.click("text=Add a query")
    page.fill("#q1", "sum by (zo")
    page.focus("#q1")
    page.keyboard.press("End")
    page.keyboard.type("n")
    page.wait_for_selector("#words1:not([hidden]) li[data-word='zone']")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert page.input_value("#q1") == "sum by (zone"
    page.fill("#q1", "jobs_done_total")
    page.click("button.go")
    page.wait_for_selector("#answer tbody tr:nth-child(4)")
    assert complaints == []
    page.context.close()


def test_dragging_looks_closer(chromium: Browser, house: tuple[FakeRooms, str]) -> None:
    page, complaints = entered(chromium, house[1])
    page.goto(house[1] + "/explore?q=queue_seconds&q=jobs_done_total&range=1h")
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_url("**start=*")
    assert page.url.count("q=") == 2 and page.locator("[aria-label=Range] [aria-current]").count() == 0
    assert complaints == []
    page.context.close()


def test_a_dashboard_is_chosen_from_and_renews_itself(
    chromium: Browser, house: tuple[FakeRooms, str]
) -> None:
    rooms, address = house
    page, complaints = entered(chromium, address)
    page.goto(address + "/dashboards/queues?every=5")
    page.wait_for_selector(".plot canvas")
    page.click("summary:has-text('Host')")
    page.uncheck("[name='var-host'][value='$__all']")
    page.check("[name='var-host'][value='ctl-2']")
    page.click("button:has-text('Show')")
    page.wait_for_selector("figcaption:has-text('Waiting on ctl-2')")
    stat = page.locator("figure:has-text('Longest wait') dd")
    labels = (("__name__", "queue_seconds"), ("host", "ctl-9"))
    rooms.metrics.append("site", Samples([labels], [[NOW // MS_NS]], [[9.0]]))  # type: ignore[attr-defined]
    page.wait_for_selector("figure:has-text('Longest wait') dd:has-text('9.0 s')")
    assert "sick" in stat.inner_text()
    page.wait_for_selector("figure.drawn .plot canvas")
    assert complaints == []
    page.context.close()


def test_before_any_script(chromium: Browser, house: tuple[FakeRooms, str]) -> None:
    page, _ = entered(chromium, house[1], scripts=False)
    page.goto(house[1] + "/explore")
    page.fill("#q", "queue_seconds")
    page.click("button.go")
    assert page.locator("#answer tbody tr").count() >= 3
    page.click("text=Add a query")
    page.fill("#q1", "jobs_done_total")
    page.click("button.go")
    assert page.locator("#answer tbody tr").count() >= 6
    page.goto(house[1] + "/dashboards/queues")
    page.select_option("[name=var-top]", "1")
    page.click("button:has-text('Show')")
    assert page.locator(".bars > div").count() == 1 and page.locator(".plot svg polyline").count() >= 3
    page.goto(house[1] + "/resources?type=instance")
    page.click(f"a[href*='{WEB}']")
    assert page.locator("figure.chart svg polyline").count() >= 3
    page.context.close()
