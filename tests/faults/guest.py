"""A small Linux guest under QEMU that runs this machine's own programs on disks of its own. No test here.

Its kernel is Debian's, taken by apt into a cache; its root is busybox and a few modules in an initramfs. This machine's
/usr, Python, virtual environment and sources are mounted read-only by 9p at the same paths, so that what runs in it
is what is tested here; `/lab` is a folder that both write. Software emulation: it needs nothing of this machine.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import weatherglass

MODULES = ("virtio_pci", "virtio_blk", "9pnet_virtio", "9p", "ext4", "crc32c_generic", "dm-log-writes")
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
_APPEND = "console=ttyS0 panic=-1 quiet mitigations=off rdinit=/init"
_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /sbin
export PATH=/sbin:/usr/sbin:/usr/bin PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
while read module; do insmod /modules/$module || echo "no $module"; done </modules/order
mount -t 9p -o trans=virtio,version=9p2000.L,cache=none lab /lab
while read tag path; do mkdir -p $path; mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=262144 $tag $path; done </shares
sh /lab/run.sh >/lab/out 2>&1 </dev/null
echo $? >/lab/rc
sync; poweroff -f
"""


def cache() -> Path:
    """Where the kernel is kept between runs."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "weatherglass" / "guest"


def fetch(into: Path) -> None:
    """Debian's kernel and busybox, unpacked into a folder; nothing is installed. Needs apt and the network once."""
    if (into / "done").exists():
        return
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    depends = subprocess.run(
        ["apt-cache", "depends", "linux-image-amd64"], check=True, capture_output=True, text=True
    )
    kernel = re.search(r"Depends: (linux-image-\S+)", depends.stdout)
    assert kernel, depends.stdout
    subprocess.run(["apt-get", "download", "-qq", kernel[1], "busybox-static"], cwd=into, check=True)
    for package in into.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, into / "root"], check=True)
        package.unlink()
    (into / "done").touch()


def load_order(modules: Path, names: Iterable[str]) -> list[Path]:
    """The files of the modules named and of all they need, each after what it needs; built-in ones left out."""
    files = {path.name.partition(".ko")[0].replace("-", "_"): path for path in modules.rglob("*.ko")}
    order: dict[str, Path] = {}

    def add(name: str) -> None:
        name = name.replace("-", "_")
        if name in order or name not in files:
            return
        needs = _DEPENDS.search(files[name].read_bytes())
        for one in needs[1].decode().split(",") if needs else ():
            add(one)
        order[name] = files[name]

    for name in names:
        add(name)
    return list(order.values())


def shares() -> list[Path]:
    """The folders that Python and our sources need, none within another."""
    source = Path(weatherglass.__file__).parents[1]
    wanted = [Path("/usr"), Path(sys.base_prefix), Path(sys.prefix), source, Path(__file__).parents[1]]
    kept: list[Path] = []
    for path in sorted({one.resolve() for one in wanted}, key=lambda one: len(one.parts)):
        if not any(path.is_relative_to(one) for one in kept):
            kept.append(path)
    return kept


def _newc(name: str, mode: int, body: bytes = b"") -> bytes:
    """One member of a cpio archive in the form that the kernel unpacks (initramfs buffer format)."""
    path = name.encode() + b"\0"
    numbers = (1, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(path), 0)
    out = b"070701" + b"".join(b"%08X" % number for number in numbers) + path
    out += b"\0" * (-len(out) % 4) + body
    return out + b"\0" * (-len(out) % 4)


def initramfs(kernel: Path, shared: Sequence[Path]) -> bytes:
    """Busybox, the modules, `/init`, and what is to be mounted where."""
    folders = ("bin", "sbin", "dev", "proc", "sys", "tmp", "run", "usr", "lab", "modules", "mnt")
    out = [_newc(name, stat.S_IFDIR | 0o755) for name in folders]
    out += [_newc(name, stat.S_IFLNK | 0o777, b"usr/" + name.encode()) for name in ("lib", "lib64")]
    busybox = next(path for path in (kernel / "bin/busybox", kernel / "usr/bin/busybox") if path.exists())
    out.append(_newc("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()))
    order = load_order(kernel / "lib/modules", MODULES)
    out += [_newc(f"modules/{one.name}", stat.S_IFREG | 0o644, one.read_bytes()) for one in order]
    told = "".join(f"{one.name}\n" for one in order).encode()
    out.append(_newc("modules/order", stat.S_IFREG | 0o644, told))
    tags = "".join(f"share{number} {path}\n" for number, path in enumerate(shared)).encode()
    out.append(_newc("shares", stat.S_IFREG | 0o644, tags))
    out.append(_newc("init", stat.S_IFREG | 0o755, _INIT.encode()))
    return b"".join([*out, _newc("TRAILER!!!", 0)])


def run(folder: Path, script: str, disks: Sequence[Path], timeout_s: float, megabytes: int = 1024) -> str:
    """Boot a guest that runs `script` as root with `disks` as /dev/vda … and goes down; what it said.

    Raises AssertionError with the console where it did not come to its end or failed.
    """
    fetch(cache())
    kernel, lab, shared = cache() / "root", folder / "lab", shares()
    lab.mkdir(parents=True)
    (lab / "run.sh").write_text(script)
    (folder / "root.cpio").write_bytes(initramfs(kernel, shared))
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"]
    command += ["-m", str(megabytes), "-nodefaults", "-nographic", "-no-reboot", "-monitor", "none"]
    command += ["-serial", f"file:{folder / 'console'}", "-append", _APPEND]
    command += [
        "-kernel",
        str(next((kernel / "boot").glob("vmlinuz-*"))),
        "-initrd",
        str(folder / "root.cpio"),
    ]
    command += ["-virtfs", f"local,path={lab},mount_tag=lab,security_model=none"]
    for number, path in enumerate(shared):
        command += ["-virtfs", f"local,path={path},mount_tag=share{number},security_model=none,readonly=on"]
    for disk in disks:
        command += ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe,discard=unmap"]
    with (folder / "qemu.log").open("wb") as said:
        machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        machine.wait(timeout_s)
    except subprocess.TimeoutExpired:
        machine.kill()
        machine.wait()
    out = (lab / "out").read_text() if (lab / "out").exists() else ""
    code = (lab / "rc").read_text().strip() if (lab / "rc").exists() else "none"
    if code != "0":
        console = (folder / "console").read_text(errors="replace")[-3000:]
        told = (folder / "qemu.log").read_text(errors="replace")[-2000:]
        raise AssertionError(
            f"the guest ended with {code}\n{out[-6000:]}\n--- console\n{console}\n--- qemu\n{told}"
        )
    return out


def missing() -> str:
    """What keeps a guest from running here, or nothing."""
    tools = ("qemu-system-x86_64", "apt-get", "dpkg-deb", "mkfs.ext4", "losetup")
    absent = [one for one in tools if shutil.which(one) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return "" if os.geteuid() == 0 else "not root"


if __name__ == "__main__":
    began = time.monotonic()
    print(run(Path(sys.argv[1]), sys.argv[2], [Path(one) for one in sys.argv[3:]], 300))
    print(f"{time.monotonic() - began:.1f} s")
