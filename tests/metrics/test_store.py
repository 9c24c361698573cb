"""The store on real files: what is written is read back, told and bounded as it says."""

import dataclasses
import math
import struct
import threading

import cramjam
import numpy as np
import pytest
from kernels.protobuf import field, label, request, sample

from weatherglass.base.errors import Corrupt, Invalid, LimitExceeded, TooLarge, Unavailable
from weatherglass.engine.protocols import Samples, Written
from weatherglass.metrics import TABLES, Matcher, Sealer, SeriesLimits

NOW = 1_800_000_000_000
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0_0000_0000_0002))[0]


def up(instance="a", **labels):
    return sorted({"__name__": "up", "instance": instance, **labels}.items())


def body(*many):
    return bytes(cramjam.snappy.compress_raw(request(many)))


def every(store, tenant="site", start=NOW - 10**9, end=NOW + 10**9, *matchers):
    found = store.select(tenant, matchers or [Matcher("__name__", "=~", ".+")], start, end)
    return {
        dict(labels)["instance"]: list(zip(times.tolist(), values.tolist(), strict=True))
        for labels, times, values in zip(found.labels, found.times, found.values, strict=True)
    }


def test_a_write_is_read_back_from_head_block_and_log(place):
    store = place.open()
    samples = [(NOW + 15_000 * k, k / 4) for k in range(1200)]
    assert store.write("site", body((up("a"), samples[:700]), (up("b"), samples[:3]))) == Written(703)
    expected = {"a": samples[:700], "b": samples[:3]}
    assert every(store) == expected
    assert store.seal() == 1 and store.seal() == 0
    assert every(store) == expected
    store.write("site", body((up("a"), samples[700:])))
    expected["a"] = samples
    assert every(store) == expected
    store = place.open()
    assert every(store) == expected
    assert store.stats()["replayed"] == 500 and store.stats()["samples"] == 1203
    assert every(store, "site", NOW + 15_000, NOW + 30_000) == {"a": samples[1:3], "b": samples[1:3]}
    assert every(store, "another") == {}


def test_bits_survive_block_and_log(place):
    store = place.open()
    odd = [math.nan, STALE, -0.0, math.inf, 5e-324, 0.1 + 0.2, 1e308]
    bits = [struct.pack("<d", value) for value in odd * 30]
    store.write("site", body((up(), [(NOW + k, value) for k, value in enumerate(odd * 30)])))
    for _ in range(2):
        found = store.select("site", [Matcher("__name__", "=", "up")], NOW, NOW + 1000)
        assert [struct.pack("<d", value) for value in found.values[0].tolist()] == bits
        assert not found.values[0].flags.writeable
        store.seal()
        store = place.open()


def test_the_last_write_wins_and_is_told(store):
    store.write("site", body((up(), [(NOW, 1.0), (NOW + 1000, 2.0)])))
    assert store.write("site", body((up(), [(NOW + 1000, 3.0)]))) == Written(1, duplicates=1)
    assert store.write("site", body((up(), [(NOW, 4.0), (NOW - 5, 5.0)]))) == Written(2, out_of_order=2)
    expected = {"a": [(NOW - 5, 5.0), (NOW, 4.0), (NOW + 1000, 3.0)]}
    assert every(store) == expected
    store.seal()
    assert every(store) == expected
    assert store.write("site", body((up(), [(NOW, 6.0)]))) == Written(1, out_of_order=1)
    expected["a"][1] = (NOW, 6.0)
    assert every(store) == expected
    store.seal()
    assert every(store) == expected


def test_one_series_has_one_number_however_its_labels_are_spelled(store):
    odd = label("instance", "a") + label("__name__", "up") + label("empty", "")
    for k in range(3):
        bodies = [odd + sample(NOW + k, 1.0), sample(NOW + 10 + k, 1.0) + odd]
        bodies.append(label("instance", "a") + sample(NOW + 20 + k, 1.0) + label("__name__", "up"))
        for one in bodies:
            store.write("site", bytes(cramjam.snappy.compress_raw(field(1, one))))
    store.append("site", Samples([tuple(up())], [[NOW + 30]], [[1.0]]))
    assert store.stats()["series"] == 1 and len(every(store)["a"]) == 10


def test_tenants_do_not_see_each_other(place):
    store = place.open()
    for tenant in ("site", "genomics"):
        store.write(tenant, body((up(tenant), [(NOW, 1.0)])))
    store.seal(["site"])
    store = place.open()
    assert [every(store, tenant) for tenant in store.tenants()] == [
        {"genomics": [(NOW, 1.0)]},
        {"site": [(NOW, 1.0)]},
    ]


def test_a_log_is_trimmed_only_when_every_tenant_is_sealed(place, monkeypatch):
    monkeypatch.setattr("weatherglass.metrics.store._SEGMENT_BYTES", 1)  # a segment a write
    store = place.open()
    store.write("late", body((up("kept"), [(NOW, 1.0)])))
    store.write("site", body((up(), [(NOW, 1.0)])))
    store.seal(["site"])
    store = place.open()
    assert every(store, "late") == {"kept": [(NOW, 1.0)]}
    assert every(store) == {"a": [(NOW, 1.0)]}
    store.seal()
    store.write("site", body((up(), [(NOW + 1, 1.0)])))
    store.seal()
    assert len(list((place.folder / "metrics/log").iterdir())) <= 2


REFUSED = {
    "not snappy": (b"\xff\xff\xff", Invalid),
    "too large when unpacked": (b"\x80\x80\x80\x80\x04" + b"\0" * 20, TooLarge),
    "not protobuf": (bytes(cramjam.snappy.compress_raw(b"\x0a\xff")), Invalid),
    "no name": (body(([("instance", "a")], [(NOW, 1.0)])), Invalid),
    "a label twice": (body(([*up(), ("instance", "b")], [(NOW, 1.0)])), Invalid),
    "too many labels": (body((up(**{f"l{k}": "x" for k in range(70)}), [(NOW, 1.0)])), LimitExceeded),
    "a long value": (body((up("x" * 5000), [(NOW, 1.0)])), LimitExceeded),
    "a time beyond reason": (body((up(), [(2**60, 1.0)])), Invalid),
    "one bad among good": (body((up(), [(NOW, 1.0)]), ([], [(NOW, 1.0)])), Invalid),
}


@pytest.mark.parametrize(("data", "error"), REFUSED.values(), ids=REFUSED)
def test_refused_whole(store, data, error):
    with pytest.raises(error):
        store.write("site", data)
    assert every(store) == {} and store.stats().get("series", 0) == 0 and store.label_names("site") == []


def test_other_encodings_are_refused_and_none_is_taken(store):
    with pytest.raises(Invalid, match="gzip"):
        store.write("site", b"", "gzip")
    assert store.write("site", request([(up(), [(NOW, 1.0)])]), "").stored == 1
    assert store.write("site", body()) == Written(0)


def test_limits_of_series_and_rate(place):
    limits = SeriesLimits(series=2, samples_per_s=100)
    store = place.open(limits=lambda tenant: limits)
    store.write("site", body((up("a"), [(NOW, 1.0)]), (up("b"), [(NOW, 1.0)])))
    with pytest.raises(LimitExceeded, match="2 series"):
        store.write("site", body((up("a"), [(NOW + 1, 1.0)]), (up("c"), [(NOW, 1.0)])))
    assert every(store) == {"a": [(NOW, 1.0)], "b": [(NOW, 1.0)]}
    flood = [(NOW + k, math.nan) for k in range(1, 990)]
    assert store.write("site", body((up("a"), flood))).stored == 989
    with pytest.raises(LimitExceeded, match="100 samples a second"):
        store.write("site", body((up("a"), [(NOW + 2000 + k, 1.0) for k in range(50)])))
    place.clock.advance(1)
    assert store.write("site", body((up("a"), [(NOW + 2000 + k, 1.0) for k in range(50)]))).stored == 50


def test_samples_past_retention_are_told_and_blocks_go(place):
    store = place.open(retention_s=3600)
    store.write("site", body((up(), [(NOW - 3_000_000, 1.0)])))
    store.seal()
    written = store.write("site", body((up(), [(NOW - 4_000_000, 1.0), (NOW, 2.0)]), (up("b"), [(0, 1.0)])))
    assert written == Written(1, too_old=2)
    place.clock.step(-86400)
    assert store.retire() == 0
    place.clock.step(+30 * 86400)
    assert store.retire() == 0  # no sample is so new: the clock may have jumped
    place.clock.step(-29 * 86400)
    place.clock.advance(1000)
    store.write("site", body((up(), [(NOW + 1_000_000, 3.0)])))
    assert store.retire() == 1
    assert every(store) == {"a": [(NOW, 2.0), (NOW + 1_000_000, 3.0)]}
    assert [p.suffix for p in (place.folder / "metrics/blocks").iterdir()] == [".series"]
    assert every(place.open(retention_s=3600)) == {"a": [(NOW, 2.0), (NOW + 1_000_000, 3.0)]}


def test_labels_series_and_metadata(store):
    many = [(up(str(k), job="node"), [(NOW + k, 1.0)]) for k in range(5)]
    many.append(([("__name__", "load"), ("instance", "x")], [(NOW, 1.0)]))
    store.write("site", body(*many[:3]))
    store.seal()
    store.write("site", body(*many[3:]))
    assert store.label_names("site") == ["__name__", "instance", "job"]
    assert store.label_values("site", "instance") == ["0", "1", "2", "3", "4", "x"]
    load = [Matcher("__name__", "=", "load")]
    assert store.label_names("site", [load]) == ["__name__", "instance"]
    assert store.label_values("site", "instance", [load, [Matcher("instance", "=~", "[01]")]]) == [
        "0",
        "1",
        "x",
    ]
    assert store.series("site", [[Matcher("job", "=", "node")]], NOW + 4, NOW + 9) == [dict(many[4][0])]
    assert store.series("site", [[Matcher("job", "=", "node")]], NOW - 50, NOW - 9) == []
    with pytest.raises(Invalid, match="empty string"):
        store.series("site", [[Matcher("job", "=~", ".*")]])
    told = field(3, b"\x08\x01" + field(2, b"up") + field(4, b"Whether it is up.") + field(5, b""))
    store.write("site", told, "")
    assert store.metadata("site") == {"up": {"type": "counter", "help": "Whether it is up.", "unit": ""}}
    assert store.metadata("nobody") == {}


def test_queries_go_to_promql(store):
    store.write("site", body((up("a"), [(NOW, 1.0)]), (up("b"), [(NOW, 2.0)])))
    assert store.query("site", "sum(up)", NOW + 1).values.tolist() == [[3.0]]
    found = store.query_range("site", "up", NOW, NOW + 60_000, 30_000)
    assert found.type == "matrix" and found.values.shape == (2, 3)
    assert store.query_range("site", "up", NOW, NOW, 30_000).type == "matrix"


def test_the_sealer_seals_full_and_aged_heads(place):
    store = place.open(sealer=Sealer(every_s=0.02, samples_a_series=100, age_s=7200))
    store.write("site", body((up("a"), [(NOW + k, 1.0) for k in range(100)])))
    _until(lambda: store.stats()["blocks"] == 1)
    store.write("site", body((up("a"), [(NOW + 200, 1.0)])))
    place.clock.advance(7201)
    _until(lambda: store.stats()["blocks"] == 2)
    assert len(every(store)["a"]) == 101


def _until(true):
    for _ in range(300):
        if true():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it did not come to be within 6 s")


def test_writers_readers_and_sealer_at_once(place):
    store = place.open(sealer=Sealer(every_s=0.01, samples_a_series=40))
    failures = []

    def write(name):
        try:
            for k in range(0, 300, 3):
                store.write("site", body((up(name), [(NOW + k + j, float(k + j)) for j in range(3)])))
        except Exception as error:  # noqa: BLE001 (told by the assertion below)
            failures.append(error)

    threads = [threading.Thread(target=write, args=(f"w{k}",)) for k in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for samples in every(store).values():
            assert samples == [(NOW + k, float(k)) for k in range(len(samples))]
    assert not failures
    expected = {f"w{k}": [(NOW + j, float(j)) for j in range(300)] for k in range(4)}
    assert every(store) == expected and store.stats()["seals"] > 1
    assert every(place.open()) == expected


def test_a_stopped_store_says_so(place):
    store = place.open()
    place.close()
    with pytest.raises(Unavailable):
        store.write("site", body((up(), [(NOW, 1.0)])))


def test_decay_of_a_block_is_told_with_its_place(place):
    store = place.open()
    store.write("site", body((up(), [(NOW + k, float(np.sin(k))) for k in range(900)])))
    store.seal()
    (path,) = (place.folder / "metrics/blocks").glob("*.block")
    sound = path.read_bytes()
    for at in (3, 9, 200, len(sound) - 60, len(sound) - 20, len(sound) - 2):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 0x41]) + sound[at + 1 :])
        with pytest.raises(Corrupt, match=path.name):
            every(place.open())
    path.write_bytes(sound)
    assert len(every(place.open())["a"]) == 900


def test_migrations_and_tables_agree(place):
    assert place.tables.differences({"metrics": TABLES}) == []
    assert dataclasses.asdict(SeriesLimits())["series"] > 0


def test_series_that_nothing_holds_any_more_are_forgotten(place):
    store = place.open(retention_s=3600, limits=lambda tenant: SeriesLimits(series=2100))
    many = [(up(f"gone-{k}"), [(NOW, 1.0)]) for k in range(2000)]
    store.write("site", body(*many))
    store.seal()
    store.write("site", body((up("stays"), [(NOW, 1.0), (NOW + 4_000_000, 2.0)])))
    with pytest.raises(LimitExceeded):
        store.write("site", body(*[(up(f"new-{k}"), [(NOW, 1.0)]) for k in range(200)]))
    place.clock.advance(4000)
    assert store.retire() == 1 and store.stats()["forgotten_series"] == 2000
    for _ in range(3):
        assert store.stats()["series"] == len(store.label_values("site", "instance"))
        assert "stays" in store.label_values("site", "instance")
        assert every(store)["stays"] == [(NOW, 1.0), (NOW + 4_000_000, 2.0)]
        store.write("site", body((up("gone-7"), [(NOW + 4_000_000, 7.0)])))
        store.write("site", body(*[(up(f"new-{k}"), [(NOW + 4_000_000, 1.0)]) for k in range(200)]))
        store.seal()
        assert every(store)["gone-7"] == [(NOW + 4_000_000, 7.0)] and len(every(store)) == 202
        store = place.open(retention_s=3600)
