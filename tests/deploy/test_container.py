"""The container runtime for real: podman by its API, a tiny image, orphans of a killed podman; and building an image."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.support import HOST, SECRETS, body, executor, free_port, made, quiet, service, site, until
from weatherglass.deploy import proc
from weatherglass.deploy.container import container_name, plain
from weatherglass.deploy.execute import Executor
from weatherglass.deploy.memory import Memory
from weatherglass.deploy.plan import plan
from weatherglass.deploy.podman import Podman
from weatherglass.engine.protocols import Running
from weatherglass.site.model import Image

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

IMAGE = "localhost/weatherglass-test/box:1"
WEB = "web.1@h1"
TEMPLATES = {"page.j2": "{{ replica.name }} {{ secret('page') }} at {{ files['/srv/page.txt'] }}\n"}


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """busybox alone, with a user of its own. From Debian's package by way of mmdebstrap (2 s), once a machine."""
    podman = Podman(tmp_path_factory.mktemp("image"), "test-image")
    if podman.usable():
        pytest.skip(podman.usable())
    try:
        if (
            subprocess.run(
                ["podman", "image", "exists", IMAGE], check=False, env=podman._environment()
            ).returncode
            == 0
        ):
            return IMAGE
        folder = tmp_path_factory.mktemp("root")
        source, target = folder / "all.tar", folder / "box.tar"
        subprocess.run(
            [
                "mmdebstrap",
                "--variant=extract",
                "--include=busybox-static",
                "--quiet",
                "bookworm",
                str(source),
            ],
            check=True,
        )
        with tarfile.open(source) as given, tarfile.open(target, "w") as box:
            member = next(m for m in given if m.name.endswith("bin/busybox") and m.isfile())
            held = given.extractfile(member)
            assert held is not None
            add(box, "bin/busybox", held.read(), 0o755)
            add(box, "etc/passwd", b"root:x:0:0::/:/bin/sh\nwww:x:1234:1235::/:/bin/sh\n", 0o644)
            for name in ("sh", "sleep", "httpd"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                box.addfile(link)
        podman.command("import", "-q", str(target), IMAGE)
        return IMAGE
    finally:
        podman.close()


def add(box: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    box.addfile(member, io.BytesIO(content))


def box(image: str, port: int, **fields: object):
    command = ("/bin/busybox", "httpd", "-f", "-v", "-p", f"127.0.0.1:{port}", "-h", "/srv")
    return service("web", **{
        "image": image, "command": command, "files": {"/srv/page.txt": "page.j2"}, "user": "www",
        "stop_grace_s": 1.0, **fields,
    })  # fmt: skip


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/page.txt", timeout=3) as answer:
        return answer.read().decode()


def answers(port: int) -> bool:
    try:
        return bool(fetch(port))
    except OSError:
        return False


def deploy(hands: Executor, image: str, port: int, **fields: object):
    wanted = made(site(box(image, port, **fields), templates=TEMPLATES))
    answer = hands.converge(body(wanted), quiet)
    assert answer["ok"], answer["failed"]
    assert not plan(wanted, hands.observe())
    return wanted


@pytest.fixture
def containers(hands: Executor) -> Iterator[Executor]:
    """An executor whose containers are all gone afterwards."""
    yield hands
    for record in list(hands._memory):
        hands.act({"action": "remove", "unit": record.unit.id}, quiet)


def test_the_life_of_a_container(containers: Executor, image: str, state: Path) -> None:
    hands, port = containers, free_port()
    wanted = deploy(hands, image, port, logs=("/var/log/box/*.log",), secrets={"PAGE": "page"})
    until(lambda: answers(port))
    assert fetch(port) == f"{WEB} {SECRETS['page']} at /srv/page.txt\n"
    seen = hands.replicas()[0]
    assert seen.state is Running.RUNNING and proc.environment(seen.pid)["PAGE"] == SECRETS["page"]
    assert Path(f"/proc/{seen.pid}").stat().st_uid == 1234
    assert set(seen.limits) >= {"fd", "memory", "pids"}
    page = state / "services" / WEB / "files/srv/page.txt"
    assert (page.stat().st_uid, page.stat().st_mode & 0o777) == (1234, 0o600)
    logs = {Path(log["glob"]).name: log for log in hands.sources()[0]["logs"]}
    assert logs["stdout.log"]["format"] == "k8s-file"
    assert logs["*.log"]["glob"] == f"{state}/services/{WEB}/logs/var/log/box/*.log"

    os.kill(seen.pid, signal.SIGSTOP)
    until(lambda: hands.replicas()[0].state is Running.STOPPED)
    done = hands.act({"action": "restart", "replica": WEB}, quiet)
    assert done["was"] == "stopped" and done["seconds"] < 5
    until(lambda: answers(port))

    pid = hands.replicas()[0].pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: hands.replicas()[0].state is Running.EXITED)
    assert hands.replicas()[0].exit_code == 137
    assert [change.action for change in plan(wanted, hands.observe()).changes] == ["start"]
    assert hands.converge(body(wanted), quiet)["ok"]
    until(lambda: answers(port))

    later = executor(state)  # another agent, after this one is gone without a word
    later.adopt()
    assert later.replicas()[0].pid == hands.replicas()[0].pid
    assert not plan(wanted, later.observe())


def test_a_container_that_ends_at_once_says_why(containers: Executor, image: str) -> None:
    command = ("/bin/sh", "-c", "echo no such colour; exit 3")
    wanted = made(site(box(image, 1, command=command), templates=TEMPLATES))
    failed = containers.converge(body(wanted), quiet)["failed"]
    assert "exit code 3: no such colour" in failed["error"]


def test_once_jobs_run_in_the_image(containers: Executor, image: str, state: Path) -> None:
    job = ("/bin/sh", "-c", "echo $PAGE > {{ paths.data }}/made; echo made")
    deploy(containers, image, free_port(), once={"make": job}, secrets={"PAGE": "page"})
    assert (state / "services" / WEB / "data/made").read_text() == f"{SECRETS['page']}\n"
    assert not containers._podman.call(
        "GET", "/containers/json", query={"all": "true", "filters": json.dumps({"name": ["make"]})}
    )


def test_what_a_killed_podman_leaves_is_found_and_collected(
    containers: Executor, image: str, state: Path
) -> None:
    hands = containers
    wanted = deploy(hands, image, free_port())
    tag, environment = hands._tag, hands._podman._environment()
    for number, after_s in enumerate((0.05, 0.1, 0.15, 0.2, 0.3, 0.6, 1.2, 2.4)):
        name = container_name(tag, f"lost.{number}@{HOST}")
        run = subprocess.Popen(
            ["podman", "run", "-d", "--name", name, "--network", "host", "--label", f"weatherglass.agent={tag}",
             "--label", f"weatherglass.replica=lost.{number}@{HOST}", image, "/bin/sleep", "300"],
            env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(after_s)
        run.kill()
        run.wait()
        if number > 3 and any(key.startswith("stray:") for key in hands.observe()):
            break
    time.sleep(0.5)
    strays = plan(wanted, hands.observe()).changes
    assert strays and all(change.unit.id.startswith("stray:container:") for change in strays)
    assert hands.converge({"remove": [change.unit.id for change in strays]}, quiet)["ok"]
    until(lambda: not plan(wanted, hands.observe()))
    assert not [pid for pid in proc.pids() if f"wg-{tag}-lost" in " ".join(proc.command(pid))]
    assert hands.replicas()[0].state is Running.RUNNING


def test_a_live_container_that_podman_forgot_is_found_by_its_monitor(
    containers: Executor, image: str
) -> None:
    hands = containers
    wanted = deploy(hands, image, free_port())
    name = container_name(hands._tag, f"lost.1@{HOST}")
    hands._podman.command(
        "run", "-d", "--name", name, "--network", "host", image, "/bin/sleep", "300"
    )  # no label of ours
    [change] = plan(wanted, hands.observe()).changes
    assert (change.action, change.unit.replica) == ("remove", f"lost.1@{HOST}")
    assert hands.converge({"remove": [change.unit.id]}, quiet)["ok"]
    assert not plan(wanted, hands.observe())


def test_a_container_created_and_never_started_is_made_anew(
    containers: Executor, image: str, state: Path
) -> None:
    hands, port = containers, free_port()
    hands._podman.command("create", "--name", container_name(hands._tag, WEB), image, "/bin/sleep", "1")
    deploy(hands, image, port)
    until(lambda: answers(port))


def test_one_started_and_not_yet_remembered_is_adopted(containers: Executor, image: str, state: Path) -> None:
    wanted = deploy(containers, image, free_port())
    memory = Memory(state / "deploy/units")
    record = memory.replica(WEB)
    assert record is not None and record.main is not None
    main, record.main = record.main, None
    memory.put(record)
    later = executor(state)
    assert later.adopt() == [WEB]
    assert later._memory.replica(WEB).main == main
    assert not plan(wanted, later.observe())


def test_an_image_that_is_nowhere_is_refused_with_the_way_out(containers: Executor) -> None:
    wanted = made(site(box("localhost/weatherglass-test/none:1", 1), templates=TEMPLATES))
    failed = containers.converge(body(wanted), quiet)["failed"]
    assert (
        "there is no image localhost/weatherglass-test/none:1" in failed["error"]
        and "import" in failed["mend"]
    )


@pytest.mark.long
def test_an_image_is_built_from_debian_packages_once(containers: Executor) -> None:
    declared = service("web", image="tiny", command=("/bin/busybox", "sleep", "60"), stop_grace_s=0.2)
    wanted = made(site(declared, images=(Image("tiny", "bookworm", ("busybox-static",)),)))
    lines: list[str] = []
    answer = containers.converge(body(wanted), lambda share, line: lines.append(line))
    assert answer["ok"], answer["failed"]
    assert (
        any(line.startswith("building image tiny") for line in lines)
        or answer["done"][0]["did"] == "there already"
    )
    again = containers.converge(body(wanted), quiet)
    assert again["done"][0]["did"] == "there already"


def test_lines_of_podmans_log_are_told_without_their_front() -> None:
    assert plain("2026-11-22T10:00:00.0+00:00 stdout F hello world\nplain") == "hello world\nplain"
