"""What is there: the declared graph joined with what was seen; states and incidents; all with their history."""

from weatherglass.inventory.inventory import Change, Inventory
from weatherglass.inventory.model import (
    Evidence,
    Incident,
    Moment,
    Part,
    State,
    StateRecord,
    evidence_to_json,
    incident_from_json,
    incident_to_json,
    state_to_json,
)
from weatherglass.inventory.tables import METADATA, MIGRATIONS

__all__ = [
    "METADATA", "MIGRATIONS", "Change", "Evidence", "Incident", "Inventory", "Moment", "Part", "State",
    "StateRecord", "evidence_to_json", "incident_from_json", "incident_to_json", "state_to_json",
]  # fmt: skip
