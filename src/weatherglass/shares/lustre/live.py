"""What `lctl get_param -R 'nodemap.*'` (and `lctl nodemap_info`) print, read into the model of `state`. Pure.

nodemap.active=1
nodemap.genomics.squash_uid=20001
nodemap.genomics.ranges=
[
 { id: 3, start_nid: 10.20.0.0@tcp32769, end_nid: 10.20.0.255@tcp32769 }
]
nodemap.genomics.idmap=
[
 { idtype: uid, client_id: 1000, fs_id: 30000 }
]
"""

from __future__ import annotations

import re

from weatherglass.base.errors import Invalid
from weatherglass.shares.lustre.state import Nodemap, State
from weatherglass.shares.nids import read_range

_LINE = re.compile(r"nodemap\.(?:([A-Za-z0-9_]{1,16})\.)?([a-z_]+)\s*=\s*(.*)")
_ITEM = re.compile(r"\{([^{}]*)\}")
_PAIR = re.compile(r"([a-z_]+)\s*:\s*([^,{}\s]+)")
ALL_ROLES = frozenset({"file_perms", "dne_ops", "quota_ops", "byfid_ops", "chlg_ops", "fscrypt_admin"})
_FLAGS = {"admin_nodemap": "admin", "admin": "admin", "trusted_nodemap": "trusted", "trusted": "trusted",
          "deny_unknown": "deny_unknown", "deny_mount": "deny_mount", "readonly_mount": "readonly_mount"}  # fmt: skip


def parse(text: str, version: tuple[int, int]) -> State:
    """The state that a listing shows. What survives a new start of the MGS it does not show: taken as the same."""
    state = State(version)
    values: list[tuple[int, str, str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        form = _LINE.match(line.strip())
        if form:
            values.append((number, form[1] or "", form[2], form[3]))
        elif values:
            at, name, key, before = values[-1]
            values[-1] = (at, name, key, f"{before}\n{line}")
    for number, name, key, value in values:
        try:
            _take(state, name, key, value.strip())
        except (ValueError, KeyError, Invalid) as error:
            raise Invalid(
                f"nodemap.{name}.{key}: {error}", where=f"live:{number}", mend="lctl get_param -R 'nodemap.*'"
            ) from None
    return state


def _take(state: State, name: str, key: str, value: str) -> None:
    if not name:
        if key == "active":
            state.active = value == "1"
        return
    nodemap = state.nodemaps.setdefault(name, Nodemap(name))
    items = [dict(_PAIR.findall(item)) for item in _ITEM.findall(value)]
    if key in _FLAGS:
        setattr(nodemap, _FLAGS[key], value == "1")
    elif key in ("squash_uid", "squash_gid"):
        setattr(nodemap, key, int(value))
    elif key == "rbac":
        roles = frozenset(re.split(r"[,\s]+", value)) - {"", "none"}
        nodemap.rbac = None if "all" in roles or roles >= ALL_ROLES else roles
    elif key == "fileset":
        whole = re.search(r"/[^\s,}\]]*", value)
        nodemap.fileset = nodemap.kept_fileset = whole[0] if whole else ""
    elif key == "ranges":
        for item in items:
            low, high = read_range(item["start_nid"]), read_range(item["end_nid"])
            one = low._replace(high=high.high)
            nodemap.ranges.append(one)
            state.by_net.setdefault(one.net, []).append((one, nodemap))
    elif key == "idmap":
        for item in items:
            if item["idtype"] in ("uid", "gid"):
                maps = nodemap.uids if item["idtype"] == "uid" else nodemap.gids
                maps[int(item["client_id"])] = int(item["fs_id"])
    elif key == "offset" and items:
        first = items[0]
        base = first.get("offset") or first["start_uid"]
        nodemap.offset = (int(base), int(first.get("limit") or first["limit_uid"]))


def listing(state: State) -> str:
    """A state in the same form: what a listing of it would show."""
    out = [f"nodemap.active={int(state.active)}"]
    for name, one in sorted(state.nodemaps.items()):
        head = f"nodemap.{name}"
        out += [f"{head}.admin_nodemap={int(one.admin)}", f"{head}.trusted_nodemap={int(one.trusted)}"]
        out += [
            f"{head}.{key}={int(getattr(one, key))}"
            for key in ("deny_unknown", "deny_mount", "readonly_mount")
        ]
        out += [f"{head}.squash_uid={one.squash_uid}", f"{head}.squash_gid={one.squash_gid}"]
        out += [f"{head}.fileset={one.fileset}"]
        out += [f"{head}.rbac={'all' if one.rbac is None else ','.join(sorted(one.rbac)) or 'none'}"]
        ranges = [str(part) for part in one.ranges]
        out += [f"{head}.ranges=", "["]
        for number, text in enumerate(ranges, 1):
            low = read_range(text)
            first, last = (str(low._replace(low=end, high=end)) for end in (low.low, low.high))
            out.append(f" {{ id: {number}, start_nid: {first}, end_nid: {last} }}")
        out += ["]", f"{head}.idmap=", "["]
        for kind, maps in (("uid", one.uids), ("gid", one.gids)):
            out += [f" {{ idtype: {kind}, client_id: {a}, fs_id: {b} }}" for a, b in sorted(maps.items())]
        out.append("]")
        if one.offset:
            out += [f"{head}.offset=", f"[ {{ offset: {one.offset[0]}, limit: {one.offset[1]} }} ]"]
    return "\n".join(out) + "\n"
