"""Exceptions on their way to whoever awaits (I-10)."""

from __future__ import annotations

import asyncio
import builtins
import copy
import dataclasses
import json
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from actorq import errors
from actorq.core.codec import decode_record, encode_record
from actorq.core.remote import MAX_ARGS, MAX_MESSAGE, MAX_TRACEBACK, ExceptionRegistry, describe, rebuild, type_name
from actorq.core.values import NO_TEXT
from actorq.errors import (
    Cancelled,
    DeadLettered,
    DeadlineExceeded,
    Expired,
    PayloadTooLarge,
    RemoteError,
    TaskError,
    TimedOut,
    UsageError,
)
from actorq.model.envelope import ErrorInfo, Record
from tests.core import strategies

REGISTRY = ExceptionRegistry()


@REGISTRY.register
class Declined(ValueError):
    """Its __init__ cannot be run again with what it left in args."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"declined with {code}")
        self.reason = reason


@REGISTRY.register
class Picky(OSError):
    def __init__(self, only: object) -> None:
        super().__init__(only)

    def __new__(cls, only: object) -> Any:
        if not isinstance(only, list):
            raise TypeError("only a list will do")
        return super().__new__(cls)


class Unknown(KeyError):
    pass


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def pickled(error: Exception) -> Any:
    return pickle.loads(pickle.dumps(error))


def sent(error: BaseException, registry: ExceptionRegistry = REGISTRY) -> TaskError:
    """As the waiter gets it, over the wire."""
    try:
        raise error
    except BaseException as raised:
        info = describe(raised, actor="shop", task_id="t1", attempts=2)
    record = decode_record(encode_record(Record(id="t1", state="failed", error=info)))
    assert record.error is not None
    assert record.error == info
    return rebuild(record.error, registry)


BUILT_IN: list[BaseException] = [
    ValueError("bad"),
    KeyError("k"),
    OSError(2, "No such file", "/x"),
    OSError("odd"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
    UnicodeEncodeError("ascii", "é", 0, 1, "no"),
    ImportError("no", name="x"),
    SyntaxError("bad", ("f.py", 1, 2, "x=")),
    AttributeError("a", name="n", obj=object()),
    ZeroDivisionError(),
    TimeoutError("late"),
    MemoryError(),
    RecursionError("deep"),
    BlockingIOError(11, "again"),
    UserWarning("w"),
    ConnectionResetError(104, "reset"),
    Exception("plain", 1),
]


@pytest.mark.parametrize("error", BUILT_IN, ids=lambda e: type(e).__name__)
def test_a_built_in_exception_is_caught_by_its_own_class(error: Exception) -> None:
    got = sent(error)
    with pytest.raises(type(error)) as caught:
        raise got
    assert caught.value is got
    assert isinstance(got, RemoteError)
    assert str(got) == str(error)
    assert got.type_name == type(error).__qualname__
    assert (got.task_id, got.actor, got.path, got.attempts) == ("t1", "shop", "", 2)
    assert type(error).__name__ in got.remote_traceback


def test_attributes_that_built_in_exceptions_keep_apart_are_there() -> None:
    gone: Any = sent(FileNotFoundError(2, "No such file", "/x"))
    assert (gone.errno, gone.strerror, gone.filename, gone.args) == (2, "No such file", "/x", (2, "No such file"))
    text: Any = sent(BUILT_IN[4])
    assert (text.encoding, text.object, text.start, text.end) == ("utf-8", b"\xff", 0, 1)


def test_every_built_in_exception_can_be_rebuilt() -> None:
    kinds = [k for k in vars(builtins).values() if isinstance(k, type) and issubclass(k, BaseException)]
    for kind in {*kinds, *(k for k in vars(errors).values() if isinstance(k, type))}:
        for args in ((), ("text",), (1, "a", b"b", 2, 3), ("a", 2**80, 2**80, 2**80, ""), ({"a": 1}, None)):
            error = rebuild(ErrorInfo(type_name=type_name(kind), message="m", args=args), REGISTRY)
            assert isinstance(error, RemoteError)
            assert str(error) == (f"{type_name(kind)}: m" if type(error) is RemoteError else "m")
            assert "m" in repr(error) or args
            traceback.format_exception(error)


@pytest.mark.parametrize(
    "error",
    [StopIteration(1), StopAsyncIteration(), asyncio.CancelledError(), GeneratorExit(), SystemExit(3),
     KeyboardInterrupt(), ExceptionGroup("many", [ValueError("x")]), BaseExceptionGroup("all", [SystemExit()]),
     Unknown("u"), json.JSONDecodeError("bad", "x", 0)],
    ids=lambda e: type(e).__name__,
)  # fmt: skip
def test_what_is_unknown_or_would_break_the_caller_is_a_plain_remote_error(error: BaseException) -> None:
    got = sent(error)
    assert type(got) is RemoteError
    assert got.type_name.endswith(type(error).__qualname__)
    assert str(got) == got.type_name + (f": {error}" if str(error) else "")
    assert got.args == (str(error),)
    assert str(sent(got)) == str(got), "also if a parent passes it on"


def test_a_registered_class_is_rebuilt_without_running_its_init() -> None:
    got = sent(Declined(7, reason="funds"))
    assert isinstance(got, Declined)
    assert isinstance(got, RemoteError)
    assert str(got) == "declined with 7"
    assert got.args == ("declined with 7",)
    assert not hasattr(got, "reason")
    assert isinstance(sent(Picky([])), Picky)
    assert type(sent(Declined(7, reason="x"), ExceptionRegistry())) is RemoteError


def test_the_class_is_made_once() -> None:
    assert type(sent(ValueError(1))) is type(sent(ValueError(2)))


def test_the_name_tells_both() -> None:
    text = "".join(traceback.format_exception_only(sent(ValueError("bad"))))
    assert text.startswith("actorq.errors.RemoteError[ValueError]: bad")


def test_the_remote_traceback_shows_where_the_error_is_printed() -> None:
    text = "".join(traceback.format_exception(sent(ValueError("bad"))))
    assert "In the worker (actor shop, task t1)" in text
    assert "in sent" in text


@pytest.mark.parametrize("kind", [StopIteration, ExceptionGroup, SystemExit, BaseException, int, "ValueError", None])
def test_what_cannot_be_registered(kind: Any) -> None:
    with pytest.raises(UsageError, match="cannot be registered"):
        ExceptionRegistry().register(kind)


def test_a_class_that_cannot_be_combined_is_refused_when_registered() -> None:
    class Meta(type):
        pass

    class Odd(Exception, metaclass=Meta):
        pass

    assert ExceptionRegistry().register(Odd) is Odd

    class Slotted(Exception):
        def __init_subclass__(cls) -> None:
            raise TypeError("no subclasses, please")

    with pytest.raises(UsageError, match="Slotted cannot be combined with RemoteError: no subclasses"):
        ExceptionRegistry().register(Slotted)


def test_an_error_of_an_awaited_task_passes_on_as_what_it_was() -> None:
    got = sent(sent(Declined(7, reason="x")))
    assert isinstance(got, Declined)
    assert str(got) == "declined with 7"
    assert isinstance(sent(sent(TimedOutTask())), TimedOut)


def TimedOutTask() -> TaskError:  # noqa: N802
    return rebuild(ErrorInfo(type_name="actorq.errors.TimedOut", message="late", kind="timed_out"), REGISTRY)


def test_errors_of_actorq_come_back_as_theirs() -> None:
    """With the defaults of what is set by an __init__, which is not run again."""
    got = sent(PayloadTooLarge("too large", size=1, limit=2))
    assert isinstance(got, PayloadTooLarge)
    assert (got.size, got.limit) == (0, 0)
    for kind in (k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.ActorqError)):
        made, rebuilt = kind("text"), sent(kind("text"))
        assert all(hasattr(rebuilt, name) for name in vars(made)), kind


@pytest.mark.parametrize("error", [*BUILT_IN, Declined(7, reason="x"), Unknown("u"), KeyError(), TimedOut("late"),
                                   *(kind("text") for kind in (RemoteError, PayloadTooLarge, DeadLettered))],
                         ids=lambda e: type(e).__name__)  # fmt: skip
@pytest.mark.parametrize("again", [pickled, copy.copy, copy.deepcopy])
def test_what_was_rebuilt_can_be_pickled_and_copied(error: Exception, again: Callable[[Any], Any]) -> None:
    got = sent(error)
    got.path = "chain[1]"
    found = again(got)
    assert type(found) is type(got)
    assert (str(found), found.args, vars(found)) == (str(got), got.args, vars(got))
    assert getattr(found, "filename", None) == getattr(got, "filename", None)


def test_a_class_that_pickle_cannot_find_is_left_out() -> None:
    class Local(ValueError):
        pass

    registry = ExceptionRegistry()
    registry.register(Local)
    got: Any = sent(Local("bad"), registry)
    found = pickled(got)
    assert type(found) is RemoteError
    assert (found.type_name, found.actor, found.args) == (got.type_name, "shop", ("bad",))
    assert str(found) == f"{got.type_name}: bad"


@pytest.mark.parametrize(
    "error",
    [errors.PayloadTooLarge("m", size=1, limit=2), errors.InvalidName("m", name="n"), errors.ConfigError("m"),
     errors.TimedOut("m", task_id="t"), errors.ResultTimeout("m", task_id="t"), errors.TransportError("m", subject="s"),
     errors.SupervisionError("m", path="p"), errors.InvalidArguments("m", actor="a")],
    ids=lambda e: type(e).__name__,
)  # fmt: skip
def test_every_error_can_be_pickled(error: Exception) -> None:
    for found in (pickled(error), copy.copy(error)):
        assert (type(found), str(found), vars(found)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("timed_out", TimedOut), ("cancelled", Cancelled), ("expired", Expired), ("deadline", DeadlineExceeded),
     ("dead", DeadLettered), ("raised", RemoteError), ("of-a-later-version", RemoteError)],
)  # fmt: skip
def test_each_kind_has_its_class(kind: str, expected: type[TaskError]) -> None:
    info = ErrorInfo(
        type_name="x", message="m", kind=kind, reason="crash_loop", actor="a", task_id="t", path="chain[1]",
        attempts=3, abandoned=True, traceback="tb",
    )  # fmt: skip
    error = rebuild(info, REGISTRY)
    assert type(error) is expected
    assert str(error) == ("x: m" if expected is RemoteError else "m")
    assert (error.actor, error.task_id, error.path, error.attempts) == ("a", "t", "chain[1]", 3)
    assert error.remote_traceback == "tb"
    assert getattr(error, "abandoned", True)
    assert getattr(error, "reason", "crash_loop") == "crash_loop"


@given(strategies.errors)
def test_any_error_from_the_wire_is_rebuilt(info: ErrorInfo) -> None:
    error = rebuild(info, REGISTRY)
    assert str(error).endswith(info.message)


# ---- describing


def test_the_traceback_begins_in_user_code_and_shows_no_values() -> None:
    secret = "hunter2"
    scope: dict[str, Any] = {"__name__": "actorq.runtime.boundary", "call": lambda: 1 / (len(secret) - 7)}
    exec(compile("def guarded(): call()", "boundary.py", "exec"), scope)  # a frame of actorq's own
    with pytest.raises(ZeroDivisionError) as caught:
        scope["guarded"]()
    found = describe(caught.value, actor="a", task_id="t", attempts=1).traceback
    lines = found.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "test_the_traceback_begins_in_user_code" in lines[1]
    innermost = [line for line in lines if "File" in line]
    assert "in <lambda>" in innermost[-1]
    assert "hunter2" not in found.replace('secret = "hunter2"', "")


def test_causes_and_groups_are_shown() -> None:
    error = ExceptionGroup("several", [ValueError("one"), TypeError("two")])
    error.__cause__ = KeyError("first")
    found = describe(error, actor="a", task_id="t", attempts=1)
    for text in ("KeyError: 'first'", "direct cause", "ValueError: one", "TypeError: two"):
        assert text in found.traceback
    assert found.message == "several (2 sub-exceptions)"


def test_everything_is_bounded() -> None:
    def dive(depth: int) -> None:
        if depth:
            dive(depth - 1)
        raise ValueError("x" * 100_000 + "end", ["y" * MAX_ARGS])

    with pytest.raises(ValueError) as caught:
        dive(sys.getrecursionlimit() - 400)
    caught.value.add_note("note " * 50_000)
    found = describe(caught.value, actor="a", task_id="t", attempts=1)
    assert len(found.message) == MAX_MESSAGE
    assert len(found.traceback) == MAX_TRACEBACK
    assert found.traceback.startswith("…")
    assert found.traceback.endswith("note note ")
    assert found.args == ()


def test_args_that_cannot_travel_are_left_out() -> None:
    assert describe(ValueError(1, object()), actor="a", task_id="t", attempts=1).args == ()
    assert describe(ValueError(1, {2}), actor="a", task_id="t", attempts=1).args == (1, {2})


def test_an_error_without_text_is_described_all_the_same() -> None:
    found = describe(Mute(), actor="a", task_id="t", attempts=1)
    assert found.message == NO_TEXT
    assert found.type_name.endswith(".Mute")


class Text(str):
    __slots__ = ()


def user_code(*_: Any) -> Any:
    raise SystemExit("user code")


def text_of_its_own(_: object) -> str:
    return Text("text")


MEMBERS: dict[str, Any] = {
    **dict.fromkeys(("__str__", "__repr__", "__eq__", "__hash__"), user_code),
    **dict.fromkeys(("args", "filename", "type_name", "__class__", "__notes__"), property(user_code)),
    **dict.fromkeys(("__cause__", "__context__", "__traceback__"), property(user_code)),
}
ODD: list[tuple[type[Exception], str, Any]] = [
    *((base, name, member) for base in (Exception, OSError, RemoteError) for name, member in MEMBERS.items()),
    (Exception, "__str__", text_of_its_own),
    (Exception, "args", 5),
    (Exception, "args", (Text("text"), object())),
    (RemoteError, "type_name", 5),
]


@pytest.mark.parametrize(("base", "name", "member"), ODD)
def test_whatever_an_exception_does_its_failure_can_be_sent(base: type[Exception], name: str, member: Any) -> None:
    kind: type[Exception] = type("Odd", (base,), {name: member})
    found = describe(kind("text"), actor="a", task_id="t", attempts=1)
    assert found.type_name
    assert found.message in ("text", NO_TEXT)
    record = Record(id="t1", state="failed", error=found)
    assert decode_record(encode_record(record)) == record


def test_an_exception_may_hold_values_that_raise() -> None:
    @dataclasses.dataclass
    class Unset:
        x: int = dataclasses.field(init=False)

    assert describe(ValueError(Unset()), actor="a", task_id="t", attempts=1).args == ()
