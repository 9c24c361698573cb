"""Every emitted command is one that lctl(8), lnetctl(8), lfs(1) of that version take: a table, not our own reader."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from shares.world import VERSIONS, small
from weatherglass.shares.lustre.compile import commands
from weatherglass.shares.lustre.lnetconf import files

NID = r"\d+\.\d+\.\d+\.\d+@tcp\d*"
RANGE = r"(?:\d+|\[\d+-\d+\])(?:\.(?:\d+|\[\d+-\d+\])){3}@tcp\d*"
NAME = r"[A-Za-z0-9_]{1,16}"
NET = r"tcp\d*"


class Form(NamedTuple):
    """A command's grammar, since which version it is there, before which, and where its page says so."""

    pattern: str
    since: tuple[int, int]
    before: tuple[int, int]
    page: str


END = (9, 9)
GRAMMAR = (
    Form(rf"lctl nodemap_add {NAME}", (2, 7), END, "lctl-nodemap-add(8)"),
    Form(rf"lctl nodemap_add_range --name {NAME} --range {RANGE}", (2, 7), END, "lctl-nodemap-add-range(8)"),
    Form(rf"lctl nodemap_modify --name {NAME} --property (admin|trusted|deny_unknown) --value [01]", (2, 9), END,
         "lctl-nodemap-modify(8)"),
    Form(rf"lctl nodemap_modify --name {NAME} --property squash_(uid|gid) --value \d+", (2, 7), END,
         "lctl-nodemap-modify(8)"),
    Form(rf"lctl nodemap_modify --name {NAME} --property rbac --value [a-z_,]+", (2, 16), END,
         "lctl-nodemap-modify(8)"),
    Form(rf"lctl nodemap_modify --name {NAME} --property readonly_mount --value [01]", (2, 16), END,
         "lctl-nodemap-modify(8)"),
    Form(rf"lctl nodemap_modify --name {NAME} --property deny_mount --value [01]", (2, 17), END,
         "lctl-nodemap-modify(8)"),
    Form(rf"lctl nodemap_add_idmap --name {NAME} --idtype (uid|gid) --idmap \d+:\d+", (2, 7), END,
         "lctl-nodemap-add-idmap(8)"),
    Form(rf"lctl nodemap_add_offset --name {NAME} --offset \d+ --limit \d+", (2, 16), END,
         "lctl-nodemap-add-offset(8)"),
    Form(rf"lctl set_param (-P )?nodemap\.{NAME}\.fileset=/\S*", (2, 9), (2, 17), "lctl-set_param(8)"),
    Form(rf"lctl nodemap_fileset_add --name {NAME} --fileset /\S*", (2, 17), END, "lctl-nodemap-fileset-add(8)"),
    Form(r"lctl nodemap_activate [01]", (2, 7), END, "lctl-nodemap-activate(8)"),
    Form(r"lnetctl lnet configure", (2, 7), END, "lnetctl(8)"),
    Form(rf"lnetctl net add --net {NET} --if [a-z0-9.]+", (2, 7), END, "lnetctl(8)"),
    Form(rf"lnetctl route add --net {NET} --gateway {NID}", (2, 7), END, "lnetctl(8)"),
    Form(r"lnetctl set routing [01]", (2, 7), END, "lnetctl(8)"),
    Form(r"lnetctl set drop_asym_route [01]", (2, 13), END, "lnetctl(8)"),
    Form(r"lfs project -p \d+ -r -s /\S+", (2, 10), END, "lfs-project(1)"),
    Form(r"lfs setquota -p \d+ -b 0 -B \d+ -i 0 -I \d+ /\S+", (2, 10), END, "lfs-setquota(1)"),
    Form(r"lfs setquota -u \d+ -b 0 -B \d+ -i 0 -I \d+ /\S+", (1, 8), END, "lfs-setquota(1)"),
    Form(rf"weatherglass shares guard --leg {NID}( --peers {RANGE})+( --to {RANGE})+", (2, 9), END, "docs/shares.md"),
)  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_every_command_is_in_its_versions_grammar(version: tuple[int, int]) -> None:
    seen = set()
    for command in commands(small(version)):
        forms = [
            one
            for one in GRAMMAR
            if re.fullmatch(one.pattern, str(command)) and one.since <= version < one.before
        ]
        assert len(forms) == 1, f"{command} for {version}"
        seen.add(forms[0].pattern)
    assert len(seen) >= 13


def test_no_row_of_the_grammar_is_idle() -> None:
    every = [str(command) for version in VERSIONS for command in commands(small(version))]
    for form in GRAMMAR:
        assert any(re.fullmatch(form.pattern, one) for one in every), form.pattern


def test_lnet_conf_says_what_the_commands_say() -> None:
    import yaml

    made = {place: yaml.safe_load(text) for place, text in files(small()).items()}
    assert made["servers"]["route"][0] == {"net": "tcp32769", "gateway": "10.0.0.20@tcp0"}
    assert made["router lnr-1"]["routing"] == [{"enable": 1}]
    assert [net["net type"] for net in made["router lnr-1"]["net"]] == ["tcp", "tcp32769", "tcp32770"]
    assert made["clients chem"]["net"][0]["local NI(s)"][0]["interfaces"] == {0: "eth0"}
    assert made["clients chem"]["route"] == [{"net": "tcp", "gateway": "10.22.0.3@tcp32771"}]
