"""Every error is one line and an exit code; never a traceback."""

from __future__ import annotations

import pytest

from actorq import errors
from actorq.cli import exits
from actorq.cli.exits import Exit, describe


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
