"""docs/agent.md names everything that the agent's tables hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from weatherglass.agent.collectors import COLLECTORS
from weatherglass.agent.command import EXIT_CODES
from weatherglass.agent.costs import TOLD, sample_name
from weatherglass.agent.faults import FAULTS
from weatherglass.agent.probes import PROBES
from weatherglass.agent.replicas import TOLD as OF_REPLICAS

TEXT = (Path(__file__).parents[2] / "docs/agent.md").read_text()
NAMES = [*COLLECTORS, *PROBES, *(n for n in OF_REPLICAS if not n.startswith("pressure"))]
NAMES += [sample_name(name).removeprefix("weatherglass_agent_") for name in TOLD]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_documented(name):
    assert f"`{name}`" in TEXT


def test_faults_and_exit_codes_are_documented():
    assert all(f'"{fault}"' in TEXT for fault in FAULTS)
    assert all(f" {code} " in TEXT for code in EXIT_CODES.values())
