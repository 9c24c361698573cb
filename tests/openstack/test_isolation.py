"""No PromQL escapes its project: over a site of several projects a project is answered as if it were alone."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from promql import world
from promql.campaign import mutated
from promql.queries import Queries

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import SECOND_NS, ManualClock
from weatherglass.engine.files import RealFiles
from weatherglass.engine.protocols import Samples
from weatherglass.engine.tables import Tables
from weatherglass.gateway import aetos, prometheus_json
from weatherglass.metrics import TABLES, Metrics, Sealer
from weatherglass.metrics.narrowed import Narrowed, Rooms
from weatherglass.metrics.promql import EXPERIMENTAL, Query
from weatherglass.metrics.types import Matcher

MINE, THEIRS = "aaaa", "bbbb"
START, END = (world.START_S + 1800) * 1000 + 500, (world.START_S + 5400) * 1000 + 500
TENANT = f"site?project={MINE}"
patient = settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def written(store: Metrics, tenant: str, seed: int, **labels: str) -> None:
    made = world.make(seed)
    store.append(
        tenant,
        Samples(
            [tuple(sorted((*series, *labels.items()))) for series in made],
            [list(times) for times, _ in made.values()],
            [list(values) for _, values in made.values()],
        ),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metrics]:
    folder: Path = tmp_path_factory.mktemp("isolation")
    tables = Tables(folder / "tables.db")
    tables.migrate({"metrics": TABLES})
    clock = ManualClock((world.START_S + world.SPAN_S) * SECOND_NS)
    made = Metrics(
        folder / "metrics", files=RealFiles(), tables=tables, clock=clock, sealer=Sealer(every_s=3600.0),
        retention_s=1e9,
    )  # fmt: skip
    made.start()
    written(made, "alone", 1, project=MINE)
    written(made, "site", 1, project=MINE)
    written(made, "site", 2, project=THEIRS)
    written(made, "site", 3)  # the cloud's own: nobody's project
    info = {"job": "api", "instance": "a:1", "__name__": "target_info"}
    for tenant, project, data in (
        ("alone", MINE, "mine"),
        ("site", MINE, "mine"),
        ("site", THEIRS, "theirs"),
    ):
        labels = tuple(sorted({**info, "project": project, "data": data}.items()))
        made.append(tenant, Samples([labels], [[START - 1000]], [[1.0]]))
    yield made
    made.stop()
    tables.close()
    shutil.rmtree(folder)


def answered(room: Narrowed, text: str, step_ms: int) -> bytes | str:
    """The answer as its client gets it, or what is said instead."""
    query = Query(START, END if step_ms else START, step_ms or 1, EXPERIMENTAL)
    try:
        if step_ms:
            return prometheus_json.result(room.query_range(text, START, END, step_ms, query))
        return prometheus_json.result(room.query(text, START, query))
    except WeatherglassError as error:
        return str(error)


@patient
@given(st.integers(0, 1 << 32), st.sampled_from((0, 60_000, 300_000)), st.integers(0, 3))
def test_a_project_is_answered_as_if_it_were_alone(
    store: Metrics, seed: int, step_ms: int, changes: int
) -> None:
    text = Queries(seed, world.START_S, world.SPAN_S).one()
    for number in range(changes):
        text = mutated(random.Random(seed + number), text)
    narrow = Narrowed(store, *aetos.narrow(TENANT) or ("", ()))
    assert answered(narrow, text, step_ms) == answered(Narrowed(store, "alone", ()), text, step_ms), text


SLY = (
    f'up{{project="{THEIRS}"}}',
    f'up{{project=~"{MINE}|{THEIRS}"}}',
    f'up{{project!="{MINE}"}}',
    'up{project=""}',
    '{__name__=~".+"}',
    '{project=~".*"}',
    f'up or up{{project="{THEIRS}"}}',
    f'count_values("x", up{{project="{THEIRS}"}})',
    f'max_over_time(up{{project="{THEIRS}"}}[5m:1m] offset -1m)',
    f'absent(up{{project="{THEIRS}"}})',
    f'label_replace(up, "project", "{THEIRS}", "", "")',
    f'label_replace(up, "project", "{THEIRS}", "", "") * on (project, instance, job) group_left () up',
    "info(up)",
    f'info(up, {{__name__="target_info", project="{THEIRS}"}})',
    'info(up, {data=~".+"})',
    f'up # {{project="{THEIRS}"}}',
    f'up{{project="{MINE}", project="{THEIRS}"}}',
    f'{{"up", "project"="{THEIRS}"}}',
    'sum by (project) ({__name__=~"up|memory.*"})',
    f'up @ end() unless up{{project="{MINE}"}}',
)


@pytest.mark.parametrize("text", SLY)
def test_sly_queries_get_no_farther(store: Metrics, text: str) -> None:
    narrow = Narrowed(store, *aetos.narrow(TENANT) or ("", ()))
    for step_ms in (0, 60_000):
        found = answered(narrow, text, step_ms)
        assert found == answered(Narrowed(store, "alone", ()), text, step_ms)
        if isinstance(found, bytes) and "label_replace" not in text and "absent" not in text:
            assert THEIRS.encode() not in found and b"theirs" not in found


def test_lists_tell_of_no_other_project(store: Metrics) -> None:
    rooms = Rooms(store, aetos.narrow)
    far = 1 << 53
    assert rooms.label_values(TENANT, "project", [], -far, far) == [MINE]
    assert rooms.label_values(TENANT, "data", [], -far, far) == ["mine"]
    every = [[Matcher("__name__", "=~", ".+")]]
    assert rooms.series(TENANT, every, -far, far) == rooms.series("alone", every, -far, far)
    assert rooms.label_names(TENANT, [], -far, far) == rooms.label_names("alone", [], -far, far)
    assert set(rooms.label_values("site", "project", [], -far, far)) == {MINE, THEIRS}


def test_nothing_is_there_for_a_narrowed_tenant_elsewhere(store: Metrics) -> None:
    assert store.series(TENANT, [[Matcher("__name__", "=~", ".+")]]) == []


@example("site?project=x")
@given(st.text())
def test_only_a_project_s_tenant_is_narrowed(tenant: str) -> None:
    found = aetos.narrow(tenant)
    assert (found is not None) == tenant.startswith("site?project=")
    assert found is None or found[1][0].value == tenant.removeprefix("site?project=")
