"""Every error that actorq raises, by whose fault it is.

::

    ActorqError
    ├── UsageError                 the calling code is wrong; nothing was sent
    │   ├── InvalidName            a name is not a token
    │   ├── InvalidArguments       arguments do not fit the handler
    │   ├── ConfigError            a setting, a stream or a consumer does not fit
    │   ├── CanvasError            a canvas cannot be built
    │   └── PayloadTooLarge        a message or a result is above the limit
    ├── TaskError                  the task ended without a value
    │   ├── RemoteError            its handler raised
    │   ├── TimedOut               (also TimeoutError) an attempt exceeded its time limit
    │   ├── Cancelled              somebody cancelled it
    │   ├── Expired                it was not started in time
    │   ├── DeadlineExceeded       its root's deadline passed
    │   └── DeadLettered           it could not be run at all
    ├── ResultError                the outcome is not (or no longer) to be had
    │   ├── ResultTimeout          (also TimeoutError) not within the time given
    │   ├── ResultExpired          it ended, and its record's time to live is over
    │   └── UnknownTask            no trace of that id
    ├── TransportError             the broker, or the way to it
    │   ├── BrokerUnavailable      surely not stored
    │   ├── DeliveryUnknown        sent, not confirmed: it may or may not be stored
    │   ├── PermissionDenied       the broker refused this user
    │   ├── MailboxFull            the backlog's limit is reached
    │   └── StreamFull             the account's or the disk's limit is reached
    ├── SupervisionError           a supervisor gave up
    │   └── RestartIntensityExceeded
    └── InternalError              a defect of actorq: please report it
"""

from __future__ import annotations

# Attributes have defaults on the classes, too: an error that comes back from a worker is made without its __init__.


class ActorqError(Exception):
    """Root of the tree. ``str(error)`` says what happened, to what, and what to do next."""


class UsageError(ActorqError):
    """The calling code is wrong. Raised at once; nothing was sent."""


class InvalidName(UsageError):
    """A name breaks the token rule. ``name`` is what was given."""

    name: object = None

    def __init__(self, message: str, *, name: object = None) -> None:
        super().__init__(message)
        self.name = name


class InvalidArguments(UsageError):
    """Arguments do not fit the handler's signature or annotations. ``actor`` is its name."""

    actor: str = ""

    def __init__(self, message: str, *, actor: str = "") -> None:
        super().__init__(message)
        self.actor = actor


class ConfigError(UsageError):
    """A setting, a stream or a consumer is not what it has to be. ``problems`` has one line for each."""

    problems: tuple[str, ...] = ()

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems or (message,)


class CanvasError(UsageError):
    """A canvas cannot be built from these parts."""


class PayloadTooLarge(UsageError):
    """A message or a result exceeds ``limit`` bytes; it has ``size``."""

    size: int = 0
    limit: int = 0

    def __init__(self, message: str, *, size: int = 0, limit: int = 0) -> None:
        super().__init__(message)
        self.size = size
        self.limit = limit


class TaskError(ActorqError):
    """The task ended without a value.

    ``task_id`` and ``actor`` name it; ``attempts`` counts its runs; ``path`` is its place in a canvas
    (empty for a task of its own); ``remote_traceback`` is the worker's, without local variables.
    """

    task_id: str = ""
    actor: str = ""
    path: str = ""
    attempts: int = 0
    remote_traceback: str = ""

    def __init__(
        self,
        message: str,
        *,
        task_id: str = "",
        actor: str = "",
        path: str = "",
        attempts: int = 0,
        remote_traceback: str = "",
    ) -> None:
        super().__init__(message)
        self.task_id = task_id
        self.actor = actor
        self.path = path
        self.attempts = attempts
        self.remote_traceback = remote_traceback


class RemoteError(TaskError):
    """The handler raised. Where its class is built in or registered, the instance derives from that too.

    ``type_name`` is the qualified name of the original class, whether or not it is known here. Where it is not, the
    text begins with it.
    """

    type_name: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.type_name, super().__str__())))


class TimedOut(TaskError, TimeoutError):
    """An attempt exceeded its time limit. ``abandoned``: its thread could not be stopped and goes on unseen."""

    abandoned: bool = False


class Cancelled(TaskError):
    """The task was cancelled. Not to be confused with the event loop's cancellation."""


class Expired(TaskError):
    """The task was not started before its ``expires``."""


class DeadlineExceeded(TaskError):
    """The deadline of the task's root passed."""


class DeadLettered(TaskError):
    """The task could not be run and lies in the dead letters. ``reason`` is one of semantics F-3."""

    reason: str = ""


class ResultError(ActorqError):
    """The outcome is not to be had. ``task_id`` names the task."""

    task_id: str = ""

    def __init__(self, message: str, *, task_id: str = "") -> None:
        super().__init__(message)
        self.task_id = task_id


class ResultTimeout(ResultError, TimeoutError):
    """No outcome within the time given. The task goes on; await its handle again."""


class ResultExpired(ResultError):
    """The task is over and its record has been removed after its time to live."""


class UnknownTask(ResultError):
    """Neither a message nor a record has this id."""


class TransportError(ActorqError):
    """The broker, or the way to it. ``subject`` is what was addressed, where there is one."""

    subject: str = ""

    def __init__(self, message: str, *, subject: str = "") -> None:
        super().__init__(message)
        self.subject = subject


class BrokerUnavailable(TransportError):
    """No broker answered; what was to be stored surely was not."""


class DeliveryUnknown(TransportError):
    """Sent but not confirmed in time: stored or not. Sending again with the same ``task_id`` is safe."""


class PermissionDenied(TransportError):
    """The broker refused this user the subject."""


class MailboxFull(TransportError):
    """The actor's ``max_backlog`` is reached."""


class StreamFull(TransportError):
    """The broker has no room left; nothing was stored."""


class SupervisionError(ActorqError):
    """A supervisor gave up. ``path`` names it."""

    path: str = ""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class RestartIntensityExceeded(SupervisionError):
    """More restarts than ``max_restarts`` within ``within``."""


class InternalError(ActorqError):
    """A defect of actorq."""
