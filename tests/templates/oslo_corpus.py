"""Log calls of real OpenStack services, made with arguments of the kind their names say, through oslo.log.

Run by the system's Python, where Debian's nova, neutron, glance, keystone and placement are:
`oslo_corpus.py FOLDER SITES LINES SEED`. Every call is found in the services' sources (format and argument
expressions), and is made by a logger that has oslo.log's ContextFormatter and JSONFormatter at once: FOLDER/text.log
is what a service writes, FOLDER/truth.jsonl says `msg`, the true template. How often a call is made falls off as
1/rank, as in life, and none is made fewer than four times.
"""

import ast
import importlib.util
import logging
import random
import re
import sys
import uuid
from pathlib import Path
from zlib import crc32

from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_log import formatters
from oslo_log import log as oslo_log

SERVICES = ("nova", "neutron", "glance", "keystone", "placement")
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
DIRECTIVE = re.compile(r"%(?:\((\w+)\))?[-#0 +]*\d*(?:\.\d+)?([sdrifxg%])")
PEOPLE = [uuid.UUID(int=n**7 * 31).hex for n in range(3, 43)]
WORDS = [
    "admin",
    "demo",
    "web-server",
    "cirros",
    "default",
    "private",
    "public",
    "internal",
    "storage",
    "backup",
    "heat",
    "octavia",
    "gateway",
    "bastion",
    "tempest",
    "rally",
    "monitoring",
    "ceph-ssd",
    "lvm",
    "erasure",
    "tenant-net",
    "mgmt",
    "dmz",
    "provider",
]
STATES = [
    "ACTIVE",
    "BUILD",
    "ERROR",
    "SHUTOFF",
    "PAUSED",
    "DELETED",
    "active",
    "building",
    "error",
    "stopped",
    "scheduling",
    "spawning",
    "networking",
]
ERRORS = (
    "Instance {u} could not be found.",
    "Connection to the hypervisor is broken on host: {h}",
    "[Errno 111] ECONNREFUSED",
    "Timed out waiting for a reply to message ID {x}",
    "(pymysql.err.OperationalError) (2013, 'Lost connection to MySQL server during query')",
    "No valid host was found. There are not enough hosts available.",
    "Unable to establish connection to http://{i}:9696/v2.0/networks: HTTPConnectionPool(host='{i}', port=9696)",
    "Port {u} could not be found.",
)


def calls(service):
    """(logger, level, format, argument expressions or {name: expression}) of every call with a literal format."""
    root = Path(importlib.util.find_spec(service).origin).parent
    for path in sorted(root.rglob("*.py")):
        if "tests" in path.parts or "locale" in path.parts:
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except SyntaxError:
            continue
        logger = ".".join((service, *path.relative_to(root).with_suffix("").parts))
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            owner = node.func.value
            if not (isinstance(owner, ast.Name) and owner.id == "LOG" and node.func.attr in LEVELS):
                continue
            text, *rest = node.args
            if not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
                continue
            # `LOG.x("…" % y)` is not in reach here: its msg is no template.
            if (
                len(rest) == 1
                and isinstance(rest[0], ast.Dict)
                and all(isinstance(k, ast.Constant) for k in rest[0].keys)
            ):
                given = {k.value: ast.unparse(v) for k, v in zip(rest[0].keys, rest[0].values, strict=True)}
            else:
                given = [ast.unparse(one) for one in rest]
            wanted = [d for d in DIRECTIVE.findall(text.value) if d[1] != "%"]
            if isinstance(given, dict):
                fits = bool(wanted) and all(name in given for name, _ in wanted)
            else:
                fits = len(wanted) == len(given) and not any(name for name, _ in wanted)
            if fits:
                yield logger, LEVELS[node.func.attr], text.value, given


def value(random_, expression, kind):
    """An argument as its expression's name says."""
    name = re.sub(r"\W+", "_", expression).lower().strip("_")
    number = random_.randrange(1, 10000)
    host = f"compute-{random_.randrange(40):02d}"
    address = f"10.{random_.randrange(4)}.{random_.randrange(256)}.{random_.randrange(1, 255)}"
    identity = str(uuid.UUID(int=random_.getrandbits(128)))
    if kind in "di":
        return number
    if kind == "x":
        return random_.getrandbits(32)
    if kind in "fg":
        return number / 997
    tail = name.rsplit("_", 2)[-2:]
    last = tail[-1]
    if last in ("e", "ex", "exc", "err", "error", "exception", "reason", "fault"):
        return random_.choice(ERRORS).format(u=identity, h=host, i=address, x=uuid.UUID(identity).hex)
    if last in ("user", "project", "tenant") or name.endswith(("user_id", "project_id", "tenant_id")):
        return random_.choice(PEOPLE)
    if last in (
        "uuid",
        "id",
        "instance",
        "port",
        "network",
        "image",
        "volume",
        "router",
        "subnet",
        "agent",
        "token",
    ):
        return identity
    if last in ("ids", "uuids", "instances", "ports", "networks", "hosts", "volumes", "devices", "routers"):
        return [str(uuid.UUID(int=random_.getrandbits(128))) for _ in range(random_.randrange(4))]
    if last in ("host", "hostname", "node", "source", "dest", "hypervisor"):
        return host
    if last in ("ip", "address", "addr"):
        return address
    if last in ("path", "file", "filename", "dir", "directory", "location", "conf"):
        return f"/var/lib/{random_.choice(WORDS)}/{identity}/{random_.choice(WORDS)}"
    if last in ("url", "uri", "endpoint"):
        return f"http://{address}:{number}/v3/{random_.choice(WORDS)}"
    if last in (
        "count",
        "num",
        "number",
        "size",
        "seconds",
        "timeout",
        "attempts",
        "time",
        "interval",
        "total",
        "limit",
    ):
        return number
    if last in ("state", "status"):
        return random_.choice(STATES)
    if last in ("cidr", "prefix"):
        return f"{address}/24"
    if last in ("mac",):
        return "fa:16:3e:" + ":".join(f"{random_.randrange(256):02x}" for _ in range(3))
    if last in (
        "kwargs",
        "body",
        "data",
        "spec",
        "props",
        "properties",
        "filters",
        "details",
        "info",
        "metadata",
        "dict",
    ):
        return {
            "id": identity,
            "name": random_.choice(WORDS),
            "count": number,
            "tags": ["a", "b"][: random_.randrange(3)],
        }
    if last in ("enabled", "force", "shared"):
        return random_.random() < 0.5
    if name.startswith("len_"):
        return number
    # Of a name that says nothing: always the same kind for the same name.
    other = crc32(name.encode()) % 10
    if other < 3:
        return number
    if other < 5:
        return identity
    if other < 6:
        return f"{random_.choice(WORDS)}-{number}"
    if other < 7:
        return f"<{service_of(name)} object at 0x{random_.getrandbits(44):x}>"
    return random_.choice(WORDS)


def service_of(name):
    return f"nova.objects.{name[:12]}.{name[:12].title()}"


def main(folder, sites, lines, seed):
    random_ = random.Random(seed)
    found = {}
    for service in SERVICES:
        for logger, level, text, given in calls(service):
            found.setdefault(text, (logger, level, given))
    texts = sorted(found)
    random_.shuffle(texts)
    texts = texts[:sites]
    conf = cfg.ConfigOpts()
    oslo_log.register_options(conf)
    conf([])
    text = logging.FileHandler(folder / "text.log")
    text.setFormatter(formatters.ContextFormatter(config=conf, datefmt=conf.log_date_format))
    truth = logging.FileHandler(folder / "truth.jsonl")
    truth.setFormatter(formatters.JSONFormatter())
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    root.addHandler(text)
    root.addHandler(truth)
    weights = [1 / (rank + 1) for rank in range(len(texts))]
    todo = texts * 4 + random_.choices(texts, weights, k=max(0, lines - 4 * len(texts)))
    random_.shuffle(todo)
    for one in todo:
        logger, level, given = found[one]
        kinds = [d for d in DIRECTIVE.findall(one) if d[1] != "%"]
        if isinstance(given, dict):
            args = ({name: value(random_, given[name], kind) for name, kind in kinds},)
        else:
            args = tuple(
                value(random_, expression, kind) for expression, (_, kind) in zip(given, kinds, strict=True)
            )
        extra = {}
        if random_.random() < 0.7:
            extra["context"] = oslo_context.RequestContext(
                user_id=random_.choice(PEOPLE), project_id=random_.choice(PEOPLE), overwrite=False
            )
        logging.getLogger(logger).log(level, one, *args, extra=extra)


main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
