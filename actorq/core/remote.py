"""A handler's exception on its way to whoever awaits: described as text, rebuilt from a registry (semantics I-10).

Nothing is unpickled or imported by name: only exceptions built into Python, actorq's own and registered ones come back
as their class.
"""

from __future__ import annotations

import builtins
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from actorq import errors
from actorq.core.values import NO_TEXT, to_wire
from actorq.core.wire import pack
from actorq.errors import (
    Cancelled,
    DeadLettered,
    DeadlineExceeded,
    Expired,
    RemoteError,
    TaskError,
    TimedOut,
    UsageError,
)
from actorq.model.envelope import ErrorInfo

E = TypeVar("E", bound=Exception)
T = TypeVar("T")

MAX_MESSAGE = 4 * 1024
MAX_TRACEBACK = 16 * 1024
MAX_ARGS = 4 * 1024
_FRAMES = 50
# Raised in the caller these would end its loops, or need the exceptions that they hold.
_NEVER: tuple[type[BaseException], ...] = (StopIteration, StopAsyncIteration, BaseExceptionGroup)
_PLUMBING = frozenset({"actorq", "anyio", "asyncio", "trio", "outcome", "concurrent", "threading", "contextlib"})
_KINDS: dict[str, type[TaskError]] = {
    "timed_out": TimedOut,
    "cancelled": Cancelled,
    "expired": Expired,
    "deadline": DeadlineExceeded,
    "dead": DeadLettered,
}


def type_name(kind: type[BaseException]) -> str:
    """How a class is called on the wire: its module and name, the bare name for what is built in."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class ExceptionRegistry:
    """The exception classes that are rebuilt for whoever awaits a task, besides those built into Python."""

    def __init__(self) -> None:
        self._known: dict[str, type[Exception]] = {}

    def register(self, kind: type[E]) -> type[E]:
        """Make a class known (also as a decorator): it is then raised where its task is awaited.

        The instance there has the original's ``args`` and text; its ``__init__`` is not run again, so attributes that
        it sets are absent. Raises UsageError for what is not an Exception class or cannot be combined with RemoteError.
        """
        if not _may_be_raised(kind):
            raise UsageError(
                f"{kind!r} cannot be registered: use a class derived from Exception, no group or iteration"
            )
        try:
            _combined(kind)
        except TypeError as error:
            raise UsageError(f"{type_name(kind)} cannot be combined with RemoteError: {error}") from error
        self._known[type_name(kind)] = kind
        return kind

    def find(self, name: str) -> type[Exception] | None:
        """The class of that name, None if it is neither known here nor safe to raise."""
        return self._known.get(name) or _BUILT_IN.get(name)


# ---- describing


def describe(error: BaseException, *, actor: str, task_id: str, attempts: int) -> ErrorInfo:
    """What travels of an exception: names and bounded text, its traceback without local variables. Never raises."""
    return ErrorInfo(
        type_name=_seen(_name, error, "Exception"),
        message=_seen(_message, error, NO_TEXT),
        traceback=_seen(_trace, error, ""),
        actor=actor,
        task_id=task_id,
        attempts=attempts,
        args=_seen(_args, error, ()),
    )


def _seen(look: Callable[[BaseException], T], error: BaseException, otherwise: T) -> T:
    """What ``look`` sees in an exception: user code, whose attributes may all raise."""
    try:
        return look(error)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException:  # noqa: BLE001  user code: it must not hide the failure
        return otherwise


def _name(error: BaseException) -> str:
    given = error.type_name if isinstance(error, RemoteError) else ""
    return _cut(given or type_name(type(error)))


def _message(error: BaseException) -> str:
    # The text of a plain RemoteError begins with its type_name, which travels on its own.
    return _cut(str(Exception(*error.args) if type(error) is RemoteError else error))


def _cut(text: str) -> str:
    text = str.__str__(text)
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


def _trace(error: BaseException) -> str:
    shown = traceback.TracebackException(
        type(error), error, own_frames(error.__traceback__), limit=-_FRAMES, compact=True
    )
    text = "".join(shown.format()).rstrip("\n")
    return text if len(text) <= MAX_TRACEBACK else "…\n" + text[2 - MAX_TRACEBACK :]


def own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from its first frame of user code on; all of it if there is none."""
    at = trace
    while at is not None:
        if str(at.tb_frame.f_globals.get("__name__", "")).partition(".")[0] not in _PLUMBING:
            return at
        at = at.tb_next
    return trace


def _args(error: BaseException) -> tuple[Any, ...]:
    args = tuple(error.args)
    if isinstance(error, OSError) and isinstance(error.filename, str) and len(args) == 2:
        args = (*args, error.filename)  # which OSError keeps apart
    wire: tuple[Any, ...] = to_wire(args)
    return wire if len(pack(wire)) <= MAX_ARGS else ()


# ---- rebuilding


def rebuild(info: ErrorInfo, registry: ExceptionRegistry) -> TaskError:
    """The exception to raise where the task is awaited. ``except`` finds it by the original's class if it is known."""
    kind = _KINDS.get(info.kind)
    error = _remote(info, registry) if kind is None else kind(info.message)
    error.task_id, error.actor, error.path = info.task_id, info.actor, info.path
    error.attempts, error.remote_traceback = info.attempts, info.traceback
    if isinstance(error, TimedOut):
        error.abandoned = info.abandoned
    elif isinstance(error, DeadLettered):
        error.reason = info.reason
    if info.traceback:
        error.add_note(f"\nIn the worker (actor {info.actor}, task {info.task_id}):\n{info.traceback}")
    return error


def _remote(info: ErrorInfo, registry: ExceptionRegistry) -> RemoteError:
    original = registry.find(info.type_name)
    error = RemoteError(info.message) if original is None else _instance(original, info.args, info.message)
    error.type_name = info.type_name
    return error


def _instance(original: type[Exception], args: tuple[Any, ...], text: str) -> RemoteError:
    kind = _combined(original)
    maker = _maker(kind)
    error: RemoteError = maker.__new__(kind)
    try:
        maker.__init__(error, *args)  # fills what OSError, UnicodeError and the like keep apart from args
    except (TypeError, ValueError, OverflowError):
        error.args = args
    vars(error)["_text"] = text
    return error


def _maker(kind: Any) -> Any:
    """The first class of the layout's line that is not written in Python: with it no code of the original runs."""
    while kind not in _TYPES:
        kind = kind.__base__
    return kind


def _combined(original: type[Exception]) -> type[RemoteError]:
    found = _COMBINED.get(original)
    if found is not None:
        return found
    body = {
        "__module__": RemoteError.__module__,
        "__reduce__": _reduced,
        "__str__": _stored_text,
        "__doc__": f"Raised by a worker: {original!r}.",
    }
    bases = (original,) if issubclass(original, RemoteError) else (RemoteError, original)
    kind: Any = type(f"RemoteError[{original.__qualname__}]", bases, body)
    return _COMBINED.setdefault(original, kind)


def _stored_text(error: RemoteError) -> str:
    return str(vars(error).get("_text", ""))


def _reduced(error: RemoteError) -> tuple[Any, ...]:
    """For copy and pickle: made again from the original class; one that pickle cannot find is left out."""
    original = type(error).__bases__[-1]
    found: Any = sys.modules.get(original.__module__)
    for part in original.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not original:
        return RemoteError, (str(error),), vars(error)
    args = _maker(type(error)).__reduce__(error)[1]  # an OSError's with its file name
    return _instance, (original, args, str(error)), vars(error)


def _may_be_raised(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, _NEVER)


_COMBINED: dict[type[Exception], type[RemoteError]] = {}
_TYPES = frozenset(kind for kind in vars(builtins).values() if isinstance(kind, type))
_BUILT_IN: dict[str, type[Exception]] = {
    type_name(kind): kind
    for kind in (*vars(builtins).values(), *vars(errors).values())
    if _may_be_raised(kind) and kind not in (RemoteError, TaskError)
}
