"""Makes sure that a project, a user in it and its role are there. Run again, it changes nothing."""

import argparse
import json
import os
import time
import urllib.error
import urllib.request

URL = os.environ["KEYSTONE_URL"]


def ask(method: str, path: str, body: object = None, token: str = "") -> tuple[dict, str]:
    headers = {"Content-Type": "application/json"} | ({"X-Auth-Token": token} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
        return json.loads(text) if text else {}, answer.headers.get("X-Subject-Token", "")


def log_in(user: str, password: str, project: str) -> str:
    domain = {"id": "default"}
    identity = {
        "methods": ["password"],
        "password": {"user": {"name": user, "domain": domain, "password": password}},
    }
    return ask(
        "POST",
        "/auth/tokens",
        {"auth": {"identity": identity, "scope": {"project": {"name": project, "domain": domain}}}},
    )[1]


def ensure(kind: str, name: str, token: str, **more: object) -> str:
    """The id of a project, user or role by name; made where it is missing."""
    found = ask("GET", f"/{kind}s?name={name}", token=token)[0][f"{kind}s"]
    if found:
        if kind == "user":
            ask("PATCH", f"/users/{found[0]['id']}", {"user": more}, token)
        return found[0]["id"]
    return ask("POST", f"/{kind}s", {kind: {"name": name, **more}}, token)[0][kind]["id"]


def main() -> None:
    parser = argparse.ArgumentParser()
    for option in ("--project", "--user", "--role"):
        parser.add_argument(option, required=True)
    wanted = parser.parse_args()
    for attempt in range(20):
        try:
            token = log_in("admin", os.environ["ADMIN_PASSWORD"], "admin")
            break
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if attempt == 19:
                raise
            time.sleep(1)
    project = ensure("project", wanted.project, token, domain_id="default")
    user = ensure(
        "user", wanted.user, token, password=os.environ["USER_PASSWORD"], default_project_id=project
    )
    role = ensure("role", wanted.role, token)
    ask("PUT", f"/projects/{project}/users/{user}/roles/{role}", token=token)
    print(f"{wanted.user} is {wanted.role} of {wanted.project}")


if __name__ == "__main__":
    main()
