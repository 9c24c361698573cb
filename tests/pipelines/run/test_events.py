"""What an engine tells, read: whatever order and however broken its lines are."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from weatherglass.pipelines.run.events import Told, tasks


def line(event: str, at_s: float, **more: object) -> str:
    return json.dumps({"event": event, "at_ns": int(at_s * 1e9), "level": "INFO", **more})


def test_what_is_left_is_told_from_what_each_step_took() -> None:
    told = Told()
    told.take(line("run_info", 0, text="job count\na 4\nb 1\ntotal 5"))
    assert told.total == 5
    assert told.left_s(0, 2) is None
    for number, begin in ((1, 0.0), (2, 0.0), (3, 10.0)):
        told.take(line("job_info", begin, jobid=number, rule_name="a", shellcmd="x"))
    for number in (1, 2):
        told.take(line("job_finished", 10, job_id=number))
    # Two of a at once took 10 s each: two of a and one b of the mean are left, 30 s of work, two at a time.
    assert told.left_s(int(10e9), 2) == 15.0


@given(st.lists(st.one_of(st.text(max_size=30), st.sampled_from([line("job_info", 1, jobid=1, rule_name="a"), line("job_finished", 2, job_id=1), line("job_error", 2, jobid=9), line("progress", 2, done=1, total=2), "[]", "{}", "1"])), max_size=20))  # fmt: skip
def test_broken_lines_are_passed_over(lines: list[str]) -> None:
    told = Told()
    for one in lines:
        told.take(one)
    for task in tasks(told, []):
        assert task.rule == "a"
        assert not task.measured
