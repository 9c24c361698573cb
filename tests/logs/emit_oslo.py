"""Emits oslo.log's text and JSON forms of the same records: the ground truth of framing and parsing.

Run by the system's Python (Debian's python3-oslo.log), not by pytest: `emit_oslo.py FOLDER EVENTS SEED`.
Writes FOLDER/text.log and FOLDER/truth.jsonl, one JSON object an event.
"""

import logging
import random
import sys
import uuid
from pathlib import Path

from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_log import formatters
from oslo_log import log as oslo_log

FOLDER, EVENTS, SEED = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
NAMES = [
    "nova.compute.manager",
    "keystone.server.flask.application",
    "neutron.plugins.ml2.managers",
    "oslo.messaging._drivers.impl_rabbit",
    "nova.osapi_compute.wsgi.server",
]
PEOPLE = [uuid.UUID(int=number**7 * 31).hex for number in range(3, 43)]
INSTANCES = [str(uuid.UUID(int=number**9 * 37)) for number in range(3, 203)]
XML = '<domain type="kvm">\n  <name>instance-%08x</name>\n\n  <memory>%d</memory>\n</domain>\n'


def deep(random_, depth):
    """Raises at some depth, with causes and messages of the awkward kinds."""
    if depth:
        return deep(random_, depth - 1)
    kind = random_.randrange(5)
    if kind == 0:
        raise ValueError(f"Instance {uuid.UUID(int=random_.getrandbits(128))} could not be found")
    if kind == 1:
        try:
            {}["missing"]
        except KeyError as error:
            raise RuntimeError("wrapped\nover two lines") from error
    if kind == 2:
        try:
            random_.random() / 0
        except ZeroDivisionError:
            raise OSError(111, "ECONNREFUSED")  # noqa: B904 (chained by context is what is wanted)
    if kind == 3:
        raise TypeError("[SQL: SELECT a, b, c, d FROM e WHERE f = 1]\n[parameters: {'f': 1}]")
    raise LookupError()


def emit(random_, loggers, requests):
    logger = logging.getLogger(random_.choice(loggers))
    extra = {}
    if random_.random() < 0.4:
        extra["instance_uuid"] = random_.choice(INSTANCES)
        extra["extra_keys"] = ["instance_uuid"]
    if random_.random() < 0.7:
        extra["context"] = oslo_context.RequestContext(
            user_id=random_.choice(PEOPLE),
            project_id=random_.choice(PEOPLE),
            user_domain_id="default",
            project_domain_id="default",
            system_scope=random_.choice([None, "all"]),
            request_id=random_.choice(requests),
            global_request_id=random_.choice([None, f"req-{uuid.UUID(int=random_.getrandbits(128))}"]),
            overwrite=False,
        )
    # Of 24 events three have a traceback: more than in life, where it is one in hundreds.
    what = random_.randrange(24)
    if what < 16:
        logger.info(
            '10.11.10.%d "GET /v2/%s/servers/detail HTTP/1.1" status: %d len: %d time: %.7f',
            random_.randrange(255),
            random_.choice(PEOPLE),
            random_.choice([200, 404, 500]),
            random_.randrange(5000),
            random_.random(),
            extra=extra,
        )
    elif what < 20:
        logger.warning(
            "Running periodic task %s took %.2f s", random_.choice("abc"), random_.random(), extra=extra
        )
    elif what == 20:
        logger.debug("End _get_guest_xml xml=" + XML, random_.randrange(2**31), 2048, extra=extra)
    else:
        try:
            deep(random_, random_.randrange(4))
        except Exception:
            if what < 23:
                logger.exception("Failed to do %s", "a thing", extra=extra)
            else:
                logger.warning("Will retry", exc_info=True, extra=extra)


def main():
    conf = cfg.ConfigOpts()
    oslo_log.register_options(conf)
    conf([])
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    text = logging.FileHandler(FOLDER / "text.log", "w", encoding="utf-8")
    text.setFormatter(formatters.ContextFormatter(config=conf, datefmt=conf.log_date_format))
    truth = logging.FileHandler(FOLDER / "truth.jsonl", "w", encoding="utf-8")
    truth.setFormatter(formatters.JSONFormatter())
    root.handlers = [text, truth]
    random_ = random.Random(SEED)
    requests = ["req-begin"]
    for _ in range(EVENTS):
        if random_.random() < 0.3:  # a new request, while a few others go on
            requests = [f"req-{uuid.UUID(int=random_.getrandbits(128))}", *requests[:3]]
        emit(random_, NAMES, requests)


main()
