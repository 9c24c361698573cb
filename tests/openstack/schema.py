"""The services' empty databases, made once and kept: half of the work of bringing OpenStack up. No test here.

Kept in pytest's own cache under a name that changes with the packages' versions and with what is written here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from openstack import configs

PACKAGES = (
    "mariadb-server",
    "keystone",
    "glance-api",
    "placement-api",
    "neutron-server",
    "nova-api",
    "cinder-api",
)
# Where the databases and the queue are differs from run to run: nova takes both from its configuration.
CELL = "{scheme}://{username}@{hostname}/%s?{query}"
CHAINS = (
    (
        "keystone-manage --config-file {etc}/keystone.conf db_sync",
        "keystone-manage --config-file {etc}/keystone.conf fernet_setup --keystone-user root --keystone-group root",
        "keystone-manage --config-file {etc}/keystone.conf credential_setup --keystone-user root "
        "--keystone-group root",
        "keystone-manage --config-file {etc}/keystone.conf bootstrap --bootstrap-password {password} "
        "--bootstrap-region-id RegionOne",
        "glance-manage --config-file {etc}/glance.conf db_sync",
        "placement-manage --config-file {etc}/placement.conf db sync",
        "cinder-manage --config-file {etc}/cinder.conf db sync",
    ),
    (
        "nova-manage --config-file {etc}/nova.conf api_db sync",
        "nova-manage --config-file {etc}/nova.conf cell_v2 map_cell0 --database_connection {cell0}",
        "nova-manage --config-file {etc}/nova.conf db sync",
        "nova-manage --config-file {etc}/nova.conf cell_v2 create_cell --name cell1 "
        "--database_connection {cell1} --transport-url {queue}",
        "neutron-db-manage --config-file {etc}/neutron.conf upgrade heads",
    ),
)


def key() -> str:
    """A name for what would be made here and now."""
    versions = subprocess.run(
        ["dpkg-query", "-W", *PACKAGES], capture_output=True, text=True, check=True
    ).stdout
    here = Path(__file__).read_bytes() + (Path(__file__).parent / "configs.py").read_bytes()
    return hashlib.sha256(versions.encode() + here).hexdigest()[:16]


def install(folder: Path) -> None:
    """An empty MariaDB in `folder`, which has `etc` already. Nothing of it runs."""
    for name in ("keys/fernet", "keys/credential"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    run(
        ["mariadb-install-db", f"--defaults-file={folder}/etc/mariadb.cnf", "--auth-root-authentication-method=normal",
         "--skip-test-db", "--cross-bootstrap"],
        folder,
    )  # fmt: skip


def fill(folder: Path) -> None:
    """The services' tables, in a MariaDB that runs; and keystone's keys and first user."""
    sql(folder, "".join(f"CREATE DATABASE {name};" for name in configs.DATABASES))
    with ThreadPoolExecutor(len(CHAINS)) as pool:
        list(pool.map(lambda chain: [_step(step, folder) for step in chain], CHAINS))


def sql(folder: Path, statements: str) -> None:
    run(["mariadb", "--no-defaults", f"--socket={folder}/db.sock", "-uroot", "-e", statements], folder)


def keep(folder: Path, cache: Path, ports: Mapping[str, int]) -> None:
    """Puts what was made into the cache. MariaDB must not run."""
    half = cache / f"half-{os.getpid()}"
    for name in ("db", "keys"):
        shutil.copytree(folder / name, half / name)
    (half / "ports.json").write_text(json.dumps(dict(ports)))
    try:
        half.rename(cache / key())
    except OSError:  # another run was faster
        shutil.rmtree(half)


def copy(kept: Path, folder: Path) -> None:
    for name in ("db", "keys"):
        shutil.copytree(kept / name, folder / name)


def readdress(kept: Path, folder: Path, ports: Mapping[str, int]) -> None:
    """The catalogue's addresses are those of the run that made it: gives them this run's ports."""
    before = json.loads((kept / "ports.json").read_text())
    changed = "url"
    for name in configs.CATALOGUE:
        changed = f"REPLACE({changed}, '127.0.0.1:{before[name]}', '127.0.0.1:@{ports[name]}')"
    sql(folder, f"UPDATE keystone.endpoint SET url = REPLACE({changed}, ':@', ':');")


def _step(command: str, folder: Path) -> None:
    values = {
        "etc": folder / "etc",
        "password": configs.PASSWORD,
        "cell0": CELL % "nova_cell0",
        "cell1": CELL % "nova",
        "queue": "{scheme}://{username}:{password}@{hostname}:{port}/",
    }
    run([word if word in values.values() else word.format(**values) for word in command.split()], folder)


def run(argv: list[str], folder: Path) -> None:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}{done.stderr}"
