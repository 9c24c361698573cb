"""A fake lctl for a PATH: keeps nodemaps in a file of commands, through our own model of them. Knows no Lustre."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from weatherglass.shares.lustre import live
from weatherglass.shares.lustre.state import Refused, State


def main() -> int:
    log = Path(os.environ["FAKE_LCTL"])
    state = State((2, 15))
    done = log.read_text().splitlines() if log.exists() else []
    for line in done:
        state.run("mgs", ["lctl", *line.split()])
    if "obdfilter.*.exports.*.stats" in sys.argv:
        print(Path(__file__).with_name("cases").joinpath("lustre_stats.txt").read_text())
        return 0
    if sys.argv[1:2] == ["get_param"]:
        print(live.listing(state))
        return 0
    if os.environ.get("FAKE_LCTL_FAILS", "\0") in " ".join(sys.argv):
        print("error: Operation not permitted", file=sys.stderr)
        return 1
    try:
        state.run("mgs", ["lctl", *sys.argv[1:]])
    except Refused as error:
        print(error, file=sys.stderr)
        return 17
    log.write_text("\n".join([*done, " ".join(sys.argv[1:])]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
