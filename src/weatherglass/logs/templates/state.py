"""What a miner knows, as bytes and back; two nodes' knowledge made one.

zstd over JSON, with a version. Rows that share a template share it again after loading: clusters are written,
not formed anew. Not here: forming clusters, templates' texts.
"""

from __future__ import annotations

import json
from typing import Any, Final

import zstandard

from weatherglass.base.errors import Invalid
from weatherglass.logs.templates.cluster import Cluster, Prefix
from weatherglass.logs.templates.mined import Template, Variable
from weatherglass.logs.templates.miner import Memory
from weatherglass.logs.templates.rows import Row

VERSION: Final = 1
LIMIT: Final = 1 << 30


def encode(memory: Memory) -> bytes:
    """The memory as bytes."""
    value = {
        "version": VERSION,
        "buckets": [[_cluster(c) for c in clusters] for clusters in memory.buckets.values()],
        "evidence": [
            [*context, [[place, sorted(words)] for place, words in places.items()]]
            for context, places in memory.evidence.places.items()
        ],
        "free": sorted(list(prefix) for prefix in memory.free),
        "templates": [[t.id, t.group, t.pieces, t.types] for t in memory.templates.values()],
        "aliases": list(memory.aliases.items()),
        "counts": list(memory.counts.items()),
    }
    # ASCII: lone surrogates are written as escapes and come back.
    return zstandard.ZstdCompressor(level=3).compress(
        json.dumps(value, separators=(",", ":")).encode("ascii")
    )


def decode(data: bytes) -> Memory:
    """The memory that bytes hold. Raises Invalid."""
    try:
        value = json.loads(zstandard.ZstdDecompressor().decompress(data, max_output_size=LIMIT))
        if value["version"] != VERSION:
            raise Invalid(
                f"the miner's state is of version {value['version']}; this program reads {VERSION}",
                mend="mine again from the stored messages, or run the version that wrote it",
            )
        return _memory(value)
    except (zstandard.ZstdError, ValueError, KeyError, TypeError, IndexError) as error:
        raise Invalid(
            f"the miner's state cannot be read: {error}", mend="mine again from the stored messages"
        ) from error


def _cluster(c: Cluster) -> list[Any]:
    rows = [
        [r.whole, r.structure, r.delims, r.shapes, r.soft, r.types, r.hashes, r.group, r.id] for r in c.rows
    ]
    return [c.pattern, c.delims, [sorted(seen) for seen in c.values], rows]


def _memory(value: dict[str, Any]) -> Memory:
    memory = Memory()
    for clusters in value["buckets"]:
        made = []
        for pattern, delims, values, rows in clusters:
            kept = [
                Row(
                    whole,
                    structure,
                    tuple(gaps),
                    tuple(shapes),
                    tuple(soft),
                    tuple(map(tuple, types)),
                    tuple(hashes),
                    group,
                    id,
                )
                for whole, structure, gaps, shapes, soft, types, hashes, group, id in rows
            ]
            made.append(
                Cluster(tuple(pattern), tuple(delims), [set(seen) for seen in values], kept, kept[0].soft)
            )
        memory.buckets[made[0].rows[0].structure] = made
    for word, delim, places in value["evidence"]:
        memory.evidence.places[word, delim] = {place: set(words) for place, words in places}
    for group, parts, needs, loose in value["free"]:
        memory.free.add(Prefix(group, tuple(parts), needs, loose))
    for id, group, pieces, types in value["templates"]:
        memory.templates[id] = Template(id, group, tuple(pieces), tuple(map(Variable, types)))
    memory.aliases.update((old, new) for old, new in value["aliases"])
    memory.counts.update((id, count) for id, count in value["counts"])
    return memory
