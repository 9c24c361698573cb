"""`weatherglass logs templates`: files of any format, without a server."""

import json

import pytest

from peers import data
from weatherglass.cli.main import main


@pytest.fixture
def run(capsys):
    def told(*arguments: str) -> list[dict]:
        assert main(["logs", "templates", *arguments, "--json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return told


def test_raw_lines_of_two_formats(run, tmp_path):
    oslo = tmp_path / "nova.log"
    oslo.write_text(
        "".join(
            f"2026-11-22 10:00:0{n}.000 7 {level} nova.compute.manager [-] Took 0.{n} seconds to build 4{n}\n"
            for n, level in enumerate(["INFO", "INFO", "ERROR"])
        )
    )
    plain = tmp_path / "plain.log"
    plain.write_text("Took 7.5 seconds to build 1\nnothing else\n")
    took, other = run(str(oslo), str(plain))
    assert took["template"] == "Took <*>.<*> seconds to build <*>"
    assert (took["count"], took["types"]) == (4, ["number", "number", "number"])
    assert took["levels"] == {"INFO": 2, "ERROR": 1}
    assert took["loggers"] == {"nova.compute.manager": 3}
    assert (other["template"], other["count"]) == ("nothing else", 1)


def test_a_whole_system(run):
    found = run(str(data("loghub", "Apache", "Apache_2k.log")))
    assert len(found) == 6
    assert sum(one["count"] for one in found) == 2000
    assert "mod_jk child workerEnv in error state <*>" in {one["template"] for one in found}


def test_a_file_that_is_not_there(tmp_path):
    assert main(["logs", "templates", str(tmp_path / "none")]) != 0
