"""Durable tasks for async Python: actors addressed by name, run by supervised workers."""

from importlib import import_module
from typing import TYPE_CHECKING

from actorq.actor import Actor, Address, ClassActor
from actorq.blocking import BlockingClient
from actorq.errors import (
    ActorqError,
    BrokerUnavailable,
    Cancelled,
    CanvasError,
    ConfigError,
    DeadLettered,
    DeadlineExceeded,
    DeliveryUnknown,
    Expired,
    InternalError,
    InvalidArguments,
    InvalidName,
    MailboxFull,
    PayloadTooLarge,
    PermissionDenied,
    RemoteError,
    RestartIntensityExceeded,
    ResultError,
    ResultExpired,
    ResultTimeout,
    StreamFull,
    SupervisionError,
    TaskError,
    TimedOut,
    TransportError,
    UnknownTask,
    UsageError,
)
from actorq.handle import Handle
from actorq.model.message import StreamSettings
from actorq.model.retry import Retry
from actorq.model.worker import WorkerOptions
from actorq.runtime.context import Context, check_cancelled
from actorq.runtime.target import Background
from actorq.system import ActorSystem

if TYPE_CHECKING:
    from actorq.worker import Worker
else:

    def __getattr__(name: str) -> object:
        """A program that only sends need not load what runs tasks: that is a third of the time to import it all."""
        if name != "Worker":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module("actorq.worker").Worker


__all__ = [
    "Actor",
    "ActorSystem",
    "ActorqError",
    "Address",
    "Background",
    "BlockingClient",
    "BrokerUnavailable",
    "Cancelled",
    "CanvasError",
    "ClassActor",
    "ConfigError",
    "Context",
    "DeadLettered",
    "DeadlineExceeded",
    "DeliveryUnknown",
    "Expired",
    "Handle",
    "InternalError",
    "InvalidArguments",
    "InvalidName",
    "MailboxFull",
    "PayloadTooLarge",
    "PermissionDenied",
    "RemoteError",
    "RestartIntensityExceeded",
    "ResultError",
    "ResultExpired",
    "ResultTimeout",
    "Retry",
    "StreamFull",
    "StreamSettings",
    "SupervisionError",
    "TaskError",
    "TimedOut",
    "TransportError",
    "UnknownTask",
    "UsageError",
    "Worker",
    "WorkerOptions",
    "check_cancelled",
]
