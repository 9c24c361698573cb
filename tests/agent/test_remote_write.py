"""The remote write body, read back with an independent reader; the collectors against this machine's /proc."""

from __future__ import annotations

import math
from pathlib import Path

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.agent_sink import _fields, read_write_request
from weatherglass.agent.collectors import COLLECTORS, host_samples
from weatherglass.agent.collectors.disk import parse_disk
from weatherglass.agent.collectors.filesystem import parse_mounts
from weatherglass.agent.collectors.memory import parse_memory
from weatherglass.agent.collectors.network import parse_network
from weatherglass.agent.collectors.pressure import parse_pressure
from weatherglass.agent.remote_write import Encoder, Sample, encode_metadata, join, varint

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,12}", fullmatch=True)
LABELS = st.dictionaries(
    NAMES, st.text(min_size=1, max_size=30).filter(lambda t: t.isprintable()), max_size=5
)


@given(
    st.lists(st.tuples(NAMES, LABELS, st.floats(allow_nan=False)), max_size=20),
    st.integers(min_value=0, max_value=2**62),
)
def test_what_is_encoded_is_read_back(rows, at_ms):
    samples = [Sample(name, tuple(labels.items()), value) for name, labels, value in rows]
    read = read_write_request(Encoder({"host": "here", "zone": ""}).encode(samples, at_ms))
    assert len(read) == len(rows)
    for (labels, value, at), (name, own, wanted) in zip(read, rows, strict=True):
        expected = {"__name__": name, "host": "here", **{k: v for k, v in own.items() if k != "host"}}
        if own.get("host", "here") != "here":
            expected["exported_host"] = own["host"]
        assert labels == expected
        assert (value, at) == (wanted, at_ms)
        assert list(labels) == sorted(labels)


def test_cached_heads_give_the_same_bytes_and_stay_bounded():
    encoder = Encoder({"host": "h"}, limit=3)
    samples = [Sample("m", (("i", str(i)),), float(i)) for i in range(10)]
    first = encoder.encode(samples, 1)
    assert encoder.encode(samples, 1) == first
    assert len(encoder._heads) <= 3


def test_nan_and_infinities_travel():
    read = read_write_request(
        Encoder({}).encode([Sample("m", (), v) for v in (math.nan, math.inf, -math.inf)], 5)
    )
    assert math.isnan(read[0][1])
    assert [value for _, value, _ in read[1:]] == [math.inf, -math.inf]


@pytest.mark.parametrize(
    "value, wire", [(0, b"\0"), (127, b"\x7f"), (300, b"\xac\x02"), (-1, b"\xff" * 9 + b"\x01")]
)
def test_varint(value, wire):
    assert varint(value) == wire


def test_metadata_is_a_field_of_its_own():
    body = Encoder({}).encode([], 0, encode_metadata({"node_load1": ("gauge", "Load over a minute.")}))
    ((field, message),) = _fields(bytes(cramjam.snappy.decompress_raw(body)))
    assert field == 3
    assert dict(_fields(message)) == {1: 2, 2: b"node_load1", 4: b"Load over a minute."}


def test_an_own_label_does_not_replace_an_attached_one():
    assert join("up", [("host", "liar")], {"host": "here"}) == (
        ("__name__", "up"),
        ("exported_host", "liar"),
        ("host", "here"),
    )


def test_this_host_tells_what_node_exporter_would():
    told = {sample.name for sample in host_samples()}
    assert told >= {
        "node_cpu_seconds_total",
        "node_memory_MemTotal_bytes",
        "node_memory_MemAvailable_bytes",
        "node_load1",
        "node_filesystem_size_bytes",
        "node_filesystem_avail_bytes",
        "node_filesystem_free_bytes",
        "node_filesystem_readonly",
        "node_network_receive_bytes_total",
        "node_boot_time_seconds",
        "node_time_seconds",
        "node_filefd_allocated",
        "node_context_switches_total",
        "node_procs_running",
    }
    series = [(sample.name, sample.labels) for sample in host_samples()]
    assert len(series) == len(set(series))


def test_a_missing_proc_says_less_and_is_counted(tmp_path):
    from collections import Counter

    failed: Counter[str] = Counter()
    assert list(host_samples(tmp_path, failed)) == []
    assert set(failed) == set(COLLECTORS) - {"pressure"}


def by_name(samples):
    return {(s.name, *(value for _, value in s.labels)): s.value for s in samples}


def test_parsers_on_fixed_texts():
    assert by_name(parse_memory("MemTotal: 16 kB\nActive(anon): 2 kB\nHugePages_Total: 3\n")) == {
        ("node_memory_MemTotal_bytes",): 16384,
        ("node_memory_Active_anon_bytes",): 2048,
        ("node_memory_HugePages_Total",): 3,
    }
    disk = by_name(
        parse_disk(
            " 254 0 vda 10 1 8 20 30 2 16 40 1 50 60 0 0 0 0\n"
            " 254 1 vda1 1 0 0 0 0 0 0 0 0 0 0\n 7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n"
        )
    )
    assert disk["node_disk_read_bytes_total", "vda"] == 8 * 512
    assert disk["node_disk_written_bytes_total", "vda"] == 16 * 512
    assert disk["node_disk_io_time_seconds_total", "vda"] == pytest.approx(0.05)
    assert {device for _, device in disk} == {"vda"}
    header = "Inter-| Receive | Transmit\n face |bytes packets\n"
    network = by_name(
        parse_network(
            header + "  lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\nveth1: 1 2 3 4 5 6 7 8 9 10 11 12\n"
        )
    )
    assert network["node_network_transmit_bytes_total", "lo"] == 9
    assert {device for _, device in network} == {"lo"}
    assert parse_pressure("some avg10=0.00 total=2500000\nfull avg10=0.00 total=1000000\n") == {
        "waiting": 2.5,
        "stalled": 1.0,
    }


def test_mounts_are_told_once_with_their_odd_names():
    table = (
        "/dev/vda / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n"
        "/dev/loop1 /srv/my\\040disk ext4 ro,relatime 0 0\nserver:/x /mnt nfs rw 0 0\n/dev/vdb / xfs rw 0 0\nshort\n"
    )
    assert [(m.device, m.point, m.read_only) for m in parse_mounts(table)] == [
        ("/dev/vdb", "/", False),
        ("/dev/loop1", "/srv/my disk", True),
    ]


@given(st.text(max_size=300))
def test_mount_tables_of_any_kind_do_no_harm(text):
    for mount in parse_mounts(text):
        assert isinstance(mount.point, str)


def test_the_collectors_read_only_what_they_are_given(tmp_path):
    (tmp_path / "loadavg").write_text("0.5 0.25 0.125 1/100 42\n")
    assert by_name(COLLECTORS["load"].read(Path(tmp_path))) == {
        ("node_load1",): 0.5,
        ("node_load5",): 0.25,
        ("node_load15",): 0.125,
    }
