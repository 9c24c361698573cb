"""The store against a dict of dicts, under any order of writes, late samples, seals and restarts."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernels.protobuf import request

from metrics.conftest import Place
from weatherglass.engine.protocols import Samples
from weatherglass.metrics import Matcher

NOW = 1_800_000_000_000
VALUE = st.one_of(st.integers(-5, 5).map(float), st.floats(allow_nan=False), st.just(-0.0), st.floats(0, 1))
WRITE = st.tuples(
    st.just("write"),
    st.lists(
        st.tuples(st.integers(0, 4), st.lists(st.tuples(st.integers(0, 300), VALUE), max_size=6)), max_size=4
    ),
)
RUN = st.tuples(st.just("run"), st.integers(0, 4), st.integers(0, 250), st.integers(1, 150))
STEPS = st.lists(
    st.one_of(WRITE, WRITE, RUN, st.just(("seal",)), st.just(("restart",)), st.just(("seal", "restart"))),
    max_size=14,
)


def labels(number):
    return (("__name__", "m"), ("n", str(number)), ("parity", "even" if number % 2 == 0 else "odd"))


def seen(store, start, end, *matchers):
    found = store.select("t", [Matcher("__name__", "=", "m"), *matchers], NOW + start, NOW + end)
    for times in found.times:
        assert (times[1:] > times[:-1]).all()
    return {
        one: {t - NOW: repr(v) for t, v in zip(times.tolist(), values.tolist(), strict=True)}
        for one, times, values in zip(found.labels, found.times, found.values, strict=True)
    }


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, start=st.integers(-5, 300), length=st.integers(0, 300))
def test_the_store_is_a_dict_of_dicts(blank_tables, steps, start, length):
    folder = Path(tempfile.mkdtemp(prefix="metrics-model-"))
    place = Place(folder, blank_tables)
    try:
        store, model = place.open(), {}
        for number, step in enumerate(steps):
            writes = []
            if step[0] == "write":
                writes = step[1]
            elif step[0] == "run":
                writes = [(step[1], [(step[2] + k, k / 8) for k in range(step[3])])]
            if writes:
                batch = [(labels(n), [(NOW + t, v) for t, v in samples]) for n, samples in writes]
                if number % 2:
                    written = store.write("t", request(batch), "")
                else:
                    written = store.append(
                        "t",
                        Samples(
                            [one for one, _ in batch],
                            [[t for t, _ in samples] for _, samples in batch],
                            [[v for _, v in samples] for _, samples in batch],
                        ),
                    )
                assert written.stored == sum(len(samples) for _, samples in writes)
                for n, samples in writes:
                    model.setdefault(labels(n), {}).update((t, repr(v)) for t, v in samples)
            if "seal" in step:
                store.seal()
            if "restart" in step:
                store = place.open()
        model = {one: samples for one, samples in model.items() if samples}
        assert seen(store, -10, 1000) == model
        for matcher, chosen in (
            (Matcher("parity", "=", "odd"), lambda n: n % 2),
            (Matcher("n", "!~", "1|2"), lambda n: n not in (1, 2)),
        ):
            cut = {
                one: {t: v for t, v in samples.items() if start <= t <= start + length}
                for one, samples in model.items()
                if chosen(int(one[1][1]))
            }
            assert seen(store, start, start + length, matcher) == {k: v for k, v in cut.items() if v}
    finally:
        place.close()
        place.tables.close()
        shutil.rmtree(folder)
