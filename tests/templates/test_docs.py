"""docs/templates.md: its example runs, its numbers are the code's."""

import re
from pathlib import Path

from weatherglass.logs.templates import cluster, miner

PAGE = (Path(__file__).parents[2] / "docs" / "templates.md").read_text()


def test_the_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(example, "docs/templates.md", "exec"), {})


def test_the_numbers_are_the_codes():
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", PAGE, re.M))
    assert rows["words behind `=`, `:`, a quote, a bracket"] == str(cluster.VALUES)
    assert rows["words elsewhere"] == str(cluster.WORDS)
    assert rows["WORDS IN CAPITALS (states, kinds)"] == str(cluster.CAPITALS)
    first = rows["the first word of a message"]
    assert first == f"{cluster.BEGINNING}; of one logger's messages {cluster.WORDS}"
    assert f"{miner.MOST_ROWS:,} kinds" in PAGE
    assert f"{miner.MOST_STRUCTURES:,} structures" in PAGE
    assert f"more than {cluster.CROWD} unlike" in PAGE
