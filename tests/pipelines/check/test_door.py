"""The door: a folder, a file or a git repository in; findings as JSON; bad input told with its line, never a crash."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Invalid
from weatherglass.house.readiness import checked as opened
from weatherglass.pipelines.check.checking import checked
from weatherglass.pipelines.check.kinds import kind_of

NAMES = ["Snakefile", "a.cwl", "main.nf", "nextflow.config", "a.sh", "Dockerfile", "main.tf", "manifest.json"]
NAMES += ["environment.yml", "config.yaml", "site.yml", "a.py", "a.R"]
WORDS = [
    "rule a:\n",
    "    shell: ",
    '"',
    "'",
    '"""',
    "{",
    "}",
    "#",
    "//",
    "/*",
    "<<EOF\n",
    "EOF\n",
    "\n",
    "    ",
]
WORDS += [
    "process X {\n",
    "echo ",
    ">> ",
    "/nfs/a/b",
    "$HOME",
    "bsub -q x",
    "\\",
    "- hosts: all\n",
    "dependencies:\n",
]
WORDS += [
    "class: CommandLineTool\n",
    "provider ",
    '{"cloudProviders": [',
    "]",
    ":",
    "wget http://a.b/c",
    "FROM x",
    "\t",
]


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    parts=st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=8)), max_size=40),
)
def test_whatever_a_file_holds_it_is_read_or_refused(name: str, parts: list[str]) -> None:
    text = "".join(parts)
    if kind_of(name, text) is None:
        with pytest.raises(Invalid):
            checked({name: text})
        return
    last = text.count("\n") + text.count("\r") + 1
    for one in checked({name: text}).findings:
        assert 1 <= one.line <= last
        assert one.why
        assert one.mend


def test_a_patch_makes_old_terraform_new(tmp_path: Path) -> None:
    old = 'variable "n" {\n  type = "string"\n}\noutput "n" {\n  value = "${var.n}"\n}\n'
    (tmp_path / "main.tf").write_text(old)
    found = [one for one in opened(str(tmp_path))["findings"] if one["rule"] == "terraform-old-syntax"]
    assert len(found) == 1
    subprocess.run(
        ["patch", "-p1", "-s"], input=found[0]["patch"] + "\n", text=True, cwd=tmp_path, check=True
    )
    assert (tmp_path / "main.tf").read_text() == old.replace('"string"', "string").replace(
        '"${var.n}"', "var.n"
    )
    assert not [one for one in opened(str(tmp_path))["findings"] if one["rule"] == "terraform-old-syntax"]


def test_a_git_repository_is_cloned_and_checked(tmp_path: Path) -> None:
    home = tmp_path / "it"
    home.mkdir()
    (home / "run.sh").write_text("bsub -q long x.sh\n")
    git = ["git", "-C", str(home), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "run.sh"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    found = opened(home.as_uri())
    assert [(one["rule"], one["file"], one["line"]) for one in found["findings"]] == [
        ("queue-name", "run.sh", 1),
        ("scheduler-command", "run.sh", 1),
    ]
    with pytest.raises(Invalid, match="cloned"):
        opened((tmp_path / "nothing").as_uri())


def test_both_ways_are_judged() -> None:
    bound = checked({"run.sh": "bsub -q long x.sh\nmodule load bwa\n"})
    mimic, native = bound.ways
    assert mimic.ready
    assert "queues of the same names" in mimic.brings
    assert not native.ready
    assert native.blockers == 3
    clean = checked({"run.sh": "fastp -i $1 -o $2\n"})
    assert all(way.ready and not way.effort for way in clean.ways)


def test_the_command_prints_what_the_doors_promise(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from weatherglass.cli.pipeline.check import run

    (tmp_path / "run.sh").write_text("source ~/.bashrc\n")
    assert run(str(tmp_path), json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert {"rule", "file", "line", "why", "mend"} <= set(found[0])
    assert run(str(tmp_path)) == 1
    assert "run.sh:1" in capsys.readouterr().out
