"""Discovery by DNS: SRV, A, AAAA, MX, NS. The rules are Prometheus' (`dns_sd_config`), with what its users ask for.

Names go through resolv.conf's search list; NXDOMAIN for every candidate empties a name's group, a server that fails
(SERVFAIL, no answer, nonsense) leaves it as it was. A truncated answer is asked again over TCP without EDNS. Beyond
Prometheus: a resolver of one's own (`servers`), and TTLs honoured on request.

Pure but for `_exchange`, which sends one question to one server.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from weatherglass.base.errors import Invalid
from weatherglass.metrics.scrape.discovery.groups import Finding, Group, Labels

TYPES = ("SRV", "A", "AAAA", "MX", "NS")
_EDNS_BYTES = 4096
_LEAST_TTL_S = 1.0
_META = "__meta_dns_"


@dataclass(frozen=True, slots=True)
class Resolver:
    """Whom to ask, and which names to try for one. Addresses are `(address, port)`."""

    servers: tuple[tuple[str, int], ...]
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout_s: float = 2.0


def read_resolv(text: str, timeout_s: float = 2.0) -> Resolver:
    """The resolver of a resolv.conf(5); later `search` lines replace earlier ones. Never raises."""
    servers: list[tuple[str, int]] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            try:
                servers.append((str(ipaddress.ip_address(words[1].partition("%")[0])), 53))
            except ValueError:
                continue
        elif words[0] in ("search", "domain"):
            search = tuple(word.rstrip(".") for word in words[1:] if word.strip("."))
        elif words[0] == "options":
            for option in words[1:]:
                if option.startswith("ndots:") and option[6:].isdigit():
                    ndots = min(int(option[6:]), 15)
    return Resolver(tuple(servers) or (("127.0.0.1", 53),), search, ndots, timeout_s)


def candidates(name: str, resolver: Resolver) -> list[str]:
    """The full names to try, in order (resolv.conf(5): ndots, search); one that ends in a dot is tried as it is."""
    if name.endswith("."):
        return [name]
    searched = [f"{name}.{suffix}." for suffix in resolver.search]
    own = f"{name}."
    return [own, *searched] if name.count(".") >= resolver.ndots else [*searched, own]


class ServerFailed(Exception):
    """No server gave an answer that says anything; the text says what each did."""


Exchange = Callable[[dns.message.QueryMessage, tuple[str, int], float, bool], dns.message.Message]
"""(question, server, timeout in s, over TCP) → its answer. Raises OSError, dns.exception.DNSException, ValueError."""


def _exchange(
    question: dns.message.QueryMessage, server: tuple[str, int], timeout_s: float, tcp: bool
) -> dns.message.Message:
    send = dns.query.tcp if tcp else dns.query.udp
    return send(question, server[0], timeout=timeout_s, port=server[1])


def ask(name: str, kind: str, resolver: Resolver, exchange: Exchange = _exchange) -> list[dns.rrset.RRset]:
    """The answer's record sets of a name or of what the search list makes of it; none where no such name exists.

    Raises ServerFailed where a candidate could not be asked and no other exists: the name may well exist.
    """
    failures = []
    for candidate in candidates(name, resolver):
        try:
            answer = _from_any_server(candidate, kind, resolver, exchange)
        except ServerFailed as failed:
            failures.append(str(failed))
            continue
        if answer.rcode() == dns.rcode.NOERROR:
            return list(answer.answer)
    if failures:
        raise ServerFailed("; ".join(failures))
    return []


def _from_any_server(
    candidate: str, kind: str, resolver: Resolver, exchange: Exchange
) -> dns.message.Message:
    """The first answer that decides: success or NXDOMAIN. Raises ServerFailed."""
    failures = []
    for server in resolver.servers:
        where = f"{server[0]}:{server[1]}"
        try:
            question = dns.message.make_query(
                dns.name.from_text(candidate), kind, use_edns=0, payload=_EDNS_BYTES
            )
            answer = exchange(question, server, resolver.timeout_s, False)
            if answer.flags & dns.flags.TC:
                plain = dns.message.make_query(dns.name.from_text(candidate), kind)
                answer = exchange(plain, server, resolver.timeout_s, True)
                if answer.flags & dns.flags.TC:
                    failures.append(f"{where}: truncated over TCP too")
                    continue
        except dns.exception.Timeout:
            failures.append(f"{where}: no answer within {resolver.timeout_s:g} s")
        except (OSError, EOFError, dns.exception.DNSException, ValueError) as error:
            failures.append(f"{where}: {error or type(error).__name__}")
        else:
            if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return answer
            failures.append(f"{where}: {dns.rcode.to_text(answer.rcode())}")
    raise ServerFailed(f"{candidate} {kind}: {', '.join(failures)}")


@dataclass(frozen=True, slots=True)
class DnsDiscovery:
    """`dns_sd_configs`: names, a record type, the port for those that carry none."""

    names: tuple[str, ...]
    type: str = "SRV"
    port: int = 0
    every_s: float = 30.0
    servers: tuple[tuple[str, int], ...] = ()
    honour_ttl: bool = False
    timeout_s: float = 2.0
    resolv: Path = Path("/etc/resolv.conf")
    exchange: Exchange = _exchange

    def resolver(self) -> Resolver:
        """The resolver as it is now: resolv.conf may change under a running server."""
        try:
            text = self.resolv.read_text(errors="replace")
        except OSError:
            text = ""
        found = read_resolv(text, self.timeout_s)
        return (
            found if not self.servers else Resolver(self.servers, found.search, found.ndots, self.timeout_s)
        )

    def look(self) -> Finding:
        """Every name asked. A name that no server could answer keeps its targets."""
        resolver = self.resolver()
        groups, kept, lives = [], {}, []
        for name in self.names:
            try:
                sets = ask(name, self.type, resolver, self.exchange)
            except ServerFailed as failed:
                kept[name] = str(failed)
                continue
            groups.append(Group(name, tuple(_targets(name, sets, self.type, self.port))))
            lives += [float(one.ttl) for one in sets]
        again = max(min(lives, default=0.0), _LEAST_TTL_S) if self.honour_ttl and lives else 0.0
        return Finding(tuple(groups), kept, again)


def _targets(name: str, sets: Sequence[dns.rrset.RRset], kind: str, port: int) -> Iterator[Labels]:
    for records in sets:
        for record in records:
            # Other types stand beside what was asked for: a CNAME on the way to an A record.
            if dns.rdatatype.to_text(record.rdtype) != kind:
                continue
            labels: dict[str, str] = {f"{_META}name": name}
            if kind == "SRV":
                host = _host(record.target)
                labels |= {
                    f"{_META}srv_record_target": host + ".",
                    f"{_META}srv_record_port": str(record.port),
                    "__address__": f"{host}:{record.port}",
                }
            elif kind in ("A", "AAAA"):
                address = str(record.address)
                labels["__address__"] = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            else:
                host = _host(record.exchange if kind == "MX" else record.target)
                labels |= {
                    f"{_META}{kind.lower()}_record_target": host + ".",
                    "__address__": f"{host}:{port}",
                }
            yield labels


def _host(name: dns.name.Name) -> str:
    return str(name).rstrip(".")


def configured(
    given: Mapping[str, object], where: str = "dns_sd_configs", house: object = None
) -> DnsDiscovery:
    """Of a configuration (names, type, port, refresh_interval in s, servers, honour_ttl, timeout). Raises Invalid."""
    names = given.get("names")
    if (
        not isinstance(names, (list, tuple))
        or not names
        or not all(isinstance(one, str) and one for one in names)
    ):
        raise Invalid("names are missing", where=f"{where}.names", mend="[_node._tcp.example.org]")
    kind = str(given.get("type", "SRV")).upper()
    if kind not in TYPES:
        raise Invalid(
            f"{kind[:20]!r} is no type here", where=f"{where}.type", mend=f"one of {', '.join(TYPES)}"
        )
    port = given.get("port", 0)
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise Invalid(f"{port!r} is no port", where=f"{where}.port")
    if kind != "SRV" and not port:
        raise Invalid(f"a port is needed for {kind} records", where=f"{where}.port", mend="port: 9100")
    for name in names:
        try:
            dns.name.from_text(name)
        except dns.exception.DNSException as error:
            raise Invalid(f"{name[:80]!r} is no name: {error}", where=f"{where}.names") from None
    servers = given.get("servers", ())
    assert isinstance(servers, (list, tuple))
    return DnsDiscovery(
        tuple(names),
        kind,
        port,
        float(str(given.get("refresh_interval", 30.0))),
        tuple(_server(str(one), where) for one in servers),
        bool(given.get("honour_ttl", False)),
        float(str(given.get("timeout", 2.0))),
    )


def _server(text: str, where: str) -> tuple[str, int]:
    """`192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53`. Raises Invalid."""
    host, _, port = text.rpartition(":") if text.count(":") == 1 or text.startswith("[") else (text, "", "53")
    if text.startswith("[") and text.endswith("]"):
        host, port = text, "53"
    try:
        address = str(ipaddress.ip_address(host.strip("[]")))
        if not 0 < int(port) < 65536:
            raise ValueError
    except ValueError:
        raise Invalid(
            f"{text[:60]!r} is no server", where=f"{where}.servers", mend="an address, perhaps with :port"
        ) from None
    return address, int(port)
