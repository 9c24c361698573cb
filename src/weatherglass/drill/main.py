"""The program: `list`, `run NAME [--service NAME] [--json]`. Where the house is, the environment says.

Exit codes: 0 all that was expected was met; 1 something was not.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from types import FrameType

from weatherglass.base.errors import NotFound
from weatherglass.drill import report
from weatherglass.drill.drills import DRILLS
from weatherglass.drill.house import House
from weatherglass.drill.run import run


def main(argv: Sequence[str]) -> int:
    """Run the program. Raises errors of `base`; KeyboardInterrupt after what was injected was taken back."""
    asked = _arguments(argv)
    if asked.what == "list":
        return _list(asked.json)
    drill = DRILLS.get(asked.name)
    if drill is None:
        near = get_close_matches(asked.name, DRILLS, 1)
        raise NotFound(
            f"there is no drill {asked.name!r}",
            mend=f"did you mean {near[0]}?" if near else f"there are: {', '.join(DRILLS)}",
        )
    # An end asked for from outside is an interrupt: the fault must be taken back.
    before = signal.signal(signal.SIGTERM, _interrupt)
    house = House.of_environment()
    try:
        outcome = run(drill, house, asked.service, _say)
    finally:
        house.close()
        signal.signal(signal.SIGTERM, before)
    if asked.json:
        sys.stdout.write(json.dumps(report.as_json(outcome), ensure_ascii=False, indent=2) + "\n")
    else:
        report.show(outcome)
    return 0 if outcome.passed else 1


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="weatherglass drill", description=__doc__)
    parser.add_argument("what", choices=("list", "run"))
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument(
        "--service", default="", help="the service to hit; the one that most others need else"
    )
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(argv)
    if asked.what == "run" and not asked.name:
        parser.error(f"which drill? there are: {', '.join(DRILLS)}")
    return asked


def _list(as_json: bool) -> int:
    if as_json:
        told = [
            {
                "name": drill.name,
                "doc": drill.doc,
                "kind": drill.expect.kind,
                "remedy": drill.expect.remedy,
                "seen_s": drill.expect.seen_s,
                "healed_s": drill.expect.healed_s,
            }
            for drill in DRILLS.values()
        ]
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return 0
    width = max(map(len, DRILLS))
    for drill in DRILLS.values():
        expect = drill.expect
        seen = f"seen within {expect.seen_s:g} s, " if expect.seen_s is not None else ""
        print(f"{drill.name:<{width}}  {drill.doc}\n{'':<{width}}  {seen}healed within {expect.healed_s:g} s")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
