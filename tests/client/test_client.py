"""The client against a real server with a token: asked, written, turned into frames, refused."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cramjam
import httpx
import pandas as pd
import pytest
from gateway.real import Server
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.errors import Denied, Invalid, NotFound, Unauthenticated, Unavailable
from weatherglass.client import Client, Result, Series, writing
from weatherglass.client.results import joined, read
from weatherglass.gateway.app import create_app
from weatherglass.house import tokens
from weatherglass.house.alone import Alone, Asked
from weatherglass.metrics import intake

NOW = int(time.time()) // 60 * 60
FIRST = NOW - 3600


@dataclass
class Served:
    url: str
    token: str
    member: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = Path(tmp_path_factory.mktemp("client"))
    house = Alone(Asked(frozenset({"metrics", "logs"}), folder))
    tokens.admin(house.identity, folder)
    house.start()
    server = Server(create_app(house.rooms), house.stopping)
    member = house.identity.create("greta", "member", ["genomics"])[1]
    yield Served(server.url, (folder / "token").read_text().strip(), member)
    server.stop()
    house.stop()


@pytest.fixture(scope="module")
def cloud(served: Served) -> Iterator[Client]:
    with Client(served.url, token=served.token) as client:
        times = [(FIRST + at * 60) * 1000 for at in range(61)]
        series = [
            Series({"__name__": "queue_length", "host": f"h{i}", "zone": 'a "b"'}, times, [at + i * 100.0 for at in range(61)])
            for i in range(3)
        ]  # fmt: skip
        assert client.write(series) == 183
        yield client


def test_an_instant(cloud: Client) -> None:
    found = cloud.query("queue_length", at=NOW)
    assert [(one.labels["host"], one.values) for one in found] == [("h0", [60]), ("h1", [160]), ("h2", [260])]
    assert cloud.query("sum(queue_length)", at=datetime.fromtimestamp(NOW, UTC)).value == 480
    assert cloud.query("scalar(sum(queue_length))", at=NOW).value == 480 and cloud.query('"a"').text == "a"
    assert str(found.series[0]) == 'queue_length{host="h0",zone="a \\"b\\""}'
    with pytest.raises(ValueError, match="not one value"):
        _ = found.value


def test_a_range_as_frames(cloud: Client) -> None:
    found = cloud.query_range("queue_length", FIRST, NOW, "5m")
    wide = found.to_pandas()
    assert wide.shape == (13, 3) and wide.columns.names == ["__name__", "host", "zone"]
    assert wide.index[0] == pd.Timestamp(FIRST, unit="s", tz="UTC") and wide.index.name == "time"
    assert wide.xs("h1", axis=1, level="host").iloc[:, 0].tolist() == [100.0 + i * 5 for i in range(13)]
    long = found.to_pandas("long")
    assert list(long.columns) == ["time", "__name__", "host", "zone", "value"] and len(long) == 39
    table = found.to_arrow()
    assert str(table.schema.field("time").type) == "timestamp[ms, tz=UTC]" and table.num_rows == 39
    one = cloud.query_range("sum by (host) (queue_length)", FIRST, NOW, "5m").to_pandas()
    assert list(one.columns) == ["h0", "h1", "h2"] and one.columns.name == "host"
    assert list(cloud.query_range("sum(queue_length)", FIRST, NOW, "5m").to_pandas().columns) == ["value"]
    assert cloud.query_range("nothing", FIRST, NOW).to_pandas().empty
    with pytest.raises(ValueError, match="neither"):
        found.to_pandas("tall")


def test_a_range_longer_than_the_server_answers_at_once(cloud: Client) -> None:
    found = cloud.query_range("queue_length", NOW - 12_000, NOW, 1)
    (first, *_) = found.series
    assert len(found) == 3 and first.times_ms == sorted(set(first.times_ms))
    assert (first.times_ms[0], first.times_ms[-1]) == (FIRST * 1000, NOW * 1000)
    assert len(first.times_ms) == 3601  # nothing is lost or doubled where two answers meet


def test_what_there_is(cloud: Client) -> None:
    assert {one["host"] for one in cloud.series("queue_length", FIRST, NOW)} == {"h0", "h1", "h2"}
    assert len(cloud.series(['queue_length{host="h0"}', 'queue_length{host="h1"}'], FIRST, NOW)) == 2
    assert cloud.label_names("queue_length", FIRST, NOW) == ["__name__", "host", "zone"]
    assert cloud.label_values("host", "queue_length", FIRST, NOW) == ["h0", "h1", "h2"]
    assert cloud.explain("sum(queue_length)", NOW)["plan"][0]["inner"]


def test_a_frame_written_reads_back(cloud: Client) -> None:
    index = pd.date_range(pd.Timestamp(FIRST, unit="s", tz="UTC"), periods=5, freq="1min")
    frame = pd.DataFrame({"a": [1, 2, math.nan, 4, 5], "b": [9.5] * 5}, index=index)
    frame.columns.name = "worker"
    assert cloud.write_frame(frame, "jobs_running", site="north") == 9
    back = (
        cloud.query_range("jobs_running", index[0], index[-1], 60)
        .to_pandas()
        .xs("north", axis=1, level="site")
    )
    back = back.droplevel("__name__", axis=1)
    assert back["b"].tolist() == [9.5] * 5 and back["a"].iloc[[0, 1, 3, 4]].tolist() == [1, 2, 4, 5]
    naive = pd.DataFrame({"x": [7.0]}, index=pd.DatetimeIndex([index[0].tz_localize(None)]))
    assert cloud.write_frame(naive, "plain") == 1
    assert cloud.query("plain", at=index[0]).series[0].labels == {"__name__": "plain", "column": "x"}


def test_logs(cloud: Client, served: Served) -> None:
    lines = [[str((NOW - i) * 10**9), f"level=error line {i} of the test"] for i in range(3)]
    pushed = httpx.post(
        served.url + "/loki/api/v1/push", headers={"authorization": f"Bearer {served.token}"},
        json={"streams": [{"stream": {"service": "api"}, "values": lines}]},
    )  # fmt: skip
    assert pushed.status_code == 204
    found = cloud.search(words="line", start=NOW - 60, end=NOW + 60, limit=2)
    assert len(found) == 2 and "line 0" in found.events[0]["message"]
    rest = cloud.search(words="line", start=NOW - 60, end=NOW + 60, limit=2, before=found.next)
    assert len(rest) == 1
    frame = found.to_pandas()
    assert frame["time"].iloc[0] == pd.Timestamp(NOW, unit="s", tz="UTC") and frame["service"].tolist() == [
        "api",
        "api",
    ]
    assert cloud.search(words="nothing-like-it").to_pandas().empty


def test_refusals_are_errors(cloud: Client, served: Served) -> None:
    with pytest.raises(Invalid, match="parse error") as why:
        cloud.query("sum(queue_length) bby")
    assert why.value.where == "1:19"
    with pytest.raises(Unauthenticated):
        Client(served.url, token="wg_wrong").query("up")
    with Client(served.url, token=served.member) as member:
        assert len(member.query("queue_length", NOW)) == 0
        assert member.write([Series({"__name__": "mine"}, [NOW * 1000], [1.0])]) == 1
    with pytest.raises(Denied):
        Client(served.url, token=served.member, tenant="site").query("up")
    assert len(Client(served.url, token=served.token, tenant="genomics").query("mine", NOW)) == 1
    with pytest.raises(Unavailable):
        Client("http://127.0.0.1:9").query("up")
    with pytest.raises(NotFound):
        cloud._json("GET", "/api/v1/none")
    for wrong in ({"start": "yesterday"}, {"step": "soon"}, {"step": 0}, {"start": NOW + 60, "end": NOW}):
        with pytest.raises(Invalid):
            cloud.query_range("up", **wrong)


def test_what_cannot_be_written_is_said_before_it_is_sent() -> None:
    for series in (
        Series({"host": "a"}, [1], [1.0]), Series({"__name__": "a", "b-c": "x"}, [1], [1.0]),
        Series({"__name__": "a"}, [1, 2], [1.0]),
    ):  # fmt: skip
        with pytest.raises(Invalid):
            list(writing.bodies([series]))


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5), max_size=3),
            st.lists(st.tuples(st.integers(-(2**40), 2**40), st.floats(allow_nan=True)), min_size=1, max_size=5),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_the_store_reads_what_is_written(many: list[tuple[dict[str, str], list[tuple[int, float]]]]) -> None:
    series = [
        Series({**labels, "__name__": f"m{i}"}, [t for t, _ in cells], [v for _, v in cells])
        for i, (labels, cells) in enumerate(many)
    ]
    found = [intake.from_wire(cramjam.snappy.decompress_raw(body).read()) for body in writing.bodies(series)]
    assert sum(len(batch.times) for batch in found) == sum(len(one.values) for one in series)
    if series:
        (batch,) = found
        assert batch.times.tolist() == [t for one in series for t in one.times_ms]
        assert [repr(v) for v in batch.values.tolist()] == [repr(v) for one in series for v in one.values]


def test_many_samples_go_in_several_requests() -> None:
    count = writing.SAMPLES_AT_MOST * 2 + 5
    many = [Series({"__name__": "a"}, list(range(count - 3)), [0.0] * (count - 3)), Series({"__name__": "b"}, [1, 2, 3], [1.0] * 3)]  # fmt: skip
    sizes = [
        len(intake.from_wire(cramjam.snappy.decompress_raw(b).read()).times) for b in writing.bodies(many)
    ]
    assert sizes == [writing.SAMPLES_AT_MOST, writing.SAMPLES_AT_MOST, 5]


def test_special_values_are_read() -> None:
    data = {"resultType": "vector", "result": [{"metric": {}, "value": [1.5, "NaN"]}, {"metric": {"a": "b"}, "value": [2, "+Inf"]}, {"metric": {"c": "d"}, "histogram": [3, {"count": "1"}]}]}  # fmt: skip
    found = read(data, ["careful"])
    assert math.isnan(found.series[0].values[0]) and found.series[1].values == [math.inf]
    assert found.series[2].histograms == [(3000, {"count": "1"})] and found.warnings == ["careful"]
    assert str(found.series[0]) == "{}"


def test_answers_are_joined() -> None:
    part = lambda t, *names: Result("matrix", [Series({"a": n}, [t], [1.0]) for n in names], ["w"])  # noqa: E731
    whole = joined([part(1, "x", "y"), part(2, "y", "z")])
    assert [(one.labels["a"], one.times_ms) for one in whole] == [("x", [1]), ("y", [1, 2]), ("z", [2])]
    assert whole.warnings == ["w"]


def test_it_is_light() -> None:
    """Importing the client brings neither numpy nor pandas nor the server."""
    code = "import sys, weatherglass.client; print([m for m in ('numpy', 'pandas', 'pyarrow', 'fastapi', 'sqlalchemy', 'yaml') if m in sys.modules])"  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"  # fmt: skip
