"""Is a tenant kept to its exports by this ganesha.conf? Proven, or the shortest story of how it is not. Pure.

Equivalence, as in `proof`: client address × uid × gid × path × operation, at every boundary, read from the text alone.
An address has its class by the ends of all networks named anywhere; ids are changed by rules that are constant or
identity between the anonymous ids and root. What the file cannot show is `ASSUMED`.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_right
from collections.abc import Iterator

from weatherglass.base.errors import Invalid
from weatherglass.shares import policy
from weatherglass.shares.exports import Access, Config, Export, read
from weatherglass.shares.nids import LAST, dotted
from weatherglass.shares.policy import FileSystem, Share, expected
from weatherglass.shares.proof import Finding, Verdict

ASSUMED = (
    "no file gives permissions to others: a handle made up with the tenant's own export in it opens any file of the "
    "same underlying file system, and only mode and owner stop it (`weatherglass shares strays` looks for such files)",
    "an address is its owner's: the router drops packets that name another's (`weatherglass shares router`)",
    "a provider network carries its own tenant's machines alone",
)
_IDS = (0, 1, 999, 1000, 65533, 65534, 65535, 2**31 - 1, 2**31, policy.LAST_ID)
_READS, _WRITES = ("lookup", "read", "getattr"), ("write", "create", "remove", "setattr", "rename", "link")
OPERATIONS = (*_READS, *_WRITES)


def allows(kind: str, operation: str) -> bool:
    """Whether an access type lets an operation through (ganesha-export-config(8))."""
    metadata = operation not in ("read", "write")
    return {
        "rw": True,
        "ro": operation in _READS,
        "mdonly": metadata,
        "mdonly_ro": metadata and operation in _READS,
    }.get(kind, False)


def prove(fs: FileSystem, text: str) -> Verdict:
    """Whether the exports in `text` give what the policy says, and nothing else."""
    found: list[Finding] = []
    try:
        policy.check(fs)
    except Invalid as error:
        found += [Finding("policy", "", (f"{one.where}: {one.message}",)) for one in error.problems]
    try:
        config = read(text)
    except Invalid as error:
        return Verdict((*found, Finding("refused", "", (f"the server does not start: {error}",))), 1)
    found += [
        Finding("refused", "", (f"the export is refused: {why}",), line) for line, why in config.refused
    ]
    found += _core(fs, config)
    held = sorted((one.low, one.high, at) for at, share in enumerate(fs.shares) for one in share.ranges)

    def holders(address: int) -> Share | None:
        at = bisect_right(held, (address, LAST + 1, 0)) - 1
        return fs.shares[held[at][2]] if at >= 0 and address <= held[at][1] else None

    cells = 0
    for address, exports in _looked_at(config, _addresses(fs, config)):
        share = holders(address)
        count, wrong = _address(fs, config, exports, address, share)
        cells += count
        if wrong:
            found.append(wrong)
    rank = {"attack": 0, "policy": 1, "wrong": 2, "refused": 3}
    found.sort(key=lambda one: (rank[one.kind], len(one.story), one.line))
    return Verdict(tuple(found), cells)


def _addresses(fs: FileSystem, config: Config) -> list[int]:
    ends = {0, LAST}
    for share in fs.shares:
        for one in share.ranges:
            ends |= {one.low - 1, one.low, one.high, one.high + 1}
    for export in config.exports:
        for client in export.clients:
            for net in client.networks:
                low, high = int(net.network_address), int(net.broadcast_address)
                ends |= {low - 1, low, high, high + 1}
    return sorted(one for one in ends if 0 <= one <= LAST)


def _looked_at(config: Config, addresses: list[int]) -> Iterator[tuple[int, list[Export]]]:
    """Each address with the exports that name it, and those that give something to whom they do not name."""
    generous = {at for at, one in enumerate(config.exports) if config.otherwise(one).kind != "none"}
    spans = sorted(
        (int(net.network_address), int(net.broadcast_address), at)
        for at, export in enumerate(config.exports)
        for client in export.clients
        for net in client.networks
    )
    begun, live = 0, list[tuple[int, int, int]]()
    for address in addresses:
        while begun < len(spans) and spans[begun][0] <= address:
            live.append(spans[begun])
            begun += 1
        live = [span for span in live if span[1] >= address]
        yield address, [config.exports[at] for at in sorted({span[2] for span in live} | generous)]


def _path(fs: FileSystem, share: Share) -> str:
    return posixpath.normpath(f"{fs.mount}{share.root}")


def _address(
    fs: FileSystem, config: Config, exports: list[Export], address: int, share: Share | None
) -> tuple[int, Finding | None]:
    """Everything one address gets: the first thing that is not the policy's, and how many cases were looked at."""
    cells = 1
    mine = False
    for export in exports:
        access = config.access(export, address)
        ids = sorted({*_IDS, access.uid, access.gid, *((share.uid, share.gid) if share else ())})
        cells += len(OPERATIONS) + 2 * len(ids)
        own = (
            share is not None
            and posixpath.normpath(export.path) == _path(fs, share)
            and export.pseudo == share.root
        )
        if own:
            assert share is not None
            mine = mine or access.kind != "none"
            if wrong := _own(share, export, access, ids):
                return cells, wrong
        elif access.kind != "none":
            return cells, _foreign(fs, export, access, address, share)
    if share is not None and not mine:
        story = (f"{share.tenant}: {dotted(address)} does not get {share.root}; the policy says it does",)
        return cells, Finding("wrong", share.tenant, story)
    return cells, None


def _own(share: Share, export: Export, access: Access, ids: list[int]) -> Finding | None:
    for operation in OPERATIONS:
        meant = not share.read_only or operation in _READS
        if allows(access.kind, operation) != meant:
            can = "may" if not meant else "may not"
            story = (f"{share.tenant}: {can} {operation} in {share.root}; the policy says otherwise",)
            return Finding("wrong", share.tenant, story, export.line)
    for kind in ("uid", "gid"):
        for client in ids:
            done, wanted = access.identity(kind, client), expected(share, kind, client)
            if done != wanted:
                what = f"{share.tenant}: a client's {kind} {client} becomes {done}; the policy says {wanted}"
                return Finding("wrong", share.tenant, (what,), export.line)
    if export.fsal != "vfs":
        return Finding(
            "wrong", share.tenant, (f"{share.root} is exported by {export.fsal}, not by VFS",), export.line
        )
    return None


def _foreign(fs: FileSystem, export: Export, access: Access, address: int, share: Share | None) -> Finding:
    who = f"{share.tenant}, on {dotted(address)}" if share else f"anybody on {dotted(address)}"
    path = posixpath.normpath(export.path)
    whose = [one.tenant for one in fs.shares if f"{_path(fs, one)}/".startswith(f"{path.rstrip('/')}/")]
    hers = f", where {', '.join(whose[:3])} has its files" if whose else ""
    story = (
        f"root in a VM of {who}",
        f"mounts {export.pseudo}, the export of line {export.line}",
        f"sees {path}{hers}, as uid {access.identity('uid', 0)}, {access.kind.upper()}",
    )
    return Finding("attack", share.tenant if share else "", story, export.line)


def _core(fs: FileSystem, config: Config) -> list[Finding]:
    """What the server itself must not do, whatever its exports say."""
    told = []
    core = config.core
    if core.get("nfs_core_param.protocols", ("3", "4")) != ("4",):
        told.append("the server speaks more than NFS 4: its MOUNT protocol tells the list of exports")
    if core.get("nfs_core_param.nfs_port", ("2049",)) != (str(fs.port),):
        told.append(f"the server listens on another port than {fs.port}")
    bind = core.get("nfs_core_param.bind_addr", ("0.0.0.0",))  # noqa: S104 - what ganesha takes where nothing is said
    if bind != ((fs.address or "0.0.0.0"),):  # noqa: S104
        told.append(f"the server listens on {bind[0]}, not on {fs.address or 'every address'}")
    if core.get("nfsv4.delegations", ("false",))[0].lower() not in ("false", "no", "off"):
        told.append("delegations are on: a client keeps what it may no longer have")
    return [Finding("wrong", "", (one,)) for one in told]
