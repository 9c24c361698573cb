"""Rules on where things are: paths of one site, homes, shared folders for passing files, what fails across mounts."""

from __future__ import annotations

import re
from collections.abc import Iterable

from weatherglass.pipelines.check.findings import Hit, Kind, Rule, Source, Tree
from weatherglass.pipelines.check.rules.looks import ALL, NOT_IN_IMAGES, RUNS, either, pattern

_BEFORE = r"(?<![\w.$}\])/~*\\:%-])(?<!://)"
_SITE = (
    r"/(?:nfs\w*|hps|lustre\d*|gpfs\d*|scratch\d*|lscratch|beegfs|panfs|pfs|afs|isilon|ddn|ceph\w*|glusterfs|ebi|"
    r"homes|Users|users|cluster|clusterfs|shared|share\w*|projects?|proj|groups?|grp|work\d*|xdisk|sc|gs|net|ifs|oak|"
    r"data\d+|fs\d+|vol\d+|N/(?:scratch|slate|project)|fh/fast|mnt/(?:nfs|lustre|gpfs|beegfs|scratch|shared|home|isilon)\w*|"
    r"software|softwares|sw|modules|cvmfs)(?=/)/[\w.${}*<>{}@+-]+"
)
_LOCAL = (
    r"/(?:data|mnt|media|srv|opt|storage|export|disk\w*|volumes?|Volumes|refs?|references?|genomes?|db|dbs|databases?|"
    r"biodb\w*|resources|apps|tools|local|usr/local/(?!s?bin/(?:ba|k|z)?sh\b)[\w.-]+|root|ssd\w*|nvme\w*)/[\w.${}*<>@+-]+"
)


def _absolute(source: Source, tree: Tree) -> Iterable[Hit]:
    """Paths that are this machine's. Inside a container an absolute path is the image's, so such steps are spared."""
    wanted = re.compile(_BEFORE + _LOCAL)
    for at, line in source.numbered():
        match = wanted.search(line)
        if not match or re.search(
            r"^\s*(?:WORKDIR|VOLUME)\b|\bmkdir\b|s3:|gs:|\b(?:sed|awk|grep|tr)\s+['\"/-]*[^|]*"
            + re.escape(match[0][:8]),
            line,
        ):
            continue
        step = source.step_at(at)
        if step and step.has("container", "singularity", "DockerRequirement"):
            continue
        yield Hit(at, match[0])


def _site(source: Source, tree: Tree) -> Iterable[Hit]:
    wanted = re.compile(_BEFORE + _SITE)
    in_image = source.kind is Kind.DOCKER
    for at, line in (*source.numbered(), *((at, " " + text) for at, text in source.directives.items())):
        match = wanted.search(line)
        if match and not (in_image and not re.match(r"\s*(?:COPY|ADD)\b", line)):
            yield Hit(at, match[0])
    # The first line of a script names its interpreter: that may be a site's own.
    shebang = re.match(
        r"#!\s*(/(?:nfs|hps|lustre|gpfs|homes?|software|sw|ebi|scratch|users?|opt)/\S+)", source.lines[0]
    )
    if shebang:
        yield Hit(1, shebang[1])


_HOME = (
    r"\$HOME\b|\$\{HOME\}|\$ENV\{HOME\}|(?<![\w/.~=!)\]}*+-])~/(?=[\w.])|"
    + _BEFORE
    + r"/home/[\w.${}-]+|\bexpanduser\(|"
    r"(?:environ(?:\.get)?|getenv|Sys\.getenv)[\[(]\s*[\"']HOME[\"']|\bPath\.home\(\)|System\.getenv\([\"']HOME"
)


def _append(source: Source, tree: Tree) -> Iterable[Hit]:
    """Appends to one file by what runs many times: a step with wildcards, a job of an array, a loop in background."""
    wanted = re.compile(r"(?<!>)>>\s*([\"']?)([\w./${}~-]+)\1")
    array = any(re.search(r"--array|-t\s+\d|-J\s+\S*\[", text) for text in source.directives.values())
    for at, line in source.numbered():
        match = wanted.search(line)
        if not match or match[2].startswith(("/dev/", "$GITHUB", "${GITHUB")):
            continue
        target, step = match[2], source.step_at(at)
        if source.kind is Kind.SNAKEMAKE:
            if step is None or not step.has("shell") or re.search(r"[{$]", target):
                continue
            many = "{" in step.parts.get("output", "") or "wildcards" in source.within(*step.command)
            if many and target not in step.parts.get("output", "") + step.parts.get("log", ""):
                yield Hit(at, match[0])
        elif source.kind is Kind.NEXTFLOW:
            if step and re.match(r"/|\$\{?(?:params|launchDir|projectDir|baseDir|workflow)", target):
                yield Hit(at, match[0])
        elif source.kind is Kind.SHELL:
            own = re.search(r"TASK_ID|JOBINDEX|ARRAY|JOB_ID|\$\$|\$1\b", target)
            together = array or re.search(r"(?<!&)&\s*$|\bparallel\b|\bxargs\s+-P", line)
            shared = re.match(r"/(?:nfs|hps|lustre|gpfs|scratch|shared)\b", target)
            if (together or shared) and not own and not target.startswith(("/etc", "~/.", "$HOME/.")):
                yield Hit(at, match[0])


_TMP = r"(?<![\w.$}*-])/(?:var/)?tmp(?:/[\w.${}*-]*|(?=[\s\"'),;:]|$))"

RULES = (
    Rule(
        "site-path",
        ALL - {Kind.MANIFEST},
        _site,
        "This path is one site's own: in a cloud there is no such mount, and the step fails at its first read.",
        "Make it a value of the configuration or an input, and let the workflow stage it.",
        "a share mounted at the same path",
        3,
    ),
    Rule(
        "absolute-path",
        RUNS | {Kind.CONFIG},
        _absolute,
        "An absolute path is true on one machine; elsewhere it is missing, or worse, something else.",
        "A path relative to the workflow, an input, or a value of the configuration.",
        "the same folder on every instance",
        2,
    ),
    Rule(
        "home",
        NOT_IN_IMAGES - {Kind.CONDA},
        pattern(_HOME, r"^\s*(?:export\s+)?(?:HOME|ENV\s+HOME)=|\$\{HOME:-"),
        "A home folder is a person's on one site; on a fresh instance or in a container it is empty or another's.",
        "Take it from the configuration, or keep what is needed beside the workflow.",
        "home folders that every instance mounts",
        2,
    ),
    Rule(
        "shared-tmp",
        RUNS | {Kind.CONFIG},
        pattern(
            _TMP,
            r"\bmktemp\b|\$\{?TMP(?:DIR)?:[-=]/|\bTMPDIR\s*[:?]?=|--tmpfs|\bcrontab\b|getOrDefault|\.get\(|Sys\.getenv\(",
        ),
        "The folder is small, differs between instances, and tasks on one machine meet there under the same names.",
        "A folder of the task's own: $TMPDIR, Snakemake's resources.tmpdir, Nextflow's scratch true, mktemp -d.",
        "",
        1,
    ),
    Rule(
        "flock",
        RUNS,
        pattern(
            r"(?<![\w.-])flock\s+\S|\bfcntl\.(?:flock|lockf)\b|(?<![\w-])lockfile\s+-|\bFileLock\(|\bsetlockfile\b|\blockf\("
        ),
        "A file lock holds on one machine's disk; over network file systems it may not, on object storage it is not there.",
        "Give every task its own file and join them in a step of its own.",
        "a file system with working locks (Lustre -o flock, NFSv4)",
        2,
    ),
    Rule(
        "rename-across-mounts",
        RUNS,
        either(
            pattern(
                r"\bmv\s+(?:-\w+\s+)*[\"']?(?:/tmp|/var/tmp|/scratch\w*|\$\{?(?:TMP|TEMP|SCRATCH|LOCAL)\w*)[^|;&]*\s[^-\s]"
            ),
            pattern(
                r"\b(?:os\.(?:rename|replace)|file\.rename)\(.*(?:tmp|temp|scratch)", flags=re.IGNORECASE
            ),
        ),
        "Between two mounts a rename is a copy: it can be seen half done, and on object storage it is a copy and a delete.",
        "Write to a temporary name in the folder of the result, then rename there; or let the workflow move outputs.",
        "",
        1,
    ),
    Rule(
        "shared-append",
        frozenset({Kind.SNAKEMAKE, Kind.NEXTFLOW, Kind.SHELL}),
        _append,
        "Many tasks append to one file: over a network lines get lost or mixed, and object storage cannot append.",
        "One file a task, joined by a step that takes them all as input.",
        "",
        2,
    ),
)
