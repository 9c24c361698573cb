"""Tables, migrations and leases. `WEATHERGLASS_TEST_TABLES` may name further database URLs (empty databases), comma-separated."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import sqlalchemy as sa

from weatherglass.base.errors import Conflict, Invalid, Unavailable
from weatherglass.base.time import ManualClock
from weatherglass.engine import leases
from weatherglass.engine.tables import Tables

FIRST = '''
"""Things."""
import sqlalchemy as sa
from alembic import op
revision = "{room}_0001"
down_revision = None
branch_labels = ("{room}",)
def upgrade():
    op.create_table("{room}_things", sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.Text))
'''
SECOND = '''
"""Sizes."""
import sqlalchemy as sa
from alembic import op
revision = "{room}_0002"
down_revision = "{room}_0001"
branch_labels = None
def upgrade():
    op.add_column("{room}_things", sa.Column("size", sa.Integer))
    {then}
'''

URLS = ["sqlite", *filter(None, os.environ.get("WEATHERGLASS_TEST_TABLES", "").split(","))]


@pytest.fixture(params=URLS)
def url(request, tmp_path):
    if request.param == "sqlite":
        return tmp_path / "tables.db"
    engine = sa.create_engine(request.param)
    everything = sa.MetaData()
    everything.reflect(engine)
    everything.drop_all(engine)
    engine.dispose()
    return request.param


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Two toy rooms; call it to add a second migration to one of them."""
    monkeypatch.syspath_prepend(tmp_path)
    for room in ("birds", "fish"):
        folder = tmp_path / f"toy_{room}" / "migrations"
        folder.mkdir(parents=True)
        for package in (folder, folder.parent):
            (package / "__init__.py").write_text('"""A toy room."""\n')
        (folder / "0001_things.py").write_text(FIRST.format(room=room))

    def second(room, then="pass"):
        (tmp_path / f"toy_{room}/migrations/0002_sizes.py").write_text(SECOND.format(room=room, then=then))

    yield second
    for name in [name for name in sys.modules if name.startswith("toy_")]:
        del sys.modules[name]


def rooms(*names, sized=()):
    made = {}
    for name in names:
        metadata = sa.MetaData()
        more = [sa.Column("size", sa.Integer)] if name in sized else []
        sa.Table(
            f"{name}_things",
            metadata,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("text", sa.Text),
            *more,
        )
        made[name] = (metadata, f"toy_{name}.migrations")
    return made


def test_rooms_migrate_side_by_side_and_one_after_another(url, toys):
    tables = Tables(url)
    assert tables.migrate(rooms("birds"))
    assert not tables.migrate(rooms("birds"))
    assert tables.migrate(rooms("birds", "fish"))
    toys("fish")
    assert tables.migrate(rooms("birds", "fish"))
    assert not tables.migrate(rooms("birds", "fish"))
    assert tables.differences(rooms("birds", "fish", sized=("fish",))) == []
    assert "birds" in str(tables.differences(rooms("birds", "fish", sized=("birds", "fish"))))
    tables.close()


def test_a_state_newer_than_the_program_is_refused(url, toys, tmp_path):
    toys("fish")
    Tables(url).migrate(rooms("birds", "fish"))
    (tmp_path / "toy_fish/migrations/0002_sizes.py").unlink()
    with pytest.raises(Conflict, match="newer than this program: it is at fish_0002"):
        Tables(url).migrate(rooms("birds", "fish"))
    with pytest.raises(Conflict, match="fish_0002"):
        Tables(url).migrate(rooms("birds"))


def test_a_migration_that_fails_leaves_nothing(url, toys):
    tables = Tables(url)
    tables.migrate(rooms("birds", "fish"))
    toys("birds")
    toys("fish", then="raise RuntimeError('no')")
    with pytest.raises(RuntimeError):
        tables.migrate(rooms("birds", "fish"))
    assert tables.differences(rooms("birds", "fish")) == []
    toys("fish")
    assert tables.migrate(rooms("birds", "fish"))


def test_gaps_in_the_numbers_are_refused(url, toys, tmp_path):
    (tmp_path / "toy_fish/migrations/0003_more.py").write_text("")
    with pytest.raises(Invalid, match="numbered"):
        Tables(url).migrate(rooms("fish"))


def test_no_alembic_when_there_is_nothing_to_do(tmp_path):
    script = textwrap.dedent("""
        import sys
        from weatherglass.engine import leases
        from weatherglass.engine.tables import Tables
        print(Tables(sys.argv[1]).migrate(leases.ROOM), "alembic" in sys.modules)
    """)
    said = [
        subprocess.run(
            [sys.executable, "-c", script, tmp_path / "t.db"], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert said == ["True True\n", "False False\n"]


def test_the_engines_own_migrations_agree_with_its_tables(url):
    tables = Tables(url)
    tables.migrate(leases.ROOM)
    assert tables.differences(leases.ROOM) == []


def test_reads_go_on_during_a_write_and_see_whole_commits(url, toys):
    tables = Tables(url)
    tables.migrate(rooms("birds"))
    insert = sa.text("INSERT INTO birds_things (id, text) VALUES (:id, 'x')")
    count = sa.text("SELECT count(*) FROM birds_things")
    with tables.write() as writing:
        writing.execute(insert, {"id": 1})
        with tables.read() as reading:
            assert reading.scalar(count) == 0
    with tables.read() as reading:
        assert reading.scalar(count) == 1
        with tables.write() as writing:
            writing.execute(insert, {"id": 2})
        if tables.url.get_backend_name() == "sqlite":
            assert reading.scalar(count) == 1  # one consistent state until the block ends
    with pytest.raises(ZeroDivisionError), tables.write() as writing:
        writing.execute(insert, {"id": 3})
        1 / 0  # noqa: B018
    with tables.read() as reading:
        assert reading.scalar(count) == 2


def test_writers_wait_for_each_other(url, toys):
    tables = Tables(url)
    tables.migrate(rooms("birds"))
    with tables.write() as connection:
        connection.execute(sa.text("INSERT INTO birds_things (id, text) VALUES (1, '0')"))

    def add():
        for _ in range(20):
            with tables.write() as connection:
                value = int(connection.scalar(sa.text("SELECT text FROM birds_things")))
                connection.execute(sa.text("UPDATE birds_things SET text = :t"), {"t": str(value + 1)})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with tables.read() as connection:
        assert connection.scalar(sa.text("SELECT text FROM birds_things")) == "80"


def test_nested_writes_and_memory_are_refused(tmp_path):
    tables = Tables(tmp_path / "t.db")
    with tables.write(), pytest.raises(RuntimeError, match="hand the connection on"), tables.write():
        pass
    with pytest.raises(Invalid):
        Tables("sqlite:///:memory:")


def test_sqlite_is_durable_private_and_keeps_foreign_keys(tmp_path):
    path = tmp_path / "t.db"
    tables = Tables(path)
    with tables.write() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Unavailable, match="readonly"), tables.read() as connection:
        connection.exec_driver_sql("CREATE TABLE no (x)")


def test_a_writer_of_another_process_is_waited_for_then_told(tmp_path):
    first, second = (Tables(tmp_path / "t.db", busy_timeout_s=0.2) for _ in range(2))
    with first.write():
        began = time.monotonic()
        with pytest.raises(Unavailable, match="locked"), second.write():
            pass
        assert time.monotonic() - began > 0.15


def test_leases_pass_on_with_rising_tokens(url):
    tables, clock = Tables(url), ManualClock()
    tables.migrate(leases.ROOM)
    held = leases.Leases(tables, clock)
    one = held.acquire("sealer", "a", 10)
    assert one and one.token == 1
    assert held.acquire("sealer", "b", 10) is None
    clock.advance(9)
    one = held.renew(one, 10)
    assert held.acquire("sealer", "a", 10).token == 1
    clock.advance(10)
    two = held.acquire("sealer", "b", 10)
    assert two.token == 2
    with pytest.raises(Conflict, match="no longer a's"):
        held.renew(one, 10)
    held.release(one)
    assert held.acquire("sealer", "c", 10) is None
    held.release(two)
    assert held.acquire("sealer", "c", 10).token == 3
    assert held.acquire("other", "c", 10).token == 1
