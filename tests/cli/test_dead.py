"""``dead ls``, ``show``, ``retry`` and ``drop``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from actorq.cli.main import main
from tests.cli.shell import Shell, wait_until

COLUMNS = ["id", "actor", "queue", "reason", "error", "attempts", "at"]


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


class Desk:
    """Runs commands in this process, beside the worker of the shop."""

    def __init__(self, seen: pytest.CaptureFixture[str]) -> None:
        self._seen = seen

    def run(self, *arguments: str, namespace: str = "shop") -> Ran:
        code = main([*arguments, "--namespace", namespace])
        seen = self._seen.readouterr()
        return Ran(code, seen.out, seen.err)

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        ran = self.run("dead", "ls", "--json", *arguments)
        assert (ran.code, ran.err) == (0, "")
        rows: list[dict[str, Any]] = json.loads(ran.out)
        return rows

    def died(self, *call: str) -> str:
        """A task that has died; its id."""
        ran = self.run("send", *call, "--wait", "--json")
        assert ran.code == 1
        task_id = str(json.loads(ran.out)["id"])
        wait_until(lambda: task_id in {row["id"] for row in self.listed()}, "the dead letter is there")
        return task_id


@pytest.fixture
def desk(shop: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    monkeypatch.setenv("NATS_URL", shop.environment["NATS_URL"])
    monkeypatch.delenv("ACTORQ_TRANSPORT", raising=False)
    return Desk(capsys)


def line_of(ran: Ran, code: int) -> str:
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), ran
    return ran.err


# ---- without a broker


@pytest.mark.parametrize(
    "arguments",
    [
        ["show"], ["retry"], ["drop", "--yes"], ["retry", "--limit", "1", "--yes"], ["ls", "--limit", "0"],
        ["ls", "--since", "whenever"], ["show", "not/an/id"], ["drop", "--all", "--until", "soon"],
        ["ls", "T1"], ["ls", "--reason", "crash-loop"],
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead", *arguments, "--namespace", "shop", "-s", "nats://127.0.0.1:1"]) == 2
    seen = capsys.readouterr()
    assert (seen.out, seen.err.count("\n")) == ("", 1)


# ---- with one


@pytest.mark.broker
def test_letters_are_listed_by_filters(desk: Desk) -> None:
    """F-3: by actor, class, reason, queue and time; the columns and the keys are the same."""
    raised, unfit = desk.died("fail", "none left"), desk.died("add")
    (row,) = [row for row in desk.listed() if row["id"] == raised]
    assert list(row) == COLUMNS
    assert list(row.values())[:6] == [raised, "fail", "default", "retries_exhausted", "ValueError", 1]
    for chosen in ("--actor=fail", "--error=ValueError", "--reason=retries_exhausted"):
        ids = {row["id"] for row in desk.listed(chosen, "--queue", "default", "--since", "1h")}
        assert (raised in ids, unfit in ids) == (True, False)
    assert desk.listed("--until", "1h") == desk.listed("--since", "2999-01-01T00:00Z") == []
    assert [row["id"] for row in desk.listed("--limit", "1")] == [desk.listed()[0]["id"]]
    table = desk.run("dead", "ls").out.splitlines()
    assert table[0].split() == COLUMNS
    assert any(line.startswith(f"{raised}  fail ") for line in table)
    nothing = desk.run("dead", "ls", "--actor", "nobody")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no dead letters, or none that fits\n")


@pytest.mark.broker
def test_a_letter_is_shown_with_arguments_and_traceback(desk: Desk) -> None:
    first, second = desk.died("fail", "none left"), desk.died("add", "1", "--kw", "c=2")
    text = desk.run("dead", "show", first).out
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert {f"id {first}", "message none left", 'args ["none left"]', "deliveries 1"} <= set(lines)
    assert lines[-1] == "ValueError: none left"
    assert "Traceback (most recent call last):" in lines
    known = json.loads(desk.run("dead", "show", first, "--json").out)
    assert list(known)[:7] == COLUMNS
    assert (known["args"], known["generation"], known["subject"]) == (
        ["none left"], 0, f"aq-shop.t.default.0.fail.{first}"
    )  # fmt: skip
    assert known["traceback"].endswith("ValueError: none left")
    both = json.loads(desk.run("dead", "show", first, second, "--json").out)
    assert [row["id"] for row in both] == [first, second]
    assert (both[1]["kwargs"], both[1]["reason"]) == ({"c": 2}, "bad_arguments")


@pytest.mark.broker
def test_nothing_is_done_before_somebody_says_so(desk: Desk) -> None:
    task_id = desk.died("fail", "again")
    before = desk.listed()
    for verb, what in (("retry", "revive"), ("drop", "drop")):
        line = line_of(desk.run("dead", verb, task_id), 2)
        assert line.startswith(f"actorq: {what} 1 dead letter (1 of fail)? add --yes")
        dry = desk.run("dead", verb, "--actor", "fail", "--dry-run", "--json")
        assert task_id in {row["id"] for row in json.loads(dry.out)}
    assert desk.listed() == before


@pytest.mark.broker
def test_a_letter_is_revived_and_dies_again_or_is_dropped(desk: Desk) -> None:
    """F-3: the next generation has a letter of its own; a dropped one is gone."""
    task_id = desk.died("fail", "still none")
    ran = desk.run("dead", "retry", task_id, "--yes")
    assert (ran.code, ran.out, ran.err) == (0, f"{task_id}  revived\n", "")

    def shown() -> str:
        return desk.run("dead", "show", task_id, "--json").out

    wait_until(lambda: json.loads(shown()).get("generation") == 1, "it has died again")
    ran = desk.run("dead", "drop", task_id, "no-such", "-y", "--json")
    assert ran.code == 1
    assert ran.err.startswith("actorq: no dead letter of task no-such: never died")
    (row,) = json.loads(ran.out)
    assert (row["id"], row["actor"], row["outcome"]) == (task_id, "fail", "dropped")
    assert "no dead letter of task" in line_of(desk.run("dead", "show", task_id), 1)
    failure = json.loads(desk.run("dead", "retry", task_id, "--yes", "--json").out)
    assert failure["id"] == task_id
    assert "no dead letter" in failure["error"]["message"]


@pytest.mark.broker
def test_all_are_meant_by_a_flag_of_its_own(desk: Desk) -> None:
    desk.died("fail", "x")
    ran = desk.run("dead", "drop", "--all", "--yes")
    assert ran.code == 0
    assert ran.out.count("dropped") >= 1
    assert desk.listed() == []
    again = desk.run("dead", "drop", "--all")
    assert (again.code, again.err) == (0, "no dead letters, or none that fits\n")


@pytest.mark.broker
def test_a_namespace_that_is_not_there_is_an_error(desk: Desk) -> None:
    assert "no system 'shopp'" in line_of(desk.run("dead", "ls", namespace="shopp"), 78)
