"""The small ones on real files: files, blobs, bus, actions."""

import errno
import os
import threading
import time

import pytest

from engine.powercut import PowerCutFiles
from weatherglass.base.errors import Conflict, Invalid, NotFound, Unavailable
from weatherglass.engine.actions import Actions
from weatherglass.engine.blobs import Blobs, content_key
from weatherglass.engine.bus import LocalBus
from weatherglass.engine.files import RealFiles
from weatherglass.engine.protocols import ActionRegistry, Bus, Outcome, Request


@pytest.fixture(params=["real", "model"])
def files(request, tmp_path):
    """Both behave the same towards who does not pull the plug; `files.top` is a folder to work in."""
    made = RealFiles() if request.param == "real" else PowerCutFiles()
    made.top = str(tmp_path)
    made.mkdir(tmp_path)
    return made


def test_files_behave_as_files(files):
    top = files.top
    file = files.create(f"{top}/a")
    file.write(b"hello ")
    file.write(b"world")
    file.sync()
    assert file.tell() == 11
    file.truncate(5)
    file.write(b"!")
    file.close()
    again = files.open_append(f"{top}/a")
    again.write(b"?")
    again.close()
    assert files.read(f"{top}/a") == b"hello!?"
    assert (
        files.read(f"{top}/a", 2, 3) == b"llo"
        and files.read(f"{top}/a", 5, 99) == b"!?"
        and files.read(f"{top}/a", 9) == b""
    )
    assert files.size(f"{top}/a") == 7
    files.write_atomic(f"{top}/b", b"1")
    files.write_atomic(f"{top}/b", b"2")
    files.rename(f"{top}/a", f"{top}/c")
    files.mkdir(f"{top}/d/e")
    files.mkdir(f"{top}/d/e")
    assert files.listdir(top) == ["b", "c", "d"]
    assert files.read(f"{top}/b") == b"2"
    assert files.is_dir(f"{top}/d") and not files.is_dir(f"{top}/c") and not files.exists(f"{top}/a")
    files.rename(f"{top}/d/e", f"{top}/e")
    files.rmdir(f"{top}/e")
    files.unlink(f"{top}/c")
    assert files.listdir(top) == ["b", "d"]


@pytest.mark.parametrize(
    ("call", "number"),
    [
        (lambda files, top: files.read(f"{top}/none"), errno.ENOENT),
        (lambda files, top: files.size(f"{top}/none"), errno.ENOENT),
        (lambda files, top: files.create(f"{top}/none/x"), errno.ENOENT),
        (lambda files, top: files.create(f"{top}/file"), errno.EEXIST),
        (lambda files, top: files.unlink(f"{top}/none"), errno.ENOENT),
        (lambda files, top: files.listdir(f"{top}/file"), errno.ENOTDIR),
        (lambda files, top: files.read(f"{top}/file/x"), errno.ENOTDIR),
        (lambda files, top: files.read(f"{top}/folder"), errno.EISDIR),
        (lambda files, top: files.rmdir(f"{top}/folder"), errno.ENOTEMPTY),
    ],
)
def test_files_fail_as_files(files, call, number):
    files.write_atomic(f"{files.top}/file", b"")
    files.mkdir(f"{files.top}/folder/inner")
    with pytest.raises(OSError) as failure:
        call(files, files.top)
    assert failure.value.errno == number


def test_write_atomic_that_fails_leaves_the_old_and_nothing_else(tmp_path, monkeypatch):
    files = RealFiles()
    files.write_atomic(tmp_path / "a", b"old")

    def fail(fd):
        raise OSError(errno.EIO, "failing on purpose")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="on purpose"):
        files.write_atomic(tmp_path / "a", b"new")
    assert files.listdir(tmp_path) == ["a"] and files.read(tmp_path / "a") == b"old"


def test_blobs(files):
    blobs = Blobs(f"{files.top}/blobs", files=files)
    key = content_key(b"data")
    assert len(key) == 64
    blobs.put(f"blocks/{key}", b"data")
    blobs.put("blocks/other", b"1")
    blobs.put("blocks/other", b"2")
    blobs.put("top", b"3")
    assert blobs.get(f"blocks/{key}") == b"data" and blobs.get("blocks/other") == b"2"
    assert blobs.list() == sorted([f"blocks/{key}", "blocks/other", "top"])
    assert blobs.list("blocks/ot") == ["blocks/other"] and blobs.list("none/x") == []
    assert blobs.exists("top") and not blobs.exists("blocks") and not blobs.exists("gone")
    blobs.delete("top")
    blobs.delete("top")
    for key in ("top", "blocks", "top/x", "none/x"):
        with pytest.raises(NotFound):
            blobs.get(key)


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a/.hidden", "a\0b", "a\nb", "ä", "x.tmp"]
)
def test_keys_that_could_leave_the_folder(tmp_path, key):
    with pytest.raises(Invalid):
        Blobs(tmp_path).put(key, b"")


def test_a_blob_on_a_full_disk_leaves_nothing(tmp_path):
    files = PowerCutFiles(space=10)
    blobs = Blobs("/blobs", files=files)
    with pytest.raises(Unavailable, match="No space left"):
        blobs.put("a", b"x" * 20)
    assert files.listdir("/blobs") == []


def test_bus_topics_order_and_closing():
    bus: Bus = LocalBus()
    some, every = bus.subscribe("state", "deploy"), bus.subscribe()
    for number, topic in enumerate(("state", "log", "deploy")):
        bus.publish(topic, {"n": number})
    assert [some.get(0), some.get(0), some.get(0)] == [("state", {"n": 0}), ("deploy", {"n": 2}), None]
    assert [every.get(0)[1]["n"] for _ in range(3)] == [0, 1, 2]
    some.close()
    bus.publish("state", {})
    assert some.get(0) is None and every.get(0) == ("state", {})


def test_a_slow_reader_loses_the_oldest_and_is_told():
    bus = LocalBus(depth=3)
    slow = bus.subscribe("state")
    for number in range(10):
        bus.publish("state", {"n": number})
    assert slow.lost == 7
    assert [slow.get(0)[1]["n"] for _ in range(3)] == [7, 8, 9]


def test_a_waiting_reader_is_woken_by_message_and_by_close():
    bus = LocalBus()
    waiting = bus.subscribe("state")
    threading.Timer(0.03, bus.publish, ("state", {"n": 1})).start()
    began = time.monotonic()
    assert waiting.get(30) == ("state", {"n": 1}) and time.monotonic() - began < 5
    threading.Timer(0.03, waiting.close).start()
    began = time.monotonic()
    assert waiting.get(30) is None and time.monotonic() - began < 5


def test_actions_are_asked_refused_and_named():
    actions: ActionRegistry = (made := Actions())
    actions.register(
        "deploy.restart", lambda request: Outcome(True, reference=request.entity), "Restarts a replica."
    )
    assert (
        actions.ask(Request("deploy.restart", "replica/a.1@h", "health", "hung")).reference == "replica/a.1@h"
    )
    with pytest.raises(NotFound, match="did you mean deploy"):
        actions.ask(Request("deploy.restrat", "replica/a.1@h", "ada", "typo"))
    with pytest.raises(Conflict):
        actions.register("deploy.restart", lambda request: Outcome(False), "Again.")
    assert made.known() == {"deploy.restart": "Restarts a replica."}
