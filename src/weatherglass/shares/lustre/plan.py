"""From what nodemaps are to what they should be: the commands, in an order that opens no window. Pure.

Doing it twice changes nothing: a plan from the wanted state is empty. First what nobody declared loses its NIDs; then the
default is shut; a tenant's nodemap of which more than one thing must change loses its NIDs while it is changed (they
fall into the default, which lets nobody in) and gets them back at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from weatherglass.shares.lustre.compile import SERVERS, Command, commands
from weatherglass.shares.lustre.features import has
from weatherglass.shares.lustre.state import Nodemap, Refused, State
from weatherglass.shares.policy import FileSystem


class Change(NamedTuple):
    """One command and why; `evict` names a tenant whose mounted clients must go before it holds."""

    command: Command
    why: str
    evict: str = ""


def wanted(fs: FileSystem) -> State:
    """What the policy's own commands come to. Raises Refused where they are not taken."""
    state = State(fs.version)
    for command in commands(fs):
        if command.where == "mgs":
            state.run(command.where, list(command.argv))
    return state


def plan(fs: FileSystem, live: State) -> list[Change]:
    """The changes from `live` to the policy, in order."""
    should = wanted(fs)
    changes = list(_closing(should, live))
    for name in (SERVERS, "default", *(share.nodemap for share in fs.shares)):
        tenant = next((share.tenant for share in fs.shares if share.nodemap == name), "")
        changes += _nodemap(fs, should.nodemaps[name], live.nodemaps.get(name), tenant)
    if not live.active:
        changes.append(Change(_mgs("nodemap_activate", "1"), "nodemap is off"))
    return changes


def after(live: State, changes: list[Change]) -> State:
    """The state once the changes are made; `live` itself becomes it. Raises Refused."""
    for change in changes:
        live.run(change.command.where, list(change.command.argv))
    return live


def same(one: State, other: State) -> list[str]:
    """The nodemaps in which two states differ."""
    names = one.nodemaps.keys() | other.nodemaps.keys()
    differ = [
        name for name in sorted(names) if _shown(one.nodemaps.get(name)) != _shown(other.nodemaps.get(name))
    ]
    return differ if one.active == other.active else ["active", *differ]


def _shown(one: Nodemap | None) -> object:
    if one is None:
        return None
    return [
        sorted(one.ranges),
        *(getattr(one, name) for name in (*_PROPERTIES, "uids", "gids", "offset", "fileset", "rbac")),
    ]


def _mgs(*argv: str) -> Command:
    return Command("mgs", ("lctl", *argv))


_PROPERTIES = {"admin": "", "trusted": "", "squash_uid": "", "squash_gid": "", "deny_unknown": "",
               "readonly_mount": "readonly_mount", "deny_mount": "deny_mount"}  # fmt: skip


def _closing(should: State, live: State) -> Iterator[Change]:
    for name, one in sorted(live.nodemaps.items()):
        meant = should.nodemaps.get(name)
        for span in one.ranges:
            if meant is None or span not in meant.ranges:
                why = f"{span} is nobody's" if meant is None else f"{span} is not {name}'s"
                yield Change(_mgs("nodemap_del_range", "--name", name, "--range", str(span)), why)
        if meant is None:
            yield Change(_mgs("nodemap_del", name), f"nodemap {name} is not declared")


def _nodemap(fs: FileSystem, should: Nodemap, live: Nodemap | None, tenant: str) -> Iterator[Change]:
    name = should.name
    if live is None:
        yield Change(_mgs("nodemap_add", name), f"nodemap {name} is declared and not there")
        live = Nodemap(name)
    inner = list(_inner(fs, should, live, tenant))
    kept = [span for span in live.ranges if span in should.ranges]
    closed = kept if len(inner) > 1 and name != SERVERS else []
    for span in closed:
        why = f"closed while {len(inner)} things of {name} change"
        yield Change(_mgs("nodemap_del_range", "--name", name, "--range", str(span)), why)
    yield from inner
    for span in should.ranges:
        if span not in live.ranges or span in closed:
            why = "back" if span in closed else f"{span} is {name}'s"
            yield Change(_mgs("nodemap_add_range", "--name", name, "--range", str(span)), why)


def _inner(fs: FileSystem, should: Nodemap, live: Nodemap, tenant: str) -> Iterator[Change]:
    name = should.name
    for key, feature in _PROPERTIES.items():
        old, new = getattr(live, key), getattr(should, key)
        if old != new and (not feature or has(fs.version, feature)):
            command = _mgs("nodemap_modify", "--name", name, "--property", key, "--value", str(int(new)))
            yield Change(command, f"{key} is {int(old)}")
    if should.rbac != live.rbac and has(fs.version, "rbac"):
        roles = "all" if should.rbac is None else ",".join(sorted(should.rbac)) or "none"
        yield Change(
            _mgs("nodemap_modify", "--name", name, "--property", "rbac", "--value", roles), "other roles"
        )
    if should.offset != live.offset and has(fs.version, "offset"):
        if live.offset:
            yield Change(_mgs("nodemap_del_offset", "--name", name), f"its offset is {live.offset[0]}")
        if should.offset:
            base, limit = map(str, should.offset)
            command = _mgs("nodemap_add_offset", "--name", name, "--offset", base, "--limit", limit)
            yield Change(command, "it has no such offset")
    for kind, meant, there in (("uid", should.uids, live.uids), ("gid", should.gids, live.gids)):
        # Old ones first: Lustre keeps each map both ways, and takes none twice.
        for verb, ids, why in (
            ("nodemap_del_idmap", there.items() - meant.items(), "is not declared"),
            ("nodemap_add_idmap", meant.items() - there.items(), "is declared"),
        ):
            for client, on_fs in sorted(ids):
                command = _mgs(verb, "--name", name, "--idtype", kind, "--idmap", f"{client}:{on_fs}")
                yield Change(command, f"{kind} {client} as {on_fs} {why}")
    if should.fileset != live.fileset:
        why = f"its fileset is {live.fileset or 'the whole file system'}"
        if has(fs.version, "fileset_add"):
            if live.fileset:
                yield Change(_mgs("nodemap_fileset_del", "--name", name, "--fileset", live.fileset), why)
            yield Change(
                _mgs("nodemap_fileset_add", "--name", name, "--fileset", should.fileset), why, tenant
            )
        else:
            yield Change(_mgs("set_param", f"nodemap.{name}.fileset={should.fileset}"), why, tenant)
            yield Change(_mgs("set_param", "-P", f"nodemap.{name}.fileset={should.fileset}"), why, tenant)


__all__ = ["Change", "Refused", "after", "plan", "same", "wanted"]
