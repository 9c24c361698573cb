"""Backup of a state that is written to all the while, and restore: same answers, or a clear refusal."""

import io
import json
import random
import sqlite3
import tarfile
import threading

import pytest
import sqlalchemy as sa
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Conflict, Corrupt, Invalid, NotFound, WeatherglassError
from weatherglass.base.time import ManualClock
from weatherglass.engine.backup import MANIFEST, Copied, backup, restore
from weatherglass.engine.blobs import Blobs
from weatherglass.engine.ledger import FileLedger
from weatherglass.engine.log import Log
from weatherglass.engine.protocols import Entry
from weatherglass.engine.tables import Tables

CREATE = sa.text("CREATE TABLE sealed (block TEXT, until INTEGER)")
INSERT = sa.text("INSERT INTO sealed VALUES (:block, :until)")
SELECT = sa.text("SELECT block, until FROM sealed ORDER BY until")


class SealingRoom:
    """A small room as real ones are: records ride a log, are sealed into blocks that a table lists, and trimmed."""

    def __init__(self, state):
        self.log = Log(state / "metrics/log", segment_bytes=4000)
        self.blocks = Blobs(state / "metrics/blocks")
        self.tables = Tables(state / "tables.db")

    def create(self):
        with self.tables.write() as connection:
            connection.execute(CREATE)

    def write_and_seal(self, stop):
        sealed = 0
        while not stop.is_set():
            for _ in range(7):
                self.log.append([b"%d" % self.log.next * 3])
            key, until = f"b{sealed}", self.log.next - 3
            numbers = [offset for offset, _ in self.log.replay(sealed) if offset < until]
            self.blocks.put(key, json.dumps(numbers).encode())
            with self.tables.write() as connection:
                connection.execute(INSERT, {"block": key, "until": until})
            sealed = until
            self.log.trim(sealed)

    def everything(self):
        """Offsets in blocks and in the log behind them: without gap or doubling, or the state is not consistent."""
        with self.tables.read() as connection:
            rows = connection.execute(SELECT).all()
        offsets = [offset for block, _ in rows for offset in json.loads(self.blocks.get(block))]
        sealed = rows[-1].until if rows else 0
        assert self.log.next >= sealed, "new records would be taken for sealed ones"
        offsets += [offset for offset, record in self.log.replay(sealed) if record == b"%d" % offset * 3]
        return offsets

    def close(self):
        self.log.close()
        self.tables.close()


@pytest.fixture
def state(tmp_path):
    made = tmp_path / "state"
    made.mkdir()
    for name, text, mode in (("token", "admin", 0o600), ("lock", "", 0o600), ("server.json", "{}", 0o600)):
        (made / name).write_text(text)
        (made / name).chmod(mode)
    for name in (
        "secrets/keystone-db",
        "volumes/db/ibdata",
        "services/a.1@h/stdout.log",
        "agent/run/x",
        "agent/volumes/db.img",
        "agent/services/a.1@h/logs/stdout.log",
        "deploy/generation.json",
    ):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
        (made / name).chmod(0o600 if "secrets" in name else 0o644)
    return made


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_copies_of_a_running_state_are_consistent(tmp_path, state):
    room = SealingRoom(state)
    room.create()
    stop = threading.Event()
    writer = threading.Thread(target=room.write_and_seal, args=(stop,))
    writer.start()
    try:
        for number in range(8):
            least = room.log.next
            backup(state, tmp_path / f"{number}.tar.zst")
            restore(tmp_path / f"{number}.tar.zst", tmp_path / f"again-{number}")
            copy = SealingRoom(tmp_path / f"again-{number}")
            found = copy.everything()
            assert found == list(range(len(found))) and len(found) >= least
            copy.close()
    finally:
        stop.set()
        writer.join()
    room.close()
    assert not list(state.glob(".backup-*"))


def test_the_same_answers_on_an_empty_machine(tmp_path, state):
    ledger = FileLedger(state / "ledger")
    for number in range(5):
        ledger.append(Entry(number, "ada", "apply", "service/keystone", generation=number))
    copied = backup(state, tmp_path / "copy.tar.zst", clock=ManualClock(123))
    assert (tmp_path / "copy.tar.zst").stat().st_mode & 0o777 == 0o600
    back = tmp_path / "machine/state"
    assert restore(tmp_path / "copy.tar.zst", back) == copied == Copied(4, copied.bytes, 123)
    assert names(back) == ["deploy/generation.json", f"ledger/{0:020d}.log", "secrets/keystone-db", "token"]
    assert {
        name: (back / name).stat().st_mode & 0o777
        for name in ("token", "secrets/keystone-db", "deploy/generation.json")
    } == {
        "token": 0o600,
        "secrets/keystone-db": 0o600,
        "deploy/generation.json": 0o644,
    }
    assert (back / "token").read_text() == "admin" and back.stat().st_mode & 0o777 == 0o700
    again = FileLedger(back / "ledger")
    assert again.read() == ledger.read()
    assert again.append(Entry(9, "ada", "plan", "site/x")) == 5


def test_a_frame_half_written_stays_behind(tmp_path, state):
    log = Log(state / "ledger")
    log.append([b"whole"])
    with (state / "ledger" / f"{0:020d}.log").open("ab") as file:
        file.write(b"\xf5WGf half")
    backup(state, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "back")
    (path,) = (tmp_path / "back/ledger").iterdir()
    assert not path.read_bytes().endswith(b"half")
    assert list(Log(tmp_path / "back/ledger").replay()) == [(0, b"whole")]


def test_what_is_refused(tmp_path, state):
    target = tmp_path / "copy"
    backup(state, target)
    with pytest.raises(Conflict, match="is there already"):
        backup(state, target)
    with pytest.raises(Conflict, match="is not empty"):
        restore(target, state)
    with pytest.raises(Invalid, match="within the state"):
        backup(state, state / "copy")
    with pytest.raises(NotFound):
        backup(tmp_path / "none", tmp_path / "copy2")
    with pytest.raises(NotFound):
        restore(tmp_path / "none", tmp_path / "back")
    (tmp_path / "empty").mkdir()
    restore(target, tmp_path / "empty")
    assert (tmp_path / "empty/token").exists()


def test_what_a_killed_backup_left_is_swept(tmp_path, state):
    (state / ".backup-999999999").mkdir()
    (state / ".backup-999999999/token").hardlink_to(state / "token")
    backup(state, tmp_path / "copy")
    assert not list(state.glob(".backup-*"))


def rewritten(source, target, change):
    """The copy with its members passed through `change(name, data) -> [(name, data, type)]`."""
    raw = zstandard.ZstdDecompressor().stream_reader(source.open("rb")).read()
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(raw)) as old, tarfile.open(fileobj=made, mode="w") as new:
        for member in old:
            for name, data, kind in change(member.name, old.extractfile(member).read()):
                other = tarfile.TarInfo(name)
                other.size, other.mode, other.type, other.linkname = (
                    len(data),
                    member.mode,
                    kind,
                    "/etc/passwd",
                )
                new.addfile(other, io.BytesIO(data))
    target.write_bytes(zstandard.compress(made.getvalue()))


REG = tarfile.REGTYPE


@pytest.mark.parametrize(
    ("error", "words", "change"),
    [
        (Corrupt, "not what its manifest says", lambda n, d: [(n, d.replace(b"admin", b"root!"), REG)]),
        (Corrupt, "not what its manifest says", lambda n, d: [] if n == "token" else [(n, d, REG)]),
        (
            Corrupt,
            "not what its manifest says",
            lambda n, d: [(n, d, REG), *([("extra", b"", REG)] if n == "token" else [])][::-1],
        ),
        (Corrupt, "no manifest", lambda n, d: [] if n == MANIFEST else [(n, d, REG)]),
        (Invalid, "has format 2", lambda n, d: [(n, d.replace(b'"version": 1', b'"version": 2'), REG)]),
        (Invalid, "not a copy", lambda n, d: [(n, b"{}" if n == MANIFEST else d, REG)]),
        (Invalid, "would leave the state", lambda n, d: [("../" + n if n == "token" else n, d, REG)]),
        (Invalid, "would leave the state", lambda n, d: [("/tmp/" + n if n == "token" else n, d, REG)]),
        (Invalid, "does not belong", lambda n, d: [(n, b"", tarfile.SYMTYPE)]),
        (Invalid, "does not belong", lambda n, d: [(n, b"", tarfile.DIRTYPE)]),
        (Invalid, "does not belong", lambda n, d: [(n, d, REG), (n, d, REG)]),
    ],
)
def test_copies_that_do_not_check_out_leave_nothing(tmp_path, state, error, words, change):
    backup(state, tmp_path / "copy")
    rewritten(tmp_path / "copy", tmp_path / "bad", change)
    with pytest.raises(error, match=words):
        restore(tmp_path / "bad", tmp_path / "machine/back")
    assert list((tmp_path / "machine").iterdir()) == []
    assert not (tmp_path / "token").exists()


@settings(max_examples=80, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(-1, 7))
def test_damage_anywhere_is_told(tmp_path_factory, where, bit):
    """A bit flipped, or (`bit` -1) everything from there on gone."""
    folder = tmp_path_factory.mktemp("backup")
    (folder / "state").mkdir()
    (folder / "state/token").write_bytes(random.Random(1).randbytes(300))
    backup(folder / "state", folder / "copy")
    bad = bytearray((folder / "copy").read_bytes())
    position = int(where * len(bad))
    if bit < 0:
        del bad[position:]
    else:
        bad[position] ^= 1 << bit
    (folder / "copy").write_bytes(bad)
    try:
        restore(folder / "copy", folder / "back")
    except WeatherglassError:
        assert not (folder / "back").exists()
    else:  # a bit that says nothing
        assert (folder / "back/token").read_bytes() == (folder / "state/token").read_bytes()


def test_a_database_in_the_middle_of_a_write_is_copied_as_last_committed(tmp_path, state):
    tables = Tables(state / "tables.db")
    with tables.write() as connection:
        connection.execute(CREATE)
        connection.execute(INSERT, {"block": "a", "until": 1})
    with tables.write() as connection:
        connection.execute(INSERT, {"block": "b", "until": 2})
        backup(state, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "back")
    assert names(tmp_path / "back").count("tables.db") == 1 and not [
        n for n in names(tmp_path / "back") if "-wal" in n
    ]
    with sqlite3.connect(tmp_path / "back/tables.db") as copy:
        assert copy.execute("SELECT block FROM sealed").fetchall() == [("a",)]


def test_a_file_system_without_hard_links_is_copied(tmp_path, state, monkeypatch):
    def refuse(self, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    room = SealingRoom(state)
    room.create()
    room.log.append([b"%d" % offset * 3 for offset in range(5)])
    backup(state, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "back")
    assert SealingRoom(tmp_path / "back").everything() == list(range(5))
    assert (tmp_path / "back/token").stat().st_mode & 0o777 == 0o600
