"""Print the JSON Schema of declarations, for editors.

Example: weatherglass schema > site.schema.json

Then begin a declaration with: # yaml-language-server: $schema=site.schema.json
"""

from __future__ import annotations

from weatherglass.cli import exits, show

PANEL = "Declare and deploy"


def run() -> int:
    from weatherglass.site import json_schema

    show.as_json(json_schema())
    return exits.OK
