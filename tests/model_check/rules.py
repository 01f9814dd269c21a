"""The decisions of a holder, as the specification states them: the reference that the real ones are compared with."""

from __future__ import annotations

from typing import NamedTuple

from tests.model_check.broker import Broker
from tests.model_check.world import Copy, Hold, MsgId, Rec, World


class Plan(NamedTuple):
    """A re-issue as it is published."""

    kind: str
    n: int
    g: int
    re: bool
    msgid: MsgId
    expect: int | None


class Rules(Broker):
    """Each method is one decision; none changes the world."""

    def looks(self, c: Copy) -> bool:
        """D-2: does this delivery look before it runs?"""
        return bool(c.deliv or c.re)

    def superseded(self, w: World, h: Hold) -> bool:
        """D-2 (a): is there a newer copy that counts?"""
        copies = self.on_key(w, self.sc.tasks[h.task].key)
        return any(c.seq > h.seq and (not self.spec.own_newer or c.task == h.task) for c in copies)

    def after_record(self, h: Hold, rec: Rec | None) -> Hold | None:
        """D-2 (b): what to do for the sake of a record; None: run."""
        if rec and rec.out != "retrying" and rec.g >= h.g:
            return repeat(h, rec)
        if rec and rec.out == "retrying" and rec.g > h.g and self.spec.retrying_gen:
            return h._replace(pc="ack")
        return None

    def record_refused(self, h: Hold, rec: Rec) -> Hold:
        """D-1: the own record was refused for another one."""
        if rec.out == "retrying" and self.spec.retrying_gen and rec.g > h.g:
            return h._replace(pc="ack")
        if rec.out == "retrying" or (rec.out == "fail" and rec.g < h.g):
            return h._replace(pc="rec", ver=rec.ver)
        return repeat(h, rec)

    def refused_for_newer(self, w: World, h: Hold) -> bool:
        """D-6: the re-issue was refused; does a newer copy carry the task on?"""
        if self.spec.refusal_looks:
            return self.superseded(w, h)
        return any(c.seq > h.seq for c in self.on_key(w, self.sc.tasks[h.task].key))

    def refused_for_record(self, h: Hold, rec: Rec | None) -> Hold | None:
        """D-6: what to do for the sake of a record after a refusal; None: keep the message."""
        if self.spec.refusal_looks:
            return self.after_record(h, rec)
        return h._replace(pc="ack") if rec and rec.out != "retrying" else None

    def cancellation(self, w: World, t: int) -> int | None:
        """I-11: the generation of a canceller's record; None: the task has ended."""
        rec = w.recs[t]
        if rec is None or rec.out == "retrying":
            return rec.g if rec and self.spec.gen_max else 0
        return None

    def writes(self, h: Hold) -> bool:
        """D-2: does the outcome of this delivery get a record?"""
        return not self.sc.tasks[h.task].norec or (self.spec.re_records and h.look)

    def plan(self, h: Hold) -> Plan:
        """D-6: how a re-issue is published."""
        assert h.ri is not None
        kind, n = h.ri
        return Plan(kind, n, h.g, True, ("own", h.task, h.seq), h.seq)

    def resends_as_repeat(self) -> bool:
        """D-7: is a retry after an unknown confirmation a repeat?"""
        return self.spec.resend_re


def repeat(h: Hold, rec: Rec) -> Hold:
    """Hand over from the stored record."""
    return h._replace(pc="cons", out=rec.out, og=rec.g, rep=True)
