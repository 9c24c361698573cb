"""Runs of generated queries against the peer, for the tests and by hand.

`python -m promql.campaign SEED COUNT` (from tests/) prints what differs; `… SEED COUNT parse` compares parsers.
"""

import random
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from promql import compare, peer, world
from promql.differences import as_in_2_42, for_2_42, let_pass, syntax_of_3
from promql.queries import Queries
from weatherglass.base.errors import Invalid
from weatherglass.metrics.promql import EXPERIMENTAL, parse

_TOKENS = re.compile(r'"[^"]*"|[\w.]+|[=!<>~]=?~?|\S')
_SPICE = (
    "sum", "by", "(", ")", "[5m]", "[5m:]", "offset 5m", "@ 1.5", "@ start()", "{", "}", "on", "(job)", "ignoring",
    "group_left", "bool", "==", "+", "-", "*", "and", "1", "rate", "topk", ",", '"s"', "job", "^", "unless", "time()",
    "{job='a'}", "1h30m", "by (job)", "without ()", "offset -1m", "@ end()", "NaN", "atan2", "!=", ":",
)  # fmt: skip


class Counts(NamedTuple):
    asked: int
    answers: int
    refusals: int


def spans(rng):
    """An instant and a range, both with edges half a second off every whole one."""
    at = (world.START_S + rng.randrange(60, world.SPAN_S)) * 1000 + world.QUERY_PHASE_MS
    yield at, at, 1000
    step = rng.choice((15, 30, 60, 300)) * 1000
    first = (world.START_S + rng.randrange(0, world.SPAN_S // 2)) * 1000 + world.QUERY_PHASE_MS
    yield first, first + step * rng.randrange(1, 25), step


def run(server, select, seed, count):
    """(Counts, [(query, span, difference)]) of `count` queries, each at an instant and over a range."""
    queries, rng = Queries(seed, world.START_S, world.SPAN_S), random.Random(seed)
    answers = refusals = 0
    found = []
    with as_in_2_42():
        for _ in range(count):
            query = queries.one()
            for span in spans(rng):
                mine = compare.ours(query, select, *span)
                theirs = compare.theirs(server.ask(for_2_42(query), *span))
                answers += isinstance(theirs, dict) and bool(theirs)
                refusals += isinstance(theirs, str)
                told = compare.difference(mine, theirs, ties=query.startswith(("topk", "bottomk")))
                if told and not let_pass(mine, theirs):
                    found.append((query, span, told))
    return Counts(2 * count, answers, refusals), found


def mutated(rng, query):
    """A query with a few of its tokens lost, doubled, swapped, or others put in."""
    words = _TOKENS.findall(query)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(words))
        match rng.randrange(4):
            case 0:
                del words[at]
            case 1:
                words.insert(at, words[at])
            case 2:
                words.insert(at, rng.choice(_SPICE))
            case _:
                other = rng.randrange(len(words))
                words[at], words[other] = words[other], words[at]
        words = words or ["1"]
    return " ".join(words)


def parse_differences(server, seed, count):
    """Texts that one parser takes and the other refuses."""
    queries, rng = Queries(seed, world.START_S, world.SPAN_S), random.Random(seed)
    for _ in range(count):
        text = mutated(rng, for_2_42(queries.one()))
        answer = server.http.post("/api/v1/format_query", data={"query": text}).json()
        ours_text = text.replace("holt_winters", "double_exponential_smoothing")
        try:
            parse(ours_text, EXPERIMENTAL)
            told = ""
        except Invalid as error:
            told = str(error) or "refused"
        if bool(told) != (answer["status"] != "success") and not syntax_of_3(answer.get("error", "")):
            yield f"{ours_text}\n  ours: {told or 'taken'}\n  peer: {answer.get('error', 'taken')}"


def main():
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        server = peer.Prometheus(Path(folder)).wait()
        try:
            if sys.argv[3:] == ["parse"]:
                print("\n\n".join(parse_differences(server, seed, count)))
                return
            data = world.make(seed)
            server.write(data)
            began = time.monotonic()
            counts, found = run(server, world.select_over(data), seed, count)
        finally:
            server.stop()
    for query, span, told in found[:12]:
        print(f"{query}\n  {span}\n  {told}\n")
    print(len(found), "divergences;", counts, f"{time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
