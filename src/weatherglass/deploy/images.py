"""Images of a host: built once from a declaration (Debian packages → root file system → podman), or pulled.

One built here is tagged by the hash of its declaration, so the same declaration is never built twice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from weatherglass.base.errors import Invalid, NotFound, Unavailable
from weatherglass.deploy.podman import Podman

BUILD_TIMEOUT_S = 900.0


class Images:
    """Podman's images, by reference."""

    def __init__(self, podman: Podman, folder: Path) -> None:
        self._podman, self._folder = podman, folder

    def digest(self, reference: str) -> str:
        """The image's digest. Raises NotFound."""
        seen = self._podman.call("GET", f"/images/{quote(reference, safe='')}/json")
        return str(seen.get("Digest") or seen["Id"])

    def all(self) -> dict[str, str]:
        """Reference → digest of all that is here, in one call."""
        found = {}
        for seen in self._podman.call("GET", "/images/json") or []:
            for name in (*(seen.get("RepoTags") or ()), *(seen.get("RepoDigests") or ())):
                found[name] = str(seen.get("Digest") or seen["Id"])
        return found

    def make(self, spec: Mapping[str, Any], line: Callable[[str], None]) -> tuple[str, str]:
        """(what was done, digest). Raises Invalid, Unavailable."""
        reference = str(spec["reference"])
        try:
            return "there already", self.digest(reference)
        except NotFound:
            pass
        if "packages" in spec:
            self._build(spec, line)
            return "built", self.digest(reference)
        line(f"pulling {reference}")
        try:
            self._podman.command("pull", "-q", reference)
        except Unavailable as error:
            mend = "import it on this host, or declare it in `images:` from Debian packages"
            raise Invalid(
                f"there is no image {reference}: {error.message}", where="image", mend=mend
            ) from error
        return "pulled", self.digest(reference)

    def _build(self, spec: Mapping[str, Any], line: Callable[[str], None]) -> None:
        if shutil.which("mmdebstrap") is None:
            raise Invalid(
                f"image {spec['name']} is built with mmdebstrap, which is not here",
                where=f"images.{spec['name']}",
                mend="apt install mmdebstrap",
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        # Two agents, or one before and after a crash, may build the same: each into a file of its own.
        archive, log = (self._folder / f"{spec['name']}.{os.getpid()}.{end}" for end in ("tar", "log"))
        command = ["mmdebstrap", "--variant=minbase", "--quiet"]
        if spec["packages"]:
            command.append(f"--include={','.join(spec['packages'])}")
        command += [str(spec["release"]), str(archive)]
        began = time.monotonic()
        try:
            with log.open("wb") as out:
                child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/")
                self._watch(child, archive, str(spec["name"]), began, line)
            if child.returncode:
                said = log.read_text(errors="replace").strip()[-600:]
                mend = "see that its packages exist in that release and that a Debian mirror can be reached"
                raise Unavailable(f"building image {spec['name']} failed: {said}", mend=mend)
            line(f"importing image {spec['name']} ({archive.stat().st_size >> 20} MiB)")
            self._podman.command("import", "-q", str(archive), str(spec["reference"]))
        finally:
            archive.unlink(missing_ok=True)
            log.unlink(missing_ok=True)

    @staticmethod
    def _watch(
        child: subprocess.Popen[bytes], archive: Path, name: str, began: float, line: Callable[[str], None]
    ) -> None:
        line(f"building image {name} from Debian packages")
        while True:
            try:
                child.wait(3.0)
                return
            except subprocess.TimeoutExpired:
                spent = time.monotonic() - began
                written = archive.stat().st_size >> 20 if archive.exists() else 0
                line(
                    f"building image {name}: {spent:.0f} s" + (f", {written} MiB written" if written else "")
                )
                if spent > BUILD_TIMEOUT_S:
                    child.kill()
                    child.wait()
                    raise Unavailable(
                        f"building image {name} took more than {BUILD_TIMEOUT_S:.0f} s"
                    ) from None

    def user(self, reference: str, user: str) -> str:
        """`uid:gid` of a user as the image's own /etc/passwd has it. Raises Invalid."""
        head, _, tail = user.partition(":")
        if head.isdigit():
            return f"{head}:{tail or head}"
        seen = self._podman.call("GET", f"/images/{quote(reference, safe='')}/json")
        layers = (seen.get("GraphDriver") or {}).get("Data") or {}
        for layer in (layers.get("UpperDir", ""), *layers.get("LowerDir", "").split(":")):
            passwd = Path(layer) / "etc/passwd"
            if layer and passwd.is_file():
                for entry in passwd.read_text().splitlines():
                    fields = entry.split(":")
                    if fields[0] == head:
                        return f"{fields[2]}:{fields[3]}"
        raise Invalid(f"image {reference} has no user {head!r}", where="user", mend="give a number uid:gid")
