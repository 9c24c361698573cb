"""Faults on real processes and, as root, on a real sized volume; nothing but the agent's own is touched."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time

import pytest

from agent.conftest import FakeHands, replica
from agent.test_probes import wait
from weatherglass.agent.faults import BALLAST, FAULTS, Faults
from weatherglass.agent.replicas import Replicas, parse_cgroups, parse_stat
from weatherglass.base.errors import Conflict, Invalid, NotFound
from weatherglass.base.time import SystemClock
from weatherglass.deploy import proc
from weatherglass.engine.protocols import Running, VolumeSeen

NAME = "db.1@here"


@pytest.fixture
def tree():
    """A process with two children, as a service has them, that has used a few of the kernel's ticks."""
    code = "import subprocess,sys,time\nc=[subprocess.Popen(['sleep','60']) for _ in '12']\n"
    code += "while time.process_time() < .04: pass\nprint(1,flush=True)\ntime.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    child.stdout.readline()
    yield child
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, 9)
    child.communicate()


@pytest.fixture
def faults(tmp_path):
    hands = FakeHands()
    return Faults(hands, tmp_path, SystemClock()), hands


def do(faults, **body):
    return faults.run(body, lambda share, text: None)


def states(pids):
    return {seen.state if (seen := proc.stat(pid)) else "gone" for pid in pids}


def test_stop_cont_and_kill_reach_the_whole_tree(faults, tree):
    injector, hands = faults
    hands.seen = [replica(NAME, tree.pid)]
    pids = [tree.pid, *proc.descendants(tree.pid)]
    assert len(pids) == 3
    before = time.time_ns()
    stopped = do(injector, fault="stop", replica=NAME)
    assert sorted(stopped["pids"]) == sorted(pids)
    assert before <= stopped["at_ns"] <= time.time_ns()
    wait(lambda: states(pids) == {"T"})
    do(injector, fault="cont", replica=NAME)
    wait(lambda: states(pids) == {"S"})
    do(injector, fault="stop", replica=NAME)
    killed = do(injector, fault="kill", replica=NAME)
    assert sorted(killed["pids"]) == sorted(pids)
    wait(lambda: states(pids) <= {"Z", "gone"})


def test_only_its_own_replicas(faults, tree):
    injector, hands = faults
    with pytest.raises(NotFound):
        do(injector, fault="kill", replica=NAME)
    hands.seen = [replica(NAME, 0, Running.EXITED)]
    with pytest.raises(Conflict):
        do(injector, fault="kill", replica=NAME)
    hands.seen = [replica(NAME, 1)]
    with pytest.raises(Conflict):
        do(injector, fault="stop", replica=NAME)
    assert tree.poll() is None
    with pytest.raises(Invalid) as refused:
        do(injector, fault="melt")
    assert all(name in refused.value.mend for name in FAULTS)


def test_only_its_own_volumes(faults, tmp_path):
    injector, _ = faults
    for name in ("data", "..", "/etc"):
        with pytest.raises(NotFound):
            do(injector, fault="fill", volume=name, leave_bytes=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="mounts a loop device")
def test_fill_and_unfill_a_sized_volume(faults, tmp_path):
    injector, hands = faults
    folder, image = tmp_path / "data", tmp_path / "data.img"
    folder.mkdir()
    with image.open("wb") as sparse:
        sparse.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        hands.sized = [VolumeSeen("data", 32 << 20, 1)]
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        filled = do(injector, fault="fill", volume="data", leave_bytes=1 << 20)
        assert filled["free_bytes"] == pytest.approx(1 << 20, abs=64 << 10)
        do(injector, fault="fill", volume="data", leave_bytes=0)
        with pytest.raises(OSError, match="No space"):
            (folder / "more").write_bytes(os.urandom(1 << 20))
        (folder / "more").unlink()
        undone = do(injector, fault="unfill", volume="data")
        assert undone["bytes"] > 20 << 20
        assert os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize == pytest.approx(free, abs=64 << 10)
        assert do(injector, fault="unfill", volume="data")["bytes"] == 0
        with pytest.raises(Invalid):
            do(injector, fault="fill", volume="data", leave_bytes="all")
        (folder / BALLAST).symlink_to("/etc/hostname")
        with pytest.raises(OSError):
            do(injector, fault="fill", volume="data", leave_bytes=0)
    finally:
        subprocess.run(["umount", folder], check=True)


# --- what a replica uses ---------------------------------------------------------------------------------


def told(replicas, *seen):
    return {sample.name.removeprefix("weatherglass_replica_"): sample for sample in replicas.samples(seen)}


def test_a_replica_is_the_sum_of_its_tree(tree):
    replicas = Replicas()
    found = told(replicas, replica(NAME, tree.pid))
    assert found["up"].value == 1
    assert found["processes"].value == 3
    assert found["threads"].value == 3
    assert found["open_fds"].value >= 9
    assert found["memory_bytes"].value > 5 << 20
    assert found["cpu_seconds_total"].value > 0
    assert dict(found["up"].labels) == {"replica": NAME, "service": "db"}
    os.kill(proc.descendants(tree.pid)[0], 9)
    after = told(replicas, replica(NAME, tree.pid))
    assert after["cpu_seconds_total"].value >= found["cpu_seconds_total"].value


def test_a_replica_without_a_process_is_down_and_no_more():
    found = told(Replicas(), replica(NAME, 0, Running.EXITED))
    assert set(found) == {"up", "restarts_total"}
    assert found["up"].value == 0
    assert told(Replicas(), replica("not a replica", 5)) == {}


def test_proc_texts():
    assert parse_cgroups("4:memory:/libpod-1\n2:cpu,cpuacct:/x\n0::/wg/a:b\n") == {
        "memory": "/libpod-1",
        "cpu": "/x",
        "cpuacct": "/x",
        "": "/wg/a:b",
    }
    stat = "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 100 50 25 25 20 0 3 0 99 4096 10 0"
    ticks = os.sysconf("SC_CLK_TCK")
    assert parse_stat(stat) == (200 / ticks, 3, 10 * os.sysconf("SC_PAGE_SIZE"))
