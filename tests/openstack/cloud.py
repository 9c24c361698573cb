"""A real OpenStack in processes of its own: keystone, glance, placement, neutron, nova (fake hypervisors), cinder.

What starts, stops, pauses and kills its services, and where each keeps its log. How it is used is in `driver.py`. No
test here. The services are Debian's, on free ports of loopback, with MariaDB on a socket and RabbitMQ, in one folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from openstack import configs, schema

PORTS = (*configs.APIS, "rabbitmq", "epmd", "distribution")
UWSGI = ["uwsgi_python3", "--master", "--lazy-apps", "--enable-threads", "--die-on-term", "--buffer-size=65535",
         "--thunder-lock", "--no-orphans", "--processes=1", "--threads=8", "--need-app",
         "--post-buffering=65536", "--add-header=Connection: close"]  # fmt: skip


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on just now, each another."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


def wait(what: Callable[[], object], timeout_s: float, about: Callable[[], str] | str) -> None:
    until = time.monotonic() + timeout_s
    while not what():
        if time.monotonic() > until:
            raise AssertionError(f"not within {timeout_s:g} s: {about() if callable(about) else about}")
        time.sleep(0.1)


class Cloud:
    """`up()`, use, `down()`. Services by name: see `commands`."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self._cache = folder, cache
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.logs = folder / "log"
        self.clouds_yaml = folder / "etc" / "clouds.yaml"
        self.up_s = 0.0
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    # ---------------------------------------------------------------- where things are

    def url(self, service: str) -> str:
        """The address of a service's API, without a path."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def log(self, service: str) -> Path:
        """The oslo.log file of `nova-api`, `nova-compute`, `neutron`, `keystone`, `cinder-volume`, …."""
        if service == "nova-compute-fake2":
            return self.logs / "fake2" / "nova-compute.log"
        return self.logs / f"{service}.log"

    def said(self, service: str) -> str:
        """The end of what a service wrote to its standard output and its log, for messages of tests."""
        told = [path.read_text(errors="replace")[-3000:]
                for path in (self.logs / f"{service}.out", self.log(service)) if path.exists()]  # fmt: skip
        return f"{service}:\n" + "\n".join(told)

    # ---------------------------------------------------------------- services

    def commands(self) -> dict[str, list[str]]:
        """Service → how it is started."""
        etc = self.folder / "etc"

        def uwsgi(name: str, script: str) -> list[str]:
            # Not through `--http`: its router speaks HTTP/1.0 to those who poll often.
            return [*UWSGI, f"--http-socket=127.0.0.1:{self.ports[name]}", f"--wsgi-file={script}"]

        def oslo(program: str, conf: str) -> list[str]:
            return [program, "--config-file", str(etc / conf)]

        agents = ["/usr/bin/python3", str(Path(__file__).with_name("agents.py")), str(etc / "neutron.conf")]
        return {
            "mariadb": ["mariadbd", f"--defaults-file={etc}/mariadb.cnf"],
            "epmd": ["epmd", "-address", "127.0.0.1", "-port", str(self.ports["epmd"])],
            "rabbitmq": ["/usr/lib/rabbitmq/bin/rabbitmq-server"],
            "keystone": uwsgi("keystone", "/usr/bin/keystone-wsgi-public"),
            "placement": uwsgi("placement", "/usr/bin/placement-api"),
            "glance": oslo("glance-api", "glance.conf"),
            "neutron": oslo("neutron-server", "neutron.conf"),
            "nova-conductor": oslo("nova-conductor", "nova.conf"),
            "nova-scheduler": oslo("nova-scheduler", "nova.conf"),
            "nova-compute": oslo("nova-compute", "nova.conf"),
            "nova-compute-fake2": oslo("nova-compute", "nova-fake2.conf"),
            "nova-api": oslo("nova-api", "nova.conf"),
            "cinder-api": oslo("cinder-api", "cinder.conf"),
            "cinder-scheduler": oslo("cinder-scheduler", "cinder.conf"),
            "cinder-volume": oslo("cinder-volume", "cinder.conf"),
            "agents": agents,
        }

    def start(self, service: str) -> None:
        """Starts one; nothing waits for it to answer (see `answers`)."""
        environment = {
            **os.environ,
            "HOME": str(self.folder),
            "PYTHONWARNINGS": "ignore",
            "OS_KEYSTONE_CONFIG_FILES": str(self.folder / "etc" / "keystone.conf"),
            "OS_PLACEMENT_CONFIG_DIR": str(self.folder / "etc" / "placement"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "rabbitmq"),
            "RABBITMQ_LOG_BASE": str(self.logs),
            "RABBITMQ_LOGS": str(self.logs / "rabbitmq.log"),
            "RABBITMQ_NODENAME": f"openstack-{self.ports['rabbitmq']}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.ports["rabbitmq"]),
            "RABBITMQ_DIST_PORT": str(self.ports["distribution"]),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "etc" / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "etc" / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.folder / "rabbitmq.pid"),
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "detached": "true",  # the start script then becomes the broker, which makes one process to end
        }
        with (self.logs / f"{service}.out").open("ab") as out:
            self._processes[service] = subprocess.Popen(
                self.commands()[service], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=environment, cwd=self.folder, start_new_session=True,
            )  # fmt: skip

    def pid(self, service: str) -> int:
        return self._processes[service].pid

    def running(self, service: str) -> bool:
        return service in self._processes and self._processes[service].poll() is None

    def signal(self, service: str, number: signal.Signals) -> None:
        """To the service and its workers."""
        os.killpg(self._processes[service].pid, number)

    def kill(self, service: str) -> None:
        """As when its machine loses power."""
        self.signal(service, signal.SIGKILL)
        self._processes.pop(service).wait(10)

    def stop(self, service: str, timeout_s: float = 10) -> None:
        process = self._processes.pop(service)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers that outlived it
        process.wait(10)

    def pause(self, service: str) -> None:
        """It is there and does not answer."""
        self.signal(service, signal.SIGSTOP)

    def resume(self, service: str) -> None:
        self.signal(service, signal.SIGCONT)

    def answers(self, service: str) -> bool:
        """Whether an API answers at all, in whatever way."""
        try:
            return httpx.get(self.url(service), timeout=5).status_code < 500
        except httpx.HTTPError:
            return False

    def started(self, service: str, api: str, timeout_s: float = 60) -> None:
        """Waits until the API `api`, which the process `service` serves, answers."""

        def up() -> bool:
            assert self.running(service), self.said(service)
            return self.answers(api)

        wait(up, timeout_s, lambda: self.said(service))

    # ---------------------------------------------------------------- all of it

    def up(self, catalogue: Callable[[Cloud], None]) -> None:
        """Brings everything up; `up_s` says how long that took. What fails takes down what was up.

        `catalogue` is called once keystone answers, and only when nothing is kept of an earlier run.
        """
        began = time.monotonic()
        try:
            self._up(catalogue)
        except BaseException:
            self.down()
            raise
        self.up_s = time.monotonic() - began

    def _up(self, catalogue: Callable[[Cloud], None]) -> None:
        for name in ("etc/placement", "log/fake2", "images", "state/tasks", "state/staging", "state/fake1",
                     "state/fake2", "lock", "tmp"):  # fmt: skip
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for name, text in configs.services(self.folder, self.ports).items():
            (self.folder / "etc" / name).write_text(text)
        shutil.copy(
            self.folder / "etc" / "placement.conf", self.folder / "etc" / "placement" / "placement.conf"
        )
        (self.folder / "etc" / "enabled_plugins").write_text("[].\n")
        (self.folder / "etc" / "rabbitmq.conf").write_text("log.file.level = info\n")
        self.start("epmd")
        self.start("rabbitmq")
        kept = self._cache / schema.key()
        known = kept.exists()
        schema.copy(kept, self.folder) if known else schema.install(self.folder)
        self._database()
        schema.readdress(kept, self.folder, self.ports) if known else schema.fill(self.folder)
        for service in ("keystone", "placement"):
            self.start(service)
        self.started("keystone", "keystone")
        if not known:
            catalogue(self)
            self.stop("mariadb", 60)
            schema.keep(self.folder, self._cache, self.ports)
            self._database()
        wait(lambda: _listens(self.ports["rabbitmq"]), 60, lambda: self.said("rabbitmq"))
        for service in ("nova-conductor", "neutron", "nova-api", "nova-scheduler", "glance", "cinder-api",
                        "cinder-scheduler", "cinder-volume"):  # fmt: skip
            self.start(service)
        # Who asks by RPC before there is somebody to answer waits long before it asks again.
        self.started("neutron", "neutron")
        self.start("agents")
        wait(lambda: "Starting conductor node" in self.said("nova-conductor"), 60,
             lambda: self.said("nova-conductor"))  # fmt: skip
        self.start("nova-compute")

    def ready(self, timeout_s: float = 60) -> None:
        """Waits until every API answers."""
        for service, api in (("glance", "glance"), ("placement", "placement"), ("cinder-api", "cinder"),
                             ("nova-api", "nova")):  # fmt: skip
            self.started(service, api, timeout_s)

    def _database(self) -> None:
        self.start("mariadb")
        wait((self.folder / "db.sock").exists, 30, lambda: self.said("mariadb"))

    def down(self) -> None:
        """Ends every process that `start` started, at once; the folder with its logs stays."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self._processes.values():
            process.wait(30)
        self._processes.clear()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
