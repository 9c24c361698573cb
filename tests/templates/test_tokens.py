"""What is a value by its looks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.kernels.tokens import MOST, NAMES, Tokens

CASES = {
    "10.11.10.1": "<address>",
    "10.0.0.0/24": "<address>",
    "/10.190.173.170:9000": "/<address>:<number>",
    "fe80::f816:3eff:fe12:1": "<address>",
    "fa:16:3e:00:11:22": "<address>",
    "12:30:59": "<number>:<number>:<number>",
    "2017-05-16 13:53:08.123": "<time>",
    "2017-05-16T13:53:08+02:00": "<time>",
    "at Mon Jul 25 23:24:09 2005": "at <time>",
    "Thu Aug 11 12:00:01 PDT 2005": "<time>",
    "b9000564-fe1a-409b-b8cc-1e88b294cd1d": "<uuid>",
    "debeecbe-fe1a-409b-b8cc-1e88b294cd1d": "<uuid>",
    "req-b9000564-fe1a-409b-b8cc-1e88b294cd1d": "req-<uuid>",
    "113d3a99c3da401fbd62cc2caa5b96d2": "<identifier>",
    "0x14ed93111f20027": "<hex>",
    "blk_-6952295868487656571": "blk_<number>",
    "task_1445144423722_0020_m_000000": "task_<identifier>",
    "20.35": "<number>.<number>",
    "-17": "<number>",
    "10000ms": "<duration>ms",
    "64MB": "<size>MB",
    "v1.0.3": "v<number>.<number>.<number>",
    "/var/lib/nova/instances.": "<path>.",
    "http://10.0.0.1:8774/v2.1": "<url>",
    "hdfs://host:9000/tmp": "hdfs://<url>",
    '"GET /v2/servers HTTP/1.1"': '"GET <request>"',
    "{'a': [1, 2]}": "<literal>",
    "['a', 'b']": "<literal>",
    "[1, 2, 3]": "[<number>]",
    "(2, 1)": "(<number>, <number>)",
    "<nova.objects.Instance object at 0x7f00aa>": "<literal>",
    "10.0.0.1,10.0.0.2,10.0.0.3": "<address>",
    "blk_1 blk_2 blk_3": "blk_<number>",
    "node-7.rack2.example.org": "<host>",
    "ctl-1:5672": "<host>:<number>",
    "utf-8": "~utf-8",
    "ssh2": "~ssh2",
    "don't": "don't",
    "java.io.IOException": "java.io.IOException",
}


def looks(message: str) -> str:
    data, at, out = message.encode("utf-8", "surrogatepass"), 0, []
    for begin, end, soft, values in Tokens().split(data):
        out.append(data[at:begin].decode() + "~" * bool(soft))
        at = begin
        for first, last, kind in values:
            out += (data[at:first].decode(), f"<{NAMES[kind]}>")
            at = last
        out.append(data[at:end].decode())
        at = end
    return "".join(out) + data[at:].decode()


@pytest.mark.parametrize("text", CASES)
def test_looks(text):
    assert looks(text) == CASES[text]


def test_a_very_long_message_ends_in_one_value():
    tokens = Tokens().split(b"word " * 10_000)
    assert len(tokens) == MOST + 1
    assert NAMES[tokens[-1][3][0][2]] == "text"


@given(
    st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_tokens_lie_in_the_message_in_order(data):
    at = 0
    for begin, end, _, values in Tokens().split(data):
        assert at <= begin <= end <= len(data)
        inside = begin
        for first, last, kind in values:
            assert inside <= first <= last <= end
            assert NAMES[kind]
            inside = last
        at = end
