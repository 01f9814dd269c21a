"""Durable tasks for async Python: actors addressed by name, run by supervised workers."""

from actorq.actor import Actor, Address
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
from actorq.runtime.context import Context, check_cancelled
from actorq.runtime.target import Background
from actorq.system import ActorSystem
from actorq.worker import Worker, WorkerOptions

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
