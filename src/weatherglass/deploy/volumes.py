"""Volumes of a host: a plain folder, or where a size is declared an ext4 file system of that size in a sparse file.

Sized ones need root and loop devices; elsewhere they are refused, for a limit that does not hold is worse than
none. Only mounts of our own files are ever touched. Data is never deleted here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from weatherglass.base.errors import Conflict, Invalid, Unavailable
from weatherglass.base.units import size as say

LEAST = 16 << 20
"""Below this ext4 has little room for anything but itself."""

STEP = 1.5
"""Growing without a size asked for: by half, up to `max`."""


class Volumes:
    """The volumes under one folder: `<name>/` is where a volume is seen, `<name>.img` what holds a sized one."""

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
            tool for tool in ("mkfs.ext4", "losetup", "resize2fs", "mount") if shutil.which(tool) is None
        ]
        return f"sized volumes need {', '.join(missing)}" if missing else ""

    def make(self, name: str, size: int) -> None:
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
                sparse.truncate(size)
            run("mkfs.ext4", "-q", "-m", "0", "-F", str(fresh))
            fresh.replace(image)
        if self.mounted(name) is None:
            run("mount", "-o", "loop,noatime", str(image), str(path))
        if image.stat().st_size < size:
            self.grow(name, size, size)

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
        """Declared bytes of a sized one as it is now, 0 for a plain folder."""
        image = self._image(name)
        return image.stat().st_size if image.exists() else 0

    def grow(self, name: str, most: int, to: int = 0) -> tuple[int, int]:
        """Make it larger while in use; bytes before and after. Raises Invalid at its `max`, Unavailable."""
        image, device, before = self._image(name), self.mounted(name), self.size(name)
        if not before:
            raise Invalid(f"volume {name} has no size, so it cannot grow", where=f"volumes.{name}")
        after = min(to or int(before * STEP), most) // 4096 * 4096
        if after <= before:
            mend = "raise its `max:` and apply"
            raise Invalid(
                f"volume {name} is at its most, {say(before)}", where=f"volumes.{name}.max", mend=mend
            )
        if device is None:
            raise Unavailable(f"volume {name} is not mounted")
        os.truncate(image, after)
        run("losetup", "-c", device)
        run("resize2fs", device)
        return before, after

    def free(self, name: str) -> tuple[int, int, bool]:
        """(size, free bytes as a service may use them, read-only) of the file system it is on."""
        seen = os.statvfs(self.path(name))
        return seen.f_blocks * seen.f_frsize, seen.f_bavail * seen.f_frsize, bool(seen.f_flag & os.ST_RDONLY)

    def release(self, name: str) -> None:
        """Unmount it; its data stays."""
        if self.mounted(name) is not None:
            run("umount", str(self.path(name)))

    def _image(self, name: str) -> Path:
        return self._folder / f"{name}.img"


def run(*command: str) -> str:
    """Run a tool to its end. Raises Unavailable with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise Unavailable(f"{command[0]} failed ({done.returncode}): {said[-500:]}")
    return done.stdout
