"""Price tables as people write them, and the doors that read tables from files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.errors import Invalid
from weatherglass.cli.main import main
from weatherglass.pipelines.pricelist import money_an_hour, read
from weatherglass.pipelines.runs import read_flavours

TABLE = """
currency: GBP
billing: {unit: 1h, minimum: 10m}
boot: 45s
stage: {bytes: 92GB, rate: 30MB/s, per: run}
transfer: 0.05/GB
energy: {pue: 1.4, carbon: 300 g/kWh}
needs: {memory: 3GiB}
on_site: own
flavours:
  small: {price: 0.10/h, vcpus: 2, memory: 4GiB, watts: 90, limit: 40}
  big: {price_per_hour: 0.35, cores: 8, memory_gb: 16, speed: 3}
  own: 0.02
"""


def test_a_table_is_read_with_its_units() -> None:
    table = read(TABLE)
    assert (table.currency, table.unit_s, table.minimum_s, table.boot_s) == ("GBP", 3600, 600, 45)
    assert (table.stage_bytes, table.stage_rate, table.shared) == (92e9, 3e7, True)
    assert table.transfer == pytest.approx(0.05 / 1e9)
    assert (table.pue, table.carbon, table.needs_memory, table.on_site) == (1.4, 300, 3 * 2**30, "own")
    assert table.flavours["small"].price == 0.10 and table.flavours["small"].most == 40
    assert (table.flavours["big"].vcpus, table.flavours["big"].memory) == (8, 16 * 2**30)
    assert table.flavours["own"].price == 0.02


def test_a_list_of_flavours_is_one_too() -> None:
    assert read('{"flavors": [{"name": "a", "hourly": 1}]}').flavours["a"].price == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("0.10", 0.1), ("€0.10/h", 0.1), ("2.40 EUR/day", 0.1), ("0.001/s", 3.6), ("73/month", 0.1)],
)
def test_money(text: str, wanted: float) -> None:
    assert money_an_hour(text) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "a mapping"),
        ("flavours: {}", "no flavours"),
        ("flavours: {a: {vcpus: 2}}", "one price"),
        ("flavours: {a: {price: cheap}}", "not a price"),
        ("flavours: {a: {price: 1, colour: red}}", "no field"),
        ("flavours: {a: 1}\nbilling: {unit: often}", "not a duration"),
        ("flavours: {a: 1}\non_site: b", "no flavour b"),
        ("flavours: {a: -1}", "less than 0"),
        ("flavours: {a: 1}\nstage: {bytes: 1GB}", "without a rate"),
        ("flavours: {a: 1}\nprices: 2", "not known"),
        ("{", "not YAML"),
    ],
)
def test_a_bad_table_is_refused(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        read(text)


@given(st.text(alphabet=st.sampled_from("flavours:{}[]-, price\n 019.abc/h"), max_size=80))
def test_any_text_is_a_table_or_refused(text: str) -> None:
    try:
        assert read(text).flavours
    except Invalid:
        return


def test_runs_on_several_flavours_are_told_apart() -> None:
    found = read_flavours("n,seconds,size,flavor\n1,10,5,a\n2,6,10,b\n")
    assert set(found) == {"a", "b"}
    assert (found["a"].size[0], found["b"].size[0], found["a"].reference) == (0.5, 1.0, 10.0)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    runs, prices = tmp_path / "runs.csv", tmp_path / "prices.yaml"
    runs.write_text("n,seconds\n" + "".join(f"{n},{60 + 3600 / n + 2 * n}\n" for n in (1, 2, 4, 8, 16, 32)))
    prices.write_text("flavours: {small: 0.10, big: {price: 0.35, speed: 3}}\n")
    return str(runs), str(prices)


def test_the_doors_say_law_bounds_and_choice(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    runs, prices = files
    assert main(["pipeline", "fit", runs, "--predict", "48", "64", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["law"] in ("usl", "ernest") and found["enough"]
    assert found["n_star"]["low"] <= (3600 / 2) ** 0.5 <= (found["n_star"]["high"] or float("inf"))
    assert [one["n"] for one in found["predictions"]] == [48, 64]
    for one in found["predictions"]:
        assert one["low"] <= 60 + 3600 / one["n"] + 2 * one["n"] <= one["high"]
    assert main(["pipeline", "price", runs, "--prices", prices, "--deadline", "400", "--json"]) == 0
    choice = json.loads(capsys.readouterr().out)["choice"]
    assert choice["seconds"] <= 400 and choice["cost"] > 0
    assert main(["pipeline", "price", runs, "--prices", prices, "--deadline", "1"]) == 1
    assert "nothing is done within 1 s" in capsys.readouterr().out
    assert main(["pipeline", "fit", runs]) == 0
    assert "nothing is gained past" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pipeline", "fit", str(tmp_path / "none.csv")]) != 0
    assert "cannot be read" in capsys.readouterr().err
