"""Snakemake's events as lines of JSON, for whoever started it: what runs, what ended, how far it is.

Found by Snakemake through PYTHONPATH (its plugins are packages of this prefix). Only what Snakemake itself tells.
"""

from __future__ import annotations

import json
import os
from logging import LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase

_KEPT = (
    *(
        "jobid",
        "job_id",
        "rule_name",
        "wildcards",
        "threads",
        "input",
        "output",
        "log",
        "resources",
        "shellcmd",
    ),
    *(
        "cmd",
        "reason",
        "done",
        "total",
        "exception",
        "rule",
        "job_ids",
        "external_job_id",
        "aux",
        "is_checkpoint",
    ),
)


class LogHandler(LogHandlerBase):
    def __post_init__(self) -> None:
        path = os.environ["WEATHERGLASS_EVENTS"]
        self._out = Path(path).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115

    def emit(self, record: LogRecord) -> None:
        event = getattr(record, "event", None)
        told: dict[str, Any] = {"at_ns": int(record.created * 1e9), "level": record.levelname}
        told["event"] = getattr(event, "value", event)
        text = record.getMessage() if record.msg else ""
        if text and text != "None":
            told["text"] = text[:4000]
        for name in _KEPT:
            value = getattr(record, name, None)
            if value is not None:
                told[name] = _plain(value)
        self._out.write(json.dumps(told, default=str) + "\n")

    @property
    def writes_to_stream(self) -> bool:
        return False

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return True

    @property
    def has_formatter(self) -> bool:
        return True

    @property
    def needs_rulegraph(self) -> bool:
        return False


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "items"):
        return {str(key): _plain(one) for key, one in value.items()}
    if hasattr(value, "_names"):
        return {name: _plain(getattr(value, name)) for name in value._names}
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    return str(value)
