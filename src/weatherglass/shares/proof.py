"""Is a tenant kept to its part by these commands? Proven, or the shortest story of how it is not. Pure.

Two questions, each asked of the commands' own text through `lustre.state`, never of what the compiler meant:

- **Equivalence.** For every NID × kind of id × id × path × operation, do the commands give what the policy says? A
  nodemap's maps are constant or shift by a constant between a few ids, and classes of NIDs change only at the ends
  of ranges, so that the boundary values and their neighbours stand for all: the check is exact.
- **Isolation under attack.** What may root in a VM of a tenant claim to be, given which legs are up and guarded, and
  what would that make of him? A NID is its own claim; an unguarded router believes it, and so do the servers. This is
  asked after every command, so that no window opens on the way.

What the commands cannot show is listed with the verdict, as `ASSUMED`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from weatherglass.base.errors import Invalid
from weatherglass.shares import policy
from weatherglass.shares.lustre.compile import SERVERS
from weatherglass.shares.lustre.features import has
from weatherglass.shares.lustre.state import Nodemap, Place, Refused, State, lines
from weatherglass.shares.nids import LAST, Range, edges, nid
from weatherglass.shares.policy import DENIED, FileSystem, Share, expected

ASSUMED = (
    "no file gives permissions to others: by FID a tenant opens what lies outside its fileset, and only mode and "
    "owner stop it (`weatherglass shares strays` looks for such files)",
    "clients that mounted before a fileset changed are evicted: a fileset holds only at the mount",
    "a provider network carries its own tenant's machines alone, and an address that goes to another tenant leaves "
    "the ranges first",
)
_IDS = (0, 1, 2, 999, 1000, 65533, 65534, 65535, 2**31 - 1, 2**31, policy.LAST_ID)


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which the commands are not the policy: a story in steps, the tenant, the line (0: none)."""

    kind: str
    tenant: str
    story: tuple[str, ...]
    line: int = 0

    def __str__(self) -> str:
        return "\n".join(f"{number}. {step}" for number, step in enumerate(self.story, 1))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`findings` empty: proven over `cells` cases. The first finding is the shortest story, attacks before faults."""

    findings: tuple[Finding, ...]
    cells: int

    @property
    def proven(self) -> bool:
        return not self.findings


_RANK = {"attack": 0, "window": 1, "policy": 2, "wrong": 3, "unreachable": 4, "refused": 5}


def prove(fs: FileSystem, text: str, start: State | None = None) -> Verdict:
    """Whether the commands in `text`, from `start` (nothing), do what the policy says and nothing else, all the way."""
    found: list[Finding] = []
    try:
        policy.check(fs)
    except Invalid as error:
        found += [Finding("policy", "", (f"{one.where}: {one.message}",)) for one in error.problems]
    state = start or State(fs.version)
    windows: set[str] = set()
    for number, where, argv in lines(text):
        try:
            touched = state.run(where, argv)
        except Refused as error:
            command = " ".join(argv)[:160]
            found.append(Finding("refused", "", (f"`{command}` is refused: {error}",), number))
            continue
        for share in _touched(fs, state, touched, where):
            if share.tenant not in windows and (attack := _attack(fs, state, share)):
                windows.add(share.tenant)
                found.append(
                    Finding(
                        "window",
                        share.tenant,
                        (f"after line {number} (`{' '.join(argv)[:120]}`) and until a later one:", *attack),
                        number,
                    )
                )
    cells = 0
    for share in fs.shares:
        if attack := _attack(fs, state, share):
            # What still stands at the end is an attack, no window.
            found = [one for one in found if (one.kind, one.tenant) != ("window", share.tenant)]
            found.append(Finding("attack", share.tenant, attack))
        count, wrong = _share(fs, state, share)
        cells += count
        found += wrong
    count, wrong = _ranges(fs, state)
    cells += count
    found += [*wrong, *_lnet(fs, state), *_quotas(fs, state)]
    found.sort(key=lambda one: (_RANK[one.kind], len(one.story), one.line))
    return Verdict(tuple(found), cells)


def _touched(fs: FileSystem, state: State, touched: str, where: str) -> Iterator[Share]:
    """The tenants whose way in a command may have changed: those with a leg up that could reach what it touched."""
    router = where.removeprefix("router ")
    for share in fs.shares:
        place = state.places.get(f"router {share.router}")
        if place is None or not _leg(fs, place, share):
            continue
        if (
            touched in ("*", "default", SERVERS)
            or (where.startswith("router") and router == share.router)
            or (touched and any(_reaches(fs, state, share, one) for one in _ranges_of(state, touched)))
        ):
            yield share


def _ranges_of(state: State, name: str) -> list[Range]:
    nodemap = state.nodemaps.get(name)
    return nodemap.ranges if nodemap else []


def _leg(fs: FileSystem, place: Place, share: Share) -> bool:
    """Whether the router forwards from the tenant's net to the servers'."""
    server_net = fs.routers[share.router].server_nid.partition("@")[2]
    return place.routing and share.net in place.nets and server_net in place.nets


# --- attackers -------------------------------------------------------------------------------------------


def claims(fs: FileSystem, state: State, share: Share) -> tuple[list[Range], str]:
    """The NIDs that root in the tenant's VM can pass for, and why."""
    router = fs.routers[share.router]
    place = state.place(f"router {share.router}")
    if not _leg(fs, place, share):
        return [], "no leg is up"
    peers = place.guarded.get(router.legs[share.net], [])
    if peers and router.owner == "":
        return list(peers), f"the guard on {router.name} admits its peers' own NIDs"
    server_net = router.server_nid.partition("@")[2]
    why = (
        f"router {router.name} belongs to the tenant: its guard is the tenant's to stop"
        if peers
        else f"{router.name} forwards whatever source a header names: there is no guard on {router.legs[share.net]}"
    )
    nets = {share.net, server_net}
    for other in fs.shares:
        # A foreign tenant's net comes back another way, and is dropped, unless the router is shared.
        if other.router == share.router or not state.place("servers").drop_asym:
            nets.add(other.net)
    return [Range(0, LAST, net) for net in sorted(nets)], why


def _reaches(fs: FileSystem, state: State, share: Share, one: Range) -> bool:
    return any(claim.overlaps(one) for claim in claims(fs, state, share)[0])


def _attack(fs: FileSystem, state: State, share: Share) -> tuple[str, ...]:
    """The story of an attacker in the tenant's VM who gets at what is not the tenant's; empty where none does."""
    claimed, why = claims(fs, state, share)
    if not claimed:
        return ()
    begin = f"root in a VM of {share.tenant} on {share.ranges[0] if share.ranges else share.net}"
    if not state.active:
        return (
            begin,
            "mounts the file system",
            "nodemap is off: every id is believed, root is root everywhere",
        )
    for claim in claimed:
        for address, net in _samples(state, claim):
            nodemap = state.classify(address, net)
            if nodemap.name == share.nodemap or not nodemap.mounts():
                continue
            return (
                begin,
                f"says in its HELLO and headers that it is {nid(address, net)} ({why})",
                f"the servers put it into nodemap {nodemap.name}",
                _gain(nodemap),
            )
    return ()


def _samples(state: State, claim: Range) -> list[tuple[int, str]]:
    """Representatives of every class of NIDs within a claim."""
    held = [one for one, _ in state.by_net.get(claim.net, ()) if one.overlaps(claim)]
    points = edges([*held, claim])
    return sorted(point for point in points if claim.low <= point[0] <= claim.high)


def _gain(nodemap: Nodemap) -> str:
    root, _ = nodemap.identity("uid", 0)
    part = nodemap.fileset or "the whole file system"
    who = "root, and acts as any user" if root == 0 else f"uid {root}"
    return f"where it mounts {part} as {who}"


# --- equivalence -----------------------------------------------------------------------------------------


def _ids(share: Share, nodemap: Nodemap, kind: str) -> list[int]:
    """Where either side's map can change, with the neighbours."""
    maps = share.uids if kind == "uid" else share.gids
    own = nodemap.uids if kind == "uid" else nodemap.gids
    marks: set[int] = {*_IDS, *maps, *maps.values(), *own, *own.values()}
    marks |= {share.uid, share.gid, nodemap.squash_uid, nodemap.squash_gid}
    for base, limit in filter(
        None, (nodemap.offset, (share.offset.base, share.offset.limit) if share.offset else None)
    ):
        marks |= {base, limit, base + limit}
    near = {mark + step for mark in marks for step in (-1, 0, 1)}
    return sorted(one for one in near if 0 <= one <= policy.LAST_ID)


def _share(fs: FileSystem, state: State, share: Share) -> tuple[int, list[Finding]]:
    """Equivalence of one tenant's nodemap with its share."""
    nodemap = state.nodemaps.get(share.nodemap)
    if nodemap is None:
        return 1, [_wrong(share, f"there is no nodemap {share.nodemap}: nobody of the tenant gets in")]
    found, cells = [], 0
    if not nodemap.mounts():
        why = "denies mounts" if nodemap.deny_mount else "denies unknown ids and does not know root"
        found.append(_wrong(share, f"nodemap {nodemap.name} {why}: the tenant cannot mount"))
    for kind in ("uid", "gid"):
        for client in _ids(share, nodemap, kind):
            cells += 1
            meant = expected(share, kind, client)
            value, squashed = nodemap.identity(kind, client)
            done = DENIED if nodemap.deny_unknown and squashed else value
            if meant != done:
                found.append(
                    _wrong(share, f"a client's {kind} {client} becomes {done}; the policy says {meant}")
                )
                break
    parts = [("sees", nodemap.fileset), ("sees, once the MGS was started anew,", nodemap.kept_fileset)]
    for words, part in parts:
        cells += 1
        if part != share.root:
            found.append(
                _wrong(share, f"{words} {part or 'the whole file system'}; the policy says {share.root}")
            )
    cells += 2
    if nodemap.readonly_mount != share.read_only:
        can = "may not write" if nodemap.readonly_mount else "may write"
        found.append(_wrong(share, f"{can} to {share.root}; the policy says otherwise"))
    if has(fs.version, "rbac") and nodemap.rbac != frozenset({"file_perms"}):
        roles = "every role" if nodemap.rbac is None else ", ".join(sorted(nodemap.rbac)) or "no role"
        found.append(_wrong(share, f"has {roles}; file_perms alone is meant, and nothing by FID"))
    return cells, found


def _is_on(place: Place, router: policy.Router, net: str) -> bool:
    return place.nets.get(net) == router.interface(net)


def _quotas(fs: FileSystem, state: State) -> Iterable[Finding]:
    """Is every declared bound set, on the right ids, and no other?"""
    meant: dict[tuple[str, int, str], tuple[int, int]] = {}
    projects: dict[str, int] = {}
    by_project = has(fs.version, "project quota")
    for share in fs.shares:
        if share.quota_bytes or share.quota_files:
            bound = (-(-share.quota_bytes // 1024), share.quota_files)
            meant["-p" if by_project else "-u", share.uid, fs.mount] = bound
            if by_project:
                projects[f"{fs.mount}{share.root}"] = share.uid
    for key in meant.keys() | state.quotas.keys():
        if meant.get(key) != state.quotas.get(key):
            story = (
                f"the quota of {key[0]} {key[1]} is {state.quotas.get(key)}; the policy says {meant.get(key)}",
            )
            yield Finding("wrong", "", story)
    for path in projects.keys() | state.projects.keys():
        if projects.get(path) != state.projects.get(path):
            story = (
                f"{path} is in project {state.projects.get(path)}; the policy says {projects.get(path)}",
            )
            yield Finding("wrong", "", story)


def _wrong(share: Share, what: str) -> Finding:
    return Finding("wrong", share.tenant, (f"{share.tenant}: {what}",))


def _ranges(fs: FileSystem, state: State) -> tuple[int, list[Finding]]:
    """Does every NID fall where the policy puts it: a tenant's into its nodemap, a server's into the servers', no other?"""
    meant = [(one, share.nodemap) for share in fs.shares for one in share.ranges]
    meant += [(one, SERVERS) for one in fs.servers]
    by_net: dict[str, list[tuple[Range, str]]] = {}
    for one, name in meant:
        by_net.setdefault(one.net, []).append((one, name))
    points = edges([one for one, _ in meant])
    points |= edges([one for nodemap in state.nodemaps.values() for one in nodemap.ranges])
    found = []
    for address, net in sorted(points, key=lambda point: (point[1], point[0])):
        wanted = next((name for one, name in by_net.get(net, ()) if one.holds(address, net)), "default")
        nodemap = state.classify(address, net)
        if nodemap.name != wanted:
            story = (f"{nid(address, net)} falls into nodemap {nodemap.name}; the policy says {wanted}",)
            found.append(Finding("wrong", "", story))
    found += _special(state)
    return len(points), found


def _special(state: State) -> Iterable[Finding]:
    """The servers' nodemap, the default one, and whether nodemap is on."""
    servers = state.nodemaps.get(SERVERS)
    if servers is not None and not (
        servers.admin and servers.trusted and not servers.fileset and servers.offset is None
        and not servers.deny_mount and not servers.readonly_mount and servers.rbac is None
    ):  # fmt: skip
        yield Finding(
            "wrong", "", ("the servers' own nodemap is not admin and trusted: they lose their own files",)
        )
    default = state.nodemaps["default"]
    if default.mounts() or default.admin or default.trusted:
        yield Finding(
            "wrong", "", ("a NID that nobody declared falls into the default nodemap", _gain(default))
        )
    if not state.active:
        yield Finding("wrong", "", ("nodemap is off: every client's ids are believed",))


def _lnet(fs: FileSystem, state: State) -> Iterable[Finding]:
    """Is every tenant's way open from end to end, guarded as declared, and no other?"""
    servers = state.place("servers")
    if has(fs.version, "drop_asym_route") and not servers.drop_asym:
        yield Finding(
            "wrong", "", ("the servers answer a NID by another way than it came: drop_asym_route is 0",)
        )
    nets: dict[str, set[str]] = {}
    for share in fs.shares:
        router = fs.routers[share.router]
        server_net = router.server_nid.partition("@")[2]
        place, client = state.place(f"router {share.router}"), state.place(f"clients {share.tenant}")
        nets.setdefault(share.router, {server_net}).add(share.net)
        lacking = [
            what
            for what, there in (
                (f"net {share.net} on {router.name}", _is_on(place, router, share.net)),
                (f"net {server_net} on {router.name}", _is_on(place, router, server_net)),
                (f"routing on {router.name}", place.routing),
                (f"the servers' route to {share.net}", servers.routes.get(share.net) == {router.server_nid}),
                (f"net {share.net} on the clients", client.nets == {share.net: share.interface}),
                (
                    f"the clients' route to {server_net}",
                    client.routes == {server_net: {router.legs[share.net]}},
                ),
            )
            if not there
        ]
        if lacking:
            story = (f"{share.tenant} does not reach the servers: {', '.join(lacking)}",)
            yield Finding("unreachable", share.tenant, story)
        peers = place.guarded.get(router.legs[share.net], [])
        if router.guard and sorted(peers) != sorted(share.ranges):
            story = (
                f"the guard on {router.legs[share.net]} admits {', '.join(map(str, peers)) or 'everybody'}; "
                f"the policy says {', '.join(map(str, share.ranges))}",
            )
            yield Finding("wrong", share.tenant, story)
        if router.guard and sorted(place.guarded_to.get(router.legs[share.net], [])) != sorted(fs.servers):
            story = (
                f"the guard on {router.legs[share.net]} lets {share.tenant} speak to others than the servers",
            )
            yield Finding("wrong", share.tenant, story)
    known = {share.net for share in fs.shares}
    for net, gateways in servers.routes.items():
        if gateways and net not in known:
            yield Finding("wrong", "", (f"the servers have a route to {net}, which is nobody's",))
    for name, wanted in nets.items():
        if more := state.place(f"router {name}").nets.keys() - wanted:
            yield Finding(
                "wrong", "", (f"router {name} has the nets {', '.join(sorted(more))} besides its own",)
            )
    for name in state.places:
        if name.startswith("router ") and name.removeprefix("router ") not in nets:
            yield Finding("wrong", "", (f"{name} is configured and not declared",))


def told(verdict: Verdict, fs: FileSystem, assumed: tuple[str, ...] = ASSUMED) -> str:
    """The verdict as text: proven, or the shortest story and how many others there are."""
    if verdict.proven:
        return (
            f"proven: {len(fs.shares)} tenants of {fs.name} are kept to their part, {verdict.cells} cases\n"
            + "".join(f"assumed: {one}\n" for one in assumed)
        )
    first, rest = verdict.findings[0], len(verdict.findings) - 1
    more = f"and {rest} more\n" if rest else ""
    return f"not proven ({first.kind}):\n{first}\n{more}"
