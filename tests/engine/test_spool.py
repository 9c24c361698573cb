"""The spool on real files: order over restarts, the bound, flat memory, damage."""

import os
import resource
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Corrupt, Invalid, TooLarge
from weatherglass.engine.spool import Spool

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.binary(max_size=300)),
        st.tuples(st.just("take"), st.integers(1, 900)),
        st.tuples(st.just("done"), st.integers(0, 5)),
        st.tuples(st.just("reopen"), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_it_is_a_queue_that_forgets_nothing_unasked(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("spool")
    spool, waiting, offset = Spool(folder, 1 << 20), [], 0
    for step, value in steps:
        if step == "put":
            assert spool.put("k", value) == offset
            waiting.append((offset, "k", value))
            offset += 1
        elif step == "take":
            batch = spool.take(value)
            assert batch == waiting[: len(batch)] and bool(batch) == bool(waiting)
            assert len(batch) <= 1 or sum(len(body) for _, _, body in batch) <= value
        elif step == "done" and waiting:
            upto = waiting[min(value, len(waiting) - 1)][0]
            spool.done(upto)
            waiting = [one for one in waiting if one[0] > upto]
        elif step == "reopen":
            spool.close()
            spool = Spool(folder, 1 << 20)
        assert len(spool) == len(waiting)
    assert spool.dropped == 0
    spool.close()


def test_what_was_put_after_an_offset_is_read_again_handed_over_or_not(tmp_path):
    spool = Spool(tmp_path, 60_000)
    put = [(n, "ab"[n % 2], os.urandom(100)) for n in range(20)]
    for _, kind, body in put:
        spool.put(kind, body)
    spool.done(9)
    for offset in (-1, 4, 9, 18, 19, 500):
        assert list(spool.after(offset)) == put[offset + 1 :]
    spool.close()
    spool = Spool(tmp_path, 60_000)
    assert list(spool.after(4)) == put[5:] and len(spool) == 10
    for _ in range(300):
        spool.put("c", os.urandom(1000))
    left = [offset for offset, _, _ in spool.after(-1)]
    assert left == list(range(left[0], 320)) and left[0] > 20, "what was dropped is passed over"
    spool.close()


def test_over_the_bound_the_oldest_go_and_are_counted(tmp_path):
    spool = Spool(tmp_path, 200_000)
    bodies = [os.urandom(1000) for _ in range(600)]
    for body in bodies:
        spool.put("samples", body)
        assert spool.size_bytes <= 200_000
    kept = [body for _, _, body in spool.take(1 << 30)]
    assert kept == bodies[-len(kept) :] and len(kept) + spool.dropped == 600
    assert len(kept) > 150, "most of the room is used"
    spool.close()
    again = Spool(tmp_path, 200_000)
    assert again.dropped == 600 - len(kept) and len(again) == len(kept)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 201_000


def test_what_was_handed_over_is_not_counted_as_dropped(tmp_path):
    spool = Spool(tmp_path, 60_000)
    for _ in range(300):
        spool.put("k", os.urandom(1000))
        spool.done(spool.take(1)[0][0])
    assert spool.dropped == 0 and len(spool) == 0 and spool.take() == []


def test_several_put_while_one_takes(tmp_path):
    spool = Spool(tmp_path)
    threads = [
        threading.Thread(target=lambda name=name: [spool.put(name, b"%d" % number) for number in range(100)])
        for name in "abc"
    ]
    got = []
    for thread in threads:
        thread.start()
    while len(got) < 300:
        if batch := spool.take(50):
            spool.done(batch[-1][0])
            got += batch
    for thread in threads:
        thread.join()
    assert [offset for offset, _, _ in got] == list(range(300))
    for name in "abc":
        assert [body for _, kind, body in got if kind == name] == [b"%d" % number for number in range(100)]


HOUR = """
import os, resource, sys
from weatherglass.engine.spool import Spool
spool = Spool(sys.argv[1])
piece = os.urandom(1 << 16)
def put(count):
    for number in range(count):
        spool.put("samples", piece)
put(20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
put(720)
taken = 0
while batch := spool.take():
    taken += len(batch)
    spool.done(batch[-1][0])
print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_an_hour_without_the_server_keeps_all_in_flat_memory(tmp_path):
    """720 batches, one each 5 s, of 64 KiB that do not compress: 47 MB."""
    said = subprocess.run(
        [sys.executable, "-c", HOUR, tmp_path], capture_output=True, text=True, check=True
    ).stdout
    taken, grown = map(int, said.split())
    assert taken == 740
    assert grown * (resource.getpagesize() // 4096) < 8 << 10, "KiB"


def test_what_cannot_be_put(tmp_path):
    spool = Spool(tmp_path, 100_000)
    with pytest.raises(TooLarge):
        spool.put("k", os.urandom(60_000))
    for kind in ("", "k" * 256):
        with pytest.raises(Invalid):
            spool.put(kind, b"")


def test_a_damaged_place_is_named(tmp_path):
    Spool(tmp_path).put("k", b"x")
    (tmp_path / "place.json").write_text("{")
    with pytest.raises(Corrupt, match="all is sent again"):
        Spool(tmp_path)
    (tmp_path / "place.json").unlink()
    assert len(Spool(tmp_path)) == 1
