"""The example file is good, and each of the documented problems is told as documented."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.config import settle
from actorq.errors import ConfigError
from actorq.model.durations import Rate
from tests.config.shop import BAD, GOOD, PROBLEMS, SHOP, drafted, judged, lines


def test_the_example_is_good(tmp_path: Path) -> None:
    report = judged(tmp_path, GOOD)
    assert report.problems == ()
    assert report.plan is not None
    paths = [node.path for node in report.plan.tree.root.walk()]
    assert paths == [
        "root", "root/billing", "root/billing/ledger", "root/billing/charge", "root/billing/invoice", "root/media",
        "root/media/transcode", "root/media/thumbnail", "root/send_email",
    ]  # fmt: skip
    charge = report.plan.policies["charge"]
    assert (charge.queue, charge.rate_limit, charge.timeout) == ("payments", Rate(25.0, 1.0), 20.0)
    assert (charge.retry.max_attempts, charge.retry.restart_on) == (6, ("shop.db.PoolBroken",))
    assert report.plan.config.worker["app"] == "shop.tasks:system"


def test_all_problems_are_told_at_once_as_documented(tmp_path: Path) -> None:
    assert lines(tmp_path, BAD, ACTORQ_WORKER__GRACE="45s") == PROBLEMS


@pytest.mark.parametrize("number", range(len(PROBLEMS)))
def test_each_problem_is_one_of_the_errors_problems(tmp_path: Path, number: int) -> None:
    draft = drafted(tmp_path, BAD, ACTORQ_WORKER__GRACE="45s")
    with pytest.raises(ConfigError) as caught:
        settle(draft, SHOP)
    assert caught.value.problems[number] == PROBLEMS[number]


def test_schedules_are_checked_and_announced_as_not_run(tmp_path: Path) -> None:
    report = judged(tmp_path, GOOD)
    assert report.warnings == (
        (
            'actorq.toml:58: actors.charge.retry: the program has not imported a module "shop.db", so it may never'
            ' raise "shop.db.PoolBroken"'
        ),
        "actorq.toml:62: schedules: this version runs no schedules; what is here is checked in shape and left alone",
    )


snippets = st.sampled_from(
    ["", "\n", '"', "[", "]", "[[", "]]", "{", "}", "=", ".", "x", "1", "true", '"x"', "[x]", "${", "#"]
)


@given(st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 8), snippets), max_size=3))
def test_whatever_is_done_to_the_file_the_answer_is_problems_with_lines(
    edits: list[tuple[float, int, str]],
) -> None:
    text = GOOD
    for at, length, snippet in edits:
        start = int(at * len(text))
        text = text[:start] + snippet + text[start + length :]
    with TemporaryDirectory() as folder:
        report = judged(Path(folder), text)
    for problem in report.problems:
        assert problem.place is not None
        assert 1 <= problem.place.line <= text.count("\n") + 1
        assert "\n" not in str(problem)
