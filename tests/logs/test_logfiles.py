"""`weatherglass logs parse`: files, packed files and pipes become one JSON object an event."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.house import logfiles
from weatherglass.house.logfiles import STDIN, Told, events
from weatherglass.logs.templates import Miner

TRACE = (
    "2026-11-22 10:01:02.123 77 ERROR nova.api [-] Failed: ValueError: no\n"
    "2026-11-22 10:01:02.123 77 ERROR nova.api Traceback (most recent call last):\n"
    '2026-11-22 10:01:02.123 77 ERROR nova.api   File "/a.py", line 1, in f\n'
    "2026-11-22 10:01:02.123 77 ERROR nova.api ValueError: no\n"
    "2026-11-22 10:01:02.123 77 ERROR nova.api \n"
)
TEXT = f"2026-11-22 10:01:02.100 77 INFO nova.api [-] Connected to 10.0.0.1 in 5 ms\n{TRACE}no head here\nand none here"


def run(*arguments: str, stdin: bytes = b"") -> tuple[list[dict], str, int]:
    command = [sys.executable, "-m", "weatherglass", "logs", "parse", *arguments, "--json"]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode(), done.returncode


@pytest.mark.parametrize("packed", ["plain", "gz", "zst", "stdin", "stdin-gz"])
def test_the_door(tmp_path: Path, packed: str) -> None:
    data = TEXT.encode()
    data = gzip.compress(data) if packed.endswith("gz") else data
    data = zstandard.ZstdCompressor().compress(data) if packed == "zst" else data
    file = tmp_path / f"x.log.{packed}"
    file.write_bytes(data)
    found, told, code = run("-", stdin=data) if packed.startswith("stdin") else run(str(file))
    assert code == 0
    assert [(one["first_line"], one["last_line"]) for one in found] == [(1, 1), (2, 6), (7, 7), (8, 8)]
    first, trace, plain, _ = found
    assert first["fields"] == {
        "time": "2026-11-22T10:01:02.100000000Z",
        "level": "INFO",
        "logger": "nova.api",
        "message": "Connected to 10.0.0.1 in 5 ms",
        "format": "oslo",
        "pid": 77,
    }
    assert trace["fields"]["exception"] == "ValueError"
    assert trace["fields"]["message"] == "Failed"
    assert plain["fields"] == {
        "time": None,
        "level": None,
        "logger": None,
        "message": "no head here",
        "format": "plain",
    }
    assert "8 lines, 4 events: 2 oslo, 2 plain; 2 unparsed" in told
    for one in found:
        pieces = one["template"].split("<*>")
        assert len(pieces) == len(one["variables"]) + 1
        whole = pieces[0] + "".join(
            value + piece for value, piece in zip(one["variables"], pieces[1:], strict=True)
        )
        assert whole == one["fields"]["message"]


def test_an_event_at_the_beginning_has_the_template_of_its_like_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of many batches: one id for one kind of message, from the first line on."""
    monkeypatch.setattr(logfiles, "BATCH_EVENTS", 10)
    monkeypatch.setattr(logfiles, "BATCH_CHARACTERS", 2000)
    file = tmp_path / "long.log"
    file.write_text(
        "".join(f"2026-11-22 10:01:02 INFO a.b: user u{n * 7919 % 1000:03d}x logged in\n" for n in range(400))
    )
    told = Told()
    found = list(events([file], told))
    assert [one["first_line"] for one in found] == list(range(1, 401))
    assert len({one["template_id"] for one in found}) == 1
    assert (told.events, told.lines, told.plain) == (400, 400, 0)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """250,000 lines in a process of its own take no more than 100,000 do: a batch."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from weatherglass.house.logfiles import Told, events\n"
        "for _ in events([Path(sys.argv[1])], Told()): pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for size in (100_000, 250_000):
        file = tmp_path / f"{size}.log"
        with file.open("w") as out:
            out.writelines(
                f"2026-11-22 10:01:02.123 77 INFO nova.api [-] item {n} done in {n % 97} ms\n"
                for n in range(size)
            )
        done = subprocess.run(
            [sys.executable, "-c", code, str(file)], capture_output=True, timeout=120, check=True
        )
        peaks.append(int(done.stdout) >> 10)
    assert peaks[1] < peaks[0] * 1.2 + 10, peaks


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        list(events([tmp_path / "none"], Told()))
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(b"x\n" * 10_000)[:-20])
    with pytest.raises(Invalid, match=r"broken\.gz"):
        list(events([broken], Told()))
    assert run(str(tmp_path / "none"))[2] == 1
    empty = tmp_path / "empty.log"
    empty.touch()
    assert list(events([empty], Told())) == []
    assert Path("-") == STDIN


def test_bytes_that_are_no_utf8_are_shown(tmp_path: Path) -> None:
    file = tmp_path / "latin.log"
    file.write_bytes(
        "2026-11-22 10:01:02 INFO a.b: na\u00efve\n".encode("latin-1") + b'{"level":"info","msg":"\\ud800"}\n'
    )
    first, second = events([file], Told())
    assert first["fields"]["message"] == "na\\xefve"
    assert second["fields"]["message"] == "\ud800"
    assert run(str(file))[2] == 0
    assert isinstance(Miner().add([""], ["\ud800"]).message(0), str)
