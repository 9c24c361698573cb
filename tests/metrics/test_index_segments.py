"""Index segments, and an index that is made anew: nothing that has samples is ever forgotten."""

import struct
import threading
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import zstandard
from engine.powercut import PowerCutFiles, every_cut, every_fault
from kernels.protobuf import request

from metrics.conftest import Place
from weatherglass.base.errors import Corrupt, Unavailable
from weatherglass.engine.files import RealFiles
from weatherglass.metrics import Matcher, sealing
from weatherglass.metrics.index import Index, canonical_key
from weatherglass.metrics.records import pack_labels
from weatherglass.metrics.segments import read_segment, write_segment

NOW = 1_800_000_000_000
DAY = 86_400_000


def labels(name):
    return (("__name__", "m"), ("n", str(name)))


def body_of(numbers):
    return pack_labels([(number, canonical_key(labels(number))) for number in numbers])


def test_a_segment_gives_its_bodies_back(tmp_path):
    files, path = RealFiles(), tmp_path / "one.series"
    bodies = [body_of(range(5)), body_of(range(5, 9))]
    assert write_segment(files, path, bodies) == path.stat().st_size
    assert list(read_segment(files, path)) == bodies
    assert list(read_segment(files, _first_version(tmp_path, bodies[0]))) == bodies[:1]


def _first_version(folder, body):
    packed = zstandard.ZstdCompressor().compress(body)
    (folder / "old.series").write_bytes(
        struct.pack("<8sHHII", b"WGSERIE\0", 1, 0, len(body), crc32(packed)) + packed
    )
    return folder / "old.series"


def test_a_segment_that_decayed_anywhere_is_corrupt(tmp_path):
    files, path = RealFiles(), tmp_path / "one.series"
    write_segment(files, path, [body_of(range(20))])
    for whole in (path.read_bytes(), _first_version(tmp_path, body_of(range(20))).read_bytes()):
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(Corrupt):
                list(read_segment(files, path))
        for size in range(1, len(whole)):
            path.write_bytes(whole[:size])
            with pytest.raises(Corrupt):
                list(read_segment(files, path))


def test_an_index_made_anew_finds_the_same(tmp_path):
    index = Index()
    index.load(body_of(range(1000)))
    alive = np.arange(0, 1000, 3)
    again = Index()
    again.load(index.packed(alive))
    assert again.series == len(alive) and again.next == 1000
    assert again.select([Matcher("__name__", "=", "m")]).tolist() == alive.tolist()
    assert again.labels(999) == labels(999) and again.table.get(canonical_key(labels(999))) == 999
    assert again.table.get(canonical_key(labels(998))) == -1


def write(store, name, time, value):
    store.write("t", request([(list(labels(name)), [(time, value)])]), "")


def names(store):
    found = store.select("t", [Matcher("__name__", "=", "m")], 0, 1 << 50)
    return {dict(one)["n"] for one in found.labels}


LATER = NOW + 16 * DAY
STEPS = [*(("write", name, NOW) for name in "abcdef"), ("seal",), ("age",)]
STEPS += [("write", "a", LATER), ("write", "z", LATER), ("retire",), ("write", "b", LATER), ("seal",)]
STEPS += [("retire",), ("write", "y", LATER)]
"""What is of NOW has gone past retention after `age`: the index is made anew while `a` has come back."""


class Churn:
    """Series die, come back amid the forgetting, and new ones come. See `test_durability` on the tables."""

    def __init__(self, blank, folder):
        self.blank, self.folder, self.runs, self.place = blank, folder, 0, None

    def run(self, files, acked):
        if self.place:
            self.place.tables.close()
        self.runs += 1
        self.place = Place(self.folder / str(self.runs), self.blank, files, Path("/metrics"))
        store = None
        try:
            for kind, *rest in STEPS:
                try:
                    store = store or self.place.open()
                    if kind == "write":
                        write(store, *rest, 1.0)
                        acked.append(tuple(rest))
                    elif kind == "age":
                        self.place.clock.advance(16 * 86400)
                    else:
                        getattr(store, kind)()
                except (Unavailable, OSError):
                    continue
            self.forgotten = store.stats()["forgotten_series"] if store else 0
        finally:
            self.place.close()

    def check(self, files, acked):
        place = Place(self.place.folder, self.blank, files, Path("/metrics"))
        try:
            store = place.open()
            assert (
                {name for name, time in acked if time == LATER} <= names(store) <= set("abcdefyz") | {"after"}
            )
            write(store, "after", LATER, 1.0)
            assert "after" in names(store)
        finally:
            place.close()
            place.tables.close()


@pytest.fixture
def churn(blank_tables, tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "FEW", -1000)
    one = Churn(blank_tables, tmp_path)
    yield one
    one.place.tables.close()


def test_a_power_cut_amid_churn_loses_nothing_acknowledged(churn):
    assert every_cut(churn.run, churn.check, samples=1, every=2) > 60
    acked = []
    churn.run(PowerCutFiles(), acked)
    assert churn.forgotten == 5 and len(acked) == 10


def test_a_failing_disk_amid_churn_loses_nothing_acknowledged(churn):
    assert every_fault(churn.run, churn.check, samples=1, cuts=1) > 60


def test_series_written_while_others_are_forgotten_stay(place, monkeypatch):
    monkeypatch.setattr(sealing, "FEW", 10)
    store = place.open()
    for name in range(100):
        write(store, name, NOW, 1.0)
    store.seal()
    place.clock.advance(16 * 86400)
    write(store, 0, LATER, 1.0)
    stop, count = threading.Event(), 0
    written = set()

    def busy():
        nonlocal count
        while not stop.is_set():
            write(store, count % 300, LATER + count, 1.0)
            written.add(str(count % 300))
            count += 1

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        store.retire()
    finally:
        stop.set()
        thread.join()
    assert written | {"0"} <= names(store)
    store = place.open()
    assert written | {"0"} <= names(store)
