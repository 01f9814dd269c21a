"""What each kind of key takes, from a file and from the environment, and what is said of anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.config.classes import doubts
from actorq.config.keys import KEYS, Key
from actorq.config.kinds import Unfit
from actorq.config.writing import spell_seconds, spell_size
from actorq.errors import UsageError
from actorq.model.durations import Rate, duration, size
from actorq.model.policy import LATER, Policy
from actorq.model.retry import Retry
from tests.config.shop import drafted, lines


def key(path: str) -> Key:
    found = KEYS.find(tuple(path.split(".")))
    assert isinstance(found, Key)
    return found


@pytest.mark.parametrize(
    ("path", "written", "value"),
    [
        ("worker.shutdown_timeout", "1h30m", 5400.0),
        ("worker.shutdown_timeout", 5, 5.0),
        ("worker.shutdown_timeout", 0.5, 0.5),
        ("worker.max_rss", "512MiB", 512 * 2**20),
        ("worker.app", "shop.tasks:box.system", "shop.tasks:box.system"),
        ("worker.queues", ["a", "*"], ("a", "*")),
        ("nats.servers", "nats://a", ("nats://a",)),
        ("defaults.rate_limit", "5/10s", Rate(5.0, 10.0)),
        ("defaults.rate_limit", "none", None),
        ("defaults.timeout", "none", None),
        ("defaults.significant", True, True),
        ("defaults.retry.no_retry", ["ValueError", "shop.db.Broken"], ("ValueError", "shop.db.Broken")),
        ("defaults.global_rate_limit", "none", None),
        ("supervisor.backoff.jitter", 0, 0.0),
        ("supervisor.backoff.factor", 1.5, 1.5),
    ],
)
def test_what_is_right_is_read(path: str, written: Any, value: object) -> None:
    assert key(path).kind.read(written) == value


@pytest.mark.parametrize(
    ("path", "written", "line"),
    [
        ("worker.shutdown_timeout", "x", '"x" is not a duration; write seconds, or text such as "30s" or "1h30m"'),
        ("worker.shutdown_timeout", -1, "-1 is not a duration; it must not be negative"),
        ("worker.ack_wait", "10ms", '"10ms" is too short; write 1s or more'),
        ("worker.max_rss", 0.5, '0.5 is not a size; write bytes, or text such as "512KiB"'),
        ("worker.workers", True, "true is not allowed; write a whole number, 1 or more"),
        ("streams.replicas", 7, "7 is not allowed; write a whole number, 1 to 5"),
        ("worker.name", "a b", '"a b" is not a name; use 1 to 64 of A-Z a-z 0-9 _ -'),
        ("worker.name", {}, "a table is not a name; use 1 to 64 of A-Z a-z 0-9 _ -"),
        ("worker.app", "shop", '"shop" does not name a system; write MODULE:SYSTEM, such as "shop.tasks:system"'),
        ("worker.app", "a/shop.py:system", '"a/shop.py:system" names a file, not a module; write "a.shop:system"'),
        ("defaults.rate_limit", "0/s", '"0/s" is not a rate; write "10/s"'),
        ("worker.queues", "mail", '"mail" is not a list; write ["mail"]'),
        ("worker.queues", 3, "3 is not a list; write [...]"),
        ("namespace", "x" * 62, f"name '{'x' * 62}' has 62 characters: use at most 61"),
        ("defaults.rate_limit", "25 per sec", '"25 per sec" is not a rate; write "25/s"'),
        ("defaults.significant", "yes", '"yes" is not true or false; write one of them, without quotes'),
        ("defaults.isolation", "thraed", '"thraed" is not one of thread, process; did you mean "thread"?'),
        ("defaults.isolation", 3, "3 is not one of thread, process; write one of them"),
        ("defaults.lanes", 3, "not available in this version; leave it out"),
        ("defaults.lanes", True, "not available in this version; leave it out"),
        ("defaults.retry.jitter", 0.2, "0.2 is not true or false; write one of them, without quotes"),
        (
            "defaults.retry.restart_on", ["shop:Broken"],
            '"shop:Broken" is not the name of an exception; write it in full, such as "shop.db.PoolBroken"',
        ),
        ("supervisor.backoff.jitter", 2, "2 is not allowed; write a number, 0 to 1"),
        ("supervisor.backoff.factor", float("nan"), "nan is not allowed; write a number, 1 or more"),
        ("supervisor.backoff.factor", float("inf"), "inf is not allowed; write a number, 1 or more"),
        ("nats.user", " ", "it is empty; write something, or leave it out"),
        ("version", 2, "2 is not allowed; write a whole number, 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(path: str, written: Any, line: str) -> None:
    with pytest.raises(Unfit) as caught:
        key(path).kind.read(written)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("worker.shutdown_timeout", "45s", 45.0),
        ("worker.shutdown_timeout", "45", 45.0),
        ("worker.workers", "3", 3),
        ("worker.max_rss", "1048576", 2**20),
        ("worker.queues", "a, b,", ("a", "b")),
        ("worker.exclude_queues", "", ()),
        ("defaults.significant", "ON", True),
        ("defaults.significant", "0", False),
        ("defaults.retry.factor", "1.5", 1.5),
        ("defaults.timeout", "none", None),
        ("defaults.unique", "false", False),
        ("defaults.lanes", "1", 1),
    ],
)
def test_the_same_as_text(path: str, text: str, value: object) -> None:
    kind = key(path).kind
    assert kind.read(kind.parse(text)) == value


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from([*KEYS.walk()]), anything, st.text(max_size=6))
def test_no_kind_is_upset_by_anything(entry: tuple[tuple[str, ...], Key], value: object, text: str) -> None:
    kind = entry[1].kind
    for written in (value, text, kind.parse(text)):
        try:
            kind.spell(kind.read(written))
        except Unfit:
            continue


@given(st.one_of(st.integers(0, 10**9).map(float), st.integers(0, 10**9).map(lambda n: n / 1000)))
def test_durations_are_written_as_they_are_read(seconds: float) -> None:
    assert duration(spell_seconds(seconds), "") == pytest.approx(seconds, abs=1e-6)


@given(st.integers(0, 2**50))
def test_sizes_are_written_as_they_are_read(count: int) -> None:
    assert size(spell_size(count), "") == count


@given(st.sampled_from([*KEYS.walk()]), anything)
def test_a_declaration_takes_what_a_file_takes(entry: tuple[tuple[str, ...], Key], value: object) -> None:
    path, option = entry
    if path[0] != "defaults" or path[1] in LATER:
        return
    try:
        read = option.kind.read(value)
    except Unfit:
        return
    given: dict[str, Any] = {path[1]: read} if len(path) == 2 else {"retry": {path[2]: read}}
    try:
        Policy().merged(given, "a declaration")
    except UsageError as error:  # pragma: no cover  the point of the test
        raise AssertionError(path) from error


QUEUES = 'use 1 to 64 of A-Z a-z 0-9 _ -, or "*" for all'
TAKEN = '"root" is the name of the supervisor in [supervisor]; take another one'


def test_all_wrong_elements_of_a_list_are_told_each_where_it_stands(tmp_path: Path) -> None:
    assert lines(tmp_path, 'worker.queues = [\n"a b",\n"c",\n3]\n') == [
        f'actorq.toml:2: worker.queues[0]: "a b" is not the name of a queue; {QUEUES}',
        f"actorq.toml:4: worker.queues[2]: 3 is not the name of a queue; {QUEUES}",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("worker = 3", "worker: it has to be a table; write [worker]"),
        ("defaults.retry = 3", "defaults.retry: it has to be a table; write [defaults.retry]"),
        ("actors.charge = 3", "actors.charge: it has to be a table; write [actors.charge]"),
        ("schedules = 3", "schedules: it has to be a table; write [[schedules]]"),
        ("schedules = [3]", "schedules[0]: it has to be a table; write [[schedules]]"),
        ("[schedules]", "schedules: it has to be a table; write [[schedules]]"),
        ("worker.queues = {}", "worker.queues: a table is not a list; write [...]"),
        ("[actors.'a b']", 'actors.a b: "a b" is not a name; use 1 to 64 of A-Z a-z 0-9 _ -'),
        ("[supervisors.root]", f"supervisors.root: {TAKEN}"),
        ("worker.grace = 3", 'worker.grace: unknown key; did you mean "shutdown_timeout"?'),
        ("worker.workes = 3", 'worker.workes: unknown key; did you mean "workers"?'),
        ("defaults.max_retries = 3", 'defaults.max_retries: unknown key; did you mean "retry.max_attempts"?'),
        ("defaults.retry.max_retries = 3", 'defaults.retry.max_retries: unknown key; did you mean "max_attempts"?'),
        ("broker = 3", 'broker: unknown key; did you mean "nats"?'),
        ("[supervisor.billing]", 'supervisor.billing: unknown key; did you mean "supervisors.billing"?'),
        ("[suprvisors.billing]\nx = 3", 'suprvisors: unknown key; did you mean "supervisors"?'),
        ("supervisor.backoff.xyz = 3", "supervisor.backoff.xyz: unknown key; known are initial, factor, max, jitter"),
    ],
)  # fmt: skip
def test_a_key_in_the_wrong_place_or_form(tmp_path: Path, text: str, line: str) -> None:
    assert [str(problem) for problem in drafted(tmp_path, text).problems] == [f"actorq.toml:1: {line}"]


SCHEDULE = '[[schedules]]\nname = "a"\nactor = "b.c"\nevery = "5s"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SCHEDULE.replace("every", "#"), ["1: schedules[0]: it needs one of cron and every; write cron = "]),
        (SCHEDULE + 'cron = "* * * * *"', ["1: schedules[0]: it needs one of cron and every;"]),
        ("[[schedules]]\ncron = 3\nname = 3\n", [
            '1: schedules[0]: it has no actor; write actor = "..."',
            "2: schedules[0].cron: 3 is not text",
            "3: schedules[0].name: 3 is not a name",
        ]),
        (SCHEDULE + SCHEDULE, ['6: schedules[1].name: "a" is the name of another schedule (line 2); take another one']),
        (SCHEDULE + "args = [1, {a = 2}]\nkwargs.x = 3\ntimezone = 'UTC'\n", []),
        (SCHEDULE + "crontab = 3\n", ['5: schedules[0].crontab: unknown key; did you mean "cron"?']),
    ],
)  # fmt: skip
def test_schedules_are_checked_in_their_shape(tmp_path: Path, text: str, told: list[str]) -> None:
    found = lines(tmp_path, text)
    assert len(found) == len(told)
    for line, begin in zip(found, told, strict=True):
        assert line.startswith(f"actorq.toml:{begin}")


def test_no_queue_at_all_is_refused(tmp_path: Path) -> None:
    assert lines(tmp_path, "[worker]\nqueues = []\n") == [
        'actorq.toml:2: worker.queues: [] names none; write ["*"], or leave it out'
    ]


def test_exceptions_that_the_program_does_not_have_are_doubted() -> None:
    names = (
        "KeyError",
        "KeyErorr",
        "no.such.Thing",
        "actorq.errors.TimedOut",
        "actorq.TimedOut",
        "json.JSONDecodeError",
    )
    found = list(doubts({"charge": Policy(retry=Retry(no_retry=names[:3], restart_on=names[3:]))}))
    assert found == [
        ("charge", 'there is no exception class "KeyErorr"; nothing will match it'),
        ("charge", 'the program has not imported a module "no.such", so it may never raise "no.such.Thing"'),
        (
            "charge",
            '"json.JSONDecodeError" is defined as "json.decoder.JSONDecodeError", by which it is compared; write that',
        ),
    ]
