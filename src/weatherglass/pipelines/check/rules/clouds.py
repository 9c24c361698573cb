"""Rules on what opens a cloud: secrets, doors to the world, Terraform's versions and images, a portal's manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from weatherglass.pipelines.check.findings import Hit, Kind, Rule, Source, Tree
from weatherglass.pipelines.check.rules.looks import ALL

# --- secrets -----------------------------------------------------------------------------------------------

_NAMES = r"(?:pass(?:word|wd|phrase)?|secret(?:_?key)?|api_?key|access_?key|auth_?token|token|private_?key|client_secret|os_password)"
_SECRETS = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----|\bgh[pousr]_\w{30,}|\bglpat-[\w-]{20}|\bxox[bap]-[\w-]{10,}|"
    rf"[\"']?\b\w*{_NAMES}[\"']?\s*(?:=|:(?!:)|=>)\s*[\"']([^\"'\s${{}}<>|]{{6,}})[\"']|"
    rf"(?:^|\s|export\s)\w*(?:PASSWORD|PASSWD|SECRET|TOKEN|API_KEY|ACCESS_KEY)\w*=([A-Za-z0-9+/_.!@#%^*-]{{6,}})\s*(?:$|;|&&)|"
    r"\b(?:mysql|mysqldump|mysqladmin)\b.*\s-p([^\s$\"'{-][^\s$\"'{]{2,})|(?:--password[= ]|sshpass\s+-p\s*)[\"']?([^\s$\"'{<(-][^\s$\"'{<]{3,})|"
    r"\b[a-z][a-z+]*://[\w.-]+:([^\s@/${}<>:\"']{3,})@[\w.-]+|aws_secret_access_key\s*[=:]\s*[\"']?([A-Za-z0-9/+=]{30,})|"
    rf"^\s*(?:-\s+)?\w*{_NAMES}\s*:\s*([A-Za-z0-9+/_.!@#%^*-]{{8,}})\s*$",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(
    r"environ|getenv|secrets?\.|vault|lookup\(|var\.|params\.|config\[|\.get\(|input\(|example|placeholder|your[_-]?|<[\w-]+>|xxxx|\*{3}|"
    r"_file\b|_path\b|/run/secrets|token_urlsafe|keyring|tokeni[sz]|max_token|next_?token|pad_token|sort|public_?key|\.pem\b|\.json\b|anonymous",
    re.IGNORECASE,
)


def _secrets(source: Source, tree: Tree) -> Iterable[Hit]:
    for at, line in source.numbered():
        match = _SECRETS.search(line)
        if not match:
            continue
        value = next((group for group in match.groups() if group), "")
        certain = match[0].startswith(("AKIA", "ASIA", "-----", "gh", "glpat", "xox"))
        if not certain and (
            _NO_SECRET.search(line)
            or value.lower() in ("true", "false", "null", "none", "required", "string")
        ):
            continue
        yield Hit(at, match[0][: max(4, match[0].find(value) if value else 8)].strip() + "…")


# --- doors -------------------------------------------------------------------------------------------------

_WORLD = re.compile(r"(?<![\d.])0\.0\.0\.0/0|[\"'\s=]::/0")


def _open(source: Source, tree: Tree) -> Iterable[Hit]:
    """0.0.0.0/0 as a source of traffic. As a destination (routes, egress) it is the usual."""
    for at, line in source.numbered():
        match = _WORLD.search(line)
        if not match or re.search(
            r"destination|\bto\b|egress|route|--dst|0\.0\.0\.0/0\s+gw|via\b|no_proxy", line, re.IGNORECASE
        ):
            continue
        if source.kind is Kind.TERRAFORM and _leads_out(source, at):
            continue
        if source.kind is Kind.ANSIBLE:
            task = _task(source, at)
            if re.search(r"direction\s*[:=]\s*[\"']?egress|rules_egress|route", task):
                continue
        if source.kind in (Kind.SHELL, Kind.PYTHON, Kind.R) and not re.search(
            r"ingress|secgroup|security.group|firewall|--remote-ip|--cidr|--source|-s\s|ufw|iptables", line
        ):
            continue
        yield Hit(at, match[0].strip("\"' ="))


def _leads_out(source: Source, at: int) -> bool:
    """Whether a line stands in a block that is egress, or a route."""
    depth = 0
    for above in range(at - 2, -1, -1):
        line = source.code[above]
        depth += line.count("}") - line.count("{")
        if depth < 0:
            if re.search(r"\b(?:egress|route\w*)\b|\"[\w]*route[\w]*\"", line):
                return True
            block = source.code[above : _block_end(source, above)]
            if any(re.search(r"direction\s*=\s*\"egress\"|type\s*=\s*\"egress\"", one) for one in block):
                return True
            depth = 0
    return False


def _block_end(source: Source, first: int) -> int:
    depth = 0
    for at in range(first, len(source.code)):
        depth += source.code[at].count("{") - source.code[at].count("}")
        if depth <= 0:
            return at + 1
    return len(source.code)


def _task(source: Source, at: int) -> str:
    first = at - 1
    while first > 0 and not re.match(r"\s*-\s", source.code[first]):
        first -= 1
    last = at
    while last < len(source.code) and not re.match(r"\s*-\s", source.code[last]):
        last += 1
    return "\n".join(source.code[max(0, first - 6) : last])


# --- Terraform ---------------------------------------------------------------------------------------------

_WHOLE = re.compile(r"^(\s*[\w.\"-]+\s*=\s*)\"\$\{([^{}\"]*(?:\"[^\"]*\"[^{}\"]*)*)\}\"(\s*)$")
_OLD = (
    re.compile(r"^\s*type\s*=\s*\"(?:string|list|map|bool|number)\"\s*$"),
    re.compile(r"^\s*(?:depends_on|ignore_changes)\s*=\s*\[\s*\""),
    re.compile(r"=\s*\[\s*\"\$\{[^}]*\}\"\s*\]"),
    re.compile(r"\$\{[^}]*\b(?:list|map)\([^}]*\}"),
)
_TYPES = {'"string"': "string", '"list"': "list(string)", '"map"': "map(string)"}


def _old_syntax(source: Source, tree: Tree) -> Iterable[Hit]:
    """Terraform 0.11: told once a file, at its first line; every mechanical line carries what it should be."""
    first = True
    for at, line in source.numbered():
        instead = None
        match = _WHOLE.match(line)
        if match and "${" not in match[2]:
            instead = f"{match[1]}{match[2].strip()}{match[3]}"
        elif _OLD[0].match(line):
            instead = (
                re.sub(r"\"(?:string|list|map)\"", lambda found: _TYPES[found[0]], line)
                .replace('"bool"', "bool")
                .replace('"number"', "number")
            )
        elif _OLD[1].match(line):
            instead = re.sub(r"\"([\w.-]+)\"", r"\1", line)
        elif _OLD[2].search(line):
            instead = re.sub(r"\[\s*\"\$\{([^}\"]*)\}\"\s*\]", r"[\1]", line)
        elif not _OLD[3].search(line):
            continue
        yield Hit(at if first else -at, line.strip()[:100], instead if instead != line else None)
        first = False


def _fixed_image(source: Source, tree: Tree) -> Iterable[Hit]:
    uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    wanted = re.compile(
        rf"\b(?:image_?(?:id|ref|uuid)?|uuid|ami|image|default|source_image)\b\s*[\"']?\s*[:=]\s*[\"']?({uuid}|ami-[0-9a-f]{{8,17}})\b|[\"'](ami-[0-9a-f]{{8,17}})[\"']"
        rf"|--image[= ]+({uuid}|ami-[0-9a-f]{{8,17}})",
        re.IGNORECASE,
    )
    for at, line in source.numbered():
        match = wanted.search(line)
        if not match:
            continue
        if re.match(r"\s*(?:default|uuid)\b", line) and "ami-" not in match[0]:
            above = source.within(max(1, at - 6), at)
            if not re.search(r"image", above):
                continue
        yield Hit(at, next(group for group in match.groups() if group))


def _module_text(source: Source, tree: Tree) -> str:
    folder = source.path.rpartition("/")[0]
    return "\n".join(
        line for one in tree.of(Kind.TERRAFORM) if one.path.rpartition("/")[0] == folder for line in one.code
    )


def _providers(source: Source, tree: Tree) -> Iterable[Hit]:
    """Providers of which any version may come: named without one, and none required in the module."""
    whole = _module_text(source, tree)
    required = re.search(r"\brequired_providers\s*\{", whole)
    pinned = set()
    if required:
        body = whole[required.start() : required.start() + 3000]
        pinned = set(re.findall(r"(\w+)\s*=\s*\{[^{}]*\bversion\s*=", body)) | set(
            re.findall(r"(?m)^\s*(\w+)\s*=\s*\"[~><=!\d ]", body)
        )
    told = set()
    for at, line in source.numbered():
        match = re.match(r"\s*provider\s+\"?([\w-]+)\"?\s*\{", line)
        if match and match[1] not in pinned and match[1] not in told:
            block = "\n".join(source.code[at - 1 : _block_end(source, at - 1)])
            if not re.search(r"(?m)^\s*version\s*=", block):
                told.add(match[1])
                yield Hit(at, f'provider "{match[1]}"')
            continue
        match = re.match(r"\s*(\w+)\s*=\s*\{\s*$|\s*(\w+)\s*=\s*\{.*source\s*=", line)
        if match and "required_providers" in source.within(max(1, at - 40), at):
            block = "\n".join(source.code[at - 1 : _block_end(source, at - 1)])
            name = match[1] or match[2]
            if (
                re.search(r"\bsource\s*=", block)
                and not re.search(r"\bversion\s*=", block)
                and name not in told
            ):
                told.add(name)
                yield Hit(at, name)


def _modules(source: Source, tree: Tree) -> Iterable[Hit]:
    for at, line in source.numbered():
        match = re.match(
            r"\s*source\s*=\s*\"((?:git(?:::|@)|github\.com|https?://)[^\"]*|[\w-]+/[\w-]+/[\w-]+)\"", line
        )
        if not match:
            continue
        if match[1].startswith(("git", "http", "github")):
            if "ref=" not in match[1]:
                yield Hit(at, match[1])
            continue
        block = source.within(max(1, at - 3), min(at + 4, len(source.code)))
        if "module" in block and not re.search(r"\bversion\s*=", block):
            yield Hit(at, match[1])


# --- manifest.json of a portal's application ----------------------------------------------------------------

_CLOUDS = ("OSTACK", "AWS", "GCP", "AZURE")
_NEEDED = {"applicationName": str, "about": str, "contactEmail": str, "version": str, "cloudProviders": list}


def _line_of(source: Source, word: str, after: int = 0) -> int:
    for at, line in enumerate(source.lines, 1):
        if at > after and f'"{word}"' in line:
            return at
    return max(after, 1)


def _manifest(source: Source, tree: Tree) -> Iterable[Hit]:
    if source.broken:
        return
    found = json.loads("\n".join(source.lines))
    if not isinstance(found, dict):
        yield Hit(1, "the manifest is not an object")
        return
    for name, kind in _NEEDED.items():
        if name not in found:
            yield Hit(1, f"{name} is missing")
        elif not isinstance(found[name], kind) or not found[name]:
            yield Hit(_line_of(source, name), f"{name} is empty, or not a {kind.__name__}")
    email = found.get("contactEmail")
    if isinstance(email, str) and email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.\w+", email):
        yield Hit(_line_of(source, "contactEmail"), f"{email} is no address")
    for name in ("inputs", "deploymentParameters", "outputs", "volumes"):
        yield from _names(source, found.get(name, []), name)
    clouds = found.get("cloudProviders")
    seen: set[str] = set()
    for one in clouds if isinstance(clouds, list) else []:
        yield from _cloud(source, tree, one, seen)


def _names(source: Source, values: Any, name: str) -> Iterable[Hit]:
    if not isinstance(values, list):
        yield Hit(_line_of(source, name), f"{name} is not a list")
        return
    seen: set[str] = set()
    for one in values:
        text = one if isinstance(one, str) else one.get("name") if isinstance(one, dict) else None
        if not isinstance(text, str) or not text:
            yield Hit(_line_of(source, name), f"an entry of {name} has no name")
        elif text in seen:
            yield Hit(_line_of(source, text, _line_of(source, text)), f"{text} is there twice in {name}")
        else:
            seen.add(text)


def _cloud(source: Source, tree: Tree, one: Any, seen: set[str]) -> Iterable[Hit]:
    if not isinstance(one, dict):
        yield Hit(_line_of(source, "cloudProviders"), "an entry of cloudProviders is not an object")
        return
    name, folder = one.get("cloudProvider"), one.get("path")
    line = _line_of(source, str(name)) if name else _line_of(source, "cloudProviders")
    if name not in _CLOUDS:
        yield Hit(line, f"{name or 'nothing'} is no cloud: {', '.join(_CLOUDS)}")
    elif name in seen:
        yield Hit(line, f"{name} is there twice")
    seen.add(str(name))
    for part in ("inputs", "outputs", "volumes"):
        yield from _names(source, one.get(part, []), part)
    if not isinstance(folder, str) or not folder:
        yield Hit(line, f"{name} has no path")
        return
    if folder.startswith("/") or ".." in folder.split("/"):
        yield Hit(_line_of(source, folder), f"{folder} leads out of the repository")
        return
    base = source.path.rpartition("/")[0]
    whole = "/".join(part for part in (*base.split("/"), *folder.split("/")) if part not in ("", "."))
    missing = [
        f"{each}.sh"
        for each in ("deploy", "state", "destroy")
        if f"{whole}/{each}.sh".lstrip("/") not in tree.names
    ]
    if missing and tree.names:
        yield Hit(_line_of(source, folder), f"{folder} has no {', no '.join(missing)}")


def _broken(source: Source, tree: Tree) -> Iterable[Hit]:
    for line, what, _ in source.broken:
        yield Hit(line, what)


RULES = (
    Rule(
        "broken",
        ALL,
        _broken,
        "The file cannot be read as what it is: nothing after this line was checked with certainty.",
        "Mend the line named here.",
        "",
        3,
    ),
    Rule(
        "secret",
        ALL,
        _secrets,
        "Whoever can read this file has the secret, and so has every image and log made from it.",
        "Take it out, change it, and hand it over as a variable or a file of the run.",
        "",
        3,
    ),
    Rule(
        "open-to-all",
        frozenset({Kind.TERRAFORM, Kind.ANSIBLE, Kind.SHELL, Kind.PYTHON, Kind.CONFIG}),
        _open,
        "The whole world may connect: a fresh instance is probed within minutes.",
        "Name the networks that need it, or use a bastion.",
        "",
        2,
    ),
    Rule(
        "terraform-old-syntax",
        frozenset({Kind.TERRAFORM}),
        _old_syntax,
        "This is Terraform 0.11's language; today's refuses part of it and warns of the rest.",
        "Apply the patch (the mechanical part), then terraform validate.",
        "",
        2,
    ),
    Rule(
        "fixed-image-id",
        frozenset({Kind.TERRAFORM, Kind.ANSIBLE, Kind.SHELL, Kind.CONFIG}),
        _fixed_image,
        "An image's id exists in one cloud, until the image is replaced there.",
        'Look it up by name (data "openstack_images_image_v2"), or make it a variable.',
        "an image of the same id",
        3,
    ),
    Rule(
        "unpinned-provider",
        frozenset({Kind.TERRAFORM}),
        _providers,
        "Any version of the provider may come, and the next major one changes what resources mean.",
        'required_providers { name = { source = "…", version = "~> 1.2" } }.',
        "",
        1,
    ),
    Rule(
        "unpinned-module",
        frozenset({Kind.TERRAFORM}),
        _modules,
        "The module is whatever stands on its main branch today.",
        '?ref=TAG at the source\'s end, or version = "…".',
        "",
        1,
    ),
    Rule(
        "manifest",
        frozenset({Kind.MANIFEST}),
        _manifest,
        "The portal reads this to show and deploy the application; so it would refuse it, or fail half-way.",
        "Mend the field: applicationName, about, contactEmail, version, cloudProviders [{cloudProvider, path, …}].",
        "",
        3,
    ),
)
