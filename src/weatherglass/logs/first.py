"""Format 1, which the first version wrote, read: records of the log and blocks, both of which have the lines as they came.

Read only. A record is unpacked as it is replayed; a block is parsed anew when it is asked for, until upkeep has
written it in today's format.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import zstandard

from weatherglass.base.errors import Corrupt
from weatherglass.engine.protocols import Labels, RawEvent
from weatherglass.logs.fields import LABELS
from weatherglass.logs.taking import Taker, Write

if TYPE_CHECKING:
    import pyarrow as pa

VERSION: Final = 1


def parts(data: bytes) -> tuple[Any, Any, bytes]:
    """What names a record, what describes its texts, and these."""
    own, head, texts = zstandard.ZstdDecompressor().decompress(data[1:]).split(b"\n", 2)
    return json.loads(own), json.loads(head), texts


def events_of_record(head: Any, texts: bytes) -> list[RawEvent]:
    labels = [tuple((name, value) for name, value in one) for one in head["labels"]]
    events, at = [], 0
    for seen_ns, number, size in zip(head["seen"], head["labelled"], head["sizes"], strict=True):
        events.append(
            RawEvent(seen_ns, labels[number], texts[at : at + size].decode("utf-8", "surrogatepass"))
        )
        at += size
    return events


def events_of_block(table: pa.Table) -> tuple[list[int], list[RawEvent]]:
    """(sequence numbers, events) of a block's columns."""

    def texts(name: str) -> list[str | None]:
        # A column in which something was no UTF-8 is of bytes.
        return [
            one.decode("utf-8", "surrogatepass") if isinstance(one, bytes) else one
            for one in table.column(name).to_pylist()
        ]

    named = {name: texts(name) for name in (*LABELS, "labels")}
    events = []
    for row, (seen_ns, raw) in enumerate(zip(table.column("seen_ns").to_pylist(), texts("raw"), strict=True)):
        labels = {name: value for name in LABELS if (value := named[name][row])}
        others = named["labels"][row]
        labels |= json.loads(others) if others else {}
        events.append(RawEvent(seen_ns, _sorted(labels), raw or ""))
    return table.column("sequence").to_pylist(), events


def renewed(data: bytes, where: str) -> pa.Table:
    """A block's events as they are today. Raises Corrupt."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        sequence, events = events_of_block(pq.read_table(pa.BufferReader(data)))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise Corrupt(
            f"not a block of logs: {error}", where=where, mend="restore it from a backup"
        ) from error
    table = Taker().take([Write(0, events)])
    place = table.column_names.index("sequence")
    numbers = np.array(sequence, np.int64)[table.column("sequence").to_numpy()]
    return table.set_column(place, "sequence", pa.array(numbers))


def _sorted(labels: dict[str, str]) -> Labels:
    return tuple(sorted(labels.items()))
