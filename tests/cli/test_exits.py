"""Every error is one line and an exit code; never a traceback."""

from __future__ import annotations

import pytest

from actorq import errors
from actorq.cli import exits
from actorq.cli.exits import Exit, describe, failure


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RemoteError("bad"), 1),
        (errors.TimedOut("late"), 1),
        (errors.UnknownTask("no trace"), 1),
        (errors.InvalidName("name"), 2),
        (errors.InvalidArguments("arguments"), 2),
        (errors.BrokerUnavailable("no broker"), 69),
        (errors.StreamFull("full"), 69),
        (errors.RestartIntensityExceeded("too often"), 70),
        (errors.InternalError("defect"), 70),
        (errors.ResultTimeout("not yet"), 75),
        (errors.DeliveryUnknown("perhaps"), 75),
        (errors.PermissionDenied("refused"), 77),
        (errors.ConfigError("setting"), 78),
        (Exit(64, "own"), 64),
    ],
)
def test_each_kind_of_error_has_its_code_also_inside_groups(error: Exception, code: int) -> None:
    assert describe(error)[0] == code
    assert describe(ExceptionGroup("outer", [OSError("x"), ExceptionGroup("inner", [error])]))[0] == code


def test_every_error_class_has_a_code() -> None:
    def classes(kind: type[errors.ActorqError]) -> list[type[errors.ActorqError]]:
        return [kind, *(c for sub in kind.__subclasses__() for c in classes(sub))]

    for kind in classes(errors.ActorqError):
        if kind is not errors.ActorqError:
            assert any(issubclass(kind, known) for known, _ in exits.CODES), kind


def test_a_line_stays_one_line() -> None:
    assert describe(errors.ConfigError("one\n  two"))[1] == "one two"


def test_several_problems_are_a_line_each() -> None:
    assert describe(errors.ConfigError("a; b", problems=("a", "b\n c"))) == (78, "a\nb c")


def test_a_broker_next_door_can_be_started() -> None:
    away = "no broker can be reached at {}: Connection refused; check the address and that it runs"
    for near in ("127.0.0.1:4222", "localhost:4222", "[::1]:4222"):
        text = describe(errors.BrokerUnavailable(away.format(near)))[1]
        assert text.startswith(
            f"no broker can be reached at {near}: Connection refused; start one with `actorq server`"
        )
    far = away.format("broker.example:4222")
    assert describe(errors.BrokerUnavailable(far))[1] == far


def test_a_document_tells_task_state_and_error() -> None:
    dead = errors.DeadLettered("task T1 of add: no\nway", task_id="T1", actor="add", attempts=2)
    known = failure(ExceptionGroup("outer", [dead]))
    assert (known["id"], known["state"]) == ("T1", "failed")
    error = {"type": "DeadLettered", "message": "no\nway", "actor": "add", "attempts": 2, "traceback": ""}
    assert known["error"] == error
    assert describe(dead)[1] == "task T1 of add failed: DeadLettered: no way"
    assert failure(errors.Cancelled("", task_id="T1"))["state"] == "cancelled"
    cancelled = errors.Cancelled("task T1 of add: it was cancelled", task_id="T1", actor="add")
    assert describe(cancelled)[1] == "task T1 of add: it was cancelled"
    assert failure(errors.DeadlineExceeded("", task_id="T1"))["state"] == "expired"
    assert failure(errors.ResultTimeout("", task_id="T1"))["state"] == "unknown"
    assert failure(Exit(1, "nobody"))["error"] == {"type": "Failed", "message": "nobody"}
    assert failure(Exit(130, "interrupted")) == {"error": {"type": "Interrupted", "message": "interrupted"}}


def test_a_failed_task_is_named_with_the_class_that_its_handler_raised() -> None:
    error = errors.RemoteError("no\nroute", task_id="T1", actor="ship")
    error.type_name = "shop.NoRoute"
    assert describe(error)[1] == "task T1 of ship failed: shop.NoRoute: no route"


def test_an_unforeseen_error_names_its_place() -> None:
    try:
        raise KeyError("k")
    except KeyError as error:
        code, line = describe(error)
    assert code == 70
    assert line.startswith("KeyError: 'k' (at ")
    assert __file__ in line
