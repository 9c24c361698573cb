"""Files of samples, out and in again; pandas, DuckDB and promtool read them; the verbs of the command line."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from metrics.conftest import Place
from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Samples
from weatherglass.metrics import Matcher, exchange

NOW = 1_800_000_000_000
ALL = [Matcher("__name__", "=~", ".+")]
ODD = [np.nan, np.inf, -np.inf, -0.0, 5e-324, 0.1 + 0.2, 1e308]
SERIES = [
    (("__name__", "up"), ("instance", 'a"b\\c\nd'), ("job", "é")),
    (("__name__", "node:load1"), ("instance", "b")),
    (("__name__", "node:load1"), ("instance", "c")),
    (("__name__", "with.dots"), ("a label", "1")),
]


def filled(place):
    store = place.open(retention_s=None)
    for day in range(3):
        times = [NOW + day * 86_400_000 + 15_000 * k + 7 for k in range(500)]
        values = [[float(k) / 8 + n for k in range(500)] for n in range(4)]
        store.append("t", Samples(SERIES, [times] * 4, values))
        store.seal()
    store.append("t", Samples(SERIES[:1], [[-5 + k for k in range(7)]], [ODD]))
    return store


def everything(store, tenant="t"):
    found = store.select(tenant, ALL, -(1 << 50), 1 << 50)
    return {
        labels: (times.tolist(), values.tobytes())
        for labels, times, values in zip(found.labels, found.times, found.values, strict=True)
    }


@pytest.fixture
def other(tmp_path, blank_tables):
    one = Place(tmp_path / "other", blank_tables)
    yield one
    one.close()
    one.tables.close()


@pytest.mark.parametrize("form", ["parquet", "openmetrics", "prometheus"])
def test_out_and_in_again_is_the_same_bit_by_bit(place, other, tmp_path, form, monkeypatch):
    monkeypatch.setattr(exchange, "AT_ONCE", 1000)
    monkeypatch.setattr(exchange, "LINES", 700)
    store, again = filled(place), other.open(retention_s=None)
    path = tmp_path / "file"
    if form == "parquet":
        out = exchange.to_parquet(store, "t", ALL, -(1 << 53), 1 << 53, path)
        back = exchange.from_parquet(again, "t", path)
    else:
        openmetrics = form == "openmetrics"
        with path.open("w", encoding="utf-8") as file:
            out = exchange.to_text(store, "t", ALL, -(1 << 53), 1 << 53, file, openmetrics=openmetrics)
        with path.open(encoding="utf-8") as file:
            back = exchange.from_text(again, "t", file, NOW, openmetrics=openmetrics)
    assert (out.samples, out.series) == (back.samples, back.series) == (6007, 4)
    mine, theirs = everything(store), everything(again)
    assert {one: times for one, (times, _) in mine.items()} == {
        one: times for one, (times, _) in theirs.items()
    }
    for one in mine:
        a, b = np.frombuffer(mine[one][1]), np.frombuffer(theirs[one][1])
        assert np.array_equal(a, b, equal_nan=True) and np.array_equal(np.signbit(a), np.signbit(b))


def test_parts_are_chosen_by_matcher_and_time(place, tmp_path):
    store = filled(place)
    only = [Matcher("instance", "=", "b")]
    moved = exchange.to_parquet(store, "t", only, NOW, NOW + 15_000 * 9 + 7, tmp_path / "one")
    assert (moved.samples, moved.series) == (10, 1)
    assert exchange.to_parquet(store, "nobody", only, NOW, NOW + 10, tmp_path / "none").samples == 0


def test_pandas_reads_it(place, tmp_path):
    from peers import venv

    exchange.to_parquet(filled(place), "t", ALL, NOW, 1 << 53, tmp_path / "one.parquet")
    code = (
        f"import pandas; frame = pandas.read_parquet('{tmp_path}/one.parquet')\n"
        "print(len(frame), sorted(frame['name'].unique()), frame['time'].dtype, frame['value'].sum())"
    )
    run = [str(venv("logs") / "python"), "-c", code]
    told = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout
    assert told.startswith("6000 ['node:load1', 'up', 'with.dots'] datetime64[ms, UTC]"), told


def test_duckdb_reads_it(place, tmp_path):
    from peers import venv

    exchange.to_parquet(filled(place), "t", ALL, NOW, 1 << 53, tmp_path / "one.parquet")
    query = f"select labels['instance'], count(*), sum(value) from '{tmp_path}/one.parquet' where name='node:load1' group by 1 order by 1"
    code = f"import duckdb; print(duckdb.sql({query!r}).fetchall())"
    python = venv("logs") / "python"
    told = subprocess.run(
        [str(python), "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "1500" in told and told.count("(") == 2, told


def test_promtool_takes_the_openmetrics(place, tmp_path):
    if not shutil.which("promtool"):
        pytest.skip("Debian's prometheus is not installed")
    path = tmp_path / "om.txt"
    plain = [Matcher("__name__", "=~", "up|node:load1")]
    with path.open("w", encoding="utf-8") as file:
        exchange.to_text(filled(place), "t", plain, NOW, 1 << 53, file, openmetrics=True)
    run = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(path), str(tmp_path / "blocks")]
    subprocess.run(run, check=True, capture_output=True, timeout=120)
    told = subprocess.run(
        ["promtool", "tsdb", "list", str(tmp_path / "blocks")], check=True, capture_output=True, text=True
    ).stdout
    assert sum(int(line.split()[4]) for line in told.splitlines()[1:]) == 4500, told


def test_broken_files_are_refused_with_their_place(place, tmp_path):
    store = place.open(retention_s=None)
    with pytest.raises(Invalid, match="EOF"):
        exchange.from_text(store, "t", ["a 1 1\n"], NOW, openmetrics=True)
    with pytest.raises(Invalid) as caught:
        exchange.from_text(store, "t", ["a 1 1\n", "b{ 2\n"], NOW, openmetrics=False)
    assert "line 2" in caught.value.problems[0].where
    (tmp_path / "x").write_bytes(b"PAR1 no")
    with pytest.raises(Invalid):
        exchange.from_parquet(store, "t", tmp_path / "x")
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": [1]}), tmp_path / "y")
    with pytest.raises(Invalid, match="no column name"):
        exchange.from_parquet(store, "t", tmp_path / "y")


def weatherglass(*words):
    return subprocess.run(
        [sys.executable, "-m", "weatherglass", "metrics", *map(str, words)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_verbs(tmp_path):
    text = tmp_path / "some.txt"
    text.write_text("".join(f'up{{instance="{k % 3}"}} {k} {NOW + k}\n' for k in range(300)))
    state = tmp_path / "state"
    told = weatherglass("import", "--state", state, "--tenant", "site", "--json", text)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == {"samples": 300, "series": 3}
    told = weatherglass(
        "export", "--state", state, "--match", 'up{instance="1"}', "--json", tmp_path / "up.parquet"
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["samples"] == 100
    told = weatherglass("fsck", "--state", state)
    assert told.returncode == 0 and told.stdout.startswith("sound"), told.stdout + told.stderr
    block = next((state / "metrics/blocks").glob("*.block"))
    block.write_bytes(block.read_bytes()[:-1] + b"?")
    told = weatherglass("fsck", "--state", state, "--json")
    assert told.returncode == 1 and not json.loads(told.stdout)["sound"]
    assert block.name in json.loads(told.stdout)["findings"][0]["where"]
    told = weatherglass("fsck", "--state", tmp_path / "nothing")
    assert told.returncode == 1 and "no state" in told.stderr
