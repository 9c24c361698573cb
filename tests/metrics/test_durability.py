"""What was acknowledged is there after a power cut, a failing disk, a full one, and kill -9."""

import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from engine.powercut import PowerCutFiles, every_cut, every_fault
from kernels.protobuf import request

from metrics.conftest import Place
from weatherglass.base.errors import Unavailable
from weatherglass.engine.files import RealFiles
from weatherglass.engine.protocols import Samples
from weatherglass.metrics import Matcher, Policy, Rollup, fsck
from weatherglass.metrics.histogram import Histogram
from weatherglass.metrics.native import NativeSamples

NOW = 1_800_000_000_000
STEPS = ["new a", "new b", "seal", "new c", "late a", "seal", "new d", "new e"]
"""Each but `seal` writes some series, one of them new, some samples over again with another value."""


def batch(number, step):
    name = step.split()[1]
    late = -5 if step.startswith("late") else 0
    return [
        (name, NOW + 10 + 10 * number + late, float(number)),
        ("a", NOW + 11 + 10 * number + late, number / 4),
        ("a", NOW, float(number)),
    ]


class Scenario:
    """A store on the power-cut model. Its tables are on a real disk: SQLite's own durability is not in question,
    and what it had committed when the power went is what the check finds."""

    def __init__(self, blank, folder):
        self.blank, self.folder, self.runs = blank, folder, 0
        self.place = None

    def run(self, files, acked):
        if self.place:
            self.place.tables.close()
        self.runs += 1
        self.place = Place(self.folder / str(self.runs), self.blank, files, Path("/metrics"))
        store = None
        try:
            for number, step in enumerate(STEPS):
                try:
                    store = store or self.place.open()
                    if step == "seal":
                        store.seal()
                        continue
                    samples = batch(number, step)
                    labels = [[("__name__", "m"), ("n", name)] for name, _, _ in samples]
                    many = [(one, [(t, v)]) for one, (_, t, v) in zip(labels, samples, strict=True)]
                    store.write("t", request(many), "")
                    acked.append(number)
                except (Unavailable, OSError):
                    continue
        finally:
            self.place.close()

    def check(self, files, acked):
        place = Place(self.place.folder, self.blank, files, Path("/metrics"))
        try:
            store = place.open()
            self.hold(store, acked)
            store.write("t", request([([("__name__", "m"), ("n", "after")], [(NOW, 1.0)])]), "")
            assert len(seen(store)["after"]) == 1
        finally:
            place.close()
            place.tables.close()

    @staticmethod
    def hold(store, acked):
        """Every acknowledged sample; of those not acknowledged a whole batch or nothing of it."""
        there = seen(store)
        there.pop("after", None)  # of a check that was itself cut short
        written = [number for number, step in enumerate(STEPS) if step != "seal"]
        stored = []
        for number in written:
            unique = batch(number, STEPS[number])[:2]
            hits = [there.get(name, {}).get(t) == v for name, t, v in unique]
            assert all(hits) or (not any(hits) and number not in acked), (number, acked, there)
            stored += [number] * all(hits)
        assert there.get("a", {}).get(NOW) == (float(stored[-1]) if stored else None)
        assert sum(map(len, there.values())) == 2 * len(stored) + bool(stored)


def seen(store):
    found = store.select("t", [Matcher("__name__", "=", "m")], NOW - 1000, NOW + 1000)
    return {
        dict(labels)["n"]: dict(zip(times.tolist(), values.tolist(), strict=True))
        for labels, times, values in zip(found.labels, found.times, found.values, strict=True)
    }


@pytest.fixture
def scenario(blank_tables, tmp_path):
    one = Scenario(blank_tables, tmp_path)
    yield one
    one.place.tables.close()


def test_a_power_cut_anywhere_loses_nothing_acknowledged(scenario):
    assert every_cut(scenario.run, scenario.check, samples=2, every=2) > 150


def test_a_failing_or_full_disk_anywhere_loses_nothing_acknowledged(scenario):
    assert every_fault(scenario.run, scenario.check, samples=1, cuts=1) > 150


LIFE = [
    "write", "seal", "write", "seal", "delete", "write", "late", "seal", "clean", "compact", "write", "seal", "age",
]  # fmt: skip
ROLLED = Policy("m", (Matcher("__name__", "=", "m"),), 3_000, (Rollup(20, ("mean", "max")),))


class Life(Scenario):
    """Roll-ups, histograms, deletion, cleaning, merging and retention, cut anywhere: of what was acknowledged nothing
    is lost but what was deleted or is past its age, nothing deleted comes back, and roll-ups agree with the samples."""

    @staticmethod
    def opened(place):
        return place.open(policies=lambda tenant: (ROLLED,), retention_s=3600)

    def run(self, files, acked):
        if self.place:
            self.place.tables.close()
        self.runs += 1
        self.place = Place(self.folder / str(self.runs), self.blank, files, Path("/metrics"))
        store = None
        try:
            for number, step in enumerate(LIFE):
                try:
                    store = store or self.opened(self.place)
                    if step in ("seal", "clean", "compact"):
                        getattr(store, step)()
                    elif step == "delete":
                        acked.append("?delete")  # it may have come through though it raised
                        store.delete("t", [[Matcher("n", "=", "a")]], NOW + 5, NOW + 12)
                        acked.append("delete")
                    elif step == "age":
                        self.place.clock.advance(86400)
                        store.write("t", request([(self.labels("new"), [(NOW + 4000, 1.0)])]), "")
                        store.seal()
                        store.retire()
                    else:
                        time = NOW + (number * 10 if step == "write" else 3)
                        samples = [(time + k, float(number + k)) for k in range(5)]
                        store.write("t", request([(self.labels(n), samples) for n in "ab"]), "")
                        acked.append((number, samples))
                        one = Histogram(count=float(number))
                        labels = tuple(self.labels("h"))
                        store.append_histograms("t", NativeSamples([labels], [[time]], [[one]]))
                        acked.append(("h", time, one))
                except (Unavailable, OSError):
                    continue
        finally:
            self.place.close()

    @staticmethod
    def labels(name):
        return [("__name__", "m"), ("n", name)]

    def check(self, files, acked):
        # The check seals, and the next one wants the tables as the cut left them.
        copy = self.folder / "check"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.place.folder, copy)
        place = Place(copy, self.blank, files, Path("/metrics"))
        place.clock.advance(30)
        try:
            store = self.opened(place)
            expected = {}
            deleted = "delete" in acked
            for entry in acked:
                if entry == "delete":
                    expected = {t: v for t, v in expected.items() if not NOW + 5 <= t <= NOW + 12}
                elif isinstance(entry[0], int):
                    expected.update(dict(entry[1]))
            for name in "ab":
                found = store.select("t", [Matcher("n", "=", name)], NOW - 1000, NOW + 3000)
                there = (
                    dict(zip(found.times[0].tolist(), found.values[0].tolist(), strict=True))
                    if found.times
                    else {}
                )
                coarse = any(t % 20 == 19 for t in there) and len(there) < len(expected) / 2
                if coarse or not expected:
                    continue  # past raw retention, rolled up
                missing = {t for t in expected if there.get(t) not in (expected[t], *self.perhaps(acked, t))}
                if name == "a" and "?delete" in acked:
                    missing = {t for t in missing if not NOW + 5 <= t <= NOW + 12}
                    again = {t for one in acked if isinstance(one[0], int) and one[0] > 4 for t, _ in one[1]}
                    if deleted:
                        assert not {t for t in there if NOW + 5 <= t <= NOW + 12} - again - self.unsure(acked)
                assert not {t for t in missing if name == "b" or t not in range(NOW + 5, NOW + 13)}, (
                    name,
                    acked,
                )
                self.agree(store, name, there)
            native = store.select("t", [Matcher("n", "=", "h")], NOW - 1000, NOW + 3000).histograms
            held = dict(zip(native[0][0].tolist(), native[0][1], strict=True)) if native else {}
            if held:  # unless past their age
                assert not {entry[1] for entry in acked if entry[0] == "h" and held.get(entry[1]) != entry[2]}
            store.append("t", Samples([tuple(self.labels("after"))], [[NOW + 5000]], [[1.0]]))
            store.seal()
        finally:
            place.close()
            place.tables.close()

    @staticmethod
    def unsure(acked):
        """Instants that a write touched which was not acknowledged (it may be there)."""
        return {NOW + 3 + k for k in range(5)}

    @staticmethod
    def perhaps(acked, t):
        """What the late write put over an instant, where it was not acknowledged: it may be there."""
        late = LIFE.index("late")
        known = any(entry[0] == late for entry in acked if not isinstance(entry, str))
        return () if known or not NOW + 3 <= t < NOW + 8 else (float(late + t - NOW - 3),)

    @staticmethod
    def agree(store, name, there):
        found = store.rollup("t", [Matcher("n", "=", name)], 0.02, "max", NOW - 1000, NOW + 3000)
        rolled = (
            dict(zip(found.times[0].tolist(), found.values[0].tolist(), strict=True)) if found.times else {}
        )
        expected = {}
        for t, v in there.items():
            expected[t // 20 * 20] = max(v, expected.get(t // 20 * 20, v))
        assert rolled == expected


@pytest.fixture
def life(blank_tables, tmp_path):
    one = Life(blank_tables, tmp_path)
    yield one
    one.place.tables.close()


def test_a_power_cut_in_the_life_of_data_loses_and_brings_back_nothing(life):
    assert every_cut(life.run, life.check, samples=0, every=140) > 10


@pytest.mark.long
def test_a_power_cut_at_every_other_point_of_the_life_of_data(life):
    assert every_cut(life.run, life.check, samples=2, every=2) > 1000


@pytest.mark.long
def test_a_failing_or_full_disk_in_the_life_of_data(life):
    assert every_fault(life.run, life.check, samples=0, cuts=0) > 100


def test_a_full_disk_refuses_writes_and_touches_nothing(blank_tables, tmp_path):
    files = PowerCutFiles(space=3000)
    place = Place(tmp_path / "state", blank_tables, files, Path("/metrics"))
    store = place.open()
    labels = [("__name__", "m"), ("n", "a")]
    store.write("t", request([(labels, [(NOW + k, float(k)) for k in range(150)])]), "")
    before, stats = seen(store), store.stats()
    fresh = [("__name__", "m"), ("n", "fresh")]
    for _ in range(3):
        with pytest.raises(Unavailable):
            store.write(
                "t", request([(one, [(NOW + k, 9.0) for k in range(400)]) for one in (labels, fresh)]), ""
            )
    assert seen(store) == before and store.label_values("t", "n") == ["a"]
    with pytest.raises((Unavailable, OSError)):
        files.space = files.used()
        store.seal()
    assert seen(store) == before
    files.space = None
    store.write("t", request([(fresh, [(NOW, 9.0)])]), "")
    assert store.seal() == 1
    expected = {**before, "fresh": {NOW: 9.0}}
    assert seen(store) == expected and seen(place.open()) == expected
    assert store.stats()["stored"] == stats["stored"] + 1
    place.close()
    place.tables.close()


WRITER = """
import os, struct, sys
from pathlib import Path
from weatherglass.base.time import SystemClock
from weatherglass.engine.files import RealFiles
from weatherglass.engine.protocols import Samples
from weatherglass.engine.tables import Tables
from weatherglass.metrics import Matcher, Metrics, Policy, Rollup, Sealer, granularity, promql, rolling

NOW = 1_700_000_000_000
POLICY = Policy("m", (Matcher("__name__", "=", "m"),), None, (Rollup(50, ("mean", "95pct")),))

def told(*numbers):
    os.write(1, struct.pack(f"<{len(numbers)}q", *numbers))

def write(folder, first):
    told(os.getpid())
    tables = Tables(folder / "tables.db")
    store = Metrics(folder / "metrics", files=RealFiles(), tables=tables, clock=SystemClock(), retention_s=None,
                    policies=lambda tenant: (POLICY,), sealer=Sealer(every_s=0.01, samples_a_series=30))
    store.start()
    for k in range(first, 10**9):
        series = [(("__name__", "m"), ("n", str((k // 50 + j) % 40))) for j in range(3)]
        store.append("t", Samples(series, [[NOW + k]] * 3, [[k / 8 + j] for j in range(3)]))
        told(k)
        if k % 97 == 0:
            store.compact()
        if k % 211 == 0:
            store.delete("gone", [[Matcher("n", "=", "1")]], 0, 1)
            store.clean("t")

# One process imports everything; each life is a fork of it.
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        write(Path(sys.argv[1]), int(line))
    os.waitpid(pid, 0)
    told(-1)
"""


def kills(blank_tables, lives, seconds):
    """Kills the store so many times amid its work; how many samples it had acknowledged, how many were not there."""
    folder = Path(tempfile.mkdtemp(prefix="metrics-kill-"))
    shutil.copy(blank_tables, folder / "tables.db")
    chance, first, lost = random.Random(lives), 0, 0
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )

    def heard():
        return struct.unpack("<q", process.stdout.read(8))[0]

    try:
        for life in range(lives):
            process.stdin.write(f"{first}\n".encode())
            process.stdin.flush()
            pid = heard()
            acked = first - 1
            if life % 5:  # every fifth dies while it starts
                acked = heard()
            time.sleep(chance.uniform(*seconds) / (1 if life % 5 else 4))
            os.kill(pid, signal.SIGKILL)
            while (number := heard()) >= 0:
                acked = number
            if life % 5 == 4 or life == lives - 1:
                lost += missing(folder, blank_tables, acked)
            first = acked + 1
    finally:
        process.stdin.close()
        process.wait(10)
        shutil.rmtree(folder)
    return 3 * first, lost


def missing(folder, blank_tables, acked):
    """How many of the acknowledged samples are not there. What was not acknowledged may be, if it is as it was sent."""
    place = Place(folder, blank_tables)
    try:
        store = place.open(retention_s=None)
        found = store.select("t", [Matcher("__name__", "=", "m")], 0, 1 << 50)
        got = {
            (dict(labels)["n"], t - 1_700_000_000_000, v)
            for labels, times, values in zip(found.labels, found.times, found.values, strict=True)
            for t, v in zip(times.tolist(), values.tolist(), strict=True)
        }
        expected = {(str((k // 50 + j) % 40), k, k / 8 + j) for k in range(acked + 2) for j in range(3)}
        assert not got - expected
        count = store.rollup("t", [Matcher("__name__", "=", "m")], 0.05, "count", 0, 1 << 50)
        assert sum(values.sum() for values in count.values) == len(got)
        place.close()
        assert fsck.check(place.metrics_folder, place.tables, RealFiles()).sound
        return len({one for one in expected if one[1] <= acked} - got)
    finally:
        place.close()
        place.tables.close()


def test_kill_9_loses_nothing_acknowledged(blank_tables):
    acknowledged, lost = kills(blank_tables, 20, (0.05, 0.4))
    print(f"20 kills: {acknowledged} samples acknowledged, {lost} lost")
    assert lost == 0 and acknowledged > 300


@pytest.mark.long
def test_two_hundred_kills_lose_nothing_acknowledged(blank_tables):
    acknowledged, lost = kills(blank_tables, 200, (0.05, 0.8))
    print(f"200 kills: {acknowledged} samples acknowledged, {lost} lost")
    assert lost == 0 and acknowledged > 3000
