"""The model with the engine's own decisions in it: what runs in a worker is what is explored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from actorq.core import delivery
from actorq.core.delivery import AckUnrun, Held, Keep, LookRecord, Reissue, Repeat, Replace, Run
from actorq.core.sending import Done, Sending, Taken, TryAgain
from actorq.errors import DeliveryUnknown
from actorq.model.envelope import Envelope, Record
from actorq.model.message import Failed, Refused, Stored
from tests.model_check.protocol import Model
from tests.model_check.rules import Plan, repeat
from tests.model_check.world import Copy, Hold, MsgId, Rec, Scenario, Spec, Task, World

_STATES = {"fail": "failed", "can": "cancelled", "retrying": "retrying"}
_OUTCOMES = {state: out for out, state in _STATES.items()}
_SOON = 60.0


@dataclass(frozen=True)
class Decisions:
    """The functions under test; a mutation replaces one of them."""

    must_look: Callable[[bool, int], bool] = delivery.must_look
    after_newer: Callable[[Held, delivery.Copy | None], AckUnrun | LookRecord] = delivery.after_newer
    after_record: Callable[[Held, Record | None], Run | Repeat | AckUnrun] = delivery.after_record
    must_record: Callable[[Envelope, int], bool] = delivery.must_record
    record_refused: Callable[[Held, Record, int], Replace | Repeat | AckUnrun] = delivery.record_refused
    reissue: Callable[..., Reissue] = delivery.reissue
    after_reissue_refused: Callable[[Held, delivery.Copy | None, Record | None], AckUnrun | Repeat | Keep] = (
        delivery.after_reissue_refused
    )
    cancellation: Callable[[Record | None, int], int | None] = delivery.cancellation
    sending: Callable[[], Sending] = Sending


class Plugged(Model):
    """The rules of a holder and of a sender, taken from ``actorq.core`` instead of the specification."""

    def __init__(self, spec: Spec, scenario: Scenario, decisions: Decisions | None = None) -> None:
        super().__init__(spec, scenario)
        self.decisions = decisions or Decisions()
        self._resends = resends_as_repeat(self.decisions.sending())

    def looks(self, c: Copy) -> bool:
        return self.decisions.must_look(c.re, c.deliv + 1)

    def superseded(self, w: World, h: Hold) -> bool:
        return isinstance(self.decisions.after_newer(held(h), self.newest(w, h)), AckUnrun)

    def newest(self, w: World, h: Hold) -> delivery.Copy | None:
        """One read of the wildcard: the newest message of the key, whosever it is."""
        copies = self.on_key(w, self.sc.tasks[h.task].key)
        if not copies:
            return None
        c = max(copies)
        return delivery.Copy(id=name(c.task), sequence=c.seq, generation=c.g, repeat=c.re)

    def after_record(self, h: Hold, rec: Rec | None) -> Hold | None:
        verdict = self.decisions.after_record(held(h), record_of(h.task, rec))
        return None if isinstance(verdict, Run) else carried_out(h, verdict)

    def record_refused(self, h: Hold, rec: Rec) -> Hold:
        record = record_of(h.task, rec)
        assert record is not None
        verdict = self.decisions.record_refused(held(h), record, rec.ver)
        if isinstance(verdict, Replace):
            return h._replace(pc="rec", ver=verdict.sequence)
        return carried_out(h, verdict)

    # The engine reads twice and decides once; the model decides after each read, so that others may act in between.

    def refused_for_newer(self, w: World, h: Hold) -> bool:
        return isinstance(self.decisions.after_reissue_refused(held(h), self.newest(w, h), None), AckUnrun)

    def refused_for_record(self, h: Hold, rec: Rec | None) -> Hold | None:
        verdict = self.decisions.after_reissue_refused(held(h), None, record_of(h.task, rec))
        return None if isinstance(verdict, Keep) else carried_out(h, verdict)

    def cancellation(self, w: World, t: int) -> int | None:
        copies = [c for c in w.copies if c.task == t]
        return self.decisions.cancellation(record_of(t, w.recs[t]), max(copies).g if copies else 0)

    def writes(self, h: Hold) -> bool:
        # The model remembers only that it looked, not whether as a repeat or as a redelivery: to the decision these
        # have to be the same.
        repeated = self.decisions.must_record(envelope_of(h, self.sc.tasks[h.task], repeat=h.look), 1)
        redelivered = self.decisions.must_record(envelope_of(h, self.sc.tasks[h.task]), 2 if h.look else 1)
        assert repeated == redelivered
        return repeated

    def plan(self, h: Hold) -> Plan:
        assert h.ri is not None
        kind, n = h.ri
        at = _SOON if kind == "S" else None
        plan = self.decisions.reissue(envelope_of(h, self.sc.tasks[h.task]), 1, held(h), retry=n > h.n, at=at)
        envelope = plan.envelope
        return Plan(
            kind="T" if plan.at is None else "S",
            n=envelope.attempt,
            g=envelope.generation,
            re=envelope.repeat,
            msgid=parse_msg_id(plan.msg_id),
            expect=plan.expected,
        )

    def resends_as_repeat(self) -> bool:
        return self._resends


def resends_as_repeat(sending: Sending) -> bool:
    """Ask the machine how it goes on after a confirmation was lost."""
    verdict = sending.after(Failed(DeliveryUnknown("no confirmation"), unknown=True), 0.0, 15.0)
    assert isinstance(verdict, TryAgain)
    for answer in (Stored(7), Stored(7, duplicate=True), Refused()):
        # The model ends the sender at any of these answers to the second try.
        copy = Sending()
        copy.after(Failed(DeliveryUnknown("no confirmation"), unknown=True), 0.0, 15.0)
        assert isinstance(copy.after(answer, 0.1, 15.0), Done | Taken)
    return verdict.repeat


def carried_out(h: Hold, verdict: AckUnrun | Repeat) -> Hold:
    """The holder after a verdict that ends it."""
    if isinstance(verdict, AckUnrun):
        return h._replace(pc="ack")
    return repeat(h, rec_of(verdict.record))


def name(task: int) -> str:
    return f"t{task}"


@lru_cache(maxsize=4096)
def _held(task: int, seq: int, g: int) -> Held:
    return Held(name(task), seq, g)


def held(h: Hold) -> Held:
    return _held(h.task, h.seq, h.g)


@lru_cache(maxsize=4096)
def record_of(task: int, rec: Rec | None) -> Record | None:
    """A record of the model as the engine reads it."""
    if rec is None:
        return None
    value = rec.out if rec.out not in _STATES else None
    state = _STATES.get(rec.out, "succeeded")
    return Record(id=name(task), state=state, generation=rec.g, value=value)


def rec_of(record: Record) -> Rec:
    """The outcome and generation of a record, in the model's words."""
    return Rec(_OUTCOMES.get(record.state) or str(record.value), record.generation, 0)


def envelope_of(h: Hold, task: Task, *, repeat: bool = False) -> Envelope:
    """The message in hand as the engine decodes it."""
    return Envelope(
        id=name(h.task),
        to="actor",
        attempt=h.n,
        generation=h.g,
        repeat=repeat,
        reply=None if task.norec else 3600.0,
        frames=() if task.next is None else (task.next,),
    )


def parse_msg_id(msg_id: str) -> MsgId:
    """``t0.7`` is the re-issue of the message 7; ``t0`` alone is the id that the first send used."""
    task, dot, sequence = msg_id.removeprefix("t").partition(".")
    return ("own", int(task), int(sequence)) if dot else ("id", int(task), 0)
