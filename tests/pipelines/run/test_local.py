"""Runs on this machine by real Snakemake: measured, kept, resumed after a kill, and faults named with their step."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from weatherglass.base.errors import Conflict, Invalid
from weatherglass.house.running import found, profile, started
from weatherglass.pipelines.run.record import Record

pytest.importorskip("snakemake", reason="Snakemake is not installed: pip install -e .[pipelines]")

STEPS = """
rule all:
    input: "c.txt"

rule first:
    input: "in.txt"
    output: "a.txt"
    shell: "echo x >> first.count; python3 -c 'sum(i*i for i in range(3000000))'; cp {input} {output}"

rule second:
    input: "a.txt"
    output: "b.txt"
    shell: "echo half > {output}; touch begun; if [ -f slow ]; then rm slow; sleep 60; fi; echo whole > {output}"

rule third:
    input: "b.txt"
    output: "c.txt"
    resources: mem_mb=20
    shell: "python3 -c 'b = bytearray(60_000_000)'; head -c 3000000 /dev/zero > big; cp {input} {output}"
"""


def workflow(folder: Path, text: str = STEPS) -> Path:
    (folder / "Snakefile").write_text(text)
    (folder / "in.txt").write_text("input\n")
    return folder


def ran(folder: Path, **more: object) -> Record:
    return started(folder, directory=None, n=1, executor="local", **more)  # type: ignore[arg-type]


def test_a_run_is_measured_and_its_record_repeats_it(tmp_path: Path) -> None:
    record = ran(workflow(tmp_path))
    assert record.state == "done"
    tasks = {task.rule: task for task in record.tasks}
    assert set(tasks) == {"first", "second", "third"}
    assert all(task.measured and task.exit == 0 for task in tasks.values())
    first = tasks["first"]
    assert 0.03 < first.cpu_s <= first.seconds * 2
    assert tasks["second"].seconds < 5  # under a second where nobody else works; still measured
    assert tasks["second"].write_chars > 0
    assert tasks["third"].memory > 60e6
    assert tasks["third"].write_chars > 3e6
    assert [one.path for one in record.inputs] == ["in.txt"] or record.inputs[0].path.endswith("in.txt")
    assert record.inputs[0].sha256 == hashlib.sha256(b"input\n").hexdigest()
    assert {"python3", "cp"} <= {one.name for one in record.programs}
    assert found(tmp_path) == record
    told = profile(record)
    assert told["steps"][0]["seconds"] >= told["steps"][-1]["seconds"]
    # It asked for 20 MB: said, though nothing failed here.
    assert any("20 MB" in one.what and not one.fatal for one in record.troubles)


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    workflow(tmp_path)
    (tmp_path / "slow").touch()
    words = [sys.executable, "-m", "weatherglass", "pipeline", "run", str(tmp_path)]
    run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ends = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < ends
        assert run.poll() is None
        time.sleep(0.05)
    engine = int(
        subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True).stdout
    )
    assert (tmp_path / "b.txt").read_text() == "half\n"
    run.kill()
    run.wait()
    # As a power cut would: the engine and what it started too.
    for pid in [*tree(engine)[::-1]]:
        os.kill(pid, signal.SIGKILL)
    while (
        Path(f"/proc/{engine}/stat").exists()
        and "Z" not in Path(f"/proc/{engine}/stat").read_text().split(")")[1][:3]
    ):
        time.sleep(0.05)
    record = ran(tmp_path)
    assert record.state == "done"
    assert (tmp_path / "first.count").read_text() == "x\n"
    assert (tmp_path / "c.txt").read_text() == "whole\n"
    assert {task.rule for task in record.tasks} == {"second", "third"}
    states = [
        json.loads(one.read_text())["state"]
        for one in sorted(tmp_path.glob(".weatherglass/runs/*/record.json"))
    ]
    assert sorted(states) == ["done", "killed"]


def tree(pid: int) -> list[int]:
    found, at = [pid], 0
    while at < len(found):
        try:
            words = Path(f"/proc/{found[at]}/task/{found[at]}/children").read_text().split()
        except OSError:
            words = []
        found += map(int, words)
        at += 1
    return found


@pytest.mark.parametrize(
    ("shell", "what", "mend"),
    [
        ("head -c 50000000 /dev/zero > small/x", "the disk was full", "make room"),
        ("python3 -c 'raise MemoryError'", "over its memory", "mem_mb="),
        ("no-such-program-here", "a program it calls is not there", "container"),
        ("exit 3", "it ended with 3", "log"),
    ],
)
def test_a_fault_is_named_with_its_step_and_what_to_change(
    tmp_path: Path, shell: str, what: str, mend: str
) -> None:
    if "small" in shell and os.geteuid():
        pytest.skip("a small file system can be mounted by root alone")
    small = tmp_path / "small"
    small.mkdir()
    if "small" in shell:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        text = f'rule all:\n  input: "y"\nrule broken:\n  output: "y"\n  log: "y.log"\n  shell: "({shell}) 2> {{log}}"\n'
        record = ran(workflow(tmp_path, text))
    finally:
        if "small" in shell:
            subprocess.run(["umount", str(small)], check=True)
    assert record.state == "failed"
    assert [one.step for one in record.troubles] == ["broken"]
    assert what in record.troubles[0].what
    assert mend in record.troubles[0].mend


def test_a_broken_workflow_is_told_with_its_line(tmp_path: Path) -> None:
    record = ran(workflow(tmp_path, 'rule all:\n    input: "x\n'))
    assert record.state == "failed"
    assert record.troubles[0].step.endswith("Snakefile:2")
    missing = ran(
        workflow(
            tmp_path,
            'rule all:\n    input: "y"\nrule a:\n    input: "gone.fa"\n    output: "y"\n    shell: "cp"\n',
        )
    )
    assert "gone.fa" in missing.troubles[0].what


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    import fcntl

    (tmp_path / ".weatherglass").mkdir()
    with (tmp_path / ".weatherglass" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Conflict):
            ran(workflow(tmp_path))


def test_what_cannot_be_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no Snakefile"):
        ran(tmp_path)
    with pytest.raises(Invalid, match="KEY=VALUE"):
        ran(workflow(tmp_path), config=["parts"])
