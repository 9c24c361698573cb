"""Rules on how steps run: what they ask for, what happens when one fails, how long work can be lost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from weatherglass.pipelines.check.findings import Hit, Kind, Rule, Source, Step, Tree
from weatherglass.pipelines.check.rules.software import housekeeping, local_rules

_MEMORY = re.compile(r"\bmem(?:_\w+|ory)?\s*=|\bram\w*\s*=|\bdisk_free\s*=|\bh_vmem\s*=")
_TIME = re.compile(r"\b(?:runtime|time(?:_\w+)?|walltime|hours?|hrs|minutes|time_min)\s*=")


def _defaults(tree: Tree) -> bool:
    """Whether a profile or a call in the tree gives all steps default resources."""
    return any("default-resources" in line for one in tree.sources for line in one.code)


def _configured(tree: Tree) -> tuple[bool, set[str]]:
    """(all processes get memory and time, labels and names that do) from Nextflow's configuration."""
    everywhere, names = False, set()
    for one in tree.of(Kind.NEXTFLOW):
        if one.steps:
            continue
        text = "\n".join(one.code)
        bare = re.sub(r"with(?:Label|Name)\s*:[^{]*\{[^}]*\}", "", text)
        block = re.search(r"\bprocess\s*\{", bare)
        if re.search(r"process\.memory\s*=", bare) or (
            block and re.search(r"\bmemory\s*=", bare[block.end() :])
        ):
            everywhere = True
        for found in re.finditer(r"with(?:Label|Name)\s*:\s*['\"]?([\w|:.*-]+)['\"]?\s*\{([^}]*)", text):
            if "memory" in found[2]:
                names |= set(re.split(r"[|]", found[1]))
        names |= set(re.findall(r"(?m)\$([\w]+)\s*\{[^}]*memory", text))
    return everywhere, names


def _asked(source: Source, tree: Tree) -> Iterable[Hit]:
    """Steps that do not say which memory and time they need."""
    if source.kind is Kind.SHELL:
        yield from _asked_of_scheduler(source.directives)
        return
    if source.kind is Kind.SNAKEMAKE and _defaults(tree):
        return
    everywhere, names = _configured(tree) if source.kind is Kind.NEXTFLOW else (False, set())
    if everywhere:
        return

    local = local_rules(source) if source.kind is Kind.SNAKEMAKE else set()
    for step in source.steps:
        if step.name in local or (step.has("shell") and housekeeping(step.parts["shell"])):
            continue
        missing = _missing(source.kind, step, names)
        if missing:
            yield Hit(step.first, f"{step.name}: no {' and no '.join(missing)}")


def _missing(kind: Kind, step: Step, configured: set[str]) -> list[str]:
    if kind is Kind.SNAKEMAKE:
        resources = step.parts.get("resources", "")
        if "**" in resources or re.match(r"\s*\w+\(", resources):
            return []
        known = {"memory": _MEMORY.search(resources), "time": _TIME.search(resources)}
        return [name for name, found in known.items() if not found]
    if kind is Kind.CWL:
        return [] if step.has("ResourceRequirement", "ResourceRequirements") else ["memory"]
    label = step.parts.get("label", "").strip(" '\"")
    if step.name in configured or (label and (label in configured or not configured)) or step.has("exec"):
        return []
    return [] if step.has("memory") else ["memory", *([] if step.has("time") else ["time"])]


def _asked_of_scheduler(directives: Mapping[int, str]) -> Iterable[Hit]:
    if not directives:
        return
    text = "\n".join(directives.values())
    missing = []
    if not re.search(
        r"--mem\b|--mem-per|SBATCH.*--mem|BSUB.*-M|rusage\[mem|(?:h_|s_)?vmem=|\bmem=|mem_free=|pmem=|-l\s+m=",
        text,
    ):
        missing.append("memory")
    if not re.search(r"--time\b|SBATCH.*\s-t\s|BSUB.*-W|walltime=|h_rt=|s_rt=|--qos", text):
        missing.append("time")
    if missing:
        yield Hit(min(directives), f"no {' and no '.join(missing)}")


_THREAD_OPTION = (
    r"(?:--?(?:threads?|num[_-]?threads|n[_-]?threads|cpus?|n?cores|nproc|n[_-]?jobs|jobs|runThreadN|num[_-]?cpus?|nct|nt|processors|workers|"
    r"max_workers|numthreads|thread_num|parallel)(?:=|\s+|\s*=\s*)|-@\s*)([2-9]|[1-9]\d{1,2})(?![\w.])"
)
_SHORT_OPTION = re.compile(
    r"\b(?:bwa(?:-mem2)?|bowtie2?|minimap2|megahit|hisat2|samtools|kraken2?|bracken|salmon|kallisto|fastqc|diamond|spades(?:\.py)?|metaspades(?:\.py)?|"
    r"STAR|trimmomatic|trim_galore|cutadapt|canu|flye|racon|pigz|quast(?:\.py)?|blastn|blastp|mafft|iqtree2?|raxml\w*|featureCounts|snippy|"
    r"freebayes-parallel|unicycler|bbmap\.sh|bcftools|make|parallel|checkm|gtdbtk|metabat2?|hmmsearch|hmmscan|cmsearch|prokka|mummer4?)\b"
    r".*?\s(?:-t|-p|-T|-j|-w)\s*([2-9]|[1-9]\d{1,2})(?![\w.])"
)


def _threads(source: Source, tree: Tree) -> Iterable[Hit]:
    option = re.compile(_THREAD_OPTION)
    for at, line in source.numbered():
        step = source.step_at(at)
        if source.kind in (Kind.SNAKEMAKE, Kind.NEXTFLOW):
            if not step or not step.command[0] <= at <= step.command[1]:
                continue
        elif re.search(
            r"add_argument|ArgumentParser|option\(|snakemake\s+.*(?:--cores|-j|--jobs)|nextflow\s+run", line
        ):
            continue
        match = option.search(line) or _SHORT_OPTION.search(line)
        if match:
            yield Hit(at, match[0].strip()[-60:])


def _cwl_threads(source: Source, tree: Tree) -> Iterable[Hit]:
    """A prefix for threads whose value is a number written down."""
    for at, line in source.numbered():
        if re.match(
            r"\s*-?\s*(?:prefix|valueFrom)\s*:\s*[\"']?--?(?:t|threads|cpu|p|num_threads|nt|thread|cores)[\"']?\s*$",
            line,
        ):
            near = source.within(at, min(at + 3, len(source.code)))
            match = re.search(
                r"(?:valueFrom|default)\s*:\s*[\"']?([2-9]|[1-9]\d)[\"']?\s*$", near, re.MULTILINE
            )
            if match:
                yield Hit(at + near[: match.start()].count("\n"), match[0].strip())
        else:
            match = re.search(rf"arguments\s*:.*{_THREAD_OPTION}", line)
            if match:
                yield Hit(at, match[0][-60:])


def _fixed(source: Source, tree: Tree) -> Iterable[Hit]:
    yield from (_cwl_threads if source.kind is Kind.CWL else _threads)(source, tree)


def _retries(source: Source, tree: Tree) -> Iterable[Hit]:
    """Workflows of which no step is tried again: told once, at the first step of the main file."""
    if not source.steps:
        return
    same = [one for one in tree.of(source.kind) if one.steps]
    named = [one for one in same if one.path.rsplit("/", 1)[-1].lower() in ("snakefile", "main.nf")]
    if source is not (named or same)[0]:
        return
    known = r"\bretries\b|restart-times|\battempt\b|\bmaxRetries\b|\berrorStrategy\b"
    everything = "\n".join(line for one in tree.sources for line in one.code)
    if not re.search(known, everything):
        yield Hit(source.steps[0].first, "no step is tried again")


def _long(hours: float) -> bool:
    return hours >= 24


def _hours(text: str) -> float:
    """Hours of a time as schedulers write it: D-HH:MM:SS, HH:MM:SS, MM:SS, minutes; LSF's HH:MM is told by its caller."""
    days, _, rest = text.rpartition("-")
    parts = [float(one) for one in rest.split(":")]
    if days:
        parts += [0.0] * (3 - len(parts))
        return float(days) * 24 + parts[0] + parts[1] / 60
    if len(parts) == 3:
        return parts[0] + parts[1] / 60
    return parts[0] / 60


def _checkpoints(source: Source, tree: Tree) -> Iterable[Hit]:
    """A day or more asked for, and nothing by which work could go on where it was stopped."""
    text = "\n".join((*source.code, *source.directives.values()))
    if re.search(
        r"checkpoint(?!\s+\w+:)|--requeue|--signal|--continue\b|--resume\b|-resume\b|restart_from|-cpi\b|--restart",
        text,
        re.IGNORECASE,
    ):
        return
    for at, line in source.directives.items():
        match = re.search(r"(?:--time[= ]|\s-t\s+|-W\s+|(?:walltime|h_rt)=)\s*([\d:-]+)", line)
        if match and re.fullmatch(r"(?:\d+-)?\d+(?::\d+){0,2}", match[1]):
            hours = (
                float(match[1].split(":")[0]) if "-W" in match[0] and ":" in match[1] else _hours(match[1])
            )
            if line.startswith("$") and ":" not in match[1]:
                hours = float(match[1].replace("-", "")) / 3600
            if _long(hours):
                yield Hit(at, match[0].strip())
    for step in source.steps:
        if source.kind is Kind.NEXTFLOW:
            match = re.search(r"(\d+)\s*\.?\s*(d(?:ays?)?|h(?:ours?)?)\b", step.parts.get("time", ""))
            if match and _long(float(match[1]) * (24 if match[2].startswith("d") else 1)):
                yield Hit(step.first, f"{step.name}: {match[0]}")
        elif source.kind is Kind.SNAKEMAKE:
            match = re.search(r"\b(?:runtime|time_min)\s*=\s*(\d+)\b", step.parts.get("resources", ""))
            if match and _long(float(match[1]) / 60):
                yield Hit(step.first, f"{step.name}: {match[0]}")


_STEPS = frozenset({Kind.SNAKEMAKE, Kind.NEXTFLOW, Kind.CWL})

RULES = (
    Rule(
        "no-resources",
        _STEPS | {Kind.SHELL},
        _asked,
        "The step does not say what it needs: it gets too small a machine and is killed, or too large a one and is paid.",
        "Say memory and time (and cores); weatherglass pipeline run measures them.",
        "",
        2,
    ),
    Rule(
        "fixed-threads",
        _STEPS | {Kind.SHELL},
        _fixed,
        "The number of threads is written down: on other machines cores stand idle, or tasks fight for them.",
        "Use what the engine gave: {threads}, task.cpus, runtime.cores, $SLURM_CPUS_PER_TASK with a default.",
        "machines with as many cores",
        1,
    ),
    Rule(
        "no-retry",
        frozenset({Kind.SNAKEMAKE, Kind.NEXTFLOW}),
        _retries,
        "Instances are lost and networks fail now and then: one such fault ends the whole run.",
        "retries: 2 on steps (or in the profile); Nextflow: errorStrategy 'retry', maxRetries 2.",
        "",
        1,
    ),
    Rule(
        "no-checkpoint",
        frozenset({Kind.SHELL, Kind.SNAKEMAKE, Kind.NEXTFLOW}),
        _checkpoints,
        "A day or more of work is lost when the instance is: cheap (spot) instances cannot be used for it.",
        "Cut the step in parts, or use the tool's own checkpoints and --requeue.",
        "",
        1,
    ),
)
