"""Writes records through oslo.log's ContextFormatter and JSONFormatter at once, as it is told: the ground truth.

Run by the peers' Python (`.peers/logs`), never by pytest. One JSON object a line on standard input, `{"records":
[…]}`; one back, `{"text": …, "truth": […]}`. A record: logger, level, message, pid, at (seconds), context, instance,
raises (a list of [kind, message], each raised from the one before it).
"""

import json
import logging
import sys

from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_log import formatters
from oslo_log import log as oslo_log

KINDS = {kind.__name__: kind for kind in (ValueError, KeyError, RuntimeError, OSError, LookupError)}


class Domain(Exception):
    """An exception with a module, and with notes."""


def raised(chain, group):
    """The exception of a chain, raised and caught, so that it has frames."""
    error = None
    for kind, message in chain:
        try:
            if kind == "SyntaxError":
                compile("def f(:\n  pass", "<made>", "exec")
            made = Domain(message) if kind == "Domain" else KINDS[kind](message)
            if kind == "Domain":
                made.add_note("a note\nof two lines")
            raise made from error
        except Exception as caught:  # noqa: BLE001 (it is made to be caught)
            error = caught
    if group:
        try:
            raise ExceptionGroup("many", [error, ValueError("beside")])
        except ExceptionGroup as caught:
            error = caught
    return error


def record(one):
    error = raised(one["raises"], one["group"]) if one["raises"] else None
    info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord(
        one["logger"], one["level"], __file__, 7, one["message"], None, info, func="emit"
    )
    made.created, made.process = one["at"], one["pid"]
    made.msecs = round((one["at"] % 1) * 1000) + 0.0
    if one["instance"]:
        made.instance_uuid, made.extra_keys = one["instance"], ["instance_uuid"]
    made.context = oslo_context.RequestContext(overwrite=False, **one["context"]) if one["context"] else None
    return made


def main():
    conf = cfg.ConfigOpts()
    oslo_log.register_options(conf)
    conf([])
    text = formatters.ContextFormatter(config=conf, datefmt=conf.log_date_format)
    truth = formatters.JSONFormatter()
    for line in sys.stdin:
        records = json.loads(line)["records"]
        lines = [text.format(record(one)) + "\n" for one in records]
        known = [json.loads(truth.format(record(one))) for one in records]
        print(json.dumps({"text": lines, "truth": known}), flush=True)


main()
