"""Copies of the example with a name and ports of their own, so that several can run on one machine. No test here."""

from __future__ import annotations

import re
import shutil
import socket
from pathlib import Path

import yaml

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "first-light"


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on just now, each another."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


def copy_example(folder: Path, name: str, recovery_s: int = 0) -> tuple[Path, dict[str, int]]:
    """The example under `folder`, as the site `name` on free ports; (its site.yaml, {service: port}).

    A database of some size takes seconds to recover, and ours would be back before anyone missed it: with
    `recovery_s` it waits so long before it starts, so that there is a story to tell.
    """
    there = folder / name
    shutil.copytree(EXAMPLE, there)
    main = there / "site.yaml"
    text = main.read_text()
    declared = {
        service: next(iter(of["ports"].values()))
        for service, of in yaml.safe_load(text)["services"].items()
        if of.get("ports")
    }
    ports = dict(zip(declared, free_ports(len(declared)), strict=True))
    for service, port in declared.items():
        text, changed = re.subn(rf"(ports: \{{\w+: ){port}\}}", rf"\g<1>{ports[service]}}}", text)
        assert changed == 1, f"{service} declares its port in another form"
    text, changed = re.subn(r"(?m)^site: .*$", f"site: {name}", text)
    assert changed == 1
    if recovery_s:
        text, changed = re.subn(
            r'command: \[mariadbd, ("--defaults-file=[^"]+")\]',
            lambda m: f'command: [sh, -c, "sleep {recovery_s}; exec mariadbd {m[1][1:-1]}"]',
            text,
        )
        assert changed == 1
    # The agent takes the loopback host for its own; a name of its own keeps containers of two sites apart.
    main.write_text(text)
    return main, ports
