"""What clients register by name: templates, components, data streams, pipelines, policies.

Templates and streams are used; pipelines and policies are kept and given back, so that the shippers that register them
find what they registered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weatherglass.gateway.elastic import dates, fields, names
from weatherglass.gateway.elastic.admin import fits
from weatherglass.gateway.elastic.asking import Ask, Reply, acknowledged
from weatherglass.gateway.elastic.faults import Fault, argument, missing, no_index
from weatherglass.gateway.elastic.indices import COMPONENT, LEGACY, STREAM, TEMPLATE, Indices
from weatherglass.logs.registered import Body, Registered

PIPELINE, POLICY = "pipeline", "policy"


class Named:
    """Of every tenant; any thread."""

    def __init__(self, indices: Indices, registered: Registered) -> None:
        self._indices, self._kept = indices, registered

    # --- templates, pipelines, policies ------------------------------------------------------------------

    def put_template(self, ask: Ask) -> Reply:
        name, body = ask.part("name"), ask.json()
        if not isinstance(body.get("index_patterns"), (list, str)) or not body["index_patterns"]:
            raise Fault(
                "action_request_validation_exception",
                f"Validation Failed: 1: index template [{name}] has no index patterns;",
            )
        globs = body["index_patterns"]
        body["index_patterns"] = globs if isinstance(globs, list) else [globs]
        for part in body.get("composed_of") or ():
            if self._kept.get(ask.tenant, COMPONENT, part) is None and part not in (
                body.get("ignore_missing_component_templates") or ()
            ):
                raise Fault(
                    "invalid_index_template_exception",
                    f"index_template [{name}] invalid, cause [index template [{name}] specifies component templates [{part}] that do not exist]",
                )
        fields.check((body.get("template") or {}).get("mappings") or {})
        if ask.flag("create") and self._kept.get(ask.tenant, TEMPLATE, name) is not None:
            raise argument(f"index template [{name}] already exists")
        self._kept.put(ask.tenant, TEMPLATE, name, body)
        return acknowledged()

    def put_component(self, ask: Ask) -> Reply:
        body = ask.json()
        if not isinstance(body.get("template"), dict):
            raise Fault("x_content_parse_exception", "[1:1] [component_template] Required [template]")
        fields.check(body["template"].get("mappings") or {})
        self._kept.put(ask.tenant, COMPONENT, ask.part("name"), body)
        return acknowledged()

    def put_legacy(self, ask: Ask) -> Reply:
        body = ask.json()
        globs = body.get("index_patterns", body.get("template"))
        if not globs:
            raise Fault(
                "action_request_validation_exception", "Validation Failed: 1: index patterns are missing;"
            )
        body["index_patterns"] = globs if isinstance(globs, list) else [globs]
        self._kept.put(ask.tenant, LEGACY, ask.part("name"), body)
        return acknowledged()

    def templates(self, ask: Ask) -> Reply:
        return self._listed(ask, TEMPLATE, "index_templates", "index_template", "index template matching")

    def components(self, ask: Ask) -> Reply:
        return self._listed(
            ask, COMPONENT, "component_templates", "component_template", "component template matching"
        )

    def _listed(self, ask: Ask, kind: str, many: str, one: str, what: str) -> Reply:
        glob = ask.part("name")
        found = [
            {"name": name, one: body}
            for name, body in sorted(self._kept.all(ask.tenant, kind).items())
            if fits(name, glob)
        ]
        if not found and glob and "*" not in glob:
            raise missing(f"{what} [{glob}] not found")
        return Reply({many: found})

    def _by_name(self, ask: Ask, kind: str, shape: Callable[[Body], Any] = dict) -> Reply:
        glob = ask.part("name")
        found = {
            name: shape(body) for name, body in self._kept.all(ask.tenant, kind).items() if fits(name, glob)
        }
        if not found and glob and "*" not in glob:
            if kind == POLICY:
                raise missing(f"Lifecycle policy not found: {glob}")
            return Reply({}, 404)
        return Reply(found)

    def legacy(self, ask: Ask) -> Reply:
        return self._by_name(ask, LEGACY)

    def pipelines(self, ask: Ask) -> Reply:
        return self._by_name(ask, PIPELINE)

    def policies(self, ask: Ask) -> Reply:
        now = dates.write(self._indices.now_ms)
        return self._by_name(
            ask, POLICY, lambda body: {"version": 1, "modified_date": now, "policy": body.get("policy", body)}
        )

    def put_pipeline(self, ask: Ask) -> Reply:
        body = ask.json()
        if not isinstance(body.get("processors"), list):
            raise Fault(
                "parse_exception",
                "[processors] required property is missing",
                more={"property_name": "processors"},
            )
        self._kept.put(ask.tenant, PIPELINE, ask.part("name"), body)
        return acknowledged()

    def put_policy(self, ask: Ask) -> Reply:
        body = ask.json()
        if not isinstance(body.get("policy"), dict):
            raise Fault("x_content_parse_exception", "[1:1] [put_lifecycle_request] Required [policy]")
        self._kept.put(ask.tenant, POLICY, ask.part("name"), body)
        return acknowledged()

    def dropper(self, kind: str, what: str) -> Callable[[Ask], Reply]:
        """A handler that lets go of what is registered under names or patterns."""

        def drop(ask: Ask) -> Reply:
            glob = ask.part("name")
            found = [name for name in self._kept.all(ask.tenant, kind) if fits(name, glob)]
            if not found and "*" not in glob:
                raise missing(
                    f"{what} [{glob}] missing",
                    "index_template_missing_exception"
                    if "template" in what
                    else "resource_not_found_exception",
                )
            for name in found:
                self._kept.drop(ask.tenant, kind, name)
            return acknowledged()

        return drop

    def checker(self, kind: str) -> Callable[[Ask], Reply]:
        """A handler that says whether something of the name is registered."""

        def check(ask: Ask) -> Reply:
            glob = ask.part("name")
            return Reply(
                None, 200 if any(fits(name, glob) for name in self._kept.all(ask.tenant, kind)) else 404
            )

        return check

    # --- streams -----------------------------------------------------------------------------------------

    def create_stream(self, ask: Ask) -> Reply:
        self._indices.create_stream(ask.tenant, names.check(ask.part("name")))
        return acknowledged()

    def streams(self, ask: Ask) -> Reply:
        glob = ask.part("name")
        found = [
            {
                "name": name,
                "timestamp_field": {"name": "@timestamp"},
                "indices": [
                    {"index_name": one, "index_uuid": self._indices.row(ask.tenant, one)["uuid"]}
                    for one in row["indices"]
                ],
                "generation": row["generation"],
                "status": "GREEN",
                "template": "",
                "hidden": False,
                "system": False,
            }
            for name, row in sorted(self._kept.all(ask.tenant, STREAM).items())
            if fits(name, glob)
        ]
        if not found and glob and "*" not in glob:
            raise no_index(glob)
        return Reply({"data_streams": found})

    def drop_stream(self, ask: Ask) -> Reply:
        glob = ask.part("name")
        found = {name: row for name, row in self._kept.all(ask.tenant, STREAM).items() if fits(name, glob)}
        if not found and "*" not in glob:
            raise no_index(glob)
        for name, row in found.items():
            self._kept.drop(ask.tenant, STREAM, name)
            for one in row["indices"]:
                self._indices.delete(ask.tenant, one)
        return acknowledged()
