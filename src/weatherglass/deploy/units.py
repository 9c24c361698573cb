"""A site → the units of its hosts. Pure, server-side (it renders templates).

The spec of each kind, all JSON:

- image: name, reference, release, packages
- volume: name, size, max (bytes; size 0 is a plain folder)
- file: path, text (with placeholders), secrets {name: fingerprint}; runtime, image, user, volumes
- once: name, command, environment, secrets, paths (of files); runtime, image, user, volumes
- replica: command, environment, secrets, files {path: hash}, ports, needs (services), logs, metrics,
  stop_signal, stop_grace_s, number, zone; runtime, image, user, volumes {mount: name}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from weatherglass.base.errors import Invalid, Problem, WeatherglassError
from weatherglass.deploy.model import Unit, UnitId, digest
from weatherglass.deploy.plan import plan, schedule
from weatherglass.deploy.render import Renderer, places

if TYPE_CHECKING:
    from weatherglass.site import Replica, Service, Site

PATHS = ["run", "logs", "data"]


def units(site: Site, fingerprint: Callable[[str], str], host: str | None = None) -> dict[UnitId, Unit]:
    """Every unit of the site, or of one host. `fingerprint(secret's name)` changes when its value does.

    Raises Invalid with every problem found, NotFound inside it for secrets that are not there.
    """
    made: dict[UnitId, Unit] = {}
    problems: list[Problem] = []
    for service in site.services.values():
        for replica in service.replicas:
            if host is not None and replica.host != host:
                continue
            try:
                for unit in _replica(site, service, replica, fingerprint):
                    made[unit.id] = unit.sealed()
            except WeatherglassError as error:
                problems += error.problems
    if problems:
        raise Invalid(f"{len(problems)} problems in the services", problems=dict.fromkeys(problems))
    return made


def check(site: Site, fingerprint: Callable[[str], str] = str) -> dict[UnitId, Unit]:
    """All that apply would refuse of a declaration by itself: templates that do not render, needs in a circle.

    Raises Invalid. By default it is not asked whether the secrets are there.
    """
    made = units(site, fingerprint)
    schedule(plan(made, {}).changes, made)
    return made


def replica_id(name: str) -> UnitId:
    return UnitId(f"replica:{name}")


def _replica(
    site: Site, service: Service, replica: Replica, fingerprint: Callable[[str], str]
) -> Iterable[Unit]:
    where = f"services.{service.name}"
    host = replica.host
    render = Renderer(variables(site, service, replica))
    prints: dict[str, str] = {}

    def secrets(names: Iterable[str]) -> dict[str, str]:
        for name in names:
            if name not in prints:
                prints[name] = fingerprint(name)
        return {name: prints[name] for name in sorted(names)}

    own: list[UnitId] = []
    image = ""
    if service.image and service.runtime != "process":
        unit = _image(site, service.image, host)
        image = unit.spec["reference"]
        own.append(unit.id)
        yield unit
    for name in dict.fromkeys(service.volumes.values()):
        volume = site.volumes[name]
        if volume.host and volume.host != host:
            raise Invalid(
                f"{replica.name} is on {host} and its volume {name} on {volume.host}",
                where=f"{where}.volumes",
                mend="put both on one host",
            )
        spec = {"name": name, "size": volume.size, "max": volume.max or volume.size}
        own.append(UnitId(f"volume:{name}@{host}"))
        yield Unit(own[-1], "volume", host, spec)

    sees: dict[str, Any] = {
        "runtime": service.runtime,
        "image": image,
        "user": service.user,
        "volumes": dict(service.volumes),
    }
    files: dict[str, str] = {}
    base = tuple(own)  # a file's owner is looked up in the image
    for path, template in service.files.items():
        render.secrets.clear()
        text = render.text(site.templates[template], f"{where}.files.{path} ({template})")
        spec = sees | {"path": path, "text": text, "secrets": secrets(render.secrets)}
        unit_id = UnitId(f"file:{replica.name}:{path}")
        unit = Unit(unit_id, "file", host, spec, service.name, replica.name, base)
        files[path] = unit.sealed().hash
        own.append(unit.id)
        yield unit

    render.secrets.clear()

    def words(argv: Iterable[str], field: str) -> list[str]:
        made = [render.text(word, f"{where}.{field}") for word in argv]
        if render.secrets:
            raise Invalid(
                "a secret in a command line shows in every list of processes",
                where=f"{where}.{field}",
                mend="hand it over in `secrets:` (the environment) or in a file of `files:`",
            )
        return made

    command = words(service.command, "command")
    jobs = {name: words(argv, f"once.{name}") for name, argv in service.once.items()}
    environment = {
        key: render.text(str(value), f"{where}.environment.{key}")
        for key, value in service.environment.items()
    }
    environment |= {key: f"@@secret:{name}@@" for key, name in service.secrets.items()}
    common: dict[str, Any] = sees | {
        "environment": environment,
        "secrets": secrets({*render.secrets, *service.secrets.values()}),
    }
    needs = [replica_id(other.name) for name in service.needs for other in site.services[name].replicas]
    # Jobs run once, on the host of the first replica, in the order declared, before any replica starts.
    first = service.replicas[0]
    previous: list[UnitId] = []
    for name, argv in jobs.items():
        unit_id = UnitId(f"once:{service.name}:{name}@{first.host}")
        if replica.name == first.name:
            spec = common | {"name": name, "command": argv, "paths": sorted(files)}
            needed = (*own, *needs, *previous)
            yield Unit(unit_id, "once", host, spec, service.name, replica.name, needed)
        previous.append(unit_id)
    if not (command or image):
        raise Invalid("a service needs a command, an image or both", where=where)
    spec = common | {
        "command": command,
        "files": files,
        "ports": dict(service.ports),
        "needs": list(service.needs),
        "logs": [render.text(glob, f"{where}.logs") for glob in service.logs],
        "metrics": [render.text(target, f"{where}.metrics") for target in service.metrics],
        "stop_signal": f"SIG{service.stop_signal.removeprefix('SIG')}",
        "stop_grace_s": float(service.stop_grace_s),
        "number": replica.number,
        "zone": site.hosts[host].zone,
    }
    yield Unit(
        replica_id(replica.name), "replica", host, spec, service.name, replica.name, (*own, *needs, *previous)
    )


def _image(site: Site, name: str, host: str) -> Unit:
    """An image built from a declaration is keyed by that declaration; another must be on the host or in a registry."""
    image = site.images.get(name)
    if image is None:
        return Unit(UnitId(f"image:{name}@{host}"), "image", host, {"name": name, "reference": name})
    release, packages = image.debian, sorted(image.packages)
    reference = f"localhost/weatherglass/{name}:{digest([release, packages])[:12]}"
    spec = {"name": name, "reference": reference, "release": release, "packages": packages}
    return Unit(UnitId(f"image:{name}@{host}"), "image", host, spec)


def variables(site: Site, service: Service, replica: Replica) -> dict[str, Any]:
    """What the templates of a replica see: the values behind `render.VARIABLES`."""
    host = site.hosts[replica.host]
    return {
        "site": site.name,
        "host": {"name": host.name, "address": host.address, "zone": host.zone},
        "service": _seen(site, service),
        "replica": {"name": replica.name, "number": replica.number, "host": replica.host},
        "ports": dict(service.ports),
        "services": {other.name: _seen(site, other) for other in site.services.values()},
        "volumes": places("volume", list(dict.fromkeys(service.volumes.values()))),
        "paths": places("path", PATHS),
        "files": places("file", list(service.files)),
    }


def _seen(site: Site, service: Service) -> dict[str, Any]:
    hosts = [replica.host for replica in service.replicas]
    addresses = [site.hosts[host].address for host in hosts]
    return {
        "name": service.name,
        "ports": dict(service.ports),
        "hosts": hosts,
        "addresses": addresses,
        "address": addresses[0] if addresses else "",
    }
