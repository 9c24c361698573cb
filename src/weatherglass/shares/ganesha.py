"""A policy's exports for nfs-ganesha 4 (VFS). Pure.

Nobody gets anything by default; each tenant's export names its own addresses alone, and everybody there becomes the
tenant's user. An export's id rides in every file handle, so that it follows the tenant's name and never its place in
the list: a handle kept from yesterday must not be another tenant's today.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from ipaddress import IPv4Address, summarize_address_range

from weatherglass.shares.nids import Range
from weatherglass.shares.policy import FileSystem, Share

LAST_EXPORT = 65535

_HEAD = """\
NFS_CORE_PARAM {{
    Protocols = 4;
    NFS_Port = {port};
{bind}    Enable_NLM = false;
    Enable_RQUOTA = false;
}}
NFSv4 {{
    Graceless = true;
    Minor_Versions = 0, 1, 2;
    RecoveryBackend = fs;
    Delegations = false;
    Allow_Numeric_Owners = true;
    Only_Numeric_Owners = true;
}}
EXPORT_DEFAULTS {{
    Access_Type = None;
    SecType = sys;
    Protocols = 4;
    Transports = TCP;
}}
"""


def export_ids(tenants: Iterable[str]) -> dict[str, int]:
    """An id of 1 … 65535 each, from the tenant's name; the next free one where two names meet."""
    taken: dict[int, str] = {}
    for tenant in sorted(tenants):
        number = int.from_bytes(hashlib.sha256(tenant.encode()).digest()[:4]) % LAST_EXPORT
        while number + 1 in taken:
            number = (number + 1) % LAST_EXPORT
        taken[number + 1] = tenant
    return {tenant: number for number, tenant in taken.items()}


def export(fs: FileSystem, share: Share, number: int) -> str:
    """One tenant's EXPORT block."""
    clients = ", ".join(cidr for one in share.ranges for cidr in cidrs(one))
    access = "RO" if share.read_only else "RW"
    return f"""\
EXPORT {{
    # {share.tenant}
    Export_Id = {number};
    Path = {fs.mount.rstrip("/")}{share.root};
    Pseudo = {share.root};
    Access_Type = None;
    FSAL {{ Name = VFS; }}
    CLIENT {{
        Clients = {clients};
        Access_Type = {access};
        Squash = All;
        Anonymous_Uid = {share.uid};
        Anonymous_Gid = {share.gid};
    }}
}}
"""


def cidrs(one: Range) -> list[str]:
    """A range of addresses as networks."""
    return [str(net) for net in summarize_address_range(IPv4Address(one.low), IPv4Address(one.high))]


def compiled(fs: FileSystem) -> str:
    """The whole ganesha.conf."""
    bind = f"    Bind_addr = {fs.address};\n" if fs.address else ""
    numbers = export_ids(share.tenant for share in fs.shares)
    exports = [export(fs, share, numbers[share.tenant]) for share in fs.shares]
    return "".join([_HEAD.format(port=fs.port, bind=bind), *exports])
