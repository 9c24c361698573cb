"""The doors, as a shell sees them: what is declared, compiled, verified; exit codes; what is refused and where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from weatherglass.base.errors import Invalid
from weatherglass.cli.main import main
from weatherglass.shares import declared
from weatherglass.site import parse_part

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "shares"
LUSTRE, NFS = EXAMPLES / "lustre.yaml", EXAMPLES / "nfs.yaml"


@pytest.mark.parametrize("backend", declared.BACKENDS)
def test_what_is_compiled_for_a_backend_is_verified(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = NFS if backend == "ganesha" else LUSTRE
    assert main(["shares", "compile", str(policy), "--backend", backend]) == 0
    commands = tmp_path / "commands"
    commands.write_text(capsys.readouterr().out)
    assert main(["shares", "verify", str(policy), "--backend", backend, "--commands", str(commands)]) == 0
    assert capsys.readouterr().out.startswith("proven: ")


def test_what_was_tampered_with_is_told_as_a_story(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["shares", "compile", str(LUSTRE)])
    commands = tmp_path / "commands"
    commands.write_text(
        capsys.readouterr().out.replace("squash_uid --value 20001", "squash_uid --value 20002")
    )
    assert main(["shares", "verify", str(LUSTRE), "--commands", str(commands)]) == 1
    assert "becomes 20002; the policy says 20001" in capsys.readouterr().out
    assert main(["shares", "verify", str(LUSTRE), "--commands", str(commands), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["proven"] and told["findings"][0]["tenant"] == "genomics"


def test_json_has_each_command_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shares", "compile", str(LUSTRE), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["backend"] == "lustre-2.15"
    assert {one["where"] for one in told["commands"]} >= {
        "mgs",
        "servers",
        "router lnr-1",
        "clients genomics",
        "admin",
    }
    assert "routing:" in told["files"]["router lnr-1: lnet.conf"]


@pytest.mark.parametrize(
    "argv",
    [
        ["shares", "verify", "nowhere.yaml"],
        ["shares", "verify", str(LUSTRE), "--commands", "nowhere"],
        ["shares", "verify", str(LUSTRE), "--backend", "lustre-3.0"],
        ["shares", "verify", str(LUSTRE), "--backend", "ganesha"],  # it cannot map ids
        ["shares", "verify", str(NFS), "--backend", "lustre-2.15"],
    ],
)
def test_what_cannot_be_read_is_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "→" in capsys.readouterr().err


MINIMAL = """\
shares:
  lus01:
    lustre: {version: "2.15", mgs: 10.0.0.2@tcp, servers: "10.0.0.[2..7]@tcp"}
    routers: {lnr-1: {nid: 10.0.0.20@tcp}}
    tenants:
      genomics: {root: /genomics, squash: {uid: 21, gid: 21}, via: {router: lnr-1, net: tcp5, addresses: 10.20.0.0/24}}
      imaging: {root: /imaging, squash: {uid: 22, gid: 22}, via: {router: lnr-1, net: tcp6, addresses: 10.21.0.0/24}}
"""


def test_what_is_left_out_is_filled_in() -> None:
    [fs] = declared.of(parse_part(MINIMAL, "site.yaml"))
    declared.check([fs])
    router = fs.routers["lnr-1"]
    assert router.server_nid == "10.0.0.20@tcp0"
    assert router.legs == {"tcp5": "10.20.0.254@tcp5", "tcp6": "10.21.0.254@tcp6"}
    assert (router.interface("tcp0"), router.interface("tcp5"), router.interface("tcp6")) == (
        "eth0",
        "eth1",
        "eth2",
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("/imaging", "/genomics/x", 7, "lies in /genomics"),
        ("uid: 22", "uid: 21", 7, "belongs to genomics and to imaging"),
        ("net: tcp6, addresses: 10.21.0.0/24", "net: tcp5, addresses: 10.20.0.0/25", 7, "overlaps"),
        ("tcp6", "tcp5", 7, "share the net tcp5"),
        ("tcp6", "tcp", 7, "on the servers' net"),
        ('"2.15"', '"2.18"', 2, "not known here"),
        ("uid: 21,", "uid: 0,", 6, "not between"),
        ("addresses: 10.21.0.0/24", "interface: eth0", 7, "no addresses"),
        ("10.21.0.0/24", "10.21.0.1/24", 7, "host bits"),
        ("root: /imaging", "root: ../imaging", 7, "whole path"),
        ("{nid: 10.0.0.20@tcp}", "{}", 4, "has no NID"),
    ],
)
def test_what_is_wrong_has_its_line(old: str, new: str, line: int, words: str) -> None:
    text = MINIMAL.replace(old, new, 1)
    with pytest.raises(Invalid) as raised:
        declared.check(declared.of(parse_part(text, "site.yaml")))
    assert any(words in one.message and f"site.yaml:{line}" in one.where for one in raised.value.problems), (
        str(raised.value)
    )


def test_a_plan_from_nothing_is_proven_and_leads_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = tmp_path / "live"
    live.write_text("nodemap.active=0\nnodemap.default.squash_uid=65534\n")
    assert main(["shares", "plan", str(LUSTRE), "--live", str(live), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["open_now"] and told["leads"] and told["proven"]
    assert told["changes"][-1]["argv"] == ["lctl", "nodemap_activate", "1"]


def test_strays_are_found_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shares", "strays", str(NFS), "--mount", str(tmp_path)]) == 1
    assert "cannot be read" in capsys.readouterr().out


def test_a_routers_script_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shares", "router", str(LUSTRE), "lnr-1"]) == 0
    assert "rp_filter=1" in capsys.readouterr().out
    assert main(["shares", "router", str(LUSTRE), "lnr-9"]) == 1
