"""What tenants use of a file system: Lustre's own statistics by client and by job, turned into samples. Pure.

`exports.NID.stats` of every target counts by the client's NID, which is in a tenant's range or in nobody's; `job_stats`
counts by the job's name. Counters since the target was started: rates are the reader's to make.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from statistics import median
from typing import NamedTuple

from weatherglass.base.errors import Invalid
from weatherglass.shares.nids import read_range
from weatherglass.shares.policy import FileSystem

_HEAD = re.compile(r"(obdfilter|mdt)\.([\w.-]+?)\.(?:exports\.(\S+?)\.stats|job_stats)=(.*)")
_STAT = re.compile(r"(\w+)\s+(\d{1,19}) samples \[(\w+)\](?:\s+\d+\s+\d+\s+(\d{1,25}))?")
_JOB = re.compile(r"-\s*job_id:\s*(\S+)")
_JOB_STAT = re.compile(r"(\w+):\s*\{\s*samples:\s*(\d{1,19}),\s*unit:\s*(\w+)(.*)\}")
_SUM = re.compile(r"\bsum:\s*(\d{1,25})")


class Stat(NamedTuple):
    """One counter of one target: `who` is a NID or a job; `total` is in `unit` (bytes, usecs), 0 where it has none."""

    target: str
    by: str
    who: str
    name: str
    times: int
    unit: str
    total: int


def parse(text: str) -> Iterator[Stat]:
    """The counters in what `lctl get_param` printed; what is no counter is passed over."""
    target = who = by = ""
    for line in text.splitlines():
        stripped = line.strip()
        if head := _HEAD.match(stripped):
            target, who = head[2], head[3] or ""
            by = "nid" if head[3] else "job"
        elif by == "job" and (job := _JOB.match(stripped)):
            who = job[1].strip("\"'")
        elif by == "job" and who and (stat := _JOB_STAT.match(stripped)):
            total = _SUM.search(stat[4])
            yield Stat(target, "job", who, stat[1], int(stat[2]), stat[3], int(total[1]) if total else 0)
        elif by == "nid" and (stat := _STAT.match(stripped)):
            yield Stat(target, "nid", who, stat[1], int(stat[2]), stat[3], int(stat[4] or 0))


def tenant_of(fs: FileSystem, nid: str) -> str:
    """Whose NID it is; empty for nobody's (the servers' own, a stranger's)."""
    try:
        one = read_range(nid)
    except Invalid:
        return ""
    return next(
        (share.tenant for share in fs.shares for span in share.ranges if span.holds(one.low, one.net)), ""
    )


def samples(fs: FileSystem, text: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Labels → value: bytes, operations and their seconds, by tenant over all targets and clients, and by job."""
    found: dict[tuple[tuple[str, str], ...], float] = {}
    owners: dict[str, str] = {}

    def add(name: str, value: float, labels: Mapping[str, str]) -> None:
        key = tuple(sorted({"__name__": name, "share": fs.name, **labels}.items()))
        found[key] = found.get(key, 0.0) + value

    for stat in parse(text):
        if stat.by == "nid":
            owner = owners.setdefault(stat.who, tenant_of(fs, stat.who))
            if not owner:
                continue
            labels, stem = {"tenant": owner}, "weatherglass_share"
        else:
            labels, stem = {"job": stat.who}, "weatherglass_share_job"
        if stat.name in ("read_bytes", "write_bytes"):
            add(f"{stem}_bytes_total", stat.total, {**labels, "op": stat.name.removesuffix("_bytes")})
            continue
        add(f"{stem}_operations_total", stat.times, {**labels, "op": stat.name})
        if stat.unit in ("usec", "usecs"):
            add(f"{stem}_operation_seconds_total", stat.total / 1e6, {**labels, "op": stat.name})
    return found


def noisy(rates: Mapping[str, float], least: float = 0.0) -> list[str]:
    """Tenants that take more than half of what all do and four times what the middle one does, above `least` a second."""
    active = {tenant: rate for tenant, rate in rates.items() if rate > 0}
    if len(active) < 2:
        return []
    whole = sum(active.values())

    def middle_without(tenant: str) -> float:
        return median(rate for name, rate in active.items() if name != tenant)

    return sorted(
        tenant
        for tenant, rate in active.items()
        if rate > whole / 2 and rate > 4 * middle_without(tenant) and rate >= least
    )
