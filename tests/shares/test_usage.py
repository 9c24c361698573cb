"""Lustre's statistics, as its targets print them, summed by tenant and by job; noisy tenants; any text."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shares.fake_kit import site
from weatherglass.shares import declared
from weatherglass.shares.usage import noisy, parse, samples, tenant_of

TEXT = (Path(__file__).parent / "cases" / "lustre_stats.txt").read_text()
[FS] = declared.of(site().sections)


def value(name: str, **labels: str) -> float | None:
    key = tuple(sorted({"__name__": name, "share": "lus01", **labels}.items()))
    return samples(FS, TEXT).get(key)


def test_counters_are_summed_by_tenant_over_targets_and_clients() -> None:
    assert value("weatherglass_share_bytes_total", tenant="genomics", op="read") == 5242880 + 4096
    assert value("weatherglass_share_bytes_total", tenant="imaging", op="write") == 2097152
    assert value("weatherglass_share_operations_total", tenant="genomics", op="write") == 3
    assert value("weatherglass_share_operation_seconds_total", tenant="imaging", op="open") == 0.00021
    assert value("weatherglass_share_job_bytes_total", job="bwa.1000", op="read") == 1052672
    assert value("weatherglass_share_job_operation_seconds_total", job="bwa.1000", op="getattr") == 25e-6


def test_the_servers_own_and_strangers_are_nobodys() -> None:
    assert tenant_of(FS, "10.20.0.5@tcp5") == "genomics"
    for nid in ("10.0.0.3@tcp", "10.20.0.5@tcp6", "0@lo", "nonsense"):
        assert tenant_of(FS, nid) == ""
    assert all("10.0.0.3" not in str(key) for key in samples(FS, TEXT))


def test_a_tenant_is_noisy_beside_others_and_never_alone() -> None:
    assert noisy({"a": 900.0, "b": 50.0, "c": 40.0}) == ["a"]
    assert noisy({"a": 900.0}) == [] and noisy({"a": 60.0, "b": 50.0}) == []
    assert noisy({"a": 9.0, "b": 1.0, "c": 1.0}, least=10) == []
    assert noisy({"a": 100.0, "b": 10.0}) == ["a"]


@given(
    st.text(
        alphabet=st.sampled_from("obdfilter.mdt.exports.1@tcp.stats=\n read_bytes 9samples[]{}:-job_id"),
        max_size=300,
    )
)
def test_any_text_is_read(text: str) -> None:
    assert all(one.times >= 0 for one in parse(text))
