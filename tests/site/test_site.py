"""The declaration: problems as cases, the reference, ranges, scalars of YAML 1.2, and that nothing else is raised."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Invalid
from weatherglass.base.time import iso
from weatherglass.site import (
    Site,
    all_sections,
    entity_of,
    graph,
    json_schema,
    load,
    parse,
    probe_specs,
)
from weatherglass.site.section import LATER

HERE = Path(__file__).parent
REFERENCE = HERE.parents[1] / "examples" / "reference" / "site.yaml"
HELLO = """\
site: hello
hosts: {here: {address: 127.0.0.1, roles: [all]}}
roles: {all: [web]}
services:
  web:
    command: [python3, -m, http.server, "8080", --bind, 127.0.0.1]
    ports: {http: 8080}
    probe: {http: "http://127.0.0.1:8080/"}
    objective: {availability: 99%}
"""


def one(text: str) -> Site:
    return parse({"site.yaml": text}, "site.yaml")


def problems(text: str) -> list[str]:
    with pytest.raises(Invalid) as raised:
        one(text)
    return [f"{problem.where}: {problem.message}" for problem in raised.value.problems]


@pytest.mark.parametrize("path", sorted((HERE / "cases").glob("*.yaml")), ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    with pytest.raises(Invalid) as raised:
        parse(case["files"], "site.yaml")
    left = list(raised.value.problems)
    for wanted in case["problems"]:
        match = [
            found
            for found in left
            if found.where == wanted["where"]
            and wanted.get("message", "") in found.message
            and wanted.get("mend", "") in found.mend
        ]
        assert match, f"{wanted} is not among\n{raised.value}"
        left.remove(match[0])
    assert not left, "told but not expected"
    assert all(problem.mend for problem in raised.value.problems)


def test_ten_lines_run_something() -> None:
    site = one(HELLO)
    assert [replica.name for replica in site.services["web"].replicas] == ["web.1@here"]
    assert site.remedies.budget == 6
    assert site.source == HELLO
    [spec] = probe_specs(site)
    assert (spec["entity"], spec["url"]) == ("replica/web.1@here", "http://127.0.0.1:8080/")


def test_the_reference_holds_the_whole_language() -> None:
    site = load(REFERENCE)
    text = "".join(path.read_text() for path in REFERENCE.parent.rglob("*.yaml"))
    for section in all_sections().values():
        assert f"\n{section.name}:" in text
        for name in _fields(section.type.schema()):
            assert f"{name}:" in text, f"{section.name}: {name} is not in the reference"
    assert [host.zone for host in site.hosts.values()][:3] == ["rack-a", "rack-b", "rack-a"]
    assert [h.address for h in site.hosts.values()] == [
        "10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.0.20",
    ]  # fmt: skip
    assert [r.name for r in site.services["keystone"].replicas] == ["keystone.1@ctl-1", "keystone.2@ctl-2"]
    assert site.services["node-check"].replicas[3].host == "cmp-04"
    assert site.roles["compute"].update.serial == 0.25
    assert site.volumes["db-data"].max == 8 << 30
    assert site.tenants["genomics"].limits.log_bytes_per_day == 50 * 10**9
    assert iso(site.tenants["resops-course"].expires_ns) == "2027-07-04T00:00:00.000Z"
    assert site.templates["templates/uwsgi.ini.j2"].startswith("[uwsgi]")
    asked = {spec["entity"]: spec for spec in probe_specs(site)}
    assert asked["replica/mariadb.1@db-1"]["address"] == "10.0.0.20:3306"
    assert asked["replica/keystone.2@ctl-2"]["url"] == "http://10.0.0.12:5000/v3"
    assert asked["tenant/genomics"]["url"] == "http://10.0.0.11:5000/v3"
    assert asked["tenant/genomics"]["get"] == "http://10.0.0.13:8778/traits"
    assert asked["replica/placement.3@ctl-3"]["url"] == "http://10.0.0.13:8778/"
    assert asked["replica/web.1@ctl-1"]["address"] == "10.0.0.11:8080"
    assert asked["replica/node-check.1@cmp-01"]["server"] is False
    assert {spec["host"] for spec in probe_specs(site, "ctl-2")} == {"ctl-2"}


TOKENS = """
site: s
hosts: {a: {address: 10.0.0.1, roles: [r]}, b: {address: 10.0.0.2, roles: [q]}}
roles: {r: [identity], q: [inventory, lone]}
services:
  identity: {command: [k], ports: {api: 5000}, probe: {openstack-token: {user: u, password: p%s}}}
  inventory:
    command: [i]
    ports: {api: 8778}
    needs: [identity]
    probe: {openstack-token: {user: u, password: p, get: /things}}
  lone: {command: [l], ports: {api: 9000}, probe: {openstack-token: {user: u, password: p, get: /mine}}}
"""


@pytest.mark.parametrize(
    ("more", "issuer"),
    [("", "http://10.0.0.1:5000/v3"), (", url: 'https://id.example.org/v3'", "https://id.example.org/v3")],
)
def test_a_probe_that_gets_takes_its_token_from_the_keystone_that_is_needed(more: str, issuer: str) -> None:
    asked = {spec["entity"]: spec for spec in probe_specs(parse({"s.yaml": TOKENS % more}, "s.yaml"))}
    assert asked["replica/identity.1@a"]["url"] == issuer
    assert asked["replica/identity.1@a"]["get"] == ""
    assert asked["replica/inventory.1@b"]["url"] == issuer
    assert asked["replica/inventory.1@b"]["get"] == "http://10.0.0.2:8778/things"
    assert asked["replica/lone.1@b"]["url"] == "http://10.0.0.2:9000/v3"  # it needs none: it issues its own


def _fields(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return {name for inner in schema for name in _fields(inner)}
    if not isinstance(schema, dict):
        return set()
    own = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return own | {name for inner in schema.values() for name in _fields(inner)}


def test_the_schema_takes_the_reference_and_refuses_what_the_reader_refuses() -> None:
    schema = json_schema()
    checker = jsonschema.Draft202012Validator
    checker.check_schema(schema)
    for path in REFERENCE.parent.rglob("*.yaml"):
        # Editors see dates as text, as YAML 1.2 does.
        told = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
        assert list(checker(_typed(schema)).iter_errors(told)) == []
    hello = yaml.safe_load(HELLO)
    assert not list(checker(schema).iter_errors(hello))
    hello["services"]["web"]["comand"] = 1
    assert list(checker(schema).iter_errors(hello))
    assert "default: 10s" in str(schema)
    assert "default: restart" in str(schema)


def _typed(schema: Any) -> Any:
    """The schema for a document whose scalars were all left as text."""
    if isinstance(schema, list):
        return [_typed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("integer", "boolean") or schema.get("type") == "null":
        return {"type": "string"}
    return {name: _typed(inner) for name, inner in schema.items()}


@pytest.mark.parametrize(
    ("written", "read"),
    [("no", "no"), ("on", "on"), ("8080", "8080"), ("1:30", "1:30"), ("'~'", "~"), ("0o17", "0o17"), ("2027-01-01", "2027-01-01")],
)  # fmt: skip
def test_words_stay_words(written: str, read: str) -> None:
    site = one(f"{HELLO}    environment: {{A: {written}}}\n")
    assert site.services["web"].environment == {"A": read}


@pytest.mark.parametrize(("written", "port"), [("0o17", 15), ("010", 10), ("0x10", 16)])
def test_numbers_are_those_of_yaml_1_2(written: str, port: int) -> None:
    assert one(HELLO.replace("http: 8080}", f"http: {written}}}")).services["web"].ports == {"http": port}


def test_sections_of_rooms_to_come_are_refused_by_name() -> None:
    for name in LATER.keys() - all_sections().keys():
        assert any("not yet in this version" in text for text in problems(f"{HELLO}{name}: {{}}\n"))


def test_anchors_serve_and_their_bombs_do_not() -> None:
    shared = HELLO.replace("{http: 8080}", "&p {http: 8080}").replace("hosts:", "zones: {}\nhosts:")
    assert one(f"{shared}    environment: {{A: &x no, B: *x}}\n").services["web"].environment["B"] == "no"
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    start = time.process_time()
    assert any("nodes, aliases counted" in text for text in problems(bomb))
    assert any("nesting deeper" in text for text in problems("a: " + "[" * 200))
    assert any("nesting deeper" in text or "not YAML" in text for text in problems("{a: " * 100_000))
    assert any("no anchor above" in text for text in problems("site: &a [*a]"))
    assert time.process_time() - start < 5


def test_a_declaration_does_not_reach_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "link.yaml").symlink_to(tmp_path / "secret")
    main = folder / "site.yaml"
    for include in ("../secret", "/etc/passwd", "link.yaml"):
        main.write_text(f"include: [{include}]\n{HELLO}")
        with pytest.raises(Invalid, match=r"beside the declaration|outside"):
            load(main)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "site.yaml").write_bytes(b"site: x\n# \xff\n")
    with pytest.raises(Invalid, match=r"site.yaml:2: it is not UTF-8"):
        load(tmp_path / "site.yaml")
    with pytest.raises(Invalid, match="larger than"):
        one("#" * (5 << 20))


def test_the_graph_says_who_depends_on_whom() -> None:
    site = load(REFERENCE)
    found = graph(site)
    assert found.cycles() == []
    assert "service/mariadb" in found.parents("replica/keystone.1@ctl-1")
    assert set(found.parents("service/keystone")) == {
        "replica/keystone.1@ctl-1", "replica/keystone.2@ctl-2", "service/mariadb",
    }  # fmt: skip
    assert "volume/db-data" in found.upstream("tenant/genomics")
    assert "zone/rack-b" in found.upstream("tenant/genomics")
    assert "tenant/genomics" in found.downstream("volume/db-data")
    assert "tenant/resops-course" not in found.downstream("volume/db-data")


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"host": "a"}, "host/a"),
        ({"host": "a", "service": "s"}, "service/s"),
        ({"host": "a", "service": "s", "replica": "s.1@a"}, "replica/s.1@a"),
        ({"host": "a", "volume": "v"}, "volume/v"),
        ({"entity": "tenant/t", "host": "a"}, "tenant/t"),
        ({"entity": "nonsense/t", "host": "a"}, "host/a"),
        ({"instance": "x"}, None),
        ({"host": " "}, None),
    ],
)
def test_an_entity_is_found_from_labels(labels: dict[str, str], found: str | None) -> None:
    assert entity_of(labels) == found


words = st.sampled_from(
    ["site", "hosts", "services", "roles", "a", "web", "{", "}", "[", "]", ":", "&a", "*a", "- ", "\n", "\n  ",
     " ", ",", "'", '"', "~", "!!x", "|", "%", "#", "<<", "[1..3]", "include", "*", "99%", "\t", "\0", "\ud800"]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.text(max_size=200), st.lists(words, max_size=40).map("".join)))
def test_any_text_is_a_site_or_invalid(text: str) -> None:
    try:
        assert isinstance(one(text), Site)
    except Invalid as error:
        assert error.problems


trees: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.text(max_size=8), st.integers(), st.none(), st.sampled_from(["web", "here", "all", "[1..9]"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_site_with_anything_put_anywhere_is_a_site_or_invalid(data: st.DataObject) -> None:
    tree = yaml.safe_load(REFERENCE.read_text().replace("include: [tenants/*.yaml]", ""))
    spot, key = tree, data.draw(st.sampled_from(sorted(tree)))
    while isinstance(spot[key], dict) and spot[key] and data.draw(st.booleans()):
        spot = spot[key]
        key = data.draw(st.sampled_from(sorted(spot)))
    spot[key] = data.draw(trees)
    try:
        site = one(yaml.safe_dump(tree))
    except Invalid as error:
        assert error.problems
    else:
        graph(site)
        probe_specs(site)
