"""What commands do: a model of nodemap and LNet routing, read from the commands' own text. Pure.

This is the second reader: it shares no code with `compile`, so that what one gets wrong the other sees. A command
that Lustre would refuse (`Refused`) changes nothing here either. Semantics: lctl(8) and lnetctl(8) of each version,
and SHARES' measurements on 2.17.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from weatherglass.base.errors import Invalid, WeatherglassError
from weatherglass.shares.lustre.features import has
from weatherglass.shares.nids import Range, net_name, read_range

NO_ID = 2**32 - 1
_NAME = re.compile(r"[A-Za-z0-9_]{1,16}")
_FILESET = re.compile(r"nodemap\.([^.=]+)\.fileset=(.*)")


class Refused(WeatherglassError):
    """Lustre would refuse the command: it changes nothing."""


@dataclass(slots=True)
class Nodemap:
    """One nodemap's properties as they stand."""

    name: str
    ranges: list[Range] = field(default_factory=list)
    admin: bool = False
    trusted: bool = False
    squash_uid: int = 65534
    squash_gid: int = 65534
    deny_unknown: bool = False
    deny_mount: bool = False
    readonly_mount: bool = False
    rbac: frozenset[str] | None = None  # None: everything
    uids: dict[int, int] = field(default_factory=dict)
    gids: dict[int, int] = field(default_factory=dict)
    offset: tuple[int, int] | None = None
    fileset: str = ""
    kept_fileset: str = ""  # after the MGS was started anew

    def identity(self, kind: str, client_id: int) -> tuple[int, bool]:
        """(fs id, whether it was squashed) of a client's id (`kind`: uid or gid), nodemap on."""
        maps, squash = (self.uids, self.squash_uid) if kind == "uid" else (self.gids, self.squash_gid)
        if client_id == 0 and self.admin:
            return self._offset(0, squash, squashed=False)
        if client_id in maps and self.name != "default":
            return self._offset(maps[client_id], squash, squashed=False)
        if client_id != 0 and self.trusted:
            return self._offset(client_id, squash, squashed=False)
        return self._offset(squash, squash, squashed=True)

    def _offset(self, value: int, squash: int, *, squashed: bool) -> tuple[int, bool]:
        if self.offset is None:
            return value, squashed
        base, limit = self.offset
        if value < limit:
            return base + value, squashed
        if not squashed and squash < limit:
            return base + squash, True
        return value if squashed else squash, True

    def mounts(self) -> bool:
        """Whether a client of this nodemap can mount at all: denied, or root unknown where the unknown are denied."""
        if self.deny_mount:
            return False
        return not (self.deny_unknown and any(self.identity(kind, 0)[1] for kind in ("uid", "gid")))


@dataclass(slots=True)
class Place:
    """LNet on one machine: its nets (with their interfaces), its routes (net → gateways), whether it routes, whether it
    drops asymmetry; the guards on its legs."""

    up: bool = False
    nets: dict[str, str] = field(default_factory=dict)
    routes: dict[str, set[str]] = field(default_factory=dict)
    routing: bool = False
    drop_asym: bool = False
    guarded: dict[str, list[Range]] = field(default_factory=dict)  # leg's NID → peers admitted
    guarded_to: dict[str, list[Range]] = field(default_factory=dict)  # leg's NID → whom they may speak to


@dataclass(slots=True)
class State:
    """Everything the commands have made so far."""

    version: tuple[int, int]
    active: bool = False
    nodemaps: dict[str, Nodemap] = field(default_factory=lambda: {"default": Nodemap("default")})
    places: dict[str, Place] = field(default_factory=dict)
    by_net: dict[str, list[tuple[Range, Nodemap]]] = field(default_factory=dict)
    projects: dict[str, int] = field(default_factory=dict)  # path → project id
    quotas: dict[tuple[str, int, str], tuple[int, int]] = field(
        default_factory=dict
    )  # (kind, id, mount) → KiB, files

    def place(self, name: str) -> Place:
        return self.places.setdefault(name, Place())

    def classify(self, address: int, net: str) -> Nodemap:
        """The nodemap into which the servers put a NID."""
        for one, nodemap in self.by_net.get(net, ()):
            if one.low <= address <= one.high:
                return nodemap
        return self.nodemaps["default"]

    def run(self, where: str, argv: list[str]) -> str:
        """Do one command; the nodemap it touched ("" where none). Raises Refused."""
        if argv[:1] == ["lctl"]:
            return _lctl(self, where, argv[1:])
        if argv[:1] == ["lnetctl"]:
            # On the servers LNet is up: they serve.
            _lnetctl(self.place(where), argv[1:], up=where == "servers")
            return ""
        if argv[:1] == ["lfs"]:
            _lfs(self, where, argv[1:])
            return ""
        if argv[:3] == ["weatherglass", "shares", "guard"]:
            _guard(self.place(where), argv[3:])
            return ""
        raise Refused(f"{' '.join(argv)[:120]!r} is no command that is known here")


def lines(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """(line, where, argv) of each command; `# on PLACE` says where what follows runs, `mgs` before any."""
    where = "mgs"
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("# on "):
            where = stripped[5:].strip()
        elif stripped and not stripped.startswith("#"):
            yield number, where, stripped.split()


def _options(argv: list[str], wanted: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    rest = list(argv)
    while rest:
        name = rest.pop(0)
        name, equals, value = name.partition("=")
        if name not in wanted or name in found or (not equals and not rest):
            raise Refused(f"{name[:60]!r} is not an option here, or has no value")
        found[name] = value if equals else rest.pop(0)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise Refused(f"{missing[0]} is missing")
    return found


def _guard(place: Place, argv: list[str]) -> None:
    if len(argv) % 2 or not argv:
        raise Refused("the guard's options come with a value each")
    given = list(zip(argv[::2], argv[1::2], strict=True))
    legs = [value for name, value in given if name == "--leg"]
    if len(legs) != 1 or any(name not in ("--leg", "--peers", "--to") for name, _ in given):
        raise Refused("the guard takes one --leg, --peers and --to")
    leg = _range(legs[0])
    if leg.low != leg.high:
        raise Refused(f"a leg is one NID, not {legs[0][:60]!r}")
    peers = [_range(value) for name, value in given if name == "--peers"]
    if not peers:
        raise Refused("--peers is missing")
    if str(leg) in place.guarded:
        raise Refused(f"{leg} has its guard already")
    place.guarded[str(leg)] = peers
    place.guarded_to[str(leg)] = [_range(value) for name, value in given if name == "--to"]


def _lfs(state: State, where: str, argv: list[str]) -> None:
    if where != "admin":
        raise Refused(f"quotas are set on a client among the servers, not on {where}")
    match argv:
        case ["project", "-p", number, "-r", "-s", path]:
            _needs(state, "project quota")
            state.projects[path] = _whole(number, 1)
        case [
            "setquota",
            "-p" | "-u" | "-g" as kind,
            number,
            "-b",
            "0",
            "-B",
            kib,
            "-i",
            "0",
            "-I",
            files,
            mount,
        ]:
            if kind == "-p":
                _needs(state, "project quota")
            state.quotas[kind, _whole(number, 1), mount] = (_whole(kib, 0, 2**62), _whole(files, 0, 2**62))
        case _:
            raise Refused(f"lfs {' '.join(argv)[:80]!r} is not known here")


def _range(text: str) -> Range:
    try:
        return read_range(text)
    except Invalid as error:
        raise Refused(str(error)) from error


def _whole(text: str, low: int = 0, high: int = NO_ID - 1) -> int:
    if not re.fullmatch(r"\d{1,19}", text) or not low <= int(text) <= high:
        raise Refused(f"{text[:40]!r} is not a number from {low} to {high}")
    return int(text)


def _lctl(state: State, where: str, argv: list[str]) -> str:
    if where != "mgs":
        raise Refused(f"nodemap is configured on the MGS, not on {where}")
    verb, rest = (argv[0], argv[1:]) if argv else ("", [])
    if verb == "nodemap_activate":
        if rest not in (["0"], ["1"]):
            raise Refused("nodemap_activate takes 0 or 1")
        state.active = rest == ["1"]
        return "*"
    if verb in ("nodemap_add", "nodemap_del"):
        return _made(state, verb, rest)
    if verb == "set_param":
        return _set_param(state, rest)
    handler = _VERBS.get(verb)
    if handler is None:
        raise Refused(f"lctl {verb[:60]!r} is not known here")
    options = _options(rest, handler[0])
    if feature := handler[2]:
        _needs(state, feature)
    nodemap = _known(state, options["--name"])
    handler[1](state, nodemap, options)
    return nodemap.name


def _needs(state: State, feature: str) -> None:
    if not has(state.version, feature):
        raise Refused(f"Lustre {state.version[0]}.{state.version[1]} has no {feature}")


def _known(state: State, name: str) -> Nodemap:
    if name not in state.nodemaps:
        raise Refused(f"there is no nodemap {name[:40]}")
    return state.nodemaps[name]


def _made(state: State, verb: str, rest: list[str]) -> str:
    if len(rest) != 1 or not _NAME.fullmatch(rest[0]):
        raise Refused(f"a nodemap's name has 1 to 16 letters, digits, _: {' '.join(rest)[:60]!r}")
    name = rest[0]
    if verb == "nodemap_add":
        if name in state.nodemaps:
            raise Refused(f"nodemap {name} is there already")
        state.nodemaps[name] = Nodemap(name)
    elif name == "default" or name not in state.nodemaps:
        raise Refused(f"there is no nodemap {name} that could go")
    else:
        gone = state.nodemaps.pop(name)
        for one in gone.ranges:
            state.by_net[one.net].remove((one, gone))
    return name


def _set_param(state: State, rest: list[str]) -> str:
    kept = rest[:1] == ["-P"]
    form = _FILESET.fullmatch(" ".join(rest[kept:]))
    if not form:
        raise Refused(f"set_param {' '.join(rest)[:80]!r} is not known here")
    nodemap = _known(state, form[1])
    if form[2] and not form[2].startswith("/"):
        raise Refused(f"a fileset begins with /: {form[2][:60]!r}")
    if kept:
        nodemap.kept_fileset = form[2]
    else:
        nodemap.fileset = form[2]
    return nodemap.name


def _add_range(state: State, nodemap: Nodemap, options: dict[str, str]) -> None:
    new = _range(options["--range"])
    for one, other in state.by_net.get(new.net, ()):
        if one.overlaps(new):
            raise Refused(f"{new} overlaps {one} of nodemap {other.name} (EEXIST)")
    if nodemap.name == "default":
        raise Refused("the default nodemap has no ranges")
    nodemap.ranges.append(new)
    state.by_net.setdefault(new.net, []).append((new, nodemap))


def _del_range(state: State, nodemap: Nodemap, options: dict[str, str]) -> None:
    old = _range(options["--range"])
    if old not in nodemap.ranges:
        raise Refused(f"nodemap {nodemap.name} has no range {old}")
    nodemap.ranges.remove(old)
    state.by_net[old.net].remove((old, nodemap))


_FLAGS = {"admin": "", "trusted": "", "deny_unknown": "deny_unknown", "readonly_mount": "readonly_mount",
          "deny_mount": "deny_mount"}  # fmt: skip
_RBAC = frozenset({"file_perms", "dne_ops", "quota_ops", "byfid_ops", "chlg_ops", "fscrypt_admin"})


def _modify(state: State, nodemap: Nodemap, options: dict[str, str]) -> None:
    key, value = options["--property"], options["--value"]
    if key in _FLAGS:
        if _FLAGS[key]:
            _needs(state, _FLAGS[key])
        if value not in ("0", "1"):
            raise Refused(f"{key} is 0 or 1, not {value[:40]!r}")
        setattr(nodemap, key, value == "1")
    elif key in ("squash_uid", "squash_gid"):
        setattr(nodemap, key, _whole(value, 1))  # squashing to root is refused
    elif key == "rbac":
        _needs(state, "rbac")
        roles = frozenset(value.split(",")) if value != "none" else frozenset()
        if not roles <= _RBAC | {"all"}:
            raise Refused(f"{value[:80]!r} are no rbac roles")
        nodemap.rbac = None if "all" in roles else roles
    else:
        raise Refused(f"{key[:40]!r} is no property of a nodemap")


def _add_idmap(state: State, nodemap: Nodemap, options: dict[str, str]) -> None:
    kind = options["--idtype"]
    client, colon, on_fs = options["--idmap"].partition(":")
    if kind not in ("uid", "gid") or not colon:
        raise Refused("an id map is uid or gid, CLIENT:FS")
    if nodemap.name == "default":
        raise Refused("the default nodemap has no id maps")
    maps = nodemap.uids if kind == "uid" else nodemap.gids
    one, other = _whole(client), _whole(on_fs)
    if one in maps:
        raise Refused(f"{kind} {one} is mapped already (EEXIST)")
    if other in maps.values():
        # Lustre keeps each map both ways.
        raise Refused(f"{kind} {other} on the file system is mapped already (EEXIST)")
    maps[one] = other


def _del_idmap(state: State, nodemap: Nodemap, options: dict[str, str]) -> None:
    client, _, on_fs = options["--idmap"].partition(":")
    maps = nodemap.uids if options["--idtype"] == "uid" else nodemap.gids
    if not client.isdigit() or str(maps.get(int(client), "")) != on_fs:
        raise Refused(f"there is no map {options['--idmap'][:40]}")
    del maps[int(client)]


def _add_offset(state: State, nodemap: Nodemap, options: dict[str, str]) -> None:
    if nodemap.offset is not None:
        raise Refused(f"nodemap {nodemap.name} has an offset already")
    nodemap.offset = (_whole(options["--offset"]), _whole(options["--limit"], 1))


def _del_offset(state: State, nodemap: Nodemap, options: dict[str, str]) -> None:
    if nodemap.offset is None:
        raise Refused(f"nodemap {nodemap.name} has no offset")
    nodemap.offset = None


def _del_fileset(state: State, nodemap: Nodemap, options: dict[str, str]) -> None:
    if nodemap.fileset != options["--fileset"]:
        raise Refused(f"nodemap {nodemap.name} has no fileset {options['--fileset'][:60]}")
    nodemap.fileset = nodemap.kept_fileset = ""


def _fileset(state: State, nodemap: Nodemap, options: dict[str, str]) -> None:
    if not options["--fileset"].startswith("/"):
        raise Refused(f"a fileset begins with /: {options['--fileset'][:60]!r}")
    nodemap.fileset = nodemap.kept_fileset = options["--fileset"]


_NAMED = ("--name",)
_VERBS = {
    "nodemap_add_range": ((*_NAMED, "--range"), _add_range, ""),
    "nodemap_del_range": ((*_NAMED, "--range"), _del_range, ""),
    "nodemap_modify": ((*_NAMED, "--property", "--value"), _modify, ""),
    "nodemap_add_idmap": ((*_NAMED, "--idtype", "--idmap"), _add_idmap, ""),
    "nodemap_del_idmap": ((*_NAMED, "--idtype", "--idmap"), _del_idmap, ""),
    "nodemap_add_offset": ((*_NAMED, "--offset", "--limit"), _add_offset, "offset"),
    "nodemap_del_offset": (_NAMED, _del_offset, "offset"),
    "nodemap_fileset_del": ((*_NAMED, "--fileset"), _del_fileset, "fileset_add"),
    "nodemap_set_fileset": ((*_NAMED, "--fileset"), _fileset, ""),
    "nodemap_fileset_add": ((*_NAMED, "--fileset"), _fileset, "fileset_add"),
}


def _lnetctl(place: Place, argv: list[str], *, up: bool) -> None:
    if argv in (["lnet", "configure"], ["lnet", "unconfigure"]):
        place.up = argv[1] == "configure"
        if not place.up:
            place.nets.clear()
            place.routes.clear()
        return
    if not (place.up or up):
        raise Refused("LNet is not up here: lnetctl lnet configure comes first")
    match argv:
        case ["net", "add", *rest]:
            options = _options(rest, ("--net", "--if"))
            net = _net(options["--net"])
            if net in place.nets:
                raise Refused(f"net {net} is up already (EEXIST)")
            place.nets[net] = options["--if"]
        case ["net", "del", *rest]:
            place.nets.pop(_net(_options(rest, ("--net",))["--net"]), None)
        case ["route", "add" | "del" as verb, *rest]:
            options = _options(rest, ("--net", "--gateway"))
            address, _, gateway_net = options["--gateway"].partition("@")
            net, gateway = _net(options["--net"]), f"{address}@{_net(gateway_net)}"
            _range(gateway)
            gateways = place.routes.setdefault(net, set())
            if verb == "add":
                gateways.add(gateway)
            else:
                gateways.discard(gateway)
        case ["set", "routing", "0" | "1" as value]:
            place.routing = value == "1"
        case ["set", "drop_asym_route", "0" | "1" as value]:
            place.drop_asym = value == "1"
        case _:
            raise Refused(f"lnetctl {' '.join(argv)[:80]!r} is not known here")


def _net(text: str) -> str:
    try:
        return net_name(text)
    except Invalid as error:
        raise Refused(str(error)) from error
