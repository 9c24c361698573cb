"""A real Slurm on one machine, for trying and for tests: munged, slurmctld and one slurmd in a folder of their own.

    python slurm.py FOLDER          starts it, prints SLURM_CONF=…, ends it at Ctrl-C or when its input closes

Needs Debian's slurm-wlm and root. Ports are free ones of 127.0.0.1; nothing outside the folder is touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

CONF = """\
ClusterName=onemachine
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=100000
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
JobCompType=jobcomp/none
SlurmdTimeout=6
SlurmctldTimeout=10
InactiveLimit=0
KillWait=2
MinJobAge=300
ReturnToService=2
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={daemon} CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes=one Default=YES MaxTime=INFINITE State=UP
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Slurm:
    """The cluster: `conf` for SLURM_CONF; `lose_node` and `back` for drills."""

    def __init__(self, folder: Path, cpus: int = 2, memory_mb: int = 8000) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        host = socket.gethostname().split(".")[0]
        self.conf.write_text(
            CONF.format(
                host=host,
                folder=folder,
                controller=free_port(),
                daemon=free_port(),
                cpus=cpus,
                memory=memory_mb,
            )
        )
        (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        folder.chmod(0o755)
        self.environment = {**os.environ, "SLURM_CONF": str(self.conf)}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self._begin("munged", "--foreground", "--force", f"--key-file={self.folder}/munge.key",
                    f"--socket={self.folder}/munge.socket", f"--pid-file={self.folder}/munge.pid",
                    f"--log-file={self.folder}/munge.log", f"--seed-file={self.folder}/munge.seed")  # fmt: skip
        self._until("munge's socket", (self.folder / "munge.socket").exists)
        self._begin("slurmctld", "-D", "-f", str(self.conf))
        self.back()

    def back(self) -> None:
        """Start the node's daemon (again), and wait until it takes jobs."""
        # Jobs start with no SLURM_CONF of ours (Snakemake's executor takes SLURM_* away): they see it where Debian
        # has it, in a mount namespace of the daemon's own.
        see = f"mount --make-rprivate / && mount --bind {self.folder} /etc/slurm && exec slurmd -D -N one"
        self._begin("slurmd", "-m", "sh", "-c", see, program="unshare")
        self._until(
            "an idle node", lambda: self.ask("sinfo", "-h", "-o", "%T") in ("idle", "mixed", "allocated")
        )

    def lose_node(self) -> None:
        """Kill the node's daemon and all steps under it, as a power cut would."""
        self._running.pop("slurmd").kill()
        for pid in filter(str.isdigit, (one.name for one in Path("/proc").iterdir())):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                ours = f"SLURM_CONF={self.conf}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:
                continue
            if words.startswith(b"slurmstepd") and (ours or str(self.folder).encode() in words):
                for child in _tree(int(pid)):
                    _kill(child)

    def ask(self, *words: str) -> str:
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=20, check=False
        )
        return done.stdout.strip()

    def stop(self) -> None:
        self.ask("scancel", "--state=RUNNING,PENDING", "-p", "all")
        for name in ("slurmd", "slurmctld", "munged"):
            one = self._running.pop(name, None)
            if one:
                one.terminate()
                try:
                    one.wait(5)
                except subprocess.TimeoutExpired:
                    one.kill()
                    one.wait()

    def _begin(self, name: str, *words: str, program: str = "") -> None:
        found = shutil.which(program or name, path="/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")
        if found is None:
            raise FileNotFoundError(f"{name} is not installed (Debian: slurm-wlm, munge)")
        with (self.folder / f"{name}.out").open("ab") as out:
            self._running[name] = subprocess.Popen(
                [found, *words], env=self.environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )

    def _until(self, what: str, ready: object, seconds: float = 25) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if ready():  # type: ignore[operator]
                return
            for name, one in self._running.items():
                if one.poll() is not None:
                    raise RuntimeError(f"{name} ended: {(self.folder / f'{name}.out').read_text()[-800:]}")
            time.sleep(0.2)
        raise TimeoutError(f"no {what} after {seconds:g} s; see {self.folder}")


def _tree(pid: int) -> list[int]:
    found, at = [pid], 0
    while at < len(found):
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{found[at]}/task/{found[at]}/children").read_text().split())
        at += 1
    return found


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    cluster = Slurm(folder)
    try:
        cluster.start()
        print(f"export SLURM_CONF={cluster.conf}", flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        pass
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()
