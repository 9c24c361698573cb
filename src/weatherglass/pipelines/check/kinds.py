"""Which files of a folder belong to a pipeline, and what each is: by name first, by its opening where names lie."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from weatherglass.pipelines.check.findings import Kind

MOST_FILES = 20_000
MOST_BYTES = 2_000_000
_PASSED = frozenset(
    {".git", ".hg", ".svn", ".snakemake", ".nextflow", "work", "node_modules", "__pycache__", ".venv", "venv"}
    | {".tox", ".terraform", ".mypy_cache", ".pytest_cache", "site-packages"}
)
_SUFFIXES = {
    ".smk": Kind.SNAKEMAKE,
    ".snakefile": Kind.SNAKEMAKE,
    ".rules": Kind.SNAKEMAKE,
    ".cwl": Kind.CWL,
    ".nf": Kind.NEXTFLOW,
    ".sh": Kind.SHELL,
    ".bash": Kind.SHELL,
    ".sbatch": Kind.SHELL,
    ".slurm": Kind.SHELL,
    ".pbs": Kind.SHELL,
    ".lsf": Kind.SHELL,
    ".bsub": Kind.SHELL,
    ".qsub": Kind.SHELL,
    ".sge": Kind.SHELL,
    ".job": Kind.SHELL,
    ".tf": Kind.TERRAFORM,
    ".py": Kind.PYTHON,
    ".r": Kind.R,
}
_SHEBANG = re.compile(r"^#!.*\b(bash|sh|ksh|zsh|dash)\b")
_TASKS = re.compile(
    r"(?m)^\s*-\s+(hosts|name|include_tasks|import_tasks|import_playbook|role|block|become|include)\s*:"
)
_PLAY = re.compile(
    r"(?m)^\s+-?\s*(tasks|roles|become|when|register|notify|apt|yum|dnf|package|service|systemd|copy|template|file|"
    r"shell|command|get_url|unarchive|git|pip|user|lineinfile|debug|set_fact|handlers|vars_files|ansible\.\w+\.\w+)\s*:"
)


def kind_of(path: str, text: str) -> Kind | None:
    """What a file is; None where it is nothing that is checked."""
    at = PurePosixPath(path)
    name, suffix = at.name.lower(), at.suffix.lower()
    if {"profiles", "profile"} & {part.lower() for part in at.parts[:-1]}:
        return None  # a profile is the place for what belongs to a site
    if name.startswith("snakefile"):
        return Kind.SNAKEMAKE
    if (
        name.startswith(("dockerfile", "containerfile"))
        or suffix == ".dockerfile"
        or name.endswith("-dockerfile")
    ):
        return Kind.DOCKER
    if name == "nextflow.config" or (suffix == ".config" and re.search(r"\b(process|params)\b\s*[{.]", text)):
        return Kind.NEXTFLOW
    if name == "manifest.json":
        return (
            Kind.MANIFEST if '"' in text and ("applicationName" in text or "cloudProviders" in text) else None
        )
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if suffix in (".yaml", ".yml"):
        return _of_yaml(at, text)
    if not suffix and _SHEBANG.match(text):
        return Kind.SHELL
    return None


def _of_yaml(at: PurePosixPath, text: str) -> Kind | None:
    if re.search(r"(?m)^cwlVersion\s*:", text):
        return Kind.CWL
    if re.search(r"(?m)^dependencies\s*:", text) and re.search(r"(?m)^(channels|name|prefix)\s*:", text):
        return Kind.CONDA
    # A top-level list with what plays and tasks have.
    if re.match(r"(?:\s*(?:#.*|---.*)?\n)*\s*-\s", text) and _TASKS.search(text) and _PLAY.search(text):
        return Kind.ANSIBLE
    if at.name.lower().startswith(("config", "params", "settings", "inputs", "job")) or at.parts[:-1][
        -1:
    ] == ("config",):
        return Kind.CONFIG
    return None


def walk(root: Path) -> Iterator[tuple[str, Path]]:
    """(relative name, path) of every regular file below a folder, in order; links out of it are not followed."""
    seen = 0
    for at, folders, files in os.walk(root):
        folders[:] = sorted(one for one in folders if one not in _PASSED)
        for name in sorted(files):
            path = Path(at) / name
            if path.is_symlink() or not path.is_file():
                continue
            seen += 1
            if seen > MOST_FILES:
                return
            yield path.relative_to(root).as_posix(), path
