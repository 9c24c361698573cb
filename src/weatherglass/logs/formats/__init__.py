"""The formats, as a table: name, how a text of it begins, who reads it. One module a family; all pure.

To add one: a function `(text, seen_ns) -> Reading | None` in a module here, a row in `FORMATS`, a row in
docs/log-formats.md (a test holds the two together), cases in tests/logs/cases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from weatherglass.logs.formats.access import apache_error, combined, haproxy, nginx_error, uwsgi
from weatherglass.logs.formats.headers import basic, header
from weatherglass.logs.formats.kubernetes import klog, logfmt
from weatherglass.logs.formats.makes import libvirt, redis, supercomputer
from weatherglass.logs.formats.oslo import devstack, oslo
from weatherglass.logs.formats.services import ceph, kernel, lustre, mariadb, rabbitmq, vlog
from weatherglass.logs.formats.syslog import syslog
from weatherglass.logs.formats.traces import trace
from weatherglass.logs.formats.wrappers import journal_export, json_event
from weatherglass.logs.reading import Reading

Reader = Callable[[str, int], Reading | None]
DIGITS: Final = "0123456789"
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ANY: Final = ""


class Format(NamedTuple):
    """One way to write a line: what its first character may be (`ANY`: any), who reads it."""

    name: str
    first: str
    read: Reader


FORMATS: Final[tuple[Format, ...]] = (
    Format("oslo", DIGITS + "\x1b", oslo),
    Format("vlog", DIGITS, vlog),
    Format("mariadb", DIGITS, mariadb),
    Format("rabbitmq", DIGITS + "=", rabbitmq),
    Format("ceph", DIGITS, ceph),
    Format("libvirt", DIGITS, libvirt),
    Format("nginx-error", DIGITS, nginx_error),
    Format("lustre", DIGITS + "abcdefL", lustre),
    Format("redis", DIGITS, redis),
    Format("json", "{", json_event),
    Format("uwsgi", "[", uwsgi),
    Format("apache-error", "[", apache_error),
    Format("kernel", "[<kuds", kernel),
    Format("klog", "DIWEF", klog),
    Format("devstack", "DIWEC" + "JFMASOND", devstack),
    Format("traceback", "TEUJ acdefghijklmnopqrstvwxyz", trace),
    Format("journal", "_", journal_export),
    Format("logfmt", "tlmcsT", logfmt),
    Format("ras", "-" + LETTERS, supercomputer),
    Format("syslog", DIGITS + "<JFMASOND", syslog),
    Format("haproxy", DIGITS + LETTERS, haproxy),
    Format("access", ANY, combined),
    Format("header", ANY, header),
    Format("basic", "DIWECF", basic),
    Format("labelled", LETTERS + "/", oslo),
)
"""In the order in which they are tried: the stricter first."""


def _by_first() -> tuple[dict[str, tuple[Format, ...]], tuple[Format, ...]]:
    others = tuple(one for one in FORMATS if one.first == ANY)
    firsts = {letter for one in FORMATS for letter in one.first}
    return {
        letter: tuple(one for one in FORMATS if one.first == ANY or letter in one.first) for letter in firsts
    }, others


BY_FIRST, OTHERS = _by_first()


def read_text(text: str, seen_ns: int) -> Reading:
    """What the text says; never fails. `seen_ns` fills in what a format leaves out (the year of syslog)."""
    for one in BY_FIRST.get(text[:1], OTHERS):
        found = one.read(text, seen_ns)
        if found is not None:
            return found
    return Reading(0, "", "", text.rstrip("\r\n"), "plain", {})
