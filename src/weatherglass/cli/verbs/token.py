"""Make, list and end tokens.

Example: weatherglass token create mia --role operator --tenant site --ttl 8h
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.base.errors import Invalid
from weatherglass.cli import exits, show
from weatherglass.cli.client import Client

PANEL = "Look after"

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Unique among tokens in force; agent-HOST for an agent.")] = "",
    role: Annotated[str, typer.Option(help="viewer, member, operator, admin, agent.")] = "viewer",
    tenant: Annotated[list[str] | None, typer.Option(help="Which it may see; * for every one.")] = None,
    ttl: Annotated[str, typer.Option(metavar="SPAN", help="8h, 30d; without it the token stays.")] = "",
    host: Annotated[str, typer.Option(help="An agent's host.")] = "",
    seats: Annotated[str, typer.Option(metavar="TENANT", help="All seats of a course at once.")] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there (0600), print nothing.")
    ] = None,
    why: Annotated[str, typer.Option(help="The reason, for the ledger.")] = "",
    state: show.State = None,
    json: show.Json = False,
) -> int:
    """Make a token. It is told once and never again.

    Example: weatherglass token create --role agent --host cmp-1 --out agent.token

    Example: weatherglass token create --seats resops-course
    """
    client = Client(state)
    if seats:
        made = client.post("/api/v1/tokens/seats", {"tenant": seats})
        if json:
            show.as_json(made)
        else:
            show.table(("name", "token"), [(one["name"], one["token"]) for one in made["seats"]])
        return exits.OK
    name = name or (f"agent-{host}" if host else "")
    if not name:
        raise Invalid("a token needs a name", mend="weatherglass token create NAME --role operator")
    body = {"name": name, "role": role, "tenants": tenant or ["site"], "host": host, "why": why}
    answer = client.post("/api/v1/tokens", {**body, "ttl": ttl} if ttl else body)
    if out is not None:
        out.touch(0o600, exist_ok=False)
        out.write_text(answer["token"] + "\n")
    elif json:
        show.as_json(answer)
    else:
        typer.echo(answer["token"])
    return exits.OK


@app.command("list")
def list_(
    all: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    state: show.State = None,
    json: show.Json = False,
) -> int:
    """List tokens in force. Secrets are not kept, so none are shown.

    Example: weatherglass token list --all
    """
    found = Client(state).get("/api/v1/tokens", all="1" if all else "")
    if json:
        show.as_json(found)
        return exits.OK
    rows = [
        (
            one["id"],
            one["name"],
            one["role"],
            " ".join(one["tenants"]),
            one["host"],
            show.clock(one["expires_ns"]) or "never",
        )
        for one in found["tokens"]
    ]
    show.table(("id", "name", "role", "tenants", "host", "expires"), rows)
    return exits.OK


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="Its id or its name.")],
    state: show.State = None,
    json: show.Json = False,
) -> int:
    """End a token and every session made from it.

    Example: weatherglass token revoke mia
    """
    from urllib.parse import quote

    ended = Client(state).delete(f"/api/v1/tokens/{quote(token, safe='')}")
    show.as_json(ended) if json else show.say(f"{ended['name']} ({ended['id']}) holds no longer.")
    return exits.OK
