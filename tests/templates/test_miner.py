"""The miner: what it gives back is what it was given; ids, aliases, states; its bounds."""

import random
import string
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Invalid
from weatherglass.logs.templates import Miner, render
from weatherglass.logs.templates.miner import MOST_ROWS, REST

WORDS = ["".join(random.Random(n).choices(string.ascii_lowercase, k=6)) for n in range(3000)]

messages = st.text(max_size=120) | st.lists(
    st.sampled_from(
        [
            *("user", "port", "from", "10.0.0.1", "x=1", "a: b", "['u']", "()", "", " ", "é", "\ud800", "\0", "blk_-3"),
            *("eth0", "eth1", "{}", "7ms", "/a/b", '"GET /x HTTP/1.1"', "None", "\n", "12:00:01", "http://a/b", "0x1f"),
            *("[1, 2]", "key= "),
        ]
    ),
    max_size=12,
).map(" ".join)  # fmt: skip


def check(miner: Miner, given_: list[str], mined) -> None:
    for index, message in enumerate(given_):
        assert mined.message(index) == message
        assert render(miner.template(int(mined.ids[index])), mined.variables(index)) == message


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(messages, max_size=20), max_size=4), st.sampled_from(["", "nova.compute"]))
def test_any_text_comes_back(batches, logger):
    miner = Miner()
    for batch in batches:
        check(miner, batch, miner.add([logger] * len(batch), batch))
    everything = [message for batch in batches for message in batch]
    check(miner, everything, miner.match(everything))
    again = Miner.load(miner.state())
    assert again.templates() == miner.templates()
    assert again.match(everything).ids.tolist() == miner.match(everything).ids.tolist()


def test_variables_and_types():
    miner = Miner()
    text = "[instance: b9000564-fe1a-409b-b8cc-1e88b294cd1d] Took 20.35 seconds on 10.0.0.1:22 for /var/lib/x"
    mined = miner.add([""], [text])
    template = miner.template(int(mined.ids[0]))
    assert template.text == "[instance: <*>] Took <*>.<*> seconds on <*>:<*> for <*>"
    assert template.types == ("uuid", "number", "number", "address", "number", "path")
    assert mined.variables(0)[-1] == "/var/lib/x"


def test_a_word_that_varies_becomes_a_variable_and_its_old_ids_aliases():
    miner = Miner()
    first = miner.add([""], ["Failed password for root from 10.0.0.1"]).ids[0]
    before = miner.template(int(first))
    rest = miner.add([""] * 8, [f"Failed password for {word} from 10.0.0.1" for word in WORDS[:8]])
    assert len(set(rest.ids.tolist())) == 1
    assert miner.alias(int(first)) == rest.ids[0]
    assert miner.aliases() == {int(first): int(rest.ids[0])}
    # What was written under the old id is read with the old template, for ever.
    assert miner.template(int(first)) is before
    assert miner.template(int(rest.ids[0])).text == "Failed password for <*> from <*>"
    assert miner.templates() == [(miner.template(int(rest.ids[0])), 9)]


def test_a_few_words_stay_templates_of_their_own():
    miner = Miner()
    mined = miner.add([""] * 3, [f"VM {word} (Lifecycle Event)" for word in ("Started", "Paused", "Stopped")])
    assert len(set(mined.ids.tolist())) == 3


def test_free_text_behind_a_colon_is_known_by_its_logger():
    tails = ["no host", "Port 7 could not be found", "the line is busy at the moment, try again", "gone",
             "a b c d e f g h"]  # fmt: skip
    texts = [f"Failed to attach the volume: {tail}" for tail in tails]
    apart, known = Miner(), Miner()
    assert len(set(apart.add([""] * len(texts), texts).ids.tolist())) > 1
    mined = known.add(["nova.volume"] * len(texts), texts)
    assert {known.template(int(id)).text for id in mined.ids} == {"Failed to attach the volume: <*>"}
    check(known, texts, mined)


def test_options_told_one_by_one_are_one_template():
    values = ["a", "[]", "/etc/x", "None", "two words"]
    texts = [f"{word[: n % 5 + 2] + word:<30} = {values[n % 5]}" for n, word in enumerate(WORDS[:30])]
    miner = Miner()
    mined = miner.add(["oslo_config.cfg"] * len(texts), texts)
    assert {miner.template(int(id)).text for id in mined.ids} == {"<*> = <*>"}
    check(miner, texts, mined)


def test_ids_come_from_the_text_alone():
    one, other = Miner(), Miner()
    one.add(["x"], ["something else"])
    a = one.add(["nova"], ["took 7 s"]).ids[0]
    b = other.add(["neutron"], ["took 11 s"]).ids[0]
    assert a == b
    assert 0 < a < 1 << 53


def test_two_nodes_that_saw_different_words_agree_when_merged():
    one, other = Miner(), Miner()
    one.add([""] * 4, [f"user {word} logged in" for word in WORDS[:4]])
    theirs = other.add([""] * 4, [f"user {word} logged in" for word in WORDS[4:8]]).ids.tolist()
    assert len(set(theirs)) == 4
    one.merge(other.state())
    assert [(template.text, count) for template, count in one.templates()] == [("user <*> logged in", 8)]
    now = one.templates()[0][0].id
    assert {one.alias(id) for id in theirs} == {now}
    for id in theirs:
        assert render(one.template(id), ()) == render(other.template(id), ())


def test_the_order_of_batches_is_no_matter():
    texts = [f"{word} is on 10.0.0.{n}, took {n} s" for n, word in enumerate(WORDS[:60])]
    whole, bits = Miner(), Miner()
    whole.add([""] * 60, texts)
    for text in texts:
        bits.add([""], [text])
    assert [(t.id, n) for t, n in whole.templates()] == [(t.id, n) for t, n in bits.templates()]


def test_counts_by_level_and_service():
    miner = Miner()
    mined = miner.add([""] * 3, ["took 1 s", "took 2 s", "done"])
    counts = mined.counts_by(["INFO", "ERROR", "INFO"], ["nova", "nova", "glance"])
    took = int(mined.ids[0])
    assert counts[took, "INFO", "nova"] == counts[took, "ERROR", "nova"] == 1
    assert mined.counts()[took] == 2


@pytest.mark.parametrize("data", [b"", b"nothing", b"\x28\xb5\x2f\xfd broken"])
def test_a_broken_state_is_refused(data):
    with pytest.raises(Invalid):
        Miner.load(data)


LONG = ["x " * 500_000, "a" * 1_000_000, "[" * 200_000, "1 " * 100_000, "1-" * 100_000, "('" * 100_000, "1." * 100_000,
        " ".join(map(str, range(10_000))), " ".join(WORDS * 4), "é" * 100_000, "::" * 50_000, "Mon " * 50_000,
        "http://" * 50_000, "blk_1 " * 50_000, "a" * 70 + "://" * 50_000, "= " * 50_000]  # fmt: skip


@pytest.mark.parametrize("text", LONG, ids=lambda text: text[:6])
def test_long_lines(text):
    miner = Miner()
    began = time.process_time()
    check(miner, [text, text + "!"], miner.add(["l", "l"], [text, text + "!"]))
    assert time.process_time() - began < 2


ADVERSE = {
    "words": lambda r: " ".join(r.choices(WORDS, k=8)),
    "lengths": lambda r: " ".join(r.choices(WORDS, k=r.randrange(1, 8))),
    "tails": lambda r: "Failed to do the thing: " + " ".join(r.choices(WORDS, k=r.randrange(1, 12))),
    "one word": lambda r: f"user {r.getrandbits(60):x} and {r.choice(WORDS)} logged in",
}


@pytest.mark.parametrize("kind", ADVERSE)
def test_adverse_streams_stay_bounded(kind):
    miner, chance = Miner(), random.Random(3)
    for _ in range(8):
        batch = [ADVERSE[kind](chance) for _ in range(500)]
        check(miner, batch, miner.add(["l"] * 500, batch))
    assert len(miner.templates()) < 500
    assert miner._rows < 3000
    if kind != "one word":
        assert miner.told.pressed or kind == "tails"


def test_what_finds_no_room_is_kept_whole_and_told(monkeypatch):
    monkeypatch.setattr("weatherglass.logs.templates.miner.MOST_ROWS", 10)
    assert MOST_ROWS > 10
    miner, chance = Miner(), random.Random(5)
    texts = ["".join(chance.choices(string.punctuation + string.ascii_letters, k=40)) for _ in range(50)]
    mined = miner.add([""] * 50, texts)
    check(miner, texts, mined)
    assert miner.told.overflowed == mined.ids.tolist().count(REST.id) == 40
