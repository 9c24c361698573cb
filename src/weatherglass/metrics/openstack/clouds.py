"""clouds.yaml, as OpenStack's own clients read it: which cloud, where its Keystone is, how one logs in. Pure.

Kinds of log-in: password, application credential. Values are read as texts; what is missing is told all at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from weatherglass.base.errors import Invalid, NotFound, Problem

PASSWORD, APPLICATION = "password", "application_credential"
_KINDS = {
    "": PASSWORD,
    "password": PASSWORD,
    "v3password": PASSWORD,
    "v3applicationcredential": APPLICATION,
    "v3_application_credential": APPLICATION,
}
_INTERFACES = ("public", "internal", "admin")


@dataclass(frozen=True, slots=True)
class Cloud:
    """One entry of clouds.yaml. `login` is the `identity` of Keystone's request, `scope` its scope or None."""

    name: str
    auth_url: str  # with /v3
    login: Mapping[str, Any] = field(repr=False)
    scope: Mapping[str, Any] | None = None
    region: str = ""
    interface: str = "public"
    verify: bool = True
    cacert: str = ""

    def request(self) -> dict[str, Any]:
        """The body of `POST /v3/auth/tokens`."""
        auth: dict[str, Any] = {"identity": dict(self.login)}
        if self.scope is not None:
            auth["scope"] = dict(self.scope)
        return {"auth": auth}


def read_clouds(text: str, where: str = "clouds.yaml") -> dict[str, Cloud]:
    """Every cloud of the file. Raises Invalid with all that is wrong."""
    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Invalid(f"this is not YAML: {' '.join(str(error).split())}", where=where) from None
    entries = told.get("clouds") if isinstance(told, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise Invalid("there are no clouds in it", where=where, mend="clouds: {mine: {auth: {…}}}")
    found: dict[str, Cloud] = {}
    problems: list[Problem] = []
    for name, entry in entries.items():
        try:
            found[str(name)] = read_cloud(str(name), entry, f"{where}: clouds.{name}")
        except Invalid as error:
            problems += error.problems
    if problems:
        raise Invalid(problems[0].message, where=problems[0].where, mend=problems[0].mend, problems=problems)
    return found


def choose(clouds: Mapping[str, Cloud], name: str, where: str = "clouds.yaml") -> Cloud:
    """The cloud called `name`; the only one where none is named. Raises NotFound, Invalid."""
    if name:
        if name not in clouds:
            raise NotFound(
                f"there is no cloud {name!r}", where=where, mend=f"one of {', '.join(sorted(clouds))}"
            )
        return clouds[name]
    if len(clouds) > 1:
        raise Invalid(
            f"{len(clouds)} clouds are described",
            where=where,
            mend=f"--cloud, one of {', '.join(sorted(clouds))}",
        )
    return next(iter(clouds.values()))


def read_cloud(name: str, entry: Any, where: str) -> Cloud:
    """One entry. Raises Invalid."""
    problems: list[Problem] = []

    def bad(field: str, message: str, mend: str) -> str:
        problems.append(Problem(message, f"{where}.{field}", mend))
        return ""

    if not isinstance(entry, dict) or not isinstance(entry.get("auth"), dict):
        raise Invalid("how to log in is missing", where=where, mend="auth: {auth_url: …, username: …, …}")
    auth = {key: str(value) for key, value in entry["auth"].items() if value is not None}
    url = auth.get("auth_url", "").rstrip("/")
    if not url.startswith(("http://", "https://")):
        bad("auth.auth_url", f"{url!r} is not Keystone's address", "https://keystone.example:5000/v3")
    if url.endswith("/v2.0"):
        bad("auth.auth_url", "Keystone's version 2 is not spoken", "its address with /v3")
    asked = str(entry.get("auth_type", ""))
    kind = _KINDS.get(asked, "")
    if "application_credential_id" in auth or "application_credential_secret" in auth:
        kind = kind and APPLICATION
    if not kind:
        bad("auth_type", f"{asked!r} is not spoken", "password or v3applicationcredential")
    interface = str(entry.get("interface") or entry.get("endpoint_type") or "public").removesuffix("URL")
    if interface not in _INTERFACES:
        bad("interface", f"{interface!r} is no interface", f"one of {', '.join(_INTERFACES)}")
    login: dict[str, Any] = {}
    scope: dict[str, Any] | None = None
    if kind == APPLICATION:
        login = _application(auth, bad)
    elif kind:
        login, scope = _password(auth, bad), _scope(auth)
    if problems:
        raise Invalid(problems[0].message, where=problems[0].where, mend=problems[0].mend, problems=problems)
    return Cloud(
        name, url if url.endswith("/v3") else f"{url}/v3", login, scope,
        region=str(entry.get("region_name") or ""), interface=interface,
        verify=entry.get("verify") is not False and not entry.get("insecure"),
        cacert=str(entry.get("cacert") or ""),
    )  # fmt: skip


def _domain(auth: Mapping[str, str], what: str) -> dict[str, str]:
    for prefix in (f"{what}_domain", "default_domain", "domain"):
        if auth.get(f"{prefix}_id"):
            return {"id": auth[f"{prefix}_id"]}
        if auth.get(f"{prefix}_name"):
            return {"name": auth[f"{prefix}_name"]}
    return {"id": "default"}


def _user(auth: Mapping[str, str]) -> dict[str, Any]:
    if auth.get("user_id"):
        return {"id": auth["user_id"]}
    return {"name": auth.get("username", ""), "domain": _domain(auth, "user")}


def _password(auth: Mapping[str, str], bad: Any) -> dict[str, Any]:
    if not (auth.get("username") or auth.get("user_id")):
        bad("auth.username", "nobody is named", "username: …")
    if not auth.get("password"):
        bad("auth.password", "the password is missing", "password: …")
    return {
        "methods": ["password"],
        "password": {"user": {**_user(auth), "password": auth.get("password", "")}},
    }


def _application(auth: Mapping[str, str], bad: Any) -> dict[str, Any]:
    if not auth.get("application_credential_secret"):
        bad("auth.application_credential_secret", "the secret is missing", "application_credential_secret: …")
    credential: dict[str, Any] = {"secret": auth.get("application_credential_secret", "")}
    if auth.get("application_credential_id"):
        credential["id"] = auth["application_credential_id"]
    elif auth.get("application_credential_name") and (auth.get("username") or auth.get("user_id")):
        credential |= {"name": auth["application_credential_name"], "user": _user(auth)}
    else:
        bad("auth.application_credential_id", "no credential is named", "its id, or its name with a username")
    return {"methods": ["application_credential"], "application_credential": credential}


def _scope(auth: Mapping[str, str]) -> dict[str, Any] | None:
    """A project's where one is named, else the system's or a domain's; None leaves it to the user's default project."""
    if auth.get("project_id") or auth.get("tenant_id"):
        return {"project": {"id": auth.get("project_id") or auth["tenant_id"]}}
    if name := auth.get("project_name") or auth.get("tenant_name"):
        return {"project": {"name": name, "domain": _domain(auth, "project")}}
    if auth.get("system_scope") == "all":
        return {"system": {"all": True}}
    if auth.get("domain_id") or auth.get("domain_name"):
        return {"domain": _domain(auth, "domain")}
    return None
