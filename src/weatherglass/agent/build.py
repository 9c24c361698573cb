"""Which rooms' executors this agent carries: the one place where it meets `deploy`. A room to come is found."""

from __future__ import annotations

from weatherglass.agent.agent import Agent, Link
from weatherglass.agent.faults import Faults
from weatherglass.agent.settings import Settings
from weatherglass.agent.work import Executor as Work
from weatherglass.deploy.execute import Executor
from weatherglass.engine.plug import executors


def build(settings: Settings) -> Agent:
    """The agent of a real host. Raises Corrupt or Unavailable when its state cannot be read."""
    link = Link(settings)
    hands = Executor(settings.state, settings.host, secret=link.secret)
    faults = Faults(hands, settings.state / "volumes", link.clock)
    return Agent(
        link,
        hands,
        {
            "deploy.converge": Work(hands.converge, "Bring units about."),
            "deploy.act": Work(hands.act, "Restart, stop, start, grow, remove, observe."),
            "fault": Work(faults.run, "Make something break, for a drill.", once=True),
            **{
                kind: Work(found.make(settings.state, settings.host), found.doc)
                for kind, found in executors().items()
            },
        },
    )
