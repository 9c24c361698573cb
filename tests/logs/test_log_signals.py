"""What logs tell the metrics: new templates once, whatever the miner makes of them; bursts of errors as they are."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.bursts import burst_log10
from weatherglass.base.time import SECOND_NS, ManualClock
from weatherglass.engine.protocols import RawEvent, Samples, Written
from weatherglass.logs import Logs
from weatherglass.logs.novelty import Known

T0 = 1_800_000_000 * SECOND_NS
LINE = "2027-01-15 08:00:00.000 1 {} nova.compute [-] {}"
NOVA = (("service", "nova"),)


class Sink:
    """A fake: keeps the samples it is given."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def append(self, tenant: str, batch: Samples) -> Written:
        for series, values in zip(batch.series, batch.values, strict=True):
            labels = dict(series)
            self.last[f"{labels['__name__']} {labels.get('level', '')} {labels.get('service', '')}"] = values[
                -1
            ]
        return Written(len(batch.series))

    def new(self, level: str) -> float:
        return self.last.get(f"weatherglass_log_new_templates_total {level} nova", 0)

    @property
    def burst(self) -> float:
        return self.last.get("weatherglass_log_error_burst  nova", 0)


def said(logs: Logs, clock: ManualClock, level: str, *messages: str, seconds: float = 20) -> None:
    logs.write_raw("site", [RawEvent(clock.now_ns(), NOVA, LINE.format(level, one)) for one in messages])
    clock.advance(seconds)
    logs.tick()


def test_a_new_kind_of_line_is_counted_once_and_not_again_after_a_restart(
    open_logs: Callable[..., Logs],
) -> None:
    sink, clock = Sink(), ManualClock(T0)
    logs = open_logs(samples=sink, clock=clock)
    said(logs, clock, "INFO", *(f"took {n} ms" for n in range(30)))
    assert sink.new("INFO") == 1
    said(logs, clock, "INFO", "took 99 ms", "took 100 ms")
    assert (sink.new("INFO"), sink.new("ERROR")) == (1, 0)
    said(logs, clock, "ERROR", "lost connection to 10.0.0.1")
    said(logs, clock, "ERROR", "lost connection to 10.0.0.2")
    assert (sink.new("INFO"), sink.new("ERROR")) == (1, 1)
    logs.seal("site")
    logs.stop()
    again = Sink()
    logs = open_logs(samples=again, clock=clock)
    said(logs, clock, "ERROR", "lost connection to 10.0.0.7", "the disk is on fire")
    said(logs, clock, "INFO", "took 7 ms")
    assert (again.new("INFO"), again.new("ERROR")) == (0, 1)


def test_errors_burst_and_calm_down(open_logs: Callable[..., Logs]) -> None:
    sink, clock = Sink(), ManualClock(T0)
    logs = open_logs(samples=sink, clock=clock)
    for number in range(60):
        said(logs, clock, "ERROR" if number % 6 == 0 else "INFO", f"round {number}", seconds=30)
        assert sink.burst < 4, number
    said(logs, clock, "ERROR", *(f"round {number}" for number in range(40)))
    assert sink.burst > 10
    for _ in range(4):
        said(logs, clock, "INFO", "round 1", seconds=30)
    assert sink.burst == 0


@given(st.integers(0, 1000), st.floats(0, 100))
def test_what_is_usual_is_no_burst(count: int, mean: float) -> None:
    assert burst_log10(count, mean) >= 0
    assert burst_log10(min(count, int(mean)), mean) == 0
    assert burst_log10(count + 1, mean) >= burst_log10(count, mean)


WORDS = st.lists(st.sampled_from(["took", "ms", "port", "7", "<*>", "is"]), min_size=1, max_size=5)


@given(st.lists(WORDS, max_size=8))
def test_nothing_is_new_twice_nor_as_a_wider_form(many: list[list[str]]) -> None:
    known = Known()
    for words in many:
        known.is_new(" ".join(words))
        assert not known.is_new(" ".join(words))
        if words.count("<*>") < len(words) - 1:
            wider = ["<*>" if at == 0 else word for at, word in enumerate(words)]
            assert not known.is_new(" ".join(wider))


def test_what_has_no_words_is_never_new() -> None:
    known = Known(["took <*> ms"])
    assert not known.is_new("<*>") and not known.is_new("") and not known.is_new("took 7 ms")
    assert known.is_new("took <*> s")
