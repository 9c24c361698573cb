"""Small policies that tests share, and what commands come to, by looking at everything. No test here."""

from __future__ import annotations

from dataclasses import replace

from weatherglass.shares.lustre.compile import commands, text
from weatherglass.shares.lustre.state import Refused, State, lines
from weatherglass.shares.nids import of_cidr, read_range
from weatherglass.shares.policy import FileSystem, Offset, Router, Share

VERSIONS = [(2, 9), (2, 12), (2, 15), (2, 16), (2, 17)]


def small(version: tuple[int, int] = (2, 15), *, guard: bool = True) -> FileSystem:
    """Two tenants, one squashed to one id, one with maps; a shared router and one of a tenant's own."""
    genomics = Share(
        "genomics", "/genomics", 21, 31, (of_cidr("10.20.0.0/30", "tcp32769"),), "lnr-1", network="genomics",
        quota_bytes=10**12, quota_files=1000,
    )  # fmt: skip
    imaging = Share(
        "imaging", "/imaging", 22, 32, (of_cidr("10.21.0.0/30", "tcp32770"),), "lnr-1",
        uids={5: 41, 6: 42}, gids={5: 51},
    )  # fmt: skip
    chem = Share("chem", "/chem", 23, 33, (of_cidr("10.22.0.0/30", "tcp32771"),), "lnr-2")
    if version >= (2, 16):
        chem = replace(chem, uid=71, gid=71, offset=Offset(70, 10), read_only=True)
    return FileSystem(
        "lus01",
        version,
        (read_range("10.0.0.[0-3]@tcp0"),),
        (genomics, imaging, chem),
        {
            "lnr-1": Router(
                "lnr-1",
                "10.0.0.20@tcp0",
                {"tcp32769": "10.20.0.3@tcp32769", "tcp32770": "10.21.0.3@tcp32770"},
                guard=guard,
            ),
            "lnr-2": Router("lnr-2", "10.0.0.21@tcp0", {"tcp32771": "10.22.0.3@tcp32771"}, guard=guard),
        },
    )


def compiled(fs: FileSystem) -> str:
    return text(commands(fs))


def everything(fs: FileSystem, commands_text: str) -> tuple[object, ...]:
    """All that anybody gets at the end: every NID near the declared ones × every small id, every way. By looking."""
    state = State(fs.version)
    refused = 0
    for _, where, argv in lines(commands_text):
        try:
            state.run(where, argv)
        except Refused:
            refused += 1
    seen: list[object] = [state.active, refused]
    nets = sorted({*state.by_net, "tcp0", *(share.net for share in fs.shares)})
    bases = {one.low & ~0xFF for share in fs.shares for one in share.ranges} | {0x0A000000}
    for net in nets:
        for base in sorted(bases):
            for address in range(base, base + 8):
                nodemap = state.classify(address, net)
                row: list[object] = [net, address, nodemap.name, nodemap.mounts(), nodemap.fileset]
                row += [nodemap.kept_fileset, nodemap.readonly_mount, nodemap.rbac]
                for kind in ("uid", "gid"):
                    for client in (*range(90), 65534):
                        value, squashed = nodemap.identity(kind, client)
                        row.append(-1 if squashed and nodemap.deny_unknown else value)
                seen.append(tuple(row) if nodemap.mounts() else (net, address, nodemap.name))
    for name, place in sorted(state.places.items()):
        ways = {net: sorted(gateways) for net, gateways in place.routes.items() if gateways}
        guarded = {leg: sorted(peers) for leg, peers in place.guarded.items()}
        speak = {leg: sorted(servers) for leg, servers in place.guarded_to.items()}
        nets = sorted(place.nets.items())
        seen.append((name, nets, ways, place.routing, place.drop_asym, guarded, speak))
    seen += [sorted(state.projects.items()), sorted(state.quotas.items())]
    return tuple(map(str, seen))
