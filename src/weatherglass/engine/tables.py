'''Tables: SQLAlchemy Core on SQLite here, on another database where its URL is given. No queries live here.

Reads have pooled connections of their own and see the last commit; writes go one at a time. A room keeps a
`MetaData` of its own, its tables' names begin with the room's, and its migrations lie in a package beside it:

    src/weatherglass/identity/migrations/__init__.py     (a docstring)
    src/weatherglass/identity/migrations/0001_first.py:

        """Tokens and sessions."""

        import sqlalchemy as sa
        from alembic import op

        revision = "identity_0001"        # <room>_<number of the file>
        down_revision = None              # afterwards "identity_0001", and so on: one line, no forks
        branch_labels = ("identity",)     # in the first alone

        def upgrade() -> None:
            op.create_table("identity_tokens", sa.Column("id", sa.Text, primary_key=True))

and `tables.migrate({"identity": (metadata, "weatherglass.identity.migrations")})` brings the tables up to it, in
one transaction. A room's head is the highest number among its files, so that a state that is up to date is
recognised without importing Alembic (0.3 s). `differences` tells in a room's test whether MetaData and
migrations agree. There is no way down: a state is put back from a backup.
'''

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from weatherglass.base.errors import Conflict, Invalid, Unavailable

Rooms = Mapping[str, tuple[sa.MetaData, str]]
"""Room → its tables, and the name of the package of its migrations."""

_FILE = re.compile(r"(\d{4})_\w+\.py")
_VERSIONS = "alembic_version"


class Tables:
    """One database. Any thread may read and write; a write waits for the one before it."""

    def __init__(self, path_or_url: str | Path, *, busy_timeout_s: float = 10.0) -> None:
        """A path is a SQLite file, made when it is not there; a string with `://` is a SQLAlchemy URL."""
        text = str(path_or_url)
        self.url = sa.make_url(text) if "://" in text else sa.URL.create("sqlite", database=text)
        self._one_writer = threading.RLock()
        self._writing = False
        if self.url.get_backend_name() != "sqlite":
            self._reader = self._writer = sa.create_engine(self.url, pool_pre_ping=True)
            return
        if self.url.database in (None, "", ":memory:"):
            raise Invalid("tables need a file: readers and the writer have connections of their own")
        Path(str(self.url.database)).touch(0o600)
        connect = {"check_same_thread": False, "timeout": busy_timeout_s, "isolation_level": None}
        self._reader = sa.create_engine(self.url, connect_args=connect, pool_size=8, max_overflow=24)
        self._writer = sa.create_engine(self.url, connect_args=connect, pool_size=1, max_overflow=0)
        sa.event.listen(self._reader, "connect", _set_up_reader)
        sa.event.listen(self._writer, "connect", _set_up_writer)
        sa.event.listen(self._reader, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        sa.event.listen(
            self._writer, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE")
        )

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection that sees one consistent state until the block ends; on SQLite it cannot write."""
        with _said_plainly(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A connection in a transaction that holds the one writer's place; durable when the block ends, undone when
        it raises. Not to be nested: hand the connection on instead."""
        with self._one_writer:
            if self._writing:
                raise RuntimeError("tables.write() within tables.write(): hand the connection on instead")
            self._writing = True
            try:
                with _said_plainly(), self._writer.begin() as connection:
                    yield connection
            finally:
                self._writing = False

    # --- migrations --------------------------------------------------------------------------------------

    def migrate(self, rooms: Rooms) -> bool:
        """Bring every room's tables to its last migration; whether anything had to be done.

        Raises Conflict when the state is newer than this program, or of rooms that it does not have.
        """
        folders = {room: _folder(package) for room, (_, package) in rooms.items()}
        revisions = {room: _revisions(room, folder) for room, folder in folders.items()}
        heads = {numbers[-1] for numbers in revisions.values()}
        recorded = self._recorded()
        known = {revision for numbers in revisions.values() for revision in numbers}
        if unknown := sorted(recorded - known):
            raise Conflict(
                f"this state is newer than this program: it is at {', '.join(unknown)}",
                where=self.url.render_as_string(hide_password=True),
                mend="run the version of Weatherglass that wrote it, or a newer one",
            )
        if recorded == heads:
            return False
        self._upgrade(list(folders.values()))
        return True

    def _recorded(self) -> set[str]:
        with self.read() as connection:
            if not sa.inspect(connection).has_table(_VERSIONS):
                return set()
            return set(
                connection.scalars(sa.select(sa.column("version_num")).select_from(sa.table(_VERSIONS)))
            )

    def _upgrade(self, folders: list[Path]) -> None:
        from alembic.operations import Operations
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory

        # No env.py and no ini: the connection and the folders are all there is to say.
        script = ScriptDirectory(str(folders[0]), version_locations=[str(folder) for folder in folders])
        with self.write() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "fn": lambda revision, _: script._upgrade_revs("heads", revision),
                    "script": script,
                    "as_sql": False,
                    "transactional_ddl": True,
                },
            )
            with Operations.context(context):
                context.run_migrations()

    def differences(self, rooms: Rooms) -> list[str]:
        """In what the tables differ from the rooms' MetaData; empty when migrations and code agree."""
        from alembic.autogenerate import compare_metadata
        from alembic.runtime.migration import MigrationContext

        found: list[str] = []
        with self.read() as connection:
            for room, (metadata, _) in rooms.items():

                def mine(item: Any, name: str | None, kind: str, *_: Any, room: str = room) -> bool:
                    return str(name).startswith(f"{room}_") if kind == "table" else True

                context = MigrationContext.configure(connection, opts={"include_object": mine})
                found += [f"{room}: {difference}" for difference in compare_metadata(context, metadata)]
        return found

    def close(self) -> None:
        """Closes what is idle; a read or a write under way finishes first."""
        with self._one_writer:
            self._writer.dispose()
            self._reader.dispose()


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise Invalid(f"{package} is not a package of migrations")
    return Path(spec.submodule_search_locations[0])


def _revisions(room: str, folder: Path) -> list[str]:
    numbers = sorted(form[1] for path in folder.iterdir() if (form := _FILE.fullmatch(path.name)))
    if numbers != [f"{number:04d}" for number in range(1, len(numbers) + 1)] or not numbers:
        raise Invalid(
            f"migrations of {room} are numbered {numbers}", where=str(folder), mend="0001, 0002 and so on"
        )
    return [f"{room}_{number}" for number in numbers]


@contextmanager
def _said_plainly() -> Iterator[None]:
    """A database that cannot be written or reached is Unavailable; a broken rule is the caller's own to tell."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.TimeoutError) as error:
        reason = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        raise Unavailable(f"tables: {reason}", mend="see that the disk has room and is writable") from error


def _set_up_writer(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "journal_size_limit=67108864"):
        connection.execute(f"PRAGMA {pragma}")


def _set_up_reader(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only=ON")
