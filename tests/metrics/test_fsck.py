"""The check of a metrics folder: sound ones pass, every flipped bit is found, repair loses nothing."""

import random

import numpy as np
import pytest

from metrics.conftest import Place
from weatherglass.engine.files import RealFiles
from weatherglass.engine.protocols import Samples
from weatherglass.metrics import Matcher, Policy, Rollup
from weatherglass.metrics.fsck import check
from weatherglass.metrics.histogram import Histogram, side
from weatherglass.metrics.native import NativeSamples

NOW = 1_800_000_000_000
NAME = [Matcher("__name__", "=", "m")]
POLICY = Policy("all", tuple(NAME), None, (Rollup(300_000, ("mean", "95pct")),))
OPTIONS = {"policies": lambda tenant: (POLICY,), "retention_s": None}


def labels(n):
    return (("__name__", "m"), ("n", str(n)))


def write(store, start, points, series=5):
    chance = np.random.default_rng(start)
    times = [NOW + 15_000 * (start + k) for k in range(points)]
    values = [np.round(chance.normal(50, 9, points), 2).tolist() for _ in range(series)]
    store.append("t", Samples([labels(n) for n in range(series)], [times] * series, values))


def everything(place):
    """A folder with a file of every kind, and a log with records of every kind."""
    place.clock.advance(86400)
    store = place.open(**OPTIONS)
    one = Histogram(count=3.0, sum=1.0, positive=side([0, 2], [1, 2]))
    for start in (0, 600):
        write(store, start, 600)
        store.append_histograms("t", NativeSamples([labels(1)], [[NOW + start]], [[one]]))
        store.seal()
    store.delete("t", [[Matcher("n", "=", "4")]], NOW, NOW + 60_000)
    for start in range(1200, 1230, 3):
        write(store, start, 3, 7)
        store.append_histograms("t", NativeSamples([labels(9)], [[NOW + start]], [[one]]))
    place.close()


def fsck(place, **options):
    return check(place.metrics_folder, place.tables, RealFiles(), **options)


def test_a_sound_folder_passes(place):
    assert fsck(place).findings == []
    everything(place)
    report = fsck(place)
    assert report.findings == [] and report.sound
    kinds = {path.suffix for path in (place.metrics_folder / "blocks").iterdir()}
    assert kinds == {".block", ".histograms", ".series", ".deleted"}
    assert report.files >= 8 and report.samples > 6000
    place.open(**OPTIONS)
    place.close()
    assert fsck(place).findings == []


def test_every_flipped_bit_is_found(place):
    everything(place)
    chance = random.Random(7)
    paths = sorted(path for path in place.metrics_folder.rglob("*") if path.is_file())
    for path in paths:
        sound = path.read_bytes()
        edges = [0, 8, 9, 11, 15, len(sound) - 1, len(sound) - 9, len(sound) - 13, len(sound) - 20]
        for at in edges + [chance.randrange(len(sound)) for _ in range(25)]:
            bit = 1 << chance.randrange(8)
            path.write_bytes(sound[:at] + bytes([sound[at] ^ bit]) + sound[at + 1 :])
            report = fsck(place)
            assert report.findings, (path.name, at, bit)
            assert any(str(path) in finding.where for finding in report.findings), report.findings
        path.write_bytes(sound)
    assert fsck(place).findings == []


@pytest.mark.parametrize("how", ["gone", "short", "long"])
def test_a_file_that_is_gone_or_of_another_length_is_told(place, how):
    everything(place)
    for path in sorted((place.metrics_folder / "blocks").iterdir()):
        sound = path.read_bytes()
        path.unlink()
        if how != "gone":
            path.write_bytes(sound[:-1] if how == "short" else sound + b"\0")
        report = fsck(place)
        assert not report.sound and any(str(path) in one.where for one in report.findings)
        path.write_bytes(sound)


def test_a_torn_end_of_the_log_is_a_note_and_decay_before_it_is_not(place):
    everything(place)
    path = max((place.metrics_folder / "log").glob("*.log"))
    sound = path.read_bytes()
    path.write_bytes(sound[:-5])
    report = fsck(place)
    assert report.sound and "behind the last whole group" in report.findings[0].what
    path.write_bytes(sound[:80] + b"\xff" + sound[81:])
    assert not fsck(place).sound


def test_repair_takes_away_orphans_and_makes_rollups_anew(place):
    everything(place)
    folder = place.metrics_folder / "blocks"
    (folder / "0000000000009999.block").write_bytes(b"of a crash")
    store = place.open(**OPTIONS)
    wanted = store.rollup("t", NAME, 300, "95pct", NOW, NOW + 10**8)
    rollup = store._partitions["t"].kept.rollups[0].path
    place.close()
    (folder / "0000000000009999.block").write_bytes(b"of a crash")
    sound = rollup.read_bytes()
    rollup.write_bytes(sound[:40] + b"\0\0" + sound[42:])
    report = fsck(place, repair=True)
    assert report.sound and {finding.repaired for finding in report.findings} == {True}
    assert fsck(place).findings == [] and not rollup.exists()
    store = place.open(**OPTIONS)
    write(store, 2000, 3)
    store.seal()
    found = store.rollup("t", NAME, 300, "95pct", NOW, NOW + 15_000 * 1100)
    for k, values in enumerate(found.values):
        np.testing.assert_allclose(values, wanted.values[k][: len(values)])
    assert store.stats()["rollup_samples"] > 0


def test_what_cannot_be_repaired_is_left_alone(place):
    everything(place)
    raw = min((place.metrics_folder / "blocks").glob("*.block"))
    sound = raw.read_bytes()
    raw.write_bytes(sound[:60] + b"\0\1\2" + sound[63:])
    report = fsck(place, repair=True)
    assert not report.sound and raw.exists()
    assert "backup" in report.findings[0].mend


def test_a_snapshot_while_writes_go_on_is_sound_and_opens(place, tmp_path, blank_tables):
    import threading

    store = place.open(**OPTIONS)
    write(store, 0, 600)
    stop, count = threading.Event(), [0]

    def writer():
        while not stop.is_set():
            store.append("t", Samples([labels("w")], [[NOW + count[0]]], [[float(count[0])]]))
            count[0] += 1

    thread = threading.Thread(target=writer)
    thread.start()
    try:
        while count[0] < 20:
            stop.wait(0.01)
        at_least = count[0]
        told = store.snapshot(tmp_path / "copy")
    finally:
        stop.set()
        thread.join()
    assert told["files"] >= 3
    other = Place(tmp_path / "copy", blank_tables)
    try:
        assert check(other.metrics_folder, other.tables, RealFiles()).findings == []
        again = other.open(**OPTIONS)
        (values,) = again.select("t", [Matcher("n", "=", "w")], NOW, NOW + 10**9).values
        assert len(values) >= at_least and values.tolist() == [float(k) for k in range(len(values))]
        assert len(again.select("t", NAME, NOW, NOW + 10**9).labels) == 6
    finally:
        other.close()
        other.tables.close()


def test_a_snapshot_is_put_back_into_an_empty_folder_only(place, tmp_path, blank_tables):
    from weatherglass.base.errors import Conflict, Invalid
    from weatherglass.metrics.snapshot import restore

    store = place.open(**OPTIONS)
    write(store, 0, 100)
    store.snapshot(tmp_path / "copy")
    with pytest.raises(Conflict):
        store.snapshot(tmp_path / "copy")
    (tmp_path / "back").mkdir()
    restore(tmp_path / "copy", tmp_path / "back", RealFiles())
    with pytest.raises(Conflict):
        restore(tmp_path / "copy", tmp_path / "back", RealFiles())
    with pytest.raises(Invalid):
        restore(tmp_path / "back" / "metrics", tmp_path / "other", RealFiles())
    other = Place(tmp_path / "back", blank_tables)
    try:
        found = other.open(**OPTIONS).select("t", NAME, NOW, NOW + 10**9)
        assert [len(times) for times in found.times] == [100] * 5
    finally:
        other.close()
        other.tables.close()
