"""Confirmed sending (semantics D-7) as a machine without a clock: after each try, whether and how to go on.

One machine serves one message, of a sender or of a worker that settles (there the deadline is the end of the lease).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from actorq.errors import (
    ActorqError,
    BrokerUnavailable,
    DeliveryUnknown,
    InternalError,
    MailboxFull,
    PermissionDenied,
    StreamFull,
)
from actorq.model.message import Confirmation, Failed, Refused, Stored

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
_SPEAKING = (StreamFull, PermissionDenied, MailboxFull)


@dataclass(frozen=True, slots=True)
class Done:
    """It is there, as ``sequence`` (0: not known). ``duplicate``: it was there before this machine's first try."""

    sequence: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """The caller's own expectation does not hold. ``perhaps_own``: an earlier try of this very message may be why."""

    perhaps_own: bool = False


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Try once more after ``after`` seconds.

    ``repeat``: an earlier try may have been stored, so this one carries ``repeat`` and expects that no copy is there
    (unless the caller expects something else anyway).
    """

    after: float
    repeat: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Raise ``error``: BrokerUnavailable or a more telling one if surely nothing was stored, else DeliveryUnknown."""

    error: ActorqError


Verdict = Done | Taken | TryAgain | GiveUp


class Sending:
    """The tries of one message. ``exclusive``: its first try already carries an expectation of the caller's."""

    __slots__ = ("_exclusive", "_pause", "_tries", "_unknown")

    def __init__(self, *, exclusive: bool = False) -> None:
        self._exclusive = exclusive
        self._pause = FIRST_PAUSE
        self._tries = 0
        self._unknown = False

    def after(self, answer: Confirmation, now: float, deadline: float) -> Verdict:
        """What to do after a try was answered. ``now`` and ``deadline``: seconds on any one clock."""
        self._tries += 1
        match answer:
            case Stored(sequence, duplicate):
                return Done(sequence, duplicate and not self._unknown)
            case Refused():
                return self._refused()
            case Failed():
                return self._failed(answer, now, deadline)
            case _:
                assert_never(answer)

    def _refused(self) -> Verdict:
        if self._exclusive:
            return Taken(perhaps_own=self._unknown)
        if self._unknown:
            return Done(0)
        return GiveUp(InternalError("a message without a condition was refused for its condition; please report this"))

    def _failed(self, answer: Failed, now: float, deadline: float) -> Verdict:
        self._unknown = self._unknown or answer.unknown
        pause = self._pause
        if answer.permanent or now + pause >= deadline:
            return GiveUp(self._error(answer))
        self._pause = min(LONGEST_PAUSE, pause * 2)
        return TryAgain(pause, self._unknown)

    def _error(self, answer: Failed) -> ActorqError:
        error, subject = answer.error, answer.error.subject
        what = f"the message on {subject}" if subject else "the message"
        tries = "1 try" if self._tries == 1 else f"{self._tries} tries"
        given: ActorqError
        if self._unknown:
            given = DeliveryUnknown(
                f"{what} was sent but not confirmed in {tries} ({error}): it may or may not be stored;"
                " sending again with the same task_id is safe",
                subject=subject,
            )
        elif answer.permanent or isinstance(error, _SPEAKING):
            return error
        else:
            given = BrokerUnavailable(
                f"{what} was not stored in {tries} ({error}):"
                " check that the broker runs and can be reached, then send again",
                subject=subject,
            )
        given.__cause__ = error
        return given
