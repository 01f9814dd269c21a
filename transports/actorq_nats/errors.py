"""What the broker says, in actorq's errors: the one table."""

from __future__ import annotations

import re
from enum import Enum, auto

from actorq.errors import (
    ActorqError,
    BrokerUnavailable,
    ConfigError,
    DeliveryUnknown,
    PermissionDenied,
    StreamFull,
    TransportError,
)
from actorq.model.message import Confirmation, Failed, Refused


class Meaning(Enum):
    """What an error code says about the request that it answers. Whatever it is: nothing was stored."""

    REFUSED = auto()
    FULL = auto()
    LATER = auto()
    SETUP = auto()
    HOPELESS = auto()


# Names as in the server's errors.json.
MEANINGS = {
    10071: Meaning.REFUSED,  # JSStreamWrongLastSequence
    10164: Meaning.REFUSED,  # JSStreamWrongLastSequenceConstant
    10002: Meaning.FULL,  # JSAccountResourcesExceeded
    10023: Meaning.FULL,  # JSInsufficientResources
    10028: Meaning.FULL,  # JSMemoryResourcesExceeded
    10047: Meaning.FULL,  # JSStorageResourcesExceeded
    10077: Meaning.FULL,  # JSStreamStoreFailed
    10122: Meaning.FULL,  # JSStreamMaxStreamBytesExceeded
    10008: Meaning.LATER,  # JSClusterNotAvail
    10009: Meaning.LATER,  # JSClusterNotLeader
    10041: Meaning.LATER,  # JSRaftGeneral
    10118: Meaning.LATER,  # JSStreamOffline
    10119: Meaning.LATER,  # JSConsumerOffline
    10158: Meaning.LATER,  # JSStreamDuplicateMessageConflict: the same id is being stored right now
    10163: Meaning.LATER,  # JSStreamExpectedLastSeqPerSubjectNotReady
    10167: Meaning.LATER,  # JSStreamTooManyRequests
    10010: Meaning.SETUP,  # JSClusterRequired
    10035: Meaning.SETUP,  # JSNoAccount
    10039: Meaning.SETUP,  # JSNotEnabledForAccount
    10076: Meaning.SETUP,  # JSNotEnabled
    10074: Meaning.SETUP,  # JSStreamReplicasNotSupported
    10005: Meaning.SETUP,  # JSClusterNoPeers
    10026: Meaning.SETUP,  # JSMaximumConsumersLimit
    10027: Meaning.SETUP,  # JSMaximumStreamsLimit
    10065: Meaning.SETUP,  # JSStreamSubjectOverlap
    10113: Meaning.SETUP,  # JSStreamMaxBytesRequired
    10120: Meaning.SETUP,  # JSNoLimits
}

STREAM_NOT_FOUND = 10059
SUBJECTS_OVERLAP = 10065
CONSUMER_NOT_FOUND = 10014
CONSUMER_EXISTS = (10013, 10148)
CONSUMER_OVERLAP = 10100
MESSAGE_NOT_FOUND = (10037, 10043)
DELETE_FAILED = 10057

_SYSTEM = re.compile(r"\baq-([A-Za-z0-9_-]+)_(?:tasks|results|dead)\b")
_ADVICE = {
    Meaning.FULL: "raise the limit of the account or free space on the broker's disk",
    Meaning.LATER: "the broker is busy or electing a leader; try again",
    Meaning.SETUP: "correct the broker's configuration (JetStream, account limits, cluster size)",
    Meaning.HOPELESS: "the broker does not accept this",
}


class NobodyAnswers(BrokerUnavailable):
    """There is nobody behind a subject of the broker's API at the moment."""


class ApiError(Exception):
    """An error answer of the broker's API, before it is known what it means to the caller. Never crosses the port."""

    def __init__(self, code: int, status: int, description: str, subject: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code
        self.meaning = MEANINGS.get(code, Meaning.LATER if status >= 429 else Meaning.HOPELESS)
        self.subject = subject

    def translated(self) -> ActorqError:
        """As the caller of the port gets it."""
        meaning = self.meaning
        if self.code == STREAM_NOT_FOUND and (system := _SYSTEM.search(self.subject)):
            return TransportError(
                f"the streams of {system[1]!r} are gone: removed by somebody, or the broker lost its store; whoever"
                " connects next, such as a worker that starts, makes new ones",
                subject=self.subject,
            )
        text = f"{self.subject}: the broker answers {self}: {_ADVICE.get(meaning, _ADVICE[Meaning.HOPELESS])}"
        if meaning is Meaning.SETUP:
            return ConfigError(text)
        if meaning is Meaning.LATER:
            return BrokerUnavailable(text, subject=self.subject)
        return (StreamFull if meaning is Meaning.FULL else TransportError)(text, subject=self.subject)


def confirmation(answer: ApiError) -> Confirmation:
    """An error answer to a publication."""
    if answer.meaning is Meaning.REFUSED:
        return Refused()
    error = answer.translated()
    if not isinstance(error, TransportError):
        error = BrokerUnavailable(str(error), subject=answer.subject)
    return Failed(error, permanent=answer.meaning is Meaning.HOPELESS)


def no_responders(subject: str) -> Failed:
    """Nobody was there to store a message."""
    return Failed(
        BrokerUnavailable(
            f"no stream takes {subject} at the moment (its leader is being elected, or the stream is gone); try again",
            subject=subject,
        )
    )


def not_written(subject: str, why: str) -> Failed:
    """A message that never left this process."""
    return Failed(BrokerUnavailable(f"the message to {subject} was not sent: {why}", subject=subject))


def not_confirmed(subject: str, why: str) -> Failed:
    """A message that left and was not answered."""
    return Failed(
        DeliveryUnknown(f"the message to {subject} was sent but not confirmed: {why}", subject=subject), unknown=True
    )


def denied(action: str, subject: str, user: str) -> PermissionDenied:
    """``action``: publish or subscription."""
    doing = "publish to" if action == "publish" else "subscribe to"
    return PermissionDenied(f"{user} may not {doing} {subject}: allow it in the broker's permissions", subject=subject)


_DENIAL = re.compile(r"permissions violation for (publish|subscription) to \"([^\"]*)\"")


def parse_denial(text: str) -> tuple[str, str] | None:
    """Action and (lower-cased) subject out of the broker's complaint, as nats-py passes it on."""
    found = _DENIAL.search(text.lower())
    return (found[1], found[2]) if found else None
