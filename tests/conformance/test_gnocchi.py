"""Gnocchi's own functional tests, one file of them a case, each against a server with an empty store.

The files are those of the `gnocchi` package in the peers' environment; nothing of them is copied. Where a test
holds here that its authors expect to fail, the reason is in BETTER; there are no other exceptions.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.serving import served
from peers import PEERS, venv

HERE = Path(__file__).parent
BETTER = {"ping influxdb status with head": "Pecan does not honour HEAD; we do"}
FILES = sorted(
    path
    for folder in ("functional", "functional_live")
    for path in (PEERS / "openstack" / "lib").glob(
        f"python3*/site-packages/gnocchi/tests/{folder}/gabbits/*.yaml"
    )
)
TESTS = 768

Run = Callable[..., list[tuple[str, str]]]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a file against a server: [(test's name, what went wrong in it)]."""
    command = [venv("openstack") / "python", HERE / "gabbits.py"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as gabbi:
        assert gabbi.stdin is not None and gabbi.stdout is not None
        stdin, stdout = gabbi.stdin, gabbi.stdout

        def ask(path: Path, port: int, **environment: str) -> list[tuple[str, str]]:
            asked = {"path": str(path), "host": "127.0.0.1", "port": port, "prefix": "/gnocchi"}
            stdin.write(json.dumps({**asked, "environment": environment}) + "\n")
            stdin.flush()
            return [(name, text) for name, text in json.loads(stdout.readline())]

        yield ask
        stdin.close()


ran: list[int] = []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file(path: Path, run: Run) -> None:
    if path.parent.parent.name == "functional_live":
        with served(no_auth=False, gnocchi_auth="") as (port, token, _):
            found = run(path, port, GNOCCHI_SERVICE_TOKEN=token, GNOCCHI_AUTHORIZATION="")
    else:
        with served() as (port, _, _):
            found = run(path, port)
    ran.append(len(found))
    wrong = [
        (name, text) for name, text in found if text and not (name in BETTER and text == "unexpected success")
    ]
    print(f"{path.stem}: {len(found) - len(wrong)}/{len(found)}")
    assert found
    assert not wrong, "\n".join(f"--- {name}\n{text[-1500:]}" for name, text in wrong)


def test_all_of_them_ran() -> None:
    venv("openstack")
    if len(ran) < len(FILES):
        pytest.skip("only some of the files were asked for")
    assert len(FILES) == 30
    assert sum(ran) == TESTS
