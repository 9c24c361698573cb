"""Rules on what runs: containers and their tags, versions, downloads, and the reference data it reads."""

from __future__ import annotations

import re
from collections.abc import Iterable

from weatherglass.pipelines.check.findings import Hit, Kind, Rule, Source, Tree
from weatherglass.pipelines.check.rules.looks import ALL, RUNS, joined, pattern

_CHECKED = re.compile(
    r"\b(?:md5sum|sha\d*sum|shasum|cksum|md5 -|gpg\b.*--verify|openssl\s+dgst|checksum|--checksum|sha256|sha512|md5)\b",
    re.IGNORECASE,
)
_FETCH = re.compile(
    r"(?<![\w-])(?:wget|aria2c|axel|lftp)\s+(?!-V|--version|--help)[^|;&]*?(?:(?:https?|ftp)://\S+|\$\{?\w+|\{[\w.\[\]]+\})|"
    r"(?<![\w-])curl\s[^|;&]*?(?:(?:https?|ftp)://[^\s\"']+|(?:ftp|www)\.[\w.]+/\S+)|"
    r"(?<![\w-])curl\s[^|;&]*?-[a-zA-Z]*[oO]\b[^|;&]*?(?:\$\{?\w+|\{[\w.\[\]]+\})|\burlretrieve\(|\bdownload\.file\("
)
_NO_FILE = re.compile(
    r"-X\s*(?:POST|PUT|DELETE|PATCH)|--request\s|\s-d\s|--data\b|localhost|127\.0\.0\.1|169\.254\.|--spider|-I\b|--head\b|/health"
    r"|\bapt-key\b|slack\.com|-F\s"
)
_WINDOW = 6


def _downloads(source: Source, tree: Tree) -> Iterable[Hit]:
    """Downloads whose bytes nobody looks at: no sum in the step, nor within a few lines."""
    logical = list(joined(source)) if source.kind in (Kind.DOCKER, Kind.SHELL) else list(source.numbered())
    for place, (at, line) in enumerate(logical):
        match = _FETCH.search(line)
        if source.kind is Kind.DOCKER and not match:
            match = re.match(r"\s*ADD\s+(?!--checksum)\S*(?:https?|ftp)://\S+", line)
        if not match or _NO_FILE.search(line):
            continue
        step = source.step_at(at)
        near = (
            source.within(step.first, step.last)
            if step
            else "\n".join(
                text
                for _, text in logical[
                    max(0, place - 1) : place + (1 if source.kind is Kind.DOCKER else _WINDOW)
                ]
            )
        )
        if not _looked_at(match[0], near, logical):
            inside = next(
                (at + down for down, text in enumerate(source.code[at - 1 : at + 40]) if _FETCH.search(text)),
                at,
            )
            yield Hit(inside if source.kind in (Kind.DOCKER, Kind.SHELL) else at, match[0].strip()[:120])


def _looked_at(fetched: str, near: str, logical: list[tuple[int, str]]) -> bool:
    """Whether a sum is checked nearby, and not that of another download alone."""
    own = _base(fetched)
    others = {_base(match[0]) for _, text in logical if (match := _FETCH.search(text))} - {own, ""}
    for line in near.split("\n"):
        if _CHECKED.search(line) and (own in line or not any(other in line for other in others)):
            return True
    return False


def _base(fetched: str) -> str:
    return fetched.rstrip("\"')/ ").rsplit("/", 1)[-1].split("?")[0]


def _ansible_downloads(source: Source, tree: Tree) -> Iterable[Hit]:
    for at, line in source.numbered():
        if re.match(r"\s*(?:-\s+)?(?:ansible\.builtin\.)?get_url\s*:", line):
            near = source.within(at, min(at + 8, len(source.code)))
            nxt = re.search(r"\n\s*-\s", near)
            if not re.search(r"\bchecksum\s*[:=]", near[: nxt.start()] if nxt else near):
                yield Hit(at, line.strip())


def _any_download(source: Source, tree: Tree) -> Iterable[Hit]:
    yield from (_ansible_downloads if source.kind is Kind.ANSIBLE else _downloads)(source, tree)


def _global_container(source: Source, tree: Tree) -> bool:
    if source.kind is Kind.SNAKEMAKE:
        return any(
            re.match(r"(?:container|containerized|singularity|conda)\s*:", line)
            for one in tree.of(Kind.SNAKEMAKE)
            for line in one.code
        )
    if source.kind is Kind.NEXTFLOW:
        return any(
            re.search(r"\bprocess\.(?:container|conda)\b|^\s*(?:container|conda)\s*=", line)
            for one in tree.of(Kind.NEXTFLOW)
            if not one.steps
            for line in one.code
        )
    return False


def local_rules(source: Source) -> set[str]:
    """Snakemake's localrules: they run beside the workflow, mostly to make folders and links."""
    text = "\n".join(source.code)
    return {
        name
        for found in re.findall(r"localrules\s*:((?:\s*\w+\s*,?)+)", text)
        for name in re.findall(r"\w+", found)
    }


def _uncontained(source: Source, tree: Tree) -> Iterable[Hit]:
    if not source.steps or _global_container(source, tree):
        return
    local = local_rules(source)
    for step in source.steps:
        if source.kind is Kind.SNAKEMAKE:
            if step.name in local or not step.has("shell", "script", "notebook"):
                continue
            if step.has("container", "containerized", "singularity", "conda", "wrapper", "envmodules"):
                continue
            if step.has("shell") and housekeeping(step.parts["shell"]):
                continue
        elif step.has(
            "container",
            "conda",
            "exec",
            "spack",
            "module",
            "DockerRequirement",
            "SoftwareRequirement",
            "singularity",
        ):
            continue
        yield Hit(step.first, step.name)


_HOUSE = re.compile(r"(?:^|[;&|(]|\n)\s*(?:sudo\s+)?([A-Za-z][\w.+-]*)")
_EVERYWHERE = frozenset(
    [
        "cat",
        "cp",
        "mv",
        "ln",
        "rm",
        "mkdir",
        "touch",
        "echo",
        "printf",
        "grep",
        "egrep",
        "zgrep",
        "zcat",
        "gzip",
        "gunzip",
        "head",
        "tail",
        "sort",
        "uniq",
        "cut",
        "awk",
        "sed",
        "tr",
        "tar",
        "wc",
        "cd",
        "ls",
        "find",
        "xargs",
        "test",
        "true",
        "set",
        "export",
        "if",
        "then",
        "else",
        "fi",
        "for",
        "do",
        "done",
        "while",
        "paste",
        "join",
        "tee",
        "chmod",
        "basename",
        "dirname",
        "rsync",
        "md5sum",
        "sha256sum",
        "unzip",
        "zip",
    ]
)


def housekeeping(command: str) -> bool:
    """Whether a command only uses what every machine has: such a step needs no container."""
    text = re.sub(r"^[\s]*[rf]?[\"']{1,3}|[\"']{1,3}\s*$", "", command.strip(), flags=re.MULTILINE)
    words = set(_HOUSE.findall(re.sub(r"\{[^{}]*\}", "X", text)))
    return bool(words) and words <= _EVERYWHERE


_IMAGE = re.compile(
    r"(?:\bcontainer(?:ized)?\s*[:=]?\s*|\bsingularity\s*:\s*|\bdockerPull\s*:\s*|\bdockerImageId\s*:\s*)[\"']?"
    r"(?:docker://)?((?:[\w.-]+(?::\d+)?/)*[\w.-]+)(:[\w.-]+)?(@sha256:\w+)?[\"']?\s*(?:$|,|\}|\?)"
)


def _tags(source: Source, tree: Tree) -> Iterable[Hit]:
    stages: set[str] = set()
    for at, line in source.numbered():
        if source.kind is Kind.DOCKER:
            match = re.match(r"\s*FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+[Aa][Ss]\s+(\S+))?", line)
            if not match:
                continue
            image = match[1]
            if match[2]:
                stages.add(match[2].lower())
            if (
                image == "scratch"
                or image.lower() in stages - {(match[2] or "").lower()}
                or "$" in image
                or "@" in image
            ):
                continue
            if ":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest"):
                yield Hit(at, f"FROM {image}")
            continue
        latest = re.search(r"[\"'\s/](?:docker://)?[\w./-]+:latest\b", line)
        if latest and re.search(
            r"container|docker|singularity|apptainer|podman|image|quay\.io", line, re.IGNORECASE
        ):
            yield Hit(at, latest[0].strip(" \"'"))
            continue
        if source.kind in (Kind.SHELL, Kind.PYTHON, Kind.R):
            continue
        match = _IMAGE.search(line)
        if (
            match
            and not match[2]
            and not match[3]
            and re.search(r"docker://|dockerPull|/", match[0])
            and not re.search(r"\.(?:sif|simg|img|tar)$|^[./]", match[1])
            and not re.search(r"[${]", match[0].rstrip("}"))
        ):
            yield Hit(at, match[1])


_PIP = re.compile(r"\bpip3?\s+install\s+(.*)")
_CONDA = re.compile(r"\b(?:conda|mamba|micromamba)\s+(?:install|create)\s+(.*)")
_TAKES_VALUE = frozenset(
    {
        "-c",
        "--channel",
        "-n",
        "--name",
        "-p",
        "--prefix",
        "-r",
        "--requirement",
        "-i",
        "--index-url",
        "-t",
        "--target",
    }
    | {"--extra-index-url", "-f", "--find-links", "-e", "--constraint", "--file"}
)


def _loose_words(arguments: str, mark: str) -> list[str]:
    """Packages without a version among the words of an install command."""
    words = re.split(r"\s+", re.split(r"[;&|]|\s#", arguments)[0].strip())
    loose, skip = [], False
    for word in words:
        bare = word.strip("\"'")
        if skip:
            skip = False
        elif bare in _TAKES_VALUE:
            skip = True
        elif re.match(r"[A-Za-z][\w.-]*(?:\[[\w,]+\])?$", bare) and not bare.endswith(
            (".whl", ".txt", ".gz")
        ):
            if bare not in ("pip", "setuptools", "wheel"):
                loose.append(bare)
        elif (mark == "==" and re.match(r"[A-Za-z][\w.-]*(?:\[[\w,]+\])?[><~]", bare)) or (
            bare.startswith("git+")
            and not re.search(r"@[\w.-]+(?:#|$)", bare.split("//", 1)[-1].split("/", 1)[-1])
        ):
            loose.append(bare)
    return loose


def _unpinned(source: Source, tree: Tree) -> Iterable[Hit]:
    if source.kind is Kind.CONDA:
        yield from _loose_environment(source)
        return
    if source.kind is Kind.ANSIBLE:
        for at, line in source.numbered():
            if re.match(r"\s*state\s*[:=]\s*latest\b", line) or re.search(r"\bstate=latest\b", line):
                yield Hit(at, "state: latest")
        return
    logical = joined(source) if source.kind in (Kind.DOCKER, Kind.SHELL) else source.numbered()
    for at, line in logical:
        for known, mark in ((_PIP, "=="), (_CONDA, "=")):
            match = known.search(line)
            loose = _loose_words(match[1], mark) if match else []
            if loose:
                yield Hit(
                    _line_of(source, at, loose[0]),
                    f"{match[0].split()[0] if match else ''} install {' '.join(loose)[:80]}",
                )
                break
        else:
            clone = re.search(r"\bgit\s+clone\s+(?!.*(?:--branch|-b\s))\S.*", line)
            later = source.within(at, min(at + 6, len(source.code)))
            if clone and not re.search(r"git\s+(?:-C\s+\S+\s+)?(?:checkout|reset|switch)\s+\S", later):
                yield Hit(_line_of(source, at, "git"), clone[0].strip()[:100])
            elif re.search(r"\binstall_(?:github|gitlab|bitbucket)\(\s*[\"'][\w./-]+[\"']\s*\)", line):
                yield Hit(at, line.strip()[:100])
            elif (
                re.search(r"\b(?:install\.packages|BiocManager::install|biocLite)\(", line)
                and "version" not in line
            ):
                yield Hit(_line_of(source, at, "install"), line.strip()[:100])


def _line_of(source: Source, first: int, word: str) -> int:
    """The physical line, from the first of a continued one on, where a word stands."""
    for down, text in enumerate(source.code[first - 1 : first + 60]):
        if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text):
            return first + down
    return first


def _loose_environment(source: Source) -> Iterable[Hit]:
    inside = False
    for at, line in source.numbered():
        if re.match(r"\w", line):
            inside = line.startswith("dependencies")
        elif inside:
            match = re.match(
                r"\s*-\s+[\"']?(?:[\w.-]+::)?([\w.-]+)(?:\[[\w,]+\])?\s*([=<>!~].*)?[\"']?\s*$", line
            )
            if (
                match
                and not (match[2] and re.match(r"={1,3}\s*[\w*]", match[2].strip()))
                and match[1] != "pip"
            ):
                yield Hit(at, line.strip(" -"))


_REFERENCE = (
    r"(?:[\w./${}-]*\.(?:fa|fasta|fna|faa|ffn|2bit|hmm|cm|dmnd|mmi|gtf|gff3?|sti|bt2|nhr|phr|k2d|vcf|tbi|h3[mifp]|i1m)(?:\.gz|\.bz2|\.xz)?\b"
    r"|\b(?:[Pp]fam|[Rr]fam|uniref\d*|uniprot\w*|swissprot|refseq\w*|blastdb\w*|kraken\w*|silva|greengenes|gtdb\w*|eggnog\w*|interpro\w*|"
    r"genome|genomes|reference|references|refdata|database|databases|hg19|hg38|GRCh3[78]|mm10|bwa[_-]?index|star[_-]?index|checkm[_-]data|vep[_-]cache)\b[\w./-]*)"
)


def _in_image(source: Source, tree: Tree) -> Iterable[Hit]:
    for at, line in joined(source):
        copied = re.match(rf"\s*(?:COPY|ADD)\s+.*?{_REFERENCE}", line)
        fetched = re.match(
            rf"\s*RUN\b.*(?:wget|curl|aria2c|rsync|aws\s+s3\s+cp|gsutil|update_blastdb|download|--build)\b.*?{_REFERENCE}",
            line,
        )
        if copied or fetched:
            match = re.search(_REFERENCE, (copied or fetched)[0])  # type: ignore[index]
            yield Hit(at, match[0] if match else line.strip()[:80])


_MOUNT = (
    r"\b(?:singularity|apptainer|docker|podman)\b.*?(?:\s-B\s*|\s--bind[= ]|\s-v\s+|\s--volume[= ]|\s--mount[= ]\S*source=)[\"']?(/[\w./$-]+)|"
    r"\b(?:containerOptions|runOptions|--(?:singularity|apptainer)-args)\b.*?(?:-B|--bind|-v|--volume)[= ]+[\"']?(/[\w./$-]+)"
)

_VERSIONLESS = (
    r"[\w.:/${}-]*/(?:current|latest|current_release|current_fasta|current_gtf|release-current|nightly)/[\w.${}*/-]*\."
    r"(?:fa|fasta|fna|faa|gtf|gff3?|hmm|cm|dat|tar|gz|zip|vcf|txt)\b[\w.]*|"
    r"ftp://[^\s\"']*/(?:current|latest|current_release)\b(?!\.)[^\s\"']*"
)


def _undeclared(source: Source, tree: Tree) -> Iterable[Hit]:
    """Reference files a command names by itself: no input, parameter or configuration knows of them."""
    option = re.compile(
        r"(?:--?(?:db|database|ref|reference|genome|genomeDir|index|x|taxonomy|hmm|gtf|adapters?)[= ]+|-x\s+)[\"']?"
        r"((?:/|\.\./|\.?\w[\w-]*/)[\w./-]+)"
    )
    for step in source.steps:
        if source.kind not in (Kind.SNAKEMAKE, Kind.NEXTFLOW):
            continue
        declared = " ".join(
            text for name, text in step.parts.items() if name in ("input", "params", "output")
        )
        for at in range(step.command[0], min(step.command[1], len(source.code)) + 1):
            match = option.search(source.code[at - 1])
            if match and match[1] not in declared and not re.search(r"[{}$]", match[1]):
                yield Hit(at, match[1])


RULES = (
    Rule(
        "download-without-checksum",
        RUNS | {Kind.DOCKER, Kind.TERRAFORM, Kind.ANSIBLE},
        _any_download,
        "Nobody looks at the bytes that came: a broken or changed download gives other results, silently.",
        "Check its sum right after (sha256sum -c), or declare it as an input with one.",
        "",
        2,
    ),
    Rule(
        "no-container",
        frozenset({Kind.SNAKEMAKE, Kind.NEXTFLOW, Kind.CWL}),
        _uncontained,
        "The step runs whatever is installed: on a fresh instance nothing is, elsewhere it is another version.",
        "A container by digest on the step (or a conda environment with versions).",
        "the same software on every instance",
        3,
    ),
    Rule(
        "latest-tag",
        RUNS | {Kind.DOCKER, Kind.ANSIBLE, Kind.CONFIG, Kind.TERRAFORM},
        _tags,
        "The image is whatever was last pushed: two instances of one run may get two programs.",
        "Name a version, better a digest: image@sha256:….",
        "",
        2,
    ),
    Rule(
        "unpinned-version",
        RUNS | {Kind.DOCKER, Kind.CONDA, Kind.ANSIBLE, Kind.TERRAFORM},
        _unpinned,
        "Which version comes depends on the day: the run cannot be repeated.",
        "Name the version (name=1.2.3, name==1.2.3, a tag or a commit).",
        "",
        1,
    ),
    Rule(
        "reference-undeclared",
        frozenset({Kind.SNAKEMAKE, Kind.NEXTFLOW}),
        _undeclared,
        "The command reads reference data that the workflow does not know of: it is neither staged nor recorded.",
        "Declare it as an input (with its version), so that it is staged once and stands in the run's record.",
        "the same data at the same place",
        2,
    ),
    Rule(
        "reference-unversioned",
        ALL - {Kind.MANIFEST, Kind.CONDA},
        pattern(_VERSIONLESS, r"releases/latest/download|miniconda|Miniforge|Mambaforge|apt/|pypi"),
        "What stands under current or latest changes: the same run gives other results next month.",
        "Name the release, and keep its checksum.",
        "",
        2,
    ),
    Rule(
        "reference-in-image",
        frozenset({Kind.DOCKER}),
        _in_image,
        "Reference data in the image reaches every instance with every pull; whether that is cheaper is to be measured.",
        "Measure: weatherglass pipeline data compares baking, staging and mounting at n instances.",
        "",
        1,
    ),
    Rule(
        "mounted-path",
        RUNS | {Kind.CONFIG},
        pattern(_MOUNT, r"/tm[p]:|/etc/(?:localtime|passwd|group)|docker\.sock"),
        "The container sees this machine's folder: on another instance there is none, and nothing records what was read.",
        "Stage it as an input, or mount a share that the declaration knows of.",
        "the same folder mounted on every instance",
        2,
    ),
)
