"""The selftest: its checks agree with the second reader; its attempts fail on a guarded leg, and succeed on a bare one."""

from __future__ import annotations

from pathlib import Path

import pytest

from shares import lnet
from shares.world import VERSIONS, small
from weatherglass.base.time import SystemClock
from weatherglass.cli.main import main
from weatherglass.shares.guard import attempts, wire
from weatherglass.shares.guard.serve import Guard
from weatherglass.shares.lustre.plan import wanted
from weatherglass.shares.nids import read_range
from weatherglass.shares.selftest import checks

LUSTRE = Path(__file__).resolve().parents[2] / "examples" / "shares" / "lustre.yaml"
LEG, OWN = read_range("127.0.0.1@tcp32769"), read_range("127.0.0.5@tcp32769")
SERVER = lnet.nid("10.0.0.3", "tcp0")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_nodemaps_must_say_is_what_the_second_reader_says(version: tuple[int, int]) -> None:
    fs = small(version)
    state = wanted(fs)
    seen = 0
    for check in checks(fs):
        words = check.command.split()
        if words[:2] == ["lctl", "nodemap_test_nid"]:
            one = read_range(words[2])
            assert state.classify(one.low, one.net).name == check.sees
        elif words[:2] == ["lctl", "nodemap_test_id"]:
            one = read_range(words[3])
            nodemap = state.classify(one.low, one.net)
            assert nodemap.identity(words[5], int(words[7]))[0] == int(check.sees)
        else:
            continue
        seen += 1
    assert seen > 20


def test_it_is_printed_with_every_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shares", "selftest", str(LUSTRE)]) == 0
    told = capsys.readouterr().out
    for words in (
        "# on router lnr-1",
        "lctl nodemap_activate 1",
        "mount -t lustre 10.0.0.2@tcp0:/lus01",
        "--call 10.20.0.254@tcp32769",
    ):
        assert words in told


@pytest.mark.skipif(not lnet.PRIVILEGED, reason="ports below 1024 need root")
def test_a_guarded_leg_refuses_and_a_bare_one_does_not() -> None:
    router = lnet.FakeRouter()
    rules = wire.rules(LEG, [read_range("127.0.0.[4-7]@tcp32769")], [read_range("10.0.0.[0-7]@tcp0")])
    guard = Guard(rules, ("127.0.0.1", router.port), SystemClock(), lambda line: None)
    port = guard.listen("127.0.0.1", 0)
    try:
        guarded = attempts.run(LEG, OWN, SERVER, port)
        assert all(one.good for one in guarded), guarded
        assert [one.name for one in guarded if one.answered] == ["its own NID", "a server's NID in a header"]
        forged = [one for one in attempts.attempts(LEG, OWN, SERVER) if not one.answered]
        # The fake acceptor believes everything, as a router without a guard does.
        bare = [attempts.attempt(one, "127.0.0.1", router.port, "127.0.0.5") for one in forged[:3]]
        assert [one.good for one in bare] == [False, False, False]
    finally:
        guard.stop()
        router.close()
