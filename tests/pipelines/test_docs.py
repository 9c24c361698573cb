"""docs/pipelines.md: its commands run as they stand, on the real data and on a real Slurm; its table is the rules'."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from peers import ROOT, data, program
from weatherglass.pipelines.check.rules import RULES

PAGE = (ROOT / "docs" / "pipelines.md").read_text()


def commands(kind: str) -> list[str]:
    blocks = re.findall(rf"(?ms)^```console{kind}\n(.*?)^```", PAGE)
    return [line[2:] for block in blocks for line in block.split("\n") if line.startswith("$ ")]


def test_the_table_lists_every_rule() -> None:
    assert re.findall(r"(?m)^\| `([\w-]+)` \|", PAGE) == list(RULES)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    pytest.importorskip("snakemake", reason="Snakemake is not installed: pip install -e .[pipelines]")
    for name in ("fastp", "megahit", "prodigal", "hmmsearch", "cmsearch"):
        program(name, {"hmmsearch": "hmmer", "cmsearch": "infernal"}.get(name, ""))
    shutil.copytree(
        ROOT / "examples" / "metagenomics", tmp_path / "metagenomics", ignore=shutil.ignore_patterns(".*")
    )
    return tmp_path


def call(place: Path, line: str, **more: str) -> str:
    environment = {**os.environ, "DATA": str(data("mgnify")), **more}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=place, env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.long
def test_the_path_is_walked_on_real_data(place: Path) -> None:
    said = {line.split()[2]: call(place, line) for line in commands("")}
    assert list(said) == ["check", "run", "profile", "scale", "fit", "price"]
    assert "0 findings" in said["check"]
    assert "done" in said["run"]
    assert "genes" in said["profile"]
    assert "nothing is gained past" in said["fit"]
    assert "EUR" in said["price"]
    genes = (place / "metagenomics" / "results" / "genes.tsv").read_text().count("\n")
    assert 2200 < genes < 2700  # prodigal finds 2,249 on the whole genome
    assert (place / "metagenomics" / "results" / "families.tsv").read_text().count("\n") >= 5


@pytest.mark.long
def test_it_runs_on_a_real_slurm(place: Path) -> None:
    if os.geteuid():
        pytest.skip("a cluster of one's own needs root")
    for name in ("slurmctld", "slurmd", "munged"):
        program(name, "slurm-wlm")
    spec = importlib.util.spec_from_file_location(
        "slurm", ROOT / "examples" / "one-machine-slurm" / "slurm.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cluster = module.Slurm(place / "cluster")
    try:
        cluster.start()
        for line in commands(" slurm"):
            assert "done" in call(place, line, SLURM_CONF=str(cluster.conf))
    finally:
        cluster.stop()
    from weatherglass.house.running import found

    record = found(place / "metagenomics")
    assert record.executor == "slurm"
    assert all(task.measured and task.cluster_job for task in record.tasks), record.tasks
