"""A state of the first version goes on: its records and blocks, made here by the layout that they had."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from weatherglass.base.errors import Corrupt
from weatherglass.engine.files import RealFiles
from weatherglass.engine.log import Log
from weatherglass.engine.protocols import Labels, RawEvent
from weatherglass.engine.tables import Tables
from weatherglass.logs import Logs
from weatherglass.logs.catalogue import BlockRow, Catalogue

T0 = 1_800_000_000_000_000_000
NOVA: Labels = (("host", "ctl-1"), ("odd", "x"), ("service", "nova"))
LINES = [
    "2027-01-15 08:00:00.123 77 INFO nova.compute.manager [req-1 u p - - -] Took 12 seconds to build\n",
    "2027-01-15 08:00:00.124 77 ERROR nova.x [-] boom\n2027-01-15 08:00:00.124 77 ERROR nova.x Traceback (most recent call last):"
    "\n2027-01-15 08:00:00.124 77 ERROR nova.x ValueError: no\n2027-01-15 08:00:00.124 77 ERROR nova.x \n",
    "no time \udcff at all\n",
]
ALL = {"start_ns": 0, "end_ns": 1 << 62}


def record(tenant: str, events: list[RawEvent]) -> bytes:
    """A write as the first version had it in its log."""
    texts = [event.text.encode("utf-8", "surrogatepass") for event in events]
    head = {
        "seen": [event.seen_ns for event in events],
        "labelled": [0] * len(events),
        "sizes": [len(text) for text in texts],
        "labels": [events[0].labels],
    }
    own = json.dumps({"tenant": tenant, "at": T0, "digest": "d1"}).encode()
    body = b"\n".join((own, json.dumps(head).encode(), b"".join(texts)))
    return bytes([1]) + zstandard.ZstdCompressor(level=1).compress(body)


def block(path: Path, events: list[RawEvent], sequences: list[int]) -> BlockRow:
    """A block as it had them; `raw` is of bytes, as one text is no UTF-8."""
    size = len(events)
    table = pa.table(
        {
            "time_ns": pa.array([event.seen_ns for event in events], pa.int64()),
            "sequence": pa.array(sequences, pa.int64()),
            "seen_ns": pa.array([event.seen_ns for event in events], pa.int64()),
            **{name: pa.nulls(size, pa.string()) for name in ("site", "zone", "replica", "source")},
            "host": ["ctl-1"] * size,
            "service": ["nova"] * size,
            "labels": [json.dumps({"odd": "x"})] * size,
            "raw": pa.array([event.text.encode("utf-8", "surrogatepass") for event in events], pa.binary()),
        }
    )
    path.parent.mkdir(parents=True)
    with pq.ParquetWriter(path, table.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(table, row_group_size=8192)
        writer.add_key_value_metadata({"weatherglass": json.dumps({"version": 1, "tenant": "site"})})
    name = f"{path.parent.parent.name}/{path.parent.name}/{path.name}"
    stored = path.stat().st_size
    return BlockRow("site", name, 1, size, 300, stored, T0, T0 + size, T0 + size, {"INFO": size})


@pytest.mark.parametrize("again", [False, True], ids=["at once", "after upkeep and a restart"])
def test_a_state_of_the_first_version_goes_on(
    open_logs: Callable[..., Logs], migrated: Path, tmp_path: Path, again: bool
) -> None:
    events = [RawEvent(T0 + number, NOVA, text) for number, text in enumerate(LINES)]
    later = [RawEvent(T0 + 10 + number, NOVA, text) for number, text in enumerate(LINES)]
    journal = Log(tmp_path / "logs" / "log", files=RealFiles(), segment_bytes=4096, name="logs")
    journal.append([record("site", events)])
    mark = journal.next
    journal.append([record("site", later)])
    journal.close()
    row = block(tmp_path / "logs" / "blocks" / "site" / "20833" / f"{T0}-0.parquet", events, [0, 1, 2])
    tables = Tables(tmp_path / "tables.db")
    Catalogue(tables).sealed(row, mark, mark, {})
    tables.close()
    logs = open_logs()
    if again:
        logs.tick()
        assert [one.format for one in logs._shelf.of("site")] == [2]
        logs.seal("site")
        logs = open_logs()
    found = logs.search("site", **ALL).events
    assert sorted(event.raw for event in found) == sorted(LINES * 2)
    assert {event.labels for event in found} == {NOVA}
    assert logs.search("site", **ALL, query="request_id:req-1 AND message:took").events
    assert len({event.seen_ns for event in found}) == 6
    assert logs.templates("site")


def test_a_format_that_is_not_known_yet_is_refused(open_logs: Callable[..., Logs], tmp_path: Path) -> None:
    journal = Log(tmp_path / "logs" / "log", files=RealFiles(), segment_bytes=4096, name="logs")
    journal.append([bytes([9]) + b"{}"])
    journal.close()
    with pytest.raises(Corrupt, match="format 9"):
        open_logs()
