"""Rules on what only a site has: its scheduler, queues, modules, start-up files, hosts, licences."""

from __future__ import annotations

import re
from collections.abc import Iterable

from weatherglass.pipelines.check.findings import Hit, Kind, Rule, Source, Tree
from weatherglass.pipelines.check.rules.looks import (
    ALL,
    RUNS,
    directive,
    either,
    outside_profiles,
    pattern,
)

_COMMANDS = r"bsub|qsub|sbatch|srun|salloc|bjobs|bkill|bhist|bwait|squeue|scancel|sacct|scontrol|sinfo|qstat|qdel|qrsh|condor_submit|msub|mxqsub"
_SCHEDULED = RUNS | {Kind.CONFIG}


def _header(source: Source, tree: Tree) -> Iterable[Hit]:
    """The first line of those that a scheduler reads: one a file, however many there are."""
    for at, text in source.directives.items():
        yield Hit(at, "#" + text.strip())
        return


def _modules(source: Source, tree: Tree) -> Iterable[Hit]:
    called = re.compile(
        r"(?:^|[;&|(\"'{]|\bthen\b|\bdo\b|\s)(?:module|ml)\s+(?:load|add|use|purge|swap|unload)\b|^\s*ml\s+\w+/\S+|\bmodule\(\s*[\"']load"
    )
    for at, line in source.numbered():
        match = called.search(line)
        if match:
            yield Hit(at, line.strip()[:80])
        elif source.kind is Kind.NEXTFLOW and re.match(r"\s*(?:process\.)?module\s*=?\s*\[?['\"]", line):
            yield Hit(at, line.strip())
        elif source.kind is Kind.SNAKEMAKE and re.match(r"\s+envmodules\s*:", line):
            step = source.step_at(at)
            if step and not step.has("conda", "container", "singularity", "containerized"):
                yield Hit(at, "envmodules")


_VARIABLES = r"SLURM_\w+|SLURMD_\w+|LSB_\w+|LSF_\w+|PBS_\w+|SGE_\w+|PE_HOSTFILE|NSLOTS|COBALT_\w+|OAR_\w+"
_ACTIVATE = (
    r"(?:\bsource|(?<=\s)\.|^\s*\.)\s+\S*\bactivate\b(?:\s+\S+)?|(?<![\w-])conda\s+activate\s+[\w./${}-]+|"
    r"\bmamba\s+activate\s+\S+|\S*/(?:mini|ana)(?:conda|forge)\d?/\S*|\S*/(?:mamba|micromamba)forge/\S*|conda\.sh\b|"
    r"\bcondaenv\s*=|\bpyenv\s+activate"
)
_PRIVATE = r"(?<![\d.])(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}(?![\d./])"
_INTERNAL = (
    r"(?:(?:https?|ftp|s?ftp|mysql|postgres(?:ql)?|mongodb|redis|ldaps?)://(?:[^\s/@\"']*@)?|\b(?:ssh|scp|rsync|sftp)\b[^|;&]*?"
    r"(?:\s|@)|-h\s+|--host(?:name)?[= ]\s*|\bhost\s*=\s*[\"']|\bserver\s*[:=]\s*[\"']?)"
    r"((?:[a-z0-9-]+\.)+(?:internal|intranet|corp|lan|local|localdomain|private|cluster|priv)\b)"
)


def _hosts(source: Source, tree: Tree) -> Iterable[Hit]:
    network = source.kind in (Kind.TERRAFORM, Kind.ANSIBLE)
    for at, line in source.numbered():
        match = re.search(_INTERNAL, line, re.IGNORECASE)
        if match and not re.search(r"metadata\.google|cluster\.local|host\.docker|svc\.", match[1]):
            yield Hit(at, match[1])
            continue
        address = re.search(_PRIVATE, line)
        if address and not network and not re.search(r"\bversion\b|[<>=]=\s*\d", line):
            yield Hit(at, address[0])
            continue
        # `user@node:` in a copy or a log-in: a name without a dot is known on one site alone.
        alone = re.search(r"\b(?:scp|rsync|sftp|ssh)\s[^|;&]*?\b[\w.-]+@([a-z][\w-]+)(?::|\s|$)", line)
        if alone and source.kind in RUNS and alone[1] != "localhost":
            yield Hit(at, alone[1])


RULES = (
    Rule(
        "scheduler-command",
        RUNS,
        pattern(
            rf"(?<![\w./$-])(?:{_COMMANDS})(?=\s+[\w$<'\"{{\\-]|\s*[\"'`)]|\s*$)(?!\s*[:=(])",
            r"command -v|\bwhich\s|\btype\s|import\s|def\s|shutil\.which|\bhash\s",
        ),
        "The script speaks to one scheduler: where there is none, or another, nothing runs.",
        "Leave submitting to the workflow's executor, and keep the commands free of it.",
        "a cluster with the same scheduler",
        3,
    ),
    Rule(
        "scheduler-header",
        frozenset({Kind.SHELL, Kind.PYTHON, Kind.R}),
        _header,
        "The script is written as a job of one scheduler; elsewhere its requests are comments.",
        "Say cores, memory and time in the workflow's resources; keep the header in a wrapper of the site.",
        "a cluster with the same scheduler",
        2,
    ),
    Rule(
        "scheduler-executor",
        frozenset({Kind.NEXTFLOW, Kind.SNAKEMAKE, Kind.SHELL}),
        outside_profiles(
            either(
                pattern(
                    r"--batchSystem[= ](?i:lsf|slurm|grid\w*|torque|sge|htcondor)\b|\bexecutor\s*(?:=|\s)\s*['\"](?:lsf|slurm|sge|pbs|pbspro|uge|moab|condor|nqsii|oar)['\"]"
                ),
                pattern(r"\bsnakemake\b.*--cluster(?:-\w+)?\b|--drmaa\b"),
            )
        ),
        "The executor is fixed where everybody gets it: whoever runs it elsewhere has to change the workflow.",
        "Move it into a profile (Nextflow: profiles { site { … } }; Snakemake: profiles/site/config.yaml).",
        "a cluster with the same scheduler",
        2,
    ),
    Rule(
        "queue-name",
        _SCHEDULED,
        outside_profiles(
            either(
                directive(
                    r"(?:SBATCH|BSUB|PBS|\$|MSUB)\s.*?(?:--partition[= ]|(?<![\w-])-p\s+(?=\w)|(?<![\w-])-q\s+|--qos[= ])\s*[\w.-]+"
                ),
                pattern(
                    r"\b(?:bsub|qsub)\b.*\s-q\s+[\w.-]+|\b(?:sbatch|srun|salloc)\b.*(?:\s-p\s+|--partition[= ])[\w.-]+"
                ),
                pattern(
                    r"^\s*(?:process\.)?queue\s*=?\s*['\"][\w.,-]+['\"]|\b(?:slurm_)?(?:partition|queue)\s*[=:]\s*['\"]?[A-Za-z][\w.-]*",
                    r"Queue\(|queue\s*=\s*\[\]|params\.|=\s*None|self\.|\bconfig\[|\{",
                ),
            )
        ),
        "A queue's name is one site's: elsewhere the job is refused.",
        "Take it from a profile or the configuration; ask for cores, memory and time instead.",
        "queues of the same names",
        3,
    ),
    Rule(
        "scheduler-variable",
        RUNS | {Kind.DOCKER},
        pattern(
            rf"\$\{{?(?:{_VARIABLES})\b(?!:?[-=])|(?:environ(?:\.get)?|getenv|Sys\.getenv|ENV)[\[({{]\s*[\"']?(?:{_VARIABLES})[\"']?(?!\s*,)",
        ),
        "Only this scheduler sets the variable: elsewhere it is empty, and the step takes a wrong number or fails.",
        "Take it from the workflow ({threads}, task.cpus), or give a default: ${NAME:-4}.",
        "a cluster with the same scheduler",
        2,
    ),
    Rule(
        "module-load",
        RUNS | {Kind.CONFIG},
        _modules,
        "Modules are installed by one site's administrators: elsewhere the command or the version is not there.",
        "A container by digest, or a conda environment with versions, declared on the step.",
        "the same modules, or the site's software mounted",
        3,
    ),
    Rule(
        "bashrc",
        RUNS,
        pattern(
            r"(?:\bsource|(?:^|[;&|\"'\s])\.)\s+\S*(?:\.bashrc|\.bash_profile|\.profile|\.zshrc|\.cshrc|/etc/profile(?:\.d/\S+)?|/etc/bashrc)\b|(?:>>|tee -a)\s*\S*\.bashrc",
        ),
        "A person's start-up file decides what runs: nobody else, and no container, has it.",
        "Set what is needed on the step itself, or build it into the image.",
        "the users' home folders",
        2,
    ),
    Rule(
        "site-conda",
        RUNS | {Kind.CONDA},
        either(
            pattern(
                _ACTIVATE,
                r"conda\s+(?:create|env\s+create)|\bcurl\b|\bwget\b|https?://|venv/bin|/bin/activate\s*[;&\"']*\s*$(?<!conda)",
            ),
            pattern(r"^prefix\s*:\s*\S+"),
        ),
        "The environment lives in someone's installation: nobody can make it again from what is written here.",
        "Declare it: an environment file with versions on the step, or a container.",
        "the same installation at the same path",
        3,
    ),
    Rule(
        "sudo",
        RUNS,
        pattern(r"(?<![\w./-])sudo\s+(?:-\w+\s+)*[\w/$.]", r"without sudo|no sudo"),
        "On a shared cluster it is refused, in most containers it is not there, and it changes the machine for others.",
        "Do it once, when the image is built.",
        "",
        2,
    ),
    Rule(
        "internal-host",
        ALL - {Kind.MANIFEST, Kind.CONDA},
        _hosts,
        "The host is reached from inside one site alone: from a cloud the step waits and fails.",
        "Stage the data as an input, or name a public address in the configuration.",
        "a network path to the site (VPN)",
        3,
    ),
    Rule(
        "licence-server",
        ALL - {Kind.MANIFEST},
        pattern(
            r"\b(?:LM_LICENSE_FILE|\w+_LICENSE_FILE|RLM_LICENSE|FLEXLM\w*|LMUTIL)\b|(?<![\w@.])\d{4,5}@[A-Za-z][\w.-]+|\blicen[cs]e[_-]?server\b",
        ),
        "A licence server is reached from one site, and counts seats: n instances wait for each other.",
        "Ask for a floating licence in the cloud or a free tool; count its seats when scaling.",
        "a network path to the licence server",
        3,
    ),
)
