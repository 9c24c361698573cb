"""What the cloud should be, pure: the declaration, its errors with lines, the graph of entities.

Reads files in `load` alone; starts nothing, looks at nothing that runs.
"""

from weatherglass.site.graph import DEPENDS, Edge, Entity, Graph, entity_of, graph
from weatherglass.site.load import json_schema, load, parse, parse_part
from weatherglass.site.model import (
    Host,
    Image,
    Limits,
    Objective,
    Probe,
    Remedies,
    Replica,
    Role,
    Schema,
    Service,
    Site,
    Tenant,
    Update,
    Volume,
    Zone,
)
from weatherglass.site.probe import probe_specs
from weatherglass.site.section import Section, all_sections

__all__ = [
    "DEPENDS",
    "Edge",
    "Entity",
    "Graph",
    "Host",
    "Image",
    "Limits",
    "Objective",
    "Probe",
    "Remedies",
    "Replica",
    "Role",
    "Schema",
    "Section",
    "Service",
    "Site",
    "Tenant",
    "Update",
    "Volume",
    "Zone",
    "all_sections",
    "entity_of",
    "graph",
    "json_schema",
    "load",
    "parse",
    "parse_part",
    "probe_specs",
]  # fmt: skip
