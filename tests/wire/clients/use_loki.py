"""python-logging-loki: a handler of Python's logging."""

import logging
import os
import sys

import logging_loki

handler = logging_loki.LokiHandler(
    url=os.environ["URL"] + "/loki/api/v1/push",
    tags={"app": "lokitest"},
    auth=("anybody", os.environ["TOKEN"]),
    version="1",
)


def fail(record):
    sys.exit(f"it was not taken: {record}")


handler.handleError = fail
log = logging.getLogger("wire")
log.addHandler(handler)
log.error("the disk of %s is full", "ctl-1", extra={"tags": {"zone": "a"}})
log.warning("a second line")
