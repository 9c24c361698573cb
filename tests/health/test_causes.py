"""Naming causes on graphs: known shapes, and laws on graphs drawn at random."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.base.ids import EntityId
from weatherglass.health.causes import groups, rank
from weatherglass.health.judge import Finding
from weatherglass.health.states import Verdict
from weatherglass.site import Edge, Entity, Graph


def chain(*edges: tuple[str, str]) -> Graph:
    """`("a", "b")`: a needs b."""
    names = dict.fromkeys(name for edge in edges for name in edge)
    return Graph(
        {EntityId(name): Entity(EntityId(name), "service", name) for name in names},
        tuple(Edge(EntityId(a), "needs", EntityId(b)) for a, b in edges),
    )


def bad(onset: int, own: float = 0.0, before: int | None = None) -> Finding:
    return Finding(Verdict.BAD, (), "failing", onset, onset if before is None else before, own)


def best(graph: Graph, findings: dict[str, Finding]) -> str:
    return rank(graph, findings, list(findings))[0].entity  # type: ignore[arg-type]


LINE = chain(("tenant", "api"), ("api", "db"), ("db", "disk"))


def test_the_deepest_with_evidence_of_its_own_is_the_cause() -> None:
    found = {"tenant": bad(3), "api": bad(2, 0.2), "db": bad(1, 1.0)}
    assert best(LINE, found) == "db"
    assert best(LINE, {**found, "disk": bad(0, 1.0)}) == "disk"


def test_what_began_later_does_not_explain_what_began_earlier() -> None:
    assert best(LINE, {"api": bad(1, 1.0), "db": bad(60, 1.0)}) == "api"


def test_a_witness_that_looks_every_two_seconds_may_be_late() -> None:
    assert best(LINE, {"api": bad(100, 0.2), "db": bad(101, 1.0, before=99)}) == "db"


def test_without_own_evidence_anywhere_the_deepest_affected_stands_first() -> None:
    assert best(LINE, {"tenant": bad(1), "api": bad(1), "db": bad(1)}) == "db"


def test_a_strong_witness_is_a_candidate_before_it_is_sure() -> None:
    doubt = Finding(Verdict.DOUBT, (), "dead", 1, 0, 1.0)
    ranked = rank(LINE, {EntityId("api"): bad(2, 0.4), EntityId("db"): doubt}, [EntityId("api")])
    assert ranked[0].entity == "db"


def test_nothing_wrong_has_no_cause() -> None:
    assert rank(LINE, {}, []) == []
    assert groups(LINE, []) == []


def test_what_hangs_together_is_one_group() -> None:
    both = chain(("a", "x"), ("b", "x"), ("c", "y"))
    assert groups(both, [EntityId(name) for name in "abc"]) == [["a"], ["b"], ["c"]]
    assert groups(both, [EntityId(name) for name in ("a", "b", "c", "x")]) == [["a", "b", "x"], ["c"]]


@st.composite
def clouds(draw: st.DrawFn) -> tuple[Graph, dict[EntityId, Finding]]:
    count = draw(st.integers(1, 12))
    names = [EntityId(f"service/{number:02d}") for number in range(count)]
    edges = draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=20))
    graph = Graph(
        {name: Entity(name, "service", name) for name in names},
        tuple(Edge(names[max(a, b)], "needs", names[min(a, b)]) for a, b in sorted(edges) if a != b),
    )
    wrong = draw(st.sets(st.sampled_from(names), min_size=1))
    findings = {}
    for name in sorted(wrong):
        onset = draw(st.integers(10, 15))  # 0 is an onset that is not known
        findings[name] = bad(
            onset, draw(st.sampled_from([0.0, 0.2, 0.4, 0.6, 1.0])), onset - draw(st.integers(0, 2))
        )
    return graph, findings


@settings(max_examples=120, deadline=None)
@given(clouds())
def test_laws_of_the_cause(cloud: tuple[Graph, dict[EntityId, Finding]]) -> None:
    graph, findings = cloud
    affected = sorted(findings)
    ranked = rank(graph, findings, affected)
    assert ranked, "something wrong always has a candidate: itself"
    assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)
    top = ranked[0]
    assert findings[top.entity].bad, "the cause is itself wrong"
    for name in top.explains:
        assert name == top.entity or top.entity in graph.upstream(name), "it explains only what hangs on it"
        assert findings[top.entity].before_ns <= findings[name].onset_ns, "and not what began before it"
    for deeper in graph.upstream(top.entity):
        if deeper in findings and findings[deeper].own >= max(0.5, top.own):
            assert findings[deeper].before_ns > findings[top.entity].onset_ns or set(
                next(one.explains for one in ranked if one.entity == deeper)
            ) < set(top.explains), (
                "a deeper one with evidence as strong, as early and explaining as much is named"
            )


@settings(max_examples=60, deadline=None)
@given(clouds())
def test_groups_part_the_wrong(cloud: tuple[Graph, dict[EntityId, Finding]]) -> None:
    graph, findings = cloud
    found = groups(graph, sorted(findings))
    assert sorted(name for group in found for name in group) == sorted(findings)
    for group in found:
        for other in found:
            if other is not group:
                assert not any(b in graph.upstream(a) for a in group for b in other)
