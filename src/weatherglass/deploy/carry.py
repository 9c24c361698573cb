"""Carrying changes out: wave after wave over the hosts, each wave ready before the next begins. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from threading import Event

from weatherglass.base.errors import NotFound, Unavailable
from weatherglass.base.time import Clock
from weatherglass.deploy.hands import Failed, Hands
from weatherglass.deploy.model import Change, Unit, UnitId
from weatherglass.deploy.plan import schedule
from weatherglass.deploy.runs import Run
from weatherglass.engine.protocols import ProbeResult, ReplicaSeen, Running
from weatherglass.site import Replica, Service, Site

READY_S = 180.0
"""How long a replica may take from its start to its first good answer."""

_ASK_EVERY_S = 0.25
_DOWN = frozenset({Running.EXITED, Running.QUARANTINED})

Prober = Callable[[Site, Service, Replica], ProbeResult]


class Carrier:
    """`probe` asks a replica from the server; `seen` is what its host last told of it; `stopping` ends all waits."""

    def __init__(
        self,
        hands: Hands,
        probe: Prober,
        seen: Callable[[str], tuple[int, ReplicaSeen] | None],
        clock: Clock,
        stopping: Event,
    ) -> None:
        self._hands, self._probe, self._seen = hands, probe, seen
        self._clock, self._stopping = clock, stopping

    def carry(
        self, changes: Iterable[Change], desired: Mapping[UnitId, Unit], site: Site, generation: str, run: Run
    ) -> dict[str, float]:
        """Make the changes; seconds from order to readiness by replica. Raises Failed, Unavailable at the first
        that cannot be made: what was made stays, for the caller to tell."""
        took: dict[str, float] = {}
        waves = schedule(changes, desired)
        for number, wave in enumerate(waves):
            began, begun_ns = self._clock.monotonic(), self._clock.now_ns()
            share = (number / len(waves), (number + 0.8) / len(waves))
            self._hands.converge(wave, site.name, generation, run, share)
            started = [c.unit.replica for c in wave if c.unit.kind == "replica" and c.action != "remove"]
            for replica in started:
                self.ready(site, replica, run, begun_ns)
                took[replica] = self._clock.monotonic() - began
            run.reach((number + 1) / len(waves))
            run.keep()
        return took

    def ready(self, site: Site, name: str, run: Run, since_ns: int) -> None:
        """Wait until a replica answers its probe. Raises Failed when it ends meanwhile, or never answers."""
        service, replica = find(site, name)
        if service.probe is None:
            run.say(f"{name} runs (it declares no probe)", entity=f"replica/{name}", level="good")
            return
        began = self._clock.monotonic()
        detail, told = "", False
        while (spent := self._clock.monotonic() - began) < READY_S:
            result = self._probe(site, service, replica)
            if result.ok:
                run.say(f"{name} answers its probe", entity=f"replica/{name}", level="good", seconds=spent)
                return
            detail = result.detail
            if not told and spent > 2:
                run.say(f"waiting for {name}: {detail}", entity=f"replica/{name}")
                told = True
            at_ns, seen = self._seen(name) or (0, None)
            if seen is not None and at_ns > since_ns and seen.state in _DOWN:
                code = "" if seen.exit_code is None else f" with {seen.exit_code}"
                raise Failed(f"{name} exited{code} before it answered: {detail}", unit=f"replica:{name}")
            if self._stopping.wait(_ASK_EVERY_S):
                raise Unavailable("the server is stopping")
        raise Failed(f"{name} did not answer its probe in {READY_S:.0f} s: {detail}", unit=f"replica:{name}")


def find(site: Site, name: str) -> tuple[Service, Replica]:
    """A replica and its service by the replica's name. Raises NotFound."""
    for service in site.services.values():
        for replica in service.replicas:
            if replica.name == name:
                return service, replica
    raise NotFound(
        f"there is no replica {name}", where=f"replica/{name}", mend="`weatherglass status` lists them"
    )
