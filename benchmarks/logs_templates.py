"""Templates: how right, and how fast, beside drain3; one configuration each for all systems.

    python -m benchmarks.logs_templates [--repeat 25]

Loghub's eight samples of 2,000 lines, the message of each line (its `Content`), no logger told. GA, FGA, PA and FTA
are Loghub-2.0's formulas, letter for letter against `EventTemplate`. Speed is of messages whose templates are known:
the sample is mined once, then given so many times over, in CPU-seconds of the process. drain3 has the masks of its
own example (`drain3.ini`) and otherwise its defaults; it gives no variables, ours does. Then oslo.log's text of calls
of real OpenStack services, read back, against the `msg` of the same records (tests/templates/oslo_corpus.py).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from weatherglass.logs.templates import Miner

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from templates.measure import LOGHUB, SYSTEMS, Scores, loghub, scores, template_of  # noqa: E402

DRAIN = ROOT / ".peers" / "logs" / "bin" / "python"
DRAIN_PROGRAM = r"""
import json, sys, time
from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

MASKS = [
    (r"((?<=[^A-Za-z0-9])|^)(([0-9a-f]{2,}:){3,}([0-9a-f]{2,}))((?=[^A-Za-z0-9])|$)", "ID"),
    (r"((?<=[^A-Za-z0-9])|^)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})((?=[^A-Za-z0-9])|$)", "IP"),
    (r"((?<=[^A-Za-z0-9])|^)([0-9a-f]{6,} ?){3,}((?=[^A-Za-z0-9])|$)", "SEQ"),
    (r"((?<=[^A-Za-z0-9])|^)([0-9A-F]{4} ?){4,}((?=[^A-Za-z0-9])|$)", "SEQ"),
    (r"((?<=[^A-Za-z0-9])|^)(0x[a-f0-9A-F]+)((?=[^A-Za-z0-9])|$)", "HEX"),
    (r"((?<=[^A-Za-z0-9])|^)([\-\+]?\d+)((?=[^A-Za-z0-9])|$)", "NUM"),
    (r"(?<=executed cmd )(\".+?\")", "CMD"),
]
messages, repeat = json.load(sys.stdin)
config = TemplateMinerConfig()
config.masking_instructions = [MaskingInstruction(*mask) for mask in MASKS]
miner = TemplateMiner(config=config)
ids = [miner.add_log_message(message)["cluster_id"] for message in messages]
texts = {c.cluster_id: c.get_template() for c in miner.drain.clusters}
for _, name in MASKS:
    texts = {id: text.replace("<" + name + ">", "<*>") for id, text in texts.items()}
began = time.process_time()
for _ in range(repeat):
    for message in messages:
        miner.add_log_message(message)
print(json.dumps([ids, [texts[id] for id in ids], repeat * len(messages) / (time.process_time() - began)]))
"""


def ours(messages: list[str], loggers: list[str], repeat: int) -> tuple[list[int], list[str], float]:
    """(ids, templates, lines a CPU-second)"""
    miner = Miner()
    miner.add(loggers, messages)
    many, much = loggers * repeat, messages * repeat
    best = 0.0
    for _ in range(3):
        began = time.process_time()
        miner.add(many, much)
        best = max(best, len(much) / (time.process_time() - began))
    ids = miner.match(messages).ids.tolist()
    return ids, [miner.template(id).text for id in ids], best


def drain(messages: list[str], repeat: int) -> tuple[list[int], list[str], float]:
    given = json.dumps([messages, repeat])
    done = subprocess.run(
        [DRAIN, "-c", DRAIN_PROGRAM], input=given, capture_output=True, text=True, check=True
    )
    ids, texts, speed = json.loads(done.stdout)
    return ids, texts, speed


def row(name: str, found: Scores, speed: float) -> str:
    return f"{name:28}" + "".join(f"{value:8.3f}" for value in found) + f"{speed:14,.0f}"


def over_loghub(repeat: int) -> None:
    print(f"{'':28}{'GA':>8}{'FGA':>8}{'PA':>8}{'FTA':>8}{'lines/CPU-s':>14}")
    sums: dict[str, list[tuple[Scores, float]]] = {"weatherglass": [], "drain3": []}
    for system in SYSTEMS:
        rows = loghub(system)
        messages, true = [one["Content"] for one in rows], [one["EventTemplate"] for one in rows]
        ids, texts, speed = ours(messages, [""] * len(messages), repeat)
        sums["weatherglass"].append((scores(true, ids, texts), speed))
        if DRAIN.exists():
            ids, texts, speed = drain(messages, max(1, repeat // 12))
            sums["drain3"].append((scores(true, ids, texts), speed))
        for name, found in sums.items():
            if found:
                print(row(f"{system} {name}", *found[-1]))
    for name, found in sums.items():
        if found:
            mean = Scores(
                *(sum(column) / len(found) for column in zip(*(one for one, _ in found), strict=True))
            )
            print(row(f"mean {name}", mean, sum(speed for _, speed in found) / len(found)))
    if not DRAIN.exists():
        print("drain3 is not there: make peers")


def over_oslo() -> None:
    from weatherglass.house.logfiles import Told, events

    emitter = ROOT / "tests" / "templates" / "oslo_corpus.py"
    for seed in (1, 2, 3):
        with tempfile.TemporaryDirectory() as folder:
            made = subprocess.run(
                ["/usr/bin/python3", emitter, folder, "300", "15000", str(seed)],
                capture_output=True,
                check=False,
            )
            if made.returncode:
                print(
                    "Debian's nova, neutron, glance, keystone, placement are not all there: no oslo.log figures"
                )
                return
            truth = [json.loads(line) for line in (Path(folder) / "truth.jsonl").read_text().splitlines()]
            read = list(events([Path(folder) / "text.log"], Told()))
        true = [template_of(one["msg"], formatted=bool(one["args"])).rstrip() for one in truth]
        found = scores(true, [one["template_id"] for one in read], [one["template"] for one in read])
        print(f"{f'oslo.log text, seed {seed}':28}" + "".join(f"{value:8.3f}" for value in found))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n", 1)[0])
    parser.add_argument("--repeat", type=int, default=25, help="how many times the known samples are given")
    options = parser.parse_args()
    if LOGHUB.is_dir():
        over_loghub(options.repeat)
    else:
        print("Loghub's samples are not beside this checkout: data/loghub")
    over_oslo()
    return 0


if __name__ == "__main__":
    sys.exit(main())
