"""Lines of HTTP servers: Apache's, nginx', wsgiref's and eventlet's access lines, uWSGI's, HAProxy's, error logs. Pure.

An access line stays whole as the message; what it says is in the fields. 5xx is the server's own error; 4xx is
the client's and says nothing of the service.
"""

from __future__ import annotations

import re
from sys import intern
from typing import Final

from weatherglass.kernels.oslolines import requests
from weatherglass.logs.formats.stamps import stamp
from weatherglass.logs.formats.traces import exception_in
from weatherglass.logs.reading import MONTHS, Reading, Value, level_of, second_ns

_ADDRESS = r"(?:[0-9a-fA-F.:%]{3,60}|[\w.-]{1,200}|-|)"
_COMBINED = re.compile(
    r"(?:(?P<vhost>[\w.-]{1,200}:\d{1,5}) )?(?P<remote>"
    + _ADDRESS
    + r"(?:, ?[0-9a-fA-F.:]{3,45}){0,8}) (?P<ident>\S{1,200}) (?P<user>\S{1,200}) "
    r"\[(?P<at>[^\]\n]{15,40})\] \"(?P<request>(?:[^\"\\\n]|\\.){0,65536})\" (?P<status>\d{3}) (?P<bytes>\d{1,18}|-)"
    r"(?: (?P<took>\d{1,6}\.\d{1,9}))?(?: \"(?P<referer>(?:[^\"\\\n]|\\.){0,16384})\" \"(?P<agent>(?:[^\"\\\n]|\\.){0,16384})\")?(?: (?P<micros>\d{1,12})(?=[\r\n]|$))?",
    re.ASCII,
)
_REQUEST = re.compile(r"([A-Z]{2,20}) (\S{1,65536})(?: (HTTP/[\d.]{1,5}))?", re.ASCII)
_UWSGI = re.compile(
    r"\[pid: (\d{1,10})\|[^\]\n]{0,200}\] (\S{0,200}) \([^)\n]{0,200}\) \{[^}\n]{0,200}\} \[\w{3} (\w{3}) +(\d{1,2}) (\d\d:\d\d:\d\d) (\d{4})\] "
    r"([A-Z]{2,20}) (\S{1,65536}) => generated (\d{1,18}) bytes in (\d{1,12}) (msecs|micros|secs)[^(\n]{0,200}\((\S{1,20}) (\d{3})\)",
    re.ASCII,
)
_SPAN: Final = {"secs": 1.0, "msecs": 1e-3, "micros": 1e-6}

REQUEST_MARK: Final = '" status: '
"""What OpenStack's own request lines have in their midst."""
_OPENSTACK = re.compile(
    r"(?:\([^)\n]{1,20}\) )?("
    + _ADDRESS
    + r"(?:, ?[0-9a-fA-F.:]{3,45}){0,8}) (?:- - \[[^\]\n]{10,40}\] )?\"([A-Z]{2,20}) (\S{1,65536})(?: (HTTP/[\d.]{1,5}))?\" "
    r"status: (\d{3}) {1,2}len: (\d{1,18})(?: microversion: \S{1,20})?(?: time: (\d{1,9}\.\d{1,9}))?",
    re.ASCII,
)


def status_level(status: int) -> str:
    return "ERROR" if status >= 500 else "INFO"


_KNOWN_METHODS: Final = {
    f'"{one}': one for one in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
}
_KNOWN_PROTOCOLS: Final = {f'{one}"': one for one in ("HTTP/1.0", "HTTP/1.1", "HTTP/2")}
_KNOWN_STATUS: Final = {str(number): number for number in range(100, 600)}
_SECONDS = re.compile(r"\d{1,9}\.\d{1,9}", re.ASCII).fullmatch
_REMOTE = re.compile(r"[0-9a-fA-F.:]{3,45}", re.ASCII).fullmatch
REQUEST_TABLES: Final = (
    frozenset(_KNOWN_METHODS.values()),
    frozenset(_KNOWN_PROTOCOLS.values()),
    re.compile(r"[0-9a-fA-F.:]{3,45}(?:,[0-9a-fA-F.:]{3,45}){0,3}", re.ASCII).fullmatch,
)
"""(methods, protocols, a match of addresses or None) of nova's form, for who reads it elsewhere."""

# nova's form of it by words, twice as fast as the expression, which reads all forms alike.
_nova = requests(_KNOWN_METHODS, _KNOWN_PROTOCOLS, _KNOWN_STATUS, _SECONDS, _REMOTE)


def request_fields(message: str) -> dict[str, Value]:
    """The fields of OpenStack's request lines: nova's, neutron's, placement's `ADDRESS "GET …" status: … len: … time: …`."""
    quick = _nova(message)
    if quick is not None:
        return quick
    found = _OPENSTACK.match(message)
    if found is None:
        return {}
    remote, method, path, protocol, status, size, took = found.groups()
    fields: dict[str, Value] = {
        "method": intern(method),
        "path": path,
        "status": int(status),
        "bytes": int(size),
    }
    if remote:
        fields["remote"] = remote
    if protocol:
        fields["protocol"] = intern(protocol)
    if took:
        fields["duration"] = float(took)
    return fields


def combined(text: str, seen_ns: int = 0) -> Reading | None:
    """Common and combined format, with vhost in front and microseconds behind; wsgiref's and eventlet's."""
    head = _COMBINED.match(text)
    if head is None:
        return None
    when = stamp(head["at"], 0, seen_ns)
    if when is None or when[1] != len(head["at"]):
        return None
    fields: dict[str, Value] = {"status": int(head["status"])}
    request = _REQUEST.fullmatch(head["request"])
    if request:
        fields.update(method=intern(request[1]), path=request[2])
        if request[3]:
            fields["protocol"] = intern(request[3])
    for name, value in (("remote", head["remote"]), ("user_name", head["user"]), ("referer", head["referer"]),
                        ("user_agent", head["agent"]), ("vhost", head["vhost"])):  # fmt: skip
        if value and value != "-":
            fields[name] = value
    if head["bytes"] != "-":
        fields["bytes"] = int(head["bytes"])
    if head["took"]:
        fields["duration"] = float(head["took"])
    elif head["micros"]:
        fields["duration"] = int(head["micros"]) / 1e6
    return Reading(
        when[0], status_level(int(head["status"])), "access", text.rstrip("\r\n"), "access", fields
    )


def uwsgi(text: str, seen_ns: int = 0) -> Reading | None:
    """uWSGI's request line."""
    head = _UWSGI.match(text)
    if head is None or head[3] not in MONTHS:
        return None
    pid, remote, month, day, clock, year, method, path, size, span, unit, protocol, status = head.groups()
    fields: dict[str, Value] = {
        "pid": int(pid),
        "method": intern(method),
        "path": path,
        "protocol": intern(protocol),
        "status": int(status),
        "bytes": int(size),
        "duration": round(int(span) * _SPAN[unit], 6),
    }
    if remote:
        fields["remote"] = remote
    at = second_ns(f"{year}-{MONTHS[month]:02}-{int(day):02} {clock}")
    return Reading(at, status_level(int(status)), "access", text.rstrip("\r\n"), "access", fields)


_HAPROXY = re.compile(
    r"(?P<remote>[0-9a-fA-F.:]{2,45}|unix):(?P<port>\d{1,5}) \[(?P<at>\d\d/\w{3}/\d{4}:[\d:.]{8,15})\] (?P<front>\S{1,200}) (?P<back>[^\s/]{1,200})/(?P<server>\S{1,200}) "
    r"(?P<timers>[-+\d/]{3,80}) (?:(?P<status>\d{3}|-1) )?\+?(?P<bytes>\d{1,18}) (?:(?P<cookies>\S{1,200} \S{1,200}) )?(?P<term>[A-Za-z-]{2,4}) "
    r"(?P<conns>[\d+/]{5,80}) (?P<queues>\d{1,9}/\d{1,9})(?: \{[^}\n]{0,4096}\}){0,2}(?: \"(?P<request>[^\n]{0,65536}?)\"?)?(?=\r?\n|$)",
    re.ASCII,
)
_HAPROXY_CONNECT = re.compile(
    r"(?P<remote>[0-9a-fA-F.:]{2,45}):(?P<port>\d{1,5}) \[(?P<at>\d\d/\w{3}/\d{4}:[\d:.]{8,15})\] (?P<front>[^\s/]{1,200})/(?P<server>\S{1,200}): (?=[A-Z])",
    re.ASCII,
)
_NOT_HTTP: Final = frozenset(("", "<BADREQ>"))


def haproxy(text: str, seen_ns: int = 0) -> Reading | None:
    """HAProxy's HTTP and TCP lines, and its connection errors; nearly always inside syslog."""
    head = _HAPROXY.match(text)
    if head is None:
        return _haproxy_connect(text, seen_ns)
    when = stamp(head["at"], 0, seen_ns)
    timers = head["timers"].replace("+", "").split("/")
    if when is None or (len(timers) != 5 if head["status"] else len(timers) != 3):
        return None
    fields: dict[str, Value] = {
        "remote": head["remote"],
        "frontend": intern(head["front"]),
        "backend": intern(head["back"]),
        "server": intern(head["server"]),
        "bytes": int(head["bytes"]),
        "termination": intern(head["term"]),
    }
    level = "INFO"
    if head["status"] and head["status"] != "-1":
        fields["status"] = int(head["status"])
        level = status_level(int(head["status"]))
    if timers[-1].isdigit():
        fields["duration"] = int(timers[-1]) / 1000
    request = _REQUEST.match(head["request"] or "")
    if request:
        fields.update(method=intern(request[1]), path=request[2])
        if request[3]:
            fields["protocol"] = intern(request[3])
    return Reading(when[0], level, intern(head["front"]), text.rstrip("\r\n"), "haproxy", fields)


def _haproxy_connect(text: str, seen_ns: int) -> Reading | None:
    head = _HAPROXY_CONNECT.match(text)
    when = stamp(head["at"], 0, seen_ns) if head else None
    if head is None or when is None:
        return None
    fields: dict[str, Value] = {"remote": head["remote"], "frontend": head["front"], "server": head["server"]}
    return Reading(when[0], "WARNING", head["front"], text[head.end() :].rstrip("\r\n"), "haproxy", fields)


_APACHE_ERROR = re.compile(
    r"\[(?P<at>\w{3} \w{3} +\d{1,2} \d\d:\d\d:\d\d(?:\.\d{1,6})? \d{4})\] \[(?:(?P<module>\w{0,60}):)?(?P<level>[a-z]{1,10})\d?\] (?:\[pid (?P<pid>\d{1,10})(?::tid (?P<tid>\d{1,20}))?\] )?(?=(?:[^\[\n]{0,60}\[(?:client|remote) (?P<remote>[^\]\n]{1,100})\] )?(?:(?P<code>AH\d{5}): )?)",
    re.ASCII,
)


def apache_error(text: str, seen_ns: int = 0) -> Reading | None:
    """Apache's error log, 2.2's and 2.4's, mod_wsgi's lines in it."""
    head = _APACHE_ERROR.match(text)
    if head is None:
        return None
    when = stamp(head["at"], 0, seen_ns)
    if when is None:
        return None
    fields: dict[str, Value] = {}
    if head["pid"]:
        fields["pid"] = int(head["pid"])
    if head["tid"]:
        fields["thread"] = int(head["tid"])
    if head["remote"]:
        fields["remote"] = head["remote"]
    if head["code"]:
        fields["error_code"] = head["code"]
    message = text[head.end() :].rstrip("\r\n")
    fields.update(exception_in(message))
    return Reading(
        when[0], level_of(head["level"] or ""), intern(head["module"] or ""), message, "apache-error", fields
    )


_NGINX_ERROR = re.compile(
    r"(?P<at>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<level>[a-z]{1,10})\] (?P<pid>\d{1,10})#(?P<tid>\d{1,10}): (?:\*(?P<count>\d{1,18}) )?",
    re.ASCII,
)
_NGINX_TAIL = re.compile(
    r', client: ([^,\s]{1,60})(?:, server: ([^,\n]{0,200}))?(?:, request: "([A-Z]{2,20}) (\S{1,16384})(?: (HTTP/[\d.]{1,5}))?")?',
    re.ASCII,
)


def nginx_error(text: str, seen_ns: int = 0) -> Reading | None:
    """nginx' error log."""
    head = _NGINX_ERROR.match(text)
    if head is None:
        return None
    fields: dict[str, Value] = {"pid": int(head["pid"]), "thread": int(head["tid"])}
    if head["count"]:
        fields["sequence"] = int(head["count"])
    message = text[head.end() :].rstrip("\r\n")
    at = message.find(", client: ")
    tail = _NGINX_TAIL.match(message, at) if at >= 0 else None
    if tail:
        names = ("remote", "vhost", "method", "path", "protocol")
        fields.update((name, value) for name, value in zip(names, tail.groups(), strict=True) if value)
    return Reading(
        second_ns(head["at"].replace("/", "-")),
        level_of(head["level"]),
        "nginx",
        message,
        "nginx-error",
        fields,
    )
