"""The pages of events, templates and requests over a real store: asked, narrowed, followed, kept, taken away."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from portal import fake_cloud
from portal.fake_cloud import NOW, FakeRooms
from portal.made_logs import ONSET_NS, REQUEST, TRACE, line
from portal.pages import PAGE, client, read
from portal.serving import served
from weatherglass.base.time import iso
from weatherglass.logs import filter as f
from weatherglass.logs.lucene import parse
from weatherglass.logs.parts import covered
from weatherglass.metrics.dashboards import Dashboards
from weatherglass.metrics.formats.taken import Exemplar
from weatherglass.portal.events.bars import bars
from weatherglass.portal.events.detail import pieces
from weatherglass.portal.events.question import clause, narrowed
from weatherglass.portal.patterns.course import BUCKETS, bursting, shifted


def lines(text: str) -> list[str]:
    """The messages that a list shows."""
    return re.findall(r'<span class="text">([^<]*)</span>', text)


def links(text: str, at: str) -> list[str]:
    return [v["href"] for t, v in read(text).tags if t == "a" and v.get("href", "").startswith(at)]


# --- asking ----------------------------------------------------------------------------------------------


def test_a_query_finds_what_it_says(seen: FakeRooms) -> None:
    browser = client(seen)
    page = browser.get(
        "/events", params={"q": "level:ERROR AND NOT service:keystone AND NOT format:span"}
    ).text
    assert lines(page) == [
        "instance 91-b went to ERROR: no valid binding",
        "port binding failed on host cmp-4",
    ]
    assert "2 events" in page
    wrong = browser.get("/events", params={"q": "level:ERROR AND ("}).text
    assert 'role="alert"' in wrong and "^" in wrong


def test_facets_narrow_with_and_without(seen: FakeRooms) -> None:
    browser = client(seen)
    page = browser.get("/events", params={"q": "ERROR OR WARNING"}).text
    asked = [parse_qs(urlsplit(one).query)["q"][0] for one in links(page, "/events?") if "q=" in one]
    assert "(ERROR OR WARNING) AND service:keystone" in asked
    assert "(ERROR OR WARNING) AND NOT service:keystone" in asked
    for query in asked:
        counted = seen.logs.count("site", parse(query))
        assert counted > 0, query
        if " AND NOT " not in query and "AND service:" in query:
            assert f"{counted}</span>" in page, query


def test_columns_and_chips(seen: FakeRooms) -> None:
    page = client(seen).get("/events", params={"columns": "host, request_id", "entity": "service/neutron", "words": "binding"}).text  # fmt: skip
    assert 'title="host">ctl-3<' in page and 'title="request_id">req-91aa' in page
    assert "entity: service/neutron ×" in page and "words: binding ×" in page
    assert lines(page) == ["port binding failed on host cmp-4"]


def test_brushing_gives_a_span(seen: FakeRooms) -> None:
    browser = client(seen)
    page = browser.get("/events").text
    one = next(v["href"] for t, v in read(page).tags if t == "a" and "start=" in v.get("href", ""))
    inner = browser.get(one).text
    spans = re.search(r'data-start="(\d+)" data-end="(\d+)"', inner)
    assert spans and 0 < int(spans[2]) - int(spans[1]) < 3600 * 10**9 / 30


def test_pages_go_on_where_they_ended(seen: FakeRooms) -> None:
    browser, found = client(seen), []
    address = "/events?range=6h"
    for _ in range(6):
        page = browser.get(address).text
        found += re.findall(r'data-at="([^"]+)"', page)
        older = [one for one in links(page, "/events?") if "before=" in one]
        if not older:
            break
        address = older[0]
    total = seen.logs.count("site", f.All())
    assert len(found) == len(set(found)) == total == 252


def test_completion_of_fields_operators_and_values(seen: FakeRooms) -> None:
    browser = client(seen)

    def words(query: str) -> tuple[int, list[str]]:
        told = browser.get("/events/words", params={"q": query}).json()
        return told["from"], [text for text, _ in told["words"]]

    assert words("lev") == (0, ["level:"])
    assert words("level:ERROR AND req")[1][0] == "request_id:"
    assert "global_request_id:" in words("level:ERROR AND req")[1]
    assert words("x O")[1][-1] == "OR "
    assert words("level:")[1] == ["ERROR ", "WARNING ", "INFO ", "DEBUG "]
    assert words("service:KEY") == (8, ["keystone "])
    at, [first, *_] = words("NOT request_id:req-5b1e")
    assert (at, first) == (15, f'"{REQUEST}" ')
    assert words("message:lost") == (8, []) and words('"lost lev')[1] == []
    assert client(seen, "greta").get("/events/words", params={"q": "service:"}).json()["words"] == []


# --- one event -------------------------------------------------------------------------------------------


def test_an_event_with_all_that_is_known_of_it(seen: FakeRooms) -> None:
    browser = client(seen)
    page = browser.get("/events", params={"q": '"agent cmp"', "range": "6h"}).text
    cursor = re.findall(r'data-at="([^"]+)"', page)[0]
    for address in (f"/events/one?at={cursor}", f"/events/one?at={cursor}&part=1"):
        one = browser.get(address, headers=PAGE).text
        assert re.search(r"agent <var>cmp-\d</var> reported in", one)
        assert 'href="/e/service/neutron"' in one
        assert 'href="/request/req-' in one
        assert "agent &lt;*&gt; reported in" in one
        assert read(one).wrong == []
    whole = browser.get(f"/events/one?at={cursor}").text
    assert 3 < len(lines(whole)) <= 41
    asked = next(one for one in links(whole, "/events?") if "template.keyword" in one)
    same = lines(browser.get(asked).text)
    assert len(same) > 30 and all(re.fullmatch(r"agent cmp-\d reported in", text) for text in same)
    assert browser.get("/events/one?at=1-1", headers=PAGE).status_code == 404
    assert browser.get("/events/one?at=x", headers=PAGE).status_code == 400
    assert client(seen, "greta").get(f"/events/one?at={cursor}", headers=PAGE).status_code == 404


def test_an_error_leads_to_its_incident_and_back(seen: FakeRooms) -> None:
    browser = client(seen)
    found = seen.logs.search(
        "site", start_ns=ONSET_NS, end_ns=NOW + 1, query='"authenticate the user"', limit=1
    )
    assert 'href="/i/118"' in browser.get(f"/events/one?at={found.cursors[0]}").text
    calm = seen.logs.search("site", start_ns=0, end_ns=ONSET_NS - 120 * 10**9, limit=1)
    assert 'href="/i/118"' not in browser.get(f"/events/one?at={calm.cursors[0]}").text
    story = browser.get("/i/118").text
    [to] = [one for one in links(story, "/events?entity=service%2Fkeystone") if "level=" in one]
    assert "Could not authenticate the user" in browser.get(to).text
    [new] = links(story, "/templates?kind=new")
    shown = browser.get(new).text
    assert "Could not authenticate the user" in shown and "lease renewed" not in shown
    charted = links(browser.get("/e/service/keystone").text, "/events?entity=service%2Fkeystone&start")
    assert charted and lines(browser.get(charted[0]).text)


# --- keeping and taking away -----------------------------------------------------------------------------


def test_searches_are_kept_as_files(tmp_path: Path) -> None:
    rooms = fake_cloud.rich()
    rooms.state = tmp_path
    browser = client(rooms)
    form = {
        "csrf": "csrf-of-mira",
        "name": "lost sessions",
        "address": "/events?q=level:ERROR+AND+lost&columns=host&x=1",
    }
    assert browser.post("/events/saved", data={**form, "csrf": "no"}).status_code == 403
    answer = browser.post("/events/saved", data=form)
    assert answer.status_code == 303
    file = tmp_path / "searches" / "site" / "lost sessions.yaml"
    kept = yaml.safe_load(file.read_text())
    assert (kept["q"], kept["columns"], kept["saved_by"]) == ("level:ERROR AND lost", "host", "mira")
    assert "x" not in kept
    page = browser.get("/events").text
    [there] = [one for one in links(page, "/events?") if "lost" in one and "columns=host" in one]
    assert "lost connection" in browser.get(there).text
    assert browser.post("/events/saved", data=form).status_code == 409
    for name in ("../x", "", ".hidden", "a/b", "x" * 99):
        assert browser.post("/events/saved", data={**form, "name": name}).status_code == 400, name
    assert browser.post("/events/saved", data={**form, "name": "n", "address": "/events"}).status_code == 400
    assert "lost sessions" not in client(rooms, "greta").get("/events").text
    beside = tmp_path / "git" / "searches"
    beside.mkdir(parents=True)
    (beside / "from git.yaml").write_text("q: level:CRITICAL\n")
    (beside / "broken.yaml").write_text("q: [")
    rooms.deploy.site_path = beside.parent / "site.yaml"  # type: ignore[attr-defined]
    page = browser.get("/events").text
    assert "from git" in page and "broken" not in page
    removed = browser.post("/events/saved/remove", data={"csrf": "csrf-of-mira", "name": "lost sessions"})
    assert removed.status_code == 303 and not file.exists()
    assert (
        browser.post("/events/saved/remove", data={"csrf": "csrf-of-mira", "name": "from git"}).status_code
        == 404
    )


def test_events_as_csv_and_json(seen: FakeRooms) -> None:
    browser = client(seen)
    asked = {"q": "service:keystone AND NOT format:span", "range": "6h", "columns": "host,request_id"}
    total = seen.logs.count("site", parse(asked["q"]))
    answer = browser.get("/events/download", params={**asked, "form": "csv"})
    assert answer.headers["content-disposition"].startswith("attachment")
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head == ["time", "level", "host", "request_id", "logger", "message"]
    assert len(rows) == total and all(len(row) == 6 for row in rows)
    told = [
        json.loads(one)
        for one in browser.get("/events/download", params={**asked, "form": "json"}).text.splitlines()
    ]
    assert [one["time"] for one in told] == [row[0] for row in rows]
    assert any("Traceback" in one["raw"] for one in told)
    assert browser.get("/events/download", params={"form": "xls"}, headers=PAGE).status_code == 400
    assert browser.get("/events/download", params={"q": "("}, headers=PAGE).status_code == 400


def test_a_tail_tells_rows() -> None:
    """Over real HTTP: a line that fits comes as the row that the list has, another does not."""
    rooms = fake_cloud.rich()
    rooms.logs.start()
    told = ""
    try:
        with served(rooms) as address, httpx.stream(
            "GET", f"{address}/events/tail?q=level:CRITICAL&columns=host", cookies={"wg_session": "mira"}, timeout=15
        ) as answer:  # fmt: skip
            assert answer.headers["content-type"].startswith("text/event-stream")
            for text in answer.iter_lines():
                told += text + "\n"
                if text == "event: hello":
                    rooms.logs.write_raw("site", [line(NOW, "INFO", "nova.x", "not so"), line(NOW + 1, "CRITICAL", "nova.x", "yes <b>")])  # fmt: skip
                if "</details>" in text:
                    break
    finally:
        rooms.logs.stop()
    assert 'title="host">ctl-1' in told and "yes &lt;b&gt;" in told and "not so" not in told


# --- templates -------------------------------------------------------------------------------------------


def test_templates_new_bursting_rare_and_beside_another_span(seen: FakeRooms) -> None:
    browser = client(seen)

    def shown(**asked: str) -> str:
        return "".join(read(browser.get("/templates", params=asked).text).text)

    every = shown()
    assert "agent ∗ reported in" in every and "Could not authenticate" in every
    assert "Could not authenticate" in shown(kind="bursting") and "reported in" not in shown(kind="bursting")
    assert "port binding failed" in shown(kind="rare") and "reported in" not in shown(kind="rare")
    new = shown(kind="new", since=iso(ONSET_NS))
    assert "Could not authenticate" in new and "reported in" not in new
    assert "Since generation" in shown(kind="new") or "new since generation 41" in shown(kind="new")
    only = shown(service="glance", q="NOT level:DEBUG")
    assert "GET ∗ ∗ ∗.∗" in only and "reported in" not in only
    page = browser.get("/templates", params={"against": "before", "range": "15m"}).text
    rows = re.findall(r'<td class="n">(\d+)</td><td class="n dim">(\d+)</td>', page)
    assert ("16", "1") in rows or any(int(now) >= 15 and int(then) <= 2 for now, then in rows)


def test_a_template_leads_to_its_events(seen: FakeRooms) -> None:
    browser = client(seen)
    page = browser.get("/templates").text
    rows = re.findall(r'<a href="([^"]+)"><code class="template">.*?<td class="n">(\d+)</td>', page, re.S)
    assert len(rows) >= 12
    for address, count in rows:
        there = browser.get(address.replace("&amp;", "&")).text
        assert f"{count} events" in there, address


@given(st.lists(st.integers(0, 5), min_size=BUCKETS, max_size=BUCKETS))
def test_what_goes_on_as_before_does_not_burst(counts: list[int]) -> None:
    steady = [3] * BUCKETS
    assert bursting(steady) == 0.0
    assert bursting([*steady[:-2], 40, 40]) > 6
    if sum(counts[-6:]) <= max(sum(counts[at : at + 6]) for at in range(BUCKETS - 11)):
        assert bursting(counts) == 0.0
    assert bursting([0] * BUCKETS) == 0.0 and bursting([5, 5]) == 0.0


def test_how_far_counts_lie_apart() -> None:
    assert shifted(0, 0) == 0 and shifted(100, 100) == 0
    assert shifted(100, 0) == shifted(0, 100) == 10


# --- requests --------------------------------------------------------------------------------------------


def test_a_request_as_a_waterfall(seen: FakeRooms) -> None:
    browser = client(seen)
    page = browser.get(f"/request/{REQUEST}").text
    text = "".join(read(page).text)
    assert "3 parts in 3 services, 2.1 s" in text and "neutron failed" in text
    assert lines(page)[0] == "POST /v2.1/servers accepted" and len(lines(page)) == 7
    glance = next(one for one in links(page, "/request/req-91aa"))
    assert "3 parts in 3 services" in "".join(read(browser.get(glance).text).text)
    trace = "".join(read(browser.get(f"/request/{TRACE}").text).text)
    assert "5 parts in 5 services, 900 ms" in trace and "create port" in trace
    assert "Nothing is known" in browser.get("/request/req-nobody").text
    assert "Nothing is known" in client(seen, "greta").get(f"/request/{REQUEST}").text
    assert browser.get("/request", params={"id": REQUEST}).headers["location"] == f"/request/{REQUEST}"
    assert f"/request/{REQUEST}" in browser.get("/search", params={"q": REQUEST}).text
    assert "authenticate" in browser.get("/search", params={"q": "could not auth"}).text


def test_exemplars_lead_to_their_requests(rich: FakeRooms) -> None:
    asked: list[Any] = []

    def exemplars(tenant: str, wanted: Any, start_ms: int, end_ms: int) -> list[Any]:
        asked.append((tenant, start_ms, end_ms))
        series = (("__name__", "http_seconds_bucket"), ("le", "1"))
        return [(series, [Exemplar(series, (("trace_id", TRACE),), 0.9, NOW // 10**6), Exemplar(series, (("x", "y"),), 5.0, 1)])]  # fmt: skip

    rich.metrics.exemplars = exemplars  # type: ignore[attr-defined]
    browser = client(rich)
    page = browser.get("/request/examples", params={"q": "rate(http_seconds_bucket[5m])"}).text
    assert links(page, "/request/4bf9") == [f"/request/{TRACE}"]
    assert asked[0][0] == "site" and asked[0][1] < asked[0][2]
    assert read(browser.get("/request/examples", params={"q": "up", "part": "1"}).text).wrong == []
    assert "No exemplar" in browser.get("/request/examples", params={"q": "sum("}).text


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8))
def test_what_is_covered_is_counted_once(intervals: list[tuple[int, int]]) -> None:
    within = (10, 40)
    assert covered(intervals, within) == len({n for a, b in intervals for n in range(max(a, 10), min(b, 40))})


# --- the pure middle -------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=40))
def test_a_clause_means_its_value(value: str) -> None:
    leaf = parse(clause("a.b", value))
    assert isinstance(leaf, f.Term | f.Phrase)
    assert (leaf.value if isinstance(leaf, f.Term) else leaf.text) == value


@pytest.mark.parametrize("query", ["a", "a OR b", "a AND b", "a b", '"a b"', "a || b", "(a OR b)", "NOT a", "a AND (b OR c)", "a AND b OR c"])  # fmt: skip
@pytest.mark.parametrize("without", [False, True])
def test_narrowing_means_both(query: str, without: bool) -> None:
    def flat(tree: f.Filter) -> f.Filter:
        return f.both(*map(flat, tree.of)) if isinstance(tree, f.And) else tree

    more: f.Filter = parse("level:ERROR")
    wanted = f.both(flat(parse(query)), f.Not(more) if without else more)
    assert flat(parse(narrowed(query, "level:ERROR", without))) == flat(wanted)
    assert narrowed("", "x:1") == "x:1" and narrowed("(", "x:1") == "(() AND x:1"


@given(st.lists(st.sampled_from(["INFO", "ERROR", "", "odd"]), max_size=6))
def test_bars_fill_their_frame(levels: list[str]) -> None:
    counts = {level: n + 1 for n, level in enumerate(dict.fromkeys(levels))}
    [one, two] = bars([(0, counts), (10, {})], 20)
    assert (one.begin, one.end, two.begin, two.end) == (0, 10, 10, 20)
    assert one.count == sum(counts.values()) and two.parts == []
    assert sum(height for _, _, height in one.parts) == pytest.approx(100 if counts else 0, abs=0.1)


def test_pieces_of_a_message() -> None:
    assert pieces("took <*> ms", ("12",)) == [("took ", False), ("12", True), (" ms", False)]
    assert pieces("<*>", ("a <*> b",)) == [("a <*> b", True)]
    assert pieces("<*><*>", ("", "x")) == [("", True), ("x", True)]
    assert pieces("a <*>", ()) == [("a <*>", False)]


def test_a_panel_of_lines_on_a_dashboard(rich: FakeRooms, tmp_path: Path) -> None:
    (tmp_path / "trouble.yaml").write_text(
        "title: Trouble\nrange: 1h\nvariables: {service: {values: [keystone, neutron]}}\nrows:\n  - panels:\n"
        "      - {title: 'Errors of $service', kind: logs, query: 'level:ERROR AND service:$service'}\n"
        "      - {title: Wrong, kind: logs, query: 'level:('}\n"
    )
    rich.more = {"dashboards": Dashboards(lambda: [tmp_path])}
    browser = client(rich)
    page = browser.get("/dashboards/trouble", params={"var-service": "neutron"}).text
    assert read(page).wrong == []
    assert "Errors of neutron" in page and "port binding failed" in page and "authenticate" not in page
    [all_of_it] = links(page, "/events?q=level%3AERROR+AND+service%3Aneutron")
    assert "2 events" in page and "2 events" in browser.get(all_of_it).text
    assert "the query" in page or "missing" in page
