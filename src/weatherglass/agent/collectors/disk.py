"""Block devices, from /proc/diskstats (Documentation/admin-guide/iostats.rst)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from weatherglass.agent.remote_write import Sample

# Column after major, minor and name → metric and what one unit is worth. Sectors are 512 bytes whatever the disk.
COLUMNS: tuple[tuple[int, str, float], ...] = (
    (0, "node_disk_reads_completed_total", 1),
    (2, "node_disk_read_bytes_total", 512),
    (3, "node_disk_read_time_seconds_total", 0.001),
    (4, "node_disk_writes_completed_total", 1),
    (6, "node_disk_written_bytes_total", 512),
    (7, "node_disk_write_time_seconds_total", 0.001),
    (8, "node_disk_io_now", 1),
    (9, "node_disk_io_time_seconds_total", 0.001),
    (10, "node_disk_io_time_weighted_seconds_total", 0.001),
)
# Node-exporter's own default: RAM disks, floppies, unused loops and partitions are noise.
IGNORED = re.compile(r"(z?ram|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+")


def parse_disk(diskstats: str) -> Iterator[Sample]:
    """Samples of every device that has ever done I/O."""
    for line in diskstats.splitlines():
        fields = line.split()
        if len(fields) < 14 or IGNORED.fullmatch(fields[2]):
            continue
        numbers = [int(text) for text in fields[3:14]]
        if not (numbers[0] or numbers[4]):
            continue
        labels = (("device", fields[2]),)
        for column, name, worth in COLUMNS:
            yield Sample(name, labels, numbers[column] * worth)


def disk(proc: Path) -> Iterator[Sample]:
    return parse_disk((proc / "diskstats").read_text())
