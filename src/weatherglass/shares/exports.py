"""What a ganesha.conf does: read from its own text, as nfs-ganesha 4 reads it. Pure.

This is the second reader for NFS and shares no code with `ganesha`. Semantics: ganesha-config(8),
ganesha-export-config(8), ganesha-core-config(8) of 4.x, and what the server of `tests/shares` was seen to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import NamedTuple

from weatherglass.base.errors import Invalid

ANON = 2**32 - 2  # ganesha's anonymous id, -2
_TOKEN = re.compile(r'\s+|#[^\n]*|(?P<sign>[{}=;,])|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s{}=;,"#]+)')
_MOST = 200_000


class Setting(NamedTuple):
    name: str
    values: tuple[str, ...]
    line: int


@dataclass(slots=True)
class Block:
    """`NAME { settings; blocks }`; names in lower case."""

    name: str
    line: int
    settings: list[Setting] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    def value(self, name: str) -> Setting | None:
        """The last one given counts."""
        return next((one for one in reversed(self.settings) if one.name == name), None)


@dataclass(slots=True)
class Client:
    """Whom a CLIENT block names, and what it says of them; None: it says nothing."""

    networks: list[IPv4Network]
    access: str | None
    squash: str | None
    uid: int | None
    gid: int | None
    line: int
    protocols: frozenset[str] | None = None
    sec: frozenset[str] | None = None


@dataclass(slots=True)
class Export:
    """One export as it stands; `own` is what it says outside of CLIENT blocks."""

    number: int
    path: str
    pseudo: str
    own: Client
    clients: list[Client]
    line: int
    fsal: str = "vfs"


class Access(NamedTuple):
    """What an address gets of an export: nothing ("none"), "ro", "rw", "mdonly", "mdonly_ro"; how ids are changed."""

    kind: str
    squash: str
    uid: int
    gid: int

    def identity(self, kind: str, client_id: int) -> int:
        """The id with which the server acts for a client's id."""
        anonymous = self.uid if kind == "uid" else self.gid
        match self.squash:
            case "all":
                return anonymous
            case "root":
                return anonymous if client_id == 0 else client_id
            case "root_id":
                return anonymous if client_id == 0 and kind == "uid" else client_id
        return client_id


@dataclass(slots=True)
class Config:
    """The exports, what holds where they say nothing, and what the server refused of the file (line, why)."""

    exports: list[Export]
    defaults: Client
    refused: list[tuple[int, str]]
    core: dict[str, tuple[str, ...]]

    def access(self, export: Export, address: int) -> Access:
        """The first client that names the address counts; what it leaves open the export says, then the defaults."""
        for client in export.clients:
            if any(address & int(net.netmask) == int(net.network_address) for net in client.networks):
                return self._merged(client, export.own)
        return self.otherwise(export)

    def otherwise(self, export: Export) -> Access:
        """What those get whom no CLIENT block names."""
        return self._merged(export.own)

    def _merged(self, *layers: Client) -> Access:
        every = [*layers, self.defaults]

        def first(name: str, otherwise: object) -> object:
            return next((getattr(one, name) for one in every if getattr(one, name) is not None), otherwise)

        kind = str(first("access", "none"))
        if "4" not in first("protocols", frozenset("34")) or "sys" not in first("sec", {"sys"}):  # type: ignore[operator]
            kind = "none"
        return Access(
            kind, str(first("squash", "root")), int(str(first("uid", ANON))), int(str(first("gid", ANON)))
        )


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    at, line = 0, 1
    while at < len(text):
        form = _TOKEN.match(text, at)
        if not form:
            raise Invalid("a quotation that does not end", where=f"ganesha.conf:{line}")
        kind = form.lastgroup
        if kind:
            yield kind, form[kind], line
        line += form[0].count("\n")
        at = form.end()


def blocks(text: str) -> list[Block]:
    """The file as a tree. Raises Invalid where it is none."""
    if len(text) > 64 * _MOST:
        raise Invalid("the file is too long", where="ganesha.conf")
    top = Block("", 0)
    stack, words = [top], list[tuple[str, int]]()
    tokens = _tokens(text)
    for kind, sign, line in tokens:
        where = f"ganesha.conf:{line}"
        if kind != "sign":
            if kind == "word" and sign.lower() in ("%include", "%url"):
                raise Invalid(
                    "%include: what is elsewhere cannot be judged here", where=where, mend="one file"
                )
            words.append((sign, line))
        elif sign == "{":
            if len(words) != 1 or len(stack) > 8:
                raise Invalid("a block has one name before its {", where=where)
            stack[-1].blocks.append(Block(words[0][0].lower(), words[0][1]))
            stack.append(stack[-1].blocks[-1])
            words = []
        elif sign == "}":
            if words or len(stack) == 1:
                raise Invalid("a } without its block, or a line without its ;", where=where)
            stack.pop()
        elif sign == "=":
            if len(words) != 1 or len(stack) == 1:
                raise Invalid("a setting is NAME = VALUE; within a block", where=where)
            stack[-1].settings.append(Setting(words[0][0].lower(), _values(tokens, line), words[0][1]))
            words = []
        else:
            raise Invalid(f"{sign!r} is not expected here", where=where)
    if len(stack) > 1 or words:
        raise Invalid("the file ends within a block", where=f"ganesha.conf:{stack[-1].line}")
    return top.blocks


def _values(tokens: Iterator[tuple[str, str, int]], line: int) -> tuple[str, ...]:
    found: list[str] = []
    for kind, sign, at in tokens:
        if kind != "sign":
            found.append(sign)
        elif sign == ";":
            return tuple(found)
        elif sign != ",":
            raise Invalid("a setting without its ;", where=f"ganesha.conf:{at}")
    raise Invalid("a setting without its ;", where=f"ganesha.conf:{line}")


_ACCESS = {"none": "none", "rw": "rw", "ro": "ro", "mdonly": "mdonly", "mdonly_ro": "mdonly_ro"}
_SQUASH = {
    **dict.fromkeys(("root", "root_squash", "rootsquash"), "root"),
    **dict.fromkeys(("all", "all_squash", "allsquash", "all_anonymous", "allanonymous"), "all"),
    **dict.fromkeys(("no_root_squash", "none", "noidsquash", "no_squash"), "none"),
    **dict.fromkeys(("root_id_squash", "rootid", "root_id", "rootidsquash"), "root_id"),
}  # fmt: skip
_CLIENT = {"clients", "access_type", "squash", "anonymous_uid", "anonymous_gid", "protocols", "sectype",
           "transports", "privilegedport", "manage_gids", "delegations", "anon_uid", "anon_gid"}  # fmt: skip
_EXPORT = _CLIENT - {"clients"} | {"export_id", "path", "pseudo", "tag", "filesystem_id", "maxread", "maxwrite",
           "prefread", "prefwrite", "attr_expiration_time", "disable_acl", "disablereaddirplus"}  # fmt: skip


def read(text: str) -> Config:
    """The configuration a server would have from this text. Raises Invalid where it would not start."""
    config = Config([], Client([], None, None, None, None, 0), [], {})
    for block in blocks(text):
        if block.name == "export_defaults":
            config.defaults = _client(block, _CLIENT - {"clients"} | {"attr_expiration_time"}, config)
        elif block.name == "export":
            _export(block, config)
        else:
            config.core.update({f"{block.name}.{one.name}": one.values for one in block.settings})
    return config


def _export(block: Block, config: Config) -> None:
    try:
        own = _client(block, _EXPORT, config)
        number = _number(_single(block, "export_id"), 0, 65535)
        path, pseudo = _single(block, "path"), _single(block, "pseudo")
        clients = []
        fsal = "vfs"
        for inner in block.blocks:
            if inner.name == "client":
                clients.append(_client(inner, _CLIENT, config))
            elif inner.name == "fsal":
                fsal = _single(inner, "name").lower()
            else:
                raise Invalid(f"a block {inner.name!r} in an export is not known here")
        if not path.startswith("/") or not pseudo.startswith("/"):
            raise Invalid("Path and Pseudo begin with /")
        for other in config.exports:
            if other.number == number:
                raise Invalid(f"Export_Id {number} is taken by the export of line {other.line}")
            if other.pseudo == pseudo:
                raise Invalid(f"Pseudo {pseudo} is taken by the export of line {other.line}")
    except Invalid as error:
        config.refused.append((block.line, error.message))
        return
    config.exports.append(Export(number, path, pseudo, own, clients, block.line, fsal))


def _client(block: Block, known: set[str], config: Config) -> Client:
    for one in block.settings:
        if one.name not in known:
            raise Invalid(f"{one.name!r} is not known here", where=f"ganesha.conf:{one.line}")
    networks = [
        net
        for one in block.settings
        if one.name == "clients"
        for text in one.values
        for net in _network(text)
    ]
    if block.name == "client" and not networks:
        raise Invalid("a CLIENT block without Clients")

    def word(name: str, table: dict[str, str]) -> str | None:
        setting = block.value(name)
        if setting is None:
            return None
        if len(setting.values) != 1 or setting.values[0].lower() not in table:
            raise Invalid(f"{name} {' '.join(setting.values)[:60]!r} is not known here")
        return table[setting.values[0].lower()]

    def anonymous(name: str) -> int | None:
        setting = block.value(f"anonymous_{name}") or block.value(f"anon_{name}")
        return None if setting is None else _number(" ".join(setting.values), -(2**31), 2**32 - 1) % 2**32

    def words(name: str) -> frozenset[str] | None:
        setting = block.value(name)
        return (
            None if setting is None else frozenset(one.lower().removeprefix("nfsv") for one in setting.values)
        )

    return Client(
        networks, word("access_type", _ACCESS), word("squash", _SQUASH), anonymous("uid"), anonymous("gid"),
        block.line, words("protocols"), words("sectype"),
    )  # fmt: skip


def _network(text: str) -> list[IPv4Network]:
    """`*`, an address, a network; names are refused: what they stand for is not in the file."""
    if text == "*":
        return [IPv4Network("0.0.0.0/0")]
    try:
        return [IPv4Network(text, strict=False)]
    except ValueError:
        raise Invalid(
            f"the client {text[:60]!r} is no address, and what it stands for is not told here"
        ) from None


def _single(block: Block, name: str) -> str:
    setting = block.value(name)
    if setting is None or len(setting.values) != 1:
        raise Invalid(f"{name} is missing, or has not one value")
    return setting.values[0]


def _number(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"-?\d{1,10}", text) or not low <= int(text) <= high:
        raise Invalid(f"{text[:40]!r} is not a number from {low} to {high}")
    return int(text)
