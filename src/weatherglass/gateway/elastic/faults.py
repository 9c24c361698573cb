"""What goes wrong, in Elasticsearch's words: an exception's type, its reason, its status. Pure.

`Fault` travels in our error tree, so that nothing between here and the socket need know of it; `told` gives any
error of ours the form that Elasticsearch's clients read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weatherglass.base.errors import WeatherglassError


class Fault(WeatherglassError):
    """An exception as Elasticsearch names it. `more` are further keys of it (index, line …); `cause` what it wraps."""

    code = "elastic"

    def __init__(
        self,
        kind: str,
        reason: str,
        status: int = 400,
        *,
        more: Mapping[str, Any] | None = None,
        cause: Fault | None = None,
    ) -> None:
        super().__init__(reason)
        self.kind, self.reason, self.status = kind, reason, status
        self.more, self.cause = dict(more or {}), cause

    def plain(self) -> dict[str, Any]:
        """The exception itself, without its wrapping."""
        return {"type": self.kind, "reason": self.reason, **self.more}


def parsing(reason: str, **more: Any) -> Fault:
    return Fault("parsing_exception", reason, more={"line": 1, "col": 1, **more})


def content(reason: str, cause: Fault | None = None) -> Fault:
    return Fault("x_content_parse_exception", f"[1:1] {reason}", cause=cause)


def argument(reason: str) -> Fault:
    return Fault("illegal_argument_exception", reason)


def no_index(name: str) -> Fault:
    return Fault(
        "index_not_found_exception",
        f"no such index [{name}]",
        404,
        more={
            "resource.type": "index_or_alias",
            "resource.id": name,
            "index_uuid": "_na_",
            "index": name,
        },
    )


def closed(name: str) -> Fault:
    return Fault("index_closed_exception", "closed", more={"index_uuid": "_na_", "index": name})


def exists(name: str, uuid: str) -> Fault:
    return Fault(
        "resource_already_exists_exception",
        f"index [{name}/{uuid}] already exists",
        more={"index_uuid": uuid, "index": name},
    )


def missing(what: str, kind: str = "resource_not_found_exception") -> Fault:
    return Fault(kind, what, 404)


def search_phase(cause: Fault, index: str) -> Fault:
    """A query that failed on the shards, as a search tells it."""
    return Fault(
        "search_phase_execution_exception",
        "all shards failed",
        cause.status,
        more={
            "phase": "query",
            "grouped": True,
            "failed_shards": [{"shard": 0, "index": index, "node": "weatherglass", "reason": cause.plain()}],
        },
        cause=cause,
    )


_KINDS: dict[int, str] = {
    400: "illegal_argument_exception",
    401: "security_exception",
    403: "security_exception",
    404: "resource_not_found_exception",
    405: "method_not_allowed_exception",
    409: "version_conflict_engine_exception",
    413: "content_too_long_exception",
    415: "media_type_header_exception",
    429: "es_rejected_execution_exception",
    503: "unavailable_shards_exception",
}


def told(error: WeatherglassError, status: int) -> dict[str, Any]:
    """The body of an error's answer."""
    if isinstance(error, Fault):
        root = error.cause if error.cause is not None else error
        body: dict[str, Any] = {"root_cause": [root.plain()], **error.plain()}
        if error.cause is not None:
            body["caused_by"] = error.cause.plain()
        return {"error": body, "status": error.status}
    said = "; ".join(
        f"{one.message} ({one.mend})" if one.mend else one.message for one in error.problems[:20]
    )
    plain = {"type": _KINDS.get(status, "exception"), "reason": said}
    return {"error": {"root_cause": [plain], **plain}, "status": status}


def item_error(error: WeatherglassError, status: int) -> dict[str, Any]:
    """An error where it stands inside an answer: of one item of a bulk, of one search of many."""
    body: dict[str, Any] = told(error, status)["error"]
    body.pop("root_cause")
    return body
