"""The room at work: each declaration proven once it counts, the live file system planned for, changed and verified.

Proofs are made in the background; what was proven stands with its date until the next declaration. Changes go to the
management server's host over its agent's work stream and are read back after.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from weatherglass.base.errors import Conflict, NotFound, Unavailable
from weatherglass.base.ids import SITE_TENANT, entity
from weatherglass.engine.plug import Kit
from weatherglass.engine.protocols import Entry, Samples
from weatherglass.shares import declared, ganesha, nfsproof, proof, usage
from weatherglass.shares.lustre import compile as lustre
from weatherglass.shares.lustre import live, plan
from weatherglass.shares.lustre.plan import Change
from weatherglass.shares.policy import FileSystem
from weatherglass.shares.proof import Verdict

ANSWER_S = 120.0


@dataclass(frozen=True, slots=True)
class Proven:
    """What was found of one file system, and when. `told` is the verdict in words, `assumed` what it rests on."""

    fs: FileSystem
    at_ns: int
    generation: int
    verdict: Verdict
    told: str
    assumed: tuple[str, ...]


class Shares:
    """The shares of the site that counts."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._proofs: Mapping[str, Proven] = {}
        self._wanted = threading.Event()
        self._stopping = False
        self._generation = 0
        self._thread = threading.Thread(target=self._work, name="shares-proofs", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._wanted.set()

    def stop(self) -> None:
        self._stopping = True
        self._wanted.set()

    def on_site(self, site: Any, generation: int) -> None:
        self._generation = generation
        self._wanted.set()

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            if self._stopping:
                return
            self._wanted.clear()
            self.prove()

    # --- proofs ------------------------------------------------------------------------------------------

    def prove(self) -> None:
        """Prove what is declared now; what is no longer declared is forgotten."""
        generation, found = self._generation, {}
        for fs in self._declared():
            text = ganesha.compiled(fs) if fs.nfs else lustre.text(lustre.commands(fs))
            verdict = nfsproof.prove(fs, text) if fs.nfs else proof.prove(fs, text)
            assumed = nfsproof.ASSUMED if fs.nfs else proof.ASSUMED
            told = proof.told(verdict, fs, ())
            found[fs.name] = Proven(fs, self._kit.clock.now_ns(), generation, verdict, told, assumed)
            if self._stopping:
                return
        self._proofs = found

    def proofs(self) -> list[Proven]:
        """The last proof of each file system, by name."""
        return [one for _, one in sorted(self._proofs.items())]

    def _declared(self) -> list[FileSystem]:
        site = self._kit.site()
        return declared.of(site.sections) if site else []

    # --- the live file system ----------------------------------------------------------------------------

    def plan(self, name: str) -> list[Change]:
        """What would change on the live file system. Raises NotFound, Unavailable."""
        fs = self._lustre(name)
        return plan.plan(fs, live.parse(self._listing(fs), fs.version))

    def apply(self, name: str, who: str, why: str = "") -> list[Change]:
        """Change the live file system to the policy and read it back. Raises Conflict where it is not the policy then."""
        fs = self._lustre(name)
        declared.check([fs])
        changes = plan.plan(fs, live.parse(self._listing(fs), fs.version))
        if not changes:
            return []
        commands = [list(change.command.argv) for change in changes]
        body = {"commands": commands, "at_ns": self._kit.clock.now_ns()}
        answer = self._ask(self._host(fs), "shares-run", body)
        differ = plan.same(live.parse(self._listing(fs), fs.version), plan.wanted(fs))
        self._kit.ledger.append(
            Entry(
                self._kit.clock.now_ns(), who, "shares.apply", entity("share", name), why,
                after={"commands": [" ".join(argv) for argv in commands], "differs": differ, **answer},
            )
        )  # fmt: skip
        if "failed" in answer:
            failed = " ".join(answer["failed"])
            raise Conflict(f"`{failed}` failed: {answer['error']}", where=f"share/{name}", mend="plan again")
        if differ:
            raise Conflict(
                f"after all commands {', '.join(differ)} still differs",
                where=f"share/{name}",
                mend="plan again",
            )
        return changes

    def collect(self, name: str) -> int:
        """Read what tenants did from every server that is a host, and keep it; how many samples. Raises NotFound."""
        fs = self._lustre(name)
        whole = {}
        for host in self._servers(fs):
            text = str(self._ask(host, "shares-usage", {"at_ns": self._kit.clock.now_ns()})["listing"])
            for key, value in usage.samples(fs, text).items():
                whole[(*key, ("host", host))] = value
        now = self._kit.clock.now_ns() // 1_000_000
        series = [tuple(sorted(key)) for key in whole]
        self._kit.samples.append(
            SITE_TENANT, Samples(series, [[now]] * len(whole), [[one] for one in whole.values()])
        )
        return len(whole)

    def _servers(self, fs: FileSystem) -> list[str]:
        """Hosts whose address is one of the servers'."""
        hosts = []
        for host in self._kit.site().hosts.values():
            try:
                address = int(IPv4Address(host.address))
            except ValueError:
                continue  # a name: the servers' NIDs are addresses
            if any(one.low <= address <= one.high for one in fs.servers):
                hosts.append(str(host.name))
        return hosts

    def _lustre(self, name: str) -> FileSystem:
        fs = next((one for one in self._declared() if one.name == name and not one.nfs), None)
        if fs is None:
            raise NotFound(f"no Lustre file system {name} is declared", where="shares")
        return fs

    def _host(self, fs: FileSystem) -> str:
        """The host of the management server, by its address."""
        address = fs.mgs.partition("@")[0]
        site = self._kit.site()
        host = next((one.name for one in site.hosts.values() if one.address == address), "")
        if not host:
            raise Unavailable(
                f"no host has the management server's address {address}", mend="declare it under hosts:"
            )
        return str(host)

    def _listing(self, fs: FileSystem) -> str:
        body = {"at_ns": self._kit.clock.now_ns()}  # each reading is another one
        return str(self._ask(self._host(fs), "shares-read", body)["listing"])

    def _ask(self, host: str, kind: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        result = self._kit.work.wait(host, self._kit.work.send(host, kind, body), ANSWER_S)
        if result.status != "done":
            raise Unavailable(f"{host}: {result.error or 'the work failed'}", where=host)
        return result.body
