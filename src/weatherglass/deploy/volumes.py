"""Volumes of a host: a plain folder, or where a size is declared an ext4 file system in a sparse file.

A sized one is made at its `max`; what lies between its size and that is held back by the file system itself
(`reserved_clusters`, which binds root too). So growing is one write to sysfs while it is in use, needs no
CAP_SYS_RESOURCE as ext4's own online growth does, and cannot fail half-way. Sized volumes need root and loop
devices; elsewhere they are refused, for a limit that does not hold is worse than none. Only mounts of our own
files are ever touched. Data is never deleted here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from weatherglass.base.errors import Conflict, Invalid, Unavailable
from weatherglass.base.units import size as say
from weatherglass.deploy.places import write_private

LEAST = 16 << 20
"""Below this ext4 has little room for anything but itself."""

STEP = 1.5
"""Growing without a size asked for: by half, up to `max`."""


class Volumes:
    """The volumes under one folder: `<name>/` is where a volume is seen, `<name>.img` what holds a sized one,
    `<name>.size` how much of that it has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        return self._folder / name

    def usable(self) -> str:
        """Empty, or why sized volumes are not to be had here."""
        if os.geteuid() != 0:
            return "sized volumes need root (to mount them)"
        if not Path("/dev/loop-control").exists():
            return "sized volumes need loop devices (/dev/loop-control)"
        missing = [
            tool for tool in ("mkfs.ext4", "e2fsck", "resize2fs", "mount") if shutil.which(tool) is None
        ]
        return f"sized volumes need {', '.join(missing)}" if missing else ""

    def make(self, name: str, size: int, most: int) -> None:
        """Make it, or bring it back (mounted again, grown) after a stop. Idempotent."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o711)
        path, image = self.path(name), self._image(name)
        path.mkdir(exist_ok=True)
        if not size:
            return
        why = self.usable()
        if why:
            raise Invalid(
                why, where=f"volumes.{name}.size", mend="leave `size:` out for a plain folder, or be root"
            )
        if size < LEAST:
            raise Invalid(
                f"{say(size)} is too small", where=f"volumes.{name}.size", mend=f"at least {say(LEAST)}"
            )
        if not image.exists():
            if any(path.iterdir()):
                raise Conflict(f"{path} holds data already", mend="move it away, or leave `size:` out")
            # Under another name until it is whole: a crash amid mkfs leaves nothing that looks finished.
            fresh = image.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            with fresh.open("wb") as sparse:
                sparse.truncate(_whole(max(size, most)))
            run("mkfs.ext4", "-q", "-m", "0", "-F", str(fresh))
            write_private(self._size(name), str(size).encode())
            fresh.replace(image)
        if self.mounted(name) is None:
            if image.stat().st_size < _whole(most):
                os.truncate(image, _whole(most))
                run("e2fsck", "-fp", str(image))
                run("resize2fs", str(image))
            run("mount", "-o", "loop,noatime", str(image), str(path))
        self._hold_back(name, max(size, self.size(name)))

    def _hold_back(self, name: str, size: int) -> None:
        """Leave `size` bytes of the file system to use. Kept first: a mount begins with all of it free."""
        write_private(self._size(name), str(size).encode())
        device = self.mounted(name)
        assert device is not None  # mounted by whoever calls
        seen = os.statvfs(self.path(name))
        own = min(seen.f_blocks // 50, 4096)  # what ext4 keeps for itself by default: 2 %, at most 4096
        held = max(0, seen.f_blocks - size // seen.f_frsize)
        Path("/sys/fs/ext4", Path(device).name, "reserved_clusters").write_text(str(max(held, own)))

    def mounted(self, name: str) -> str | None:
        """The loop device on which our file of this volume is mounted, None when it is not."""
        path = str(self.path(name).resolve())
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            head, _, rest = line.partition(" - ")
            if head.split()[4].encode().decode("unicode_escape") == path:
                device = rest.split()[1]
                backing = Path("/sys/block") / Path(device).name / "loop/backing_file"
                if backing.exists() and backing.read_text().strip() == str(self._image(name).resolve()):
                    return device
        return None

    def size(self, name: str) -> int:
        """Bytes of a sized one as it is now, 0 for a plain folder."""
        try:
            return int(self._size(name).read_text())
        except FileNotFoundError:
            image = self._image(name)  # of the first release: all of it is there to use
            return image.stat().st_size if image.exists() else 0

    def grow(self, name: str, most: int, to: int = 0) -> tuple[int, int]:
        """Make it larger while in use; bytes before and after. Raises Invalid at its `max`, Unavailable."""
        before = self.size(name)
        if not before:
            raise Invalid(f"volume {name} has no size, so it cannot grow", where=f"volumes.{name}")
        if self.mounted(name) is None:
            raise Unavailable(f"volume {name} is not mounted")
        after = min(to or int(before * STEP), most)
        if after <= before:
            mend = "raise its `max:` and apply"
            raise Invalid(
                f"volume {name} is at its most, {say(before)}", where=f"volumes.{name}.max", mend=mend
            )
        seen = os.statvfs(self.path(name))
        if after > seen.f_blocks * seen.f_frsize:
            mend = "stop the services that use it once: its file is extended as it is mounted again"
            raise Unavailable(f"volume {name} was made for less than {say(after)}", mend=mend)
        self._hold_back(name, after)
        return before, after

    def free(self, name: str) -> tuple[int, int, bool]:
        """(size, free bytes as a service may use them, read-only), of the file system that is there.

        A plain folder's is that of the host it is on: full, it stops its service all the same.
        """
        seen = os.statvfs(self.path(name))
        whole = seen.f_blocks * seen.f_frsize
        size = min(self.size(name) or whole, whole)
        return size, seen.f_bavail * seen.f_frsize, bool(seen.f_flag & os.ST_RDONLY)

    def release(self, name: str) -> None:
        """Unmount it; its data stays."""
        if self.mounted(name) is not None:
            run("umount", str(self.path(name)))

    def _size(self, name: str) -> Path:
        return self._folder / f"{name}.size"

    def _image(self, name: str) -> Path:
        return self._folder / f"{name}.img"


def _whole(most: int) -> int:
    """Bytes of the file, so that `most` of them are left beside inode tables (1.6 %), bitmaps and the journal."""
    return most + most // 25 + (24 << 20)


def run(*command: str) -> str:
    """Run a tool to its end. Raises Unavailable with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise Unavailable(f"{command[0]} failed ({done.returncode}): {said[-500:]}")
    return done.stdout
