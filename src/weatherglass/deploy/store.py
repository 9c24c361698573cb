"""Where generations, runs and rescue times rest: generations as immutable blobs, the rest in tables. No decisions.

A generation's number is its place in the order of applies; the same units applied again get a new number and
share their blob.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from weatherglass.base.errors import NotFound
from weatherglass.deploy.model import Generation, canonical, generation_from_json
from weatherglass.engine.blobs import Blobs
from weatherglass.engine.tables import Tables

METADATA = sa.MetaData()
MIGRATIONS = "weatherglass.deploy.migrations"

GENERATIONS = sa.Table(
    "deploy_generations",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # applying, live, failed, superseded
)
RUNS = sa.Table(
    "deploy_runs",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("started_ns", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
RESCUES = sa.Table(
    "deploy_rescues",
    METADATA,
    sa.Column("row", sa.Integer, primary_key=True),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("replica", sa.Text, nullable=False),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Index("deploy_rescues_by_service", "service", "row"),
)
SETTINGS = sa.Table(
    "deploy_settings",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

_RESCUES_COUNTED = 10
_RUNS_LISTED = 50


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """One generation as the list of them shows it. `state`: applying, live, failed, superseded."""

    number: int
    hash: str
    at_ns: int
    who: str
    why: str
    state: str


class Store:
    """Reads and writes of deploy's own state."""

    def __init__(self, tables: Tables, blobs: Blobs) -> None:
        self._tables, self._blobs = tables, blobs

    # --- generations -------------------------------------------------------------------------------------

    def add(self, made: Generation, at_ns: int, who: str, why: str) -> int:
        """Keep a generation and give it the next number; it is being applied from now on."""
        # Written again where it is there: that one may no longer be readable.
        self._blobs.put(f"generations/{made.hash}.json", canonical(made.to_json()))
        with self._tables.write() as connection:
            row = {"hash": made.hash, "at_ns": at_ns, "who": who, "why": why, "state": "applying"}
            number = connection.execute(sa.insert(GENERATIONS).values(row)).inserted_primary_key
        assert number is not None  # an insert of one row has one
        return int(number[0])

    def turn(self, number: int, state: str) -> None:
        """A generation's new state; one that turns live supersedes the one that was."""
        with self._tables.write() as connection:
            if state == "live":
                earlier = sa.update(GENERATIONS).where(GENERATIONS.c.state == "live")
                connection.execute(earlier.values(state="superseded"))
            connection.execute(
                sa.update(GENERATIONS).where(GENERATIONS.c.number == number).values(state=state)
            )

    def generations(self, limit: int = 100) -> list[GenerationRow]:
        """Newest first."""
        with self._tables.read() as connection:
            query = sa.select(GENERATIONS).order_by(GENERATIONS.c.number.desc()).limit(limit)
            return [GenerationRow(**row) for row in connection.execute(query).mappings()]

    def row(self, number: int) -> GenerationRow:
        """Raises NotFound."""
        with self._tables.read() as connection:
            found = (
                connection.execute(sa.select(GENERATIONS).where(GENERATIONS.c.number == number))
                .mappings()
                .first()
            )
        if found is None:
            raise NotFound(
                f"there is no generation {number}", mend="`weatherglass rollback --list` shows them"
            )
        return GenerationRow(**found)

    def generation(self, number: int) -> Generation:
        """Raises NotFound, Corrupt."""
        return generation_from_json(json.loads(self._blobs.get(f"generations/{self.row(number).hash}.json")))

    # --- runs --------------------------------------------------------------------------------------------

    def new_run(self, kind: str, at_ns: int) -> int:
        with self._tables.write() as connection:
            row = {"kind": kind, "state": "running", "started_ns": at_ns, "body": "{}"}
            number = connection.execute(sa.insert(RUNS).values(row)).inserted_primary_key
        assert number is not None  # an insert of one row has one
        return int(number[0])

    def keep_run(self, number: int, state: str, body: Mapping[str, Any]) -> None:
        with self._tables.write() as connection:
            values = {"state": state, "body": json.dumps(body)}
            connection.execute(sa.update(RUNS).where(RUNS.c.number == number).values(values))

    def run(self, number: int) -> dict[str, Any]:
        """Raises NotFound."""
        with self._tables.read() as connection:
            body = connection.scalar(sa.select(RUNS.c.body).where(RUNS.c.number == number))
        if body is None:
            raise NotFound(f"there is no run {number}")
        return dict(json.loads(body))

    def runs(self, state: str = "", limit: int = _RUNS_LISTED) -> list[dict[str, Any]]:
        """Newest first."""
        query = sa.select(RUNS.c.body).order_by(RUNS.c.number.desc()).limit(limit)
        if state:
            query = query.where(RUNS.c.state == state)
        with self._tables.read() as connection:
            return [json.loads(body) for body in connection.scalars(query)]

    # --- the rest ----------------------------------------------------------------------------------------

    def rescued(self, service: str, replica: str, at_ns: int, seconds: float) -> None:
        with self._tables.write() as connection:
            row = {"service": service, "replica": replica, "at_ns": at_ns, "seconds": seconds}
            connection.execute(sa.insert(RESCUES).values(row))

    def rescue_seconds(self, service: str) -> float | None:
        """The median of its last ten rescues, from the order to the first good answer; None before the first."""
        query = sa.select(RESCUES.c.seconds).where(RESCUES.c.service == service)
        query = query.order_by(RESCUES.c.row.desc()).limit(_RESCUES_COUNTED)
        with self._tables.read() as connection:
            found = list(connection.scalars(query))
        return statistics.median(found) if found else None

    def setting(self, name: str) -> str:
        with self._tables.read() as connection:
            return connection.scalar(sa.select(SETTINGS.c.value).where(SETTINGS.c.name == name)) or ""

    def set(self, name: str, value: str) -> None:
        with self._tables.write() as connection:
            connection.execute(sa.delete(SETTINGS).where(SETTINGS.c.name == name))
            connection.execute(sa.insert(SETTINGS).values(name=name, value=value))
