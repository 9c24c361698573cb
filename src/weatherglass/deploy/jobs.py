"""What a unit turns into on this host: its runtime, its user, its paths, the job that is run. Starts nothing.

`auto` is a container where an image is declared and podman works here, else a process of the host; what cannot
run either way is refused with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.deploy import places
from weatherglass.deploy.images import Images
from weatherglass.deploy.model import Unit
from weatherglass.deploy.places import Home
from weatherglass.deploy.podman import Podman
from weatherglass.deploy.runtime import Job, Runtime
from weatherglass.deploy.volumes import Volumes

KEEP_OUTPUT = 64 << 20
"""A service may say this much before its output is begun anew; what it said was collected long since."""


class Jobs:
    """Turns units into jobs, with everything put in that only the host knows."""

    def __init__(
        self,
        services: Path,
        volumes: Volumes,
        images: Images,
        podman: Podman,
        runtimes: Mapping[str, Runtime],
        secret: Callable[[str], str],
    ) -> None:
        self._services, self._volumes, self._images = services, volumes, images
        self._podman, self._runtimes, self._secret = podman, runtimes, secret

    def home(self, replica: str) -> Home:
        return Home(self._services / replica)

    def rotate(self) -> None:
        """Empty outputs that have grown. Their writers append, so that they go on at the new beginning."""
        for path in self._services.glob("*/logs/std*.log"):
            if path.stat().st_size > KEEP_OUTPUT:
                os.truncate(path, 0)

    def runtime_name(self, unit: Unit) -> str:
        """`auto`: a container where an image is declared and podman works, else a process of the host."""
        wanted = str(unit.spec["runtime"])
        if wanted == "auto":
            return "container" if unit.spec["image"] and not self._podman.usable() else "process"
        return wanted

    def runtime(self, unit: Unit) -> Runtime:
        name, where = self.runtime_name(unit), f"services.{unit.service}"
        why = self._runtimes[name].usable()
        if why:
            mend = "run the agent as root with podman, or declare `runtime: process`"
            raise Invalid(
                f"{unit.service} is to run in a container: {why}", where=f"{where}.runtime", mend=mend
            )
        if name == "container" and not unit.spec["image"]:
            raise Invalid(f"{unit.service} is to run in a container and has no image", where=f"{where}.image")
        if name == "process" and not unit.spec["command"]:
            why = self._podman.usable()
            mend = "declare a `command:` that this host has, or make podman work for root"
            raise Invalid(
                f"{unit.service} has an image and no command; {why}", where=f"{where}.command", mend=mend
            )
        return self._runtimes[name]

    def user(self, unit: Unit) -> str:
        """Its user as `uid:gid`, by the image's names or the host's."""
        user = str(unit.spec["user"])
        if not user:
            return ""
        if self.runtime_name(unit) == "container":
            return self._images.user(str(unit.spec["image"]), user)
        return "{}:{}".format(*places.ids(user))

    def known(self, unit: Unit) -> dict[str, _Names]:
        """What stands for the placeholders of a unit's texts: paths as the service will see them."""
        home, inside = self.home(unit.replica), self.runtime_name(unit) == "container"
        mounts = {name: mount for mount, name in unit.spec["volumes"].items()}
        return {
            "path": _Names(lambda name: places.INSIDE[name] if inside else str(home.path(name).absolute())),
            "file": _Names(lambda path: path if inside else str(home.file(path).absolute())),
            "volume": _Names(
                lambda name: mounts[name] if inside else str(self._volumes.path(name).absolute())
            ),
        }

    def text(self, unit: Unit) -> str:
        """The text of a file, for this host."""
        return places.fill(str(unit.spec["text"]), self.known(unit), self._secret)

    def job(self, unit: Unit, name: str) -> Job:
        home, user, known = self.home(unit.replica), self.user(unit), self.known(unit)
        home.make(user)
        for volume in unit.spec["volumes"].values():
            path = self._volumes.path(volume)
            if path.is_dir() and path.stat().st_uid == 0:
                places.own(path, user)

        def filled(text: str) -> str:
            return places.fill(text, known, self._secret)

        return Job(
            name=name,
            replica=unit.replica,
            unit_hash=unit.hash,
            command=tuple(filled(word) for word in unit.spec["command"]),
            environment={key: filled(text) for key, text in unit.spec["environment"].items()},
            user=user,
            home=home,
            image=str(unit.spec["image"]),
            binds=self._binds(unit, home, user),
            stop_signal=str(unit.spec.get("stop_signal", "SIGTERM")),
            stop_grace_s=float(unit.spec.get("stop_grace_s", 10.0)),
        )

    def _binds(self, unit: Unit, home: Home, user: str) -> dict[str, Path]:
        """Path inside a container → path here: own folders, declared files, volumes, folders of logs."""
        binds = {inside: home.path(name) for name, inside in places.INSIDE.items()}
        for path in unit.spec.get("files") or unit.spec.get("paths", ()):
            binds[path] = home.file(path)
        for mount, name in unit.spec["volumes"].items():
            binds[mount] = self._volumes.path(name)
        for glob in unit.spec.get("logs", ()):
            folder = str(Path(glob).parent)
            if folder.startswith("/") and folder not in binds:
                binds[folder] = home.logs_of(folder)
                if self.runtime_name(unit) == "container":
                    binds[folder].mkdir(parents=True, exist_ok=True)
                    places.own(binds[folder], user)
        return binds

    def sources(self, unit: Unit) -> dict[str, Any]:
        home, inside = self.home(unit.replica), self.runtime_name(unit) == "container"
        logs = home.path("logs").absolute()
        found = [{"glob": str(logs / "stdout.log"), "format": "k8s-file" if inside else "plain"}]
        if not inside:
            found.append({"glob": str(logs / "stderr.log"), "format": "plain"})
        here = {
            "path": _Names(lambda name: str(home.path(name).absolute())),
            "volume": _Names(self._volume_here),
        }
        for glob in unit.spec["logs"]:
            if inside and glob.startswith("/"):
                path = home.logs_of(str(Path(glob).parent)).absolute() / Path(glob).name
                found.append({"glob": str(path), "format": "plain"})
            else:
                found.append({"glob": places.fill(glob, here, self._secret), "format": "plain"})
        return {
            "replica": unit.replica,
            "service": unit.service,
            "zone": unit.spec["zone"],
            "logs": found,
            "metrics": list(unit.spec["metrics"]),
        }

    def _volume_here(self, name: str) -> str:
        return str(self._volumes.path(name).absolute())


class _Names(Mapping[str, str]):
    """Names worked out when they are asked for."""

    def __init__(self, of: Callable[[str], str]) -> None:
        self._of = of

    def __getitem__(self, name: str) -> str:
        return self._of(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
