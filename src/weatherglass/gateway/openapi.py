"""How our routes say what they take and give: small helpers for the OpenAPI page, and the answer itself."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from weatherglass.gateway.shapes import wire

ERROR = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "A short, stable code."},
        "message": {"type": "string"},
        "where": {"type": "string"},
        "mend": {"type": "string"},
        "problems": {"type": "array", "items": {"type": "object"}},
    },
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "What is wrong, where, and how to mend it.",
        "content": {"application/json": {"schema": ERROR}},
    }
}


def answer(value: Any, status: int = 200) -> Response:
    """`value` as JSON (see `shapes.wire`)."""
    body = json.dumps(wire(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(body, status, media_type="application/json")


def query(**parameters: str) -> dict[str, Any]:
    """`openapi_extra` of a route that reads query parameters: name → what it means."""
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": doc, "schema": {"type": "string"}}
            for name, doc in parameters.items()
        ]
    }


def body(required: tuple[str, ...] = (), **fields: str) -> dict[str, Any]:
    """`openapi_extra` of a route that reads a JSON object: field → `type: what it means`."""
    properties = {}
    for name, said in fields.items():
        kind, _, doc = said.partition(": ")
        shape = {"type": "array", "items": {"type": "string"}} if kind == "texts" else {"type": kind}
        properties[name] = {**shape, "description": doc}
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"requestBody": {"required": bool(required), "content": {"application/json": {"schema": schema}}}}
