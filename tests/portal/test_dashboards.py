"""Dashboards over a real store: our own form, Grafana's, variables, every kind of panel, and who may see them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal import fake_cloud, real_metrics
from portal.fake_cloud import FakeRooms
from portal.pages import PAGE, client, read
from weatherglass.metrics.dashboards import Dashboards
from weatherglass.metrics.histogram import Histogram, side
from weatherglass.metrics.native import NativeSamples
from weatherglass.portal.live import paced

HOSTS = """
title: Hosts at work
description: What the queues do
range: 30m
refresh: 30s
tenants: [genomics]
variables:
  host: {query: "label_values(queue_seconds, host)", multi: true, all: true}
  zone: {query: "label_values(queue_seconds{host=~\\"$host\\"}, zone)"}
  top: {values: [1, 2], label: How many}
rows:
  - title: Now
    panels:
      - {title: "Waiting on $host", query: 'queue_seconds{host=~"$host"}', legend: "{{host}} waits", unit: s, thresholds: [{state: healthy}, {at: 3, state: sick}], width: 12}
      - {title: Rate, kind: stat, query: 'sum(rate(jobs_done_total{host=~"$host"}[$__rate_interval]))', unit: /s, width: 6}
      - {title: Most, kind: gauge, query: 'max(queue_seconds)', unit: s, least: 0, most: 10, width: 6, thresholds: [{at: 2, state: dying}]}
      - {title: Bars, kind: bars, query: 'topk($top, queue_seconds)', legend: "{{host}}"}
      - {title: Table, kind: table, query: [{expr: queue_seconds, legend: Wait}, {expr: jobs_done_total, legend: Done}]}
      - {title: Heat, kind: heatmap, query: queue_seconds}
      - {title: Words, kind: text, text: "Read this first.\\n\\nThen that."}
      - {title: Broken, query: "sum(queue_seconds"}
      - {title: Nobody, query: "queue_seconds{a=\\"$nobody\\"}"}
  - title: Folded
    folded: true
    panels: [{title: Hidden at first, query: queue_seconds}]
"""


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeRooms]:
    folder = Path(tmp_path_factory.mktemp("boards"))
    found = fake_cloud.rich()
    metrics, tables = real_metrics.opened(folder)
    found.metrics = metrics  # type: ignore[assignment]
    boards = folder / "dashboards"
    boards.mkdir()
    (boards / "hosts.yaml").write_text(HOSTS)
    (boards / "operators.yaml").write_text("title: For operators\nrows: [{panels: [{query: up}]}]\n")
    (boards / "broken.yaml").write_text("title: x\nrows: [{panels: [{kynd: stat}]}]\n")
    (boards / "notes.txt").write_text("no dashboard")
    found.more = {"dashboards": Dashboards(lambda: [boards])}
    yield found
    metrics.stop()
    tables.close()


def page_of(rooms: FakeRooms, query: str = "", who: str = "mira", slug: str = "hosts") -> str:
    answer = client(rooms, who).get(f"/dashboards/{slug}{query}", headers=PAGE)
    assert answer.status_code == 200, answer.text[:500]
    assert read(answer.text).wrong == []
    return answer.text


def panels(text: str) -> dict[str, str]:
    """Title → the panel's HTML."""
    parts = re.split(r'<div class="panel w\d+">', text)[1:]
    return {html.unescape(re.findall(r"<b>([^<]*)</b>", part)[0]): part for part in parts}


def labels_of(panel: str) -> list[str]:
    found: list[str] = json.loads(html.unescape(re.findall(r'data-chart="([^"]*)"', panel)[0]))["labels"]
    return found


def test_the_list_tells_what_cannot_be_read(rooms: FakeRooms) -> None:
    text = client(rooms).get("/dashboards", headers=PAGE).text
    assert read(text).wrong == [] and "Hosts at work" in text and "notes" not in text
    assert "kynd is not a field here" in html.unescape(text) and "broken.yaml:2" in text


def test_every_kind_of_panel_is_drawn(rooms: FakeRooms) -> None:
    found = panels(page_of(rooms))
    assert labels_of(found["Waiting on all"]) == ["ctl-1 waits", "ctl-2 waits", "ctl-3 waits"]
    assert "0.4 /s" in found["Rate"]
    assert 'class="dying"' in found["Most"] and ">dying<" in found["Most"]
    assert found["Bars"].count("<dt>") == 1
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", found["Table"])
    assert cells[:4] == ["host", "zone", "Wait", "Done"] and cells[4:6] == ["ctl-3", "rack-0"]
    assert cells[7] == "720" and len(cells) == 16
    assert found["Heat"].count("<rect") > 20
    assert found["Words"].count("<p>") == 2
    assert "parse error" in found["Broken"]
    assert "there is no variable $nobody" in found["Nobody"]


def test_a_choice_narrows_and_chains(rooms: FakeRooms) -> None:
    text = page_of(rooms, "?var-host=ctl-2&var-host=ctl-3&var-top=2")
    found = panels(text)
    assert labels_of(found["Waiting on ctl-2 + ctl-3"]) == ["ctl-2 waits", "ctl-3 waits"]
    assert found["Bars"].count("<dt>") == 2
    zones = re.findall(r'name="var-zone">(.*?)</select>', text)[0]
    assert re.findall(r"<option[^>]*>([^<]*)", zones) == ["rack-0", "rack-1"]
    assert re.findall(r"<option[^>]*>([^<]*)", re.findall(r'name="var-zone">(.*?)</select>', page_of(rooms, "?var-host=ctl-2"))[0]) == ["rack-1"]  # fmt: skip


def test_a_value_nobody_offers_is_not_taken(rooms: FakeRooms) -> None:
    assert "Waiting on all" in panels(page_of(rooms, "?var-host=x%22%7D%20or%20up"))


def test_a_folded_row_asks_when_it_is_opened(rooms: FakeRooms) -> None:
    text = page_of(rooms)
    assert "Hidden at first" not in text
    link = html.unescape(re.findall(r'<a href="([^"]*)">open 1 panel</a>', text)[0])
    opened = client(rooms).get(link, headers=PAGE).text
    assert "Hidden at first" in panels(opened)
    assert html.unescape(re.findall(r'<a href="([^"]*)">fold</a>', opened)[0]) == "/dashboards/hosts"


def test_it_renews_itself_at_its_pace(rooms: FakeRooms) -> None:
    assert 'sse-connect="/live?every=30"' in page_of(rooms) and "sse:paced" in page_of(rooms)
    assert 'sse-connect="/live?every=10"' in page_of(rooms, "?every=10")
    assert "renew" not in page_of(rooms, "?every=0")
    assert "sse:paced" not in page_of(rooms, "?start=2026-11-22T13:00&end=2026-11-22T13:30")
    assert [paced(text) for text in ("", "30", "1", "-3", "x", "99999999999", "²")] == [0, 30, 5, 0, 0, 0, 0]


def test_a_tenant_sees_what_is_for_it_and_its_own_samples(rooms: FakeRooms) -> None:
    listed = client(rooms, "greta").get("/dashboards", headers=PAGE).text
    assert "Hosts at work" in listed and "For operators" not in listed and "broken" not in listed
    mine = page_of(rooms, who="greta")
    assert "ctl-1" not in mine and "No samples" in mine
    assert client(rooms, "greta").get("/dashboards/operators", headers=PAGE).status_code == 404
    assert client(rooms, "ivo").get("/dashboards/hosts", headers=PAGE).status_code == 404
    assert "ctl-1" in page_of(rooms) and "ctl-1" not in page_of(rooms, "?lens=genomics")


def test_a_file_that_changes_is_read_again(rooms: FakeRooms) -> None:
    folder = rooms.more["dashboards"].folders[0]
    (folder / "fresh.yaml").write_text("title: One\nrows: [{panels: []}]\n")
    assert "<h1>One</h1>" in page_of(rooms, slug="fresh")
    (folder / "fresh.yaml").write_text("title: Another\nrows: [{panels: []}]\n")
    assert "<h1>Another</h1>" in page_of(rooms, slug="fresh")
    (folder / "fresh.yaml").unlink()
    assert client(rooms).get("/dashboards/fresh", headers=PAGE).status_code == 404


def test_a_native_histogram_is_no_nought(rooms: FakeRooms) -> None:
    one = Histogram(count=2, sum=3.0, positive=side([0], [2.0]))
    batch = NativeSamples([(("__name__", "native_seconds"),)], [[real_metrics.NOW_MS]], [[one]])
    rooms.metrics.append_histograms("site", batch)  # type: ignore[attr-defined]
    file = rooms.more["dashboards"].folders[0] / "native.yaml"
    file.write_text(
        "title: N\nrows: [{panels: [{title: A, kind: stat, query: native_seconds}, {title: B, kind: stat, query: histogram_count(native_seconds)}]}]\n"
    )
    found = panels(page_of(rooms, slug="native"))
    file.unlink()
    assert "–" in found["A"] and re.search(r"<dd>2\b", found["B"])


def test_nothing_there_teaches(rooms: FakeRooms) -> None:
    bare = fake_cloud.empty()
    text = client(bare).get("/dashboards", headers=PAGE).text
    assert read(text).wrong == [] and "weatherglass dashboards import" in text


CEPH = Path("/etc/grafana/dashboards/ceph-dashboard")


@pytest.mark.skipif(not CEPH.is_dir(), reason="Debian's ceph-grafana-dashboards is not installed")
def test_debians_ceph_dashboards_are_drawn(rooms: FakeRooms) -> None:
    before = rooms.more
    rooms.more = {"dashboards": Dashboards(lambda: [CEPH])}
    try:
        for one in rooms.more["dashboards"].all():
            assert one.dashboard is not None, one.problem
            text = page_of(rooms, slug=one.slug)
            assert "parse error" not in text, one.slug
            drawn = sum(len(row.panels) for row in one.dashboard.rows if not row.folded)
            assert len(re.findall(r'<div class="panel w\d+">', text)) == drawn
    finally:
        rooms.more = before
