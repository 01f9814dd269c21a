"""Holders: what a worker does with a delivery, one broker operation or step boundary at a time (D-2 to D-6)."""

from __future__ import annotations

from tests.model_check.rules import Rules
from tests.model_check.world import (
    CRASHES,
    HANDBACKS,
    LOST,
    MAX_ATTEMPTS,
    RETRIES,
    SNOOZES,
    Copy,
    Hold,
    Step,
    World,
    bump,
    put,
)

Steps = list[Step]


class Holders(Rules):
    """Transitions of the slots. A program counter ``pc`` is served by the method ``do_{pc}``."""

    def deliveries(self, w: World, out: Steps) -> None:
        for c in w.copies:
            if c.kind == "S":
                out.append(self.fire(w, c))
            elif c.held is None:
                for s, h in enumerate(w.holds):
                    if h is None:
                        self.deliver(w, c, s, out)
                        break
            elif w.budget[CRASHES]:
                spent = w.spend(CRASHES)
                nxt = spent._replace(copies=unheld(w, c.seq, c.held), extra=bump(w.extra, c.task, c.g))
                out.append((f"h{c.held} loses the lease of t{c.task}@{c.seq} and goes on stale", True, nxt, None))

    def holders(self, w: World, out: Steps) -> None:
        for s, h in enumerate(w.holds):
            if h is None:
                continue
            if w.budget[CRASHES]:
                nxt = w.spend(CRASHES)._replace(copies=unheld(w, h.seq, s), holds=put(w.holds, s, None))
                if any(c.held == s and c.seq == h.seq for c in w.copies):
                    nxt = nxt._replace(extra=bump(nxt.extra, h.task, h.g))
                out.append((f"h{s} crashes", True, nxt, None))
            getattr(self, "do_" + h.pc)(w, s, h, out)

    def deliver(self, w: World, c: Copy, s: int, out: Steps) -> None:
        rec = w.recs[c.task]
        late = rec is not None and rec.out not in ("retrying", "can") and rec.g >= c.g
        notice = self.cancelled(w) and c.task == self.sc.cancel and (c.post or c.re or c.deliv > 0 or w.x == 2)
        old = any(d.task == c.task and d.seq > c.seq for d in w.copies)
        look = self.looks(c)
        h = Hold("look" if look else "start", c.seq, c.task, c.n, c.g, look, late=late, post=notice, old=old)
        copies = tuple(d._replace(held=s, deliv=1) if d.seq == c.seq else d for d in w.copies)
        held = w._replace(copies=copies)
        label = f"gets t{c.task}@{c.seq} n{c.n} g{c.g}{' re' if c.re else ''}{' redelivered' if c.deliv else ''}"
        self.go(held, s, h, out, label)
        if self.sc.count_lost and c.deliv and not c.re:
            fresh = h._replace(pc="start", look=False, post=False, old=False)
            self.go(held, s, fresh, out, label + ", delivery count lost")

    def go(
        self, w: World, s: int, h: Hold | None, out: Steps, label: str, error: str | None = None, fault: bool = False
    ) -> None:
        out.append((f"h{s} {label}", fault, w._replace(holds=put(w.holds, s, h)), error))

    # ---- the look: two reads, newer copy first

    def do_look(self, w: World, s: int, h: Hold, out: Steps) -> None:
        read = self.read_record if self.spec.record_first else self.read_newer
        read(w, s, h, out, h._replace(pc="look2"))

    def do_look2(self, w: World, s: int, h: Hold, out: Steps) -> None:
        read = self.read_newer if self.spec.record_first else self.read_record
        read(w, s, h, out, h._replace(pc="start"))

    def read_newer(self, w: World, s: int, h: Hold, out: Steps, otherwise: Hold) -> None:
        if self.superseded(w, h):
            self.go(w, s, h._replace(pc="ack"), out, "looks for a newer copy: there is one")
        else:
            self.go(w, s, otherwise, out, "looks for a newer copy: none")

    def read_record(self, w: World, s: int, h: Hold, out: Steps, otherwise: Hold) -> None:
        verdict = self.after_record(h, w.recs[h.task])
        self.go(w, s, verdict or otherwise, out, f"looks for the record: {w.recs[h.task]}")

    # ---- the run

    def do_start(self, w: World, s: int, h: Hold, out: Steps) -> None:
        target = self.sc.cancel is not None and self.sc.cancel == h.task
        if target and w.x:
            self.go(w, s, h._replace(pc="rec", out="can", og=h.g), out, "finds the task in its cancel set: unwinds")
        if target and w.x == 2:
            return
        runs = bump(w.runs, h.task, h.g)
        label = f"runs t{h.task} n{h.n}"
        self.go(w._replace(runs=runs), s, h._replace(pc="running"), out, label, self.run_error(w, h, runs))
        if w.budget[HANDBACKS]:
            self.go(w.spend(HANDBACKS), s, h._replace(pc="re", ri=("T", h.n)), out, "hands back before the start")

    def run_error(self, w: World, h: Hold, runs: tuple[tuple[int, int], ...]) -> str | None:
        """Why this run must not be."""
        later = min(h.g, 1)
        if self.sc.outcomes_only:
            return None
        if runs[h.task][later] > MAX_ATTEMPTS + w.extra[h.task][later]:
            return "S4 more runs than attempts + leases lost + snoozes"
        if h.post:
            return "S6 a new run starts after cancel"
        if h.old:
            return "S8 an older copy runs although a newer one was there at its delivery"
        return "S3 user code runs again although delivered after the terminal record" if h.late else None

    def do_running(self, w: World, s: int, h: Hold, out: Steps) -> None:
        self.go(w, s, self.finish(h, f"ok{s}"), out, "succeeds")
        if h.n >= MAX_ATTEMPTS:
            self.go(w, s, self.finish(h, "fail"), out, "fails for the last time")
        elif w.budget[RETRIES]:
            spent = w.spend(RETRIES)
            self.go(spent, s, h._replace(pc="re", ri=("S", h.n + 1)), out, "fails: retry by schedule")
            self.go(spent, s, h._replace(pc="re", ri=("T", h.n + 1)), out, "fails: retry at once")
        if self.sc.dead:
            self.go(w, s, self.finish(h, "fail"), out, "rejects (failed)")
        extra = bump(w.extra, h.task, h.g)
        if w.budget[SNOOZES]:
            self.go(w.spend(SNOOZES)._replace(extra=extra), s, h._replace(pc="re", ri=("S", h.n)), out, "snoozes")
        if w.budget[HANDBACKS]:
            spent = w.spend(HANDBACKS)._replace(extra=extra)
            self.go(spent, s, h._replace(pc="re", ri=("T", h.n)), out, "is stopped: hands back")

    def finish(self, h: Hold, outcome: str) -> Hold:
        if not self.writes(h):
            return h._replace(pc="ack", out=None)
        return h._replace(pc="rec", out=outcome, og=h.g)

    # ---- (1) the terminal record

    def do_rec(self, w: World, s: int, h: Hold, out: Steps) -> None:
        assert h.out is not None
        rec = w.recs[h.task]
        rid = ("rec", h.task, 0)
        if not self.spec.rec_no_msgid and rid in w.msgids:
            self.go(w, s, h._replace(pc="cons"), out, "writes the record -> duplicate, taken for stored")
        if (rec.ver if rec else 0) != h.ver:
            self.go(w, s, h._replace(pc="recread"), out, "writes the record -> refused")
            return
        nxt, error = self.write(w, h.task, h.out, h.g)
        if not self.spec.rec_no_msgid:
            nxt = nxt._replace(msgids=nxt.msgids | {rid})
        label = f"(1) records {h.out} g{h.g}"
        self.go(nxt, s, h._replace(pc="cons"), out, label, error)
        if w.budget[LOST]:
            self.go(nxt.spend(LOST), s, h, out, label + ", confirmation lost", error, True)

    def do_recread(self, w: World, s: int, h: Hold, out: Steps) -> None:
        rec = w.recs[h.task]
        assert rec is not None
        self.go(w, s, self.record_refused(h, rec), out, f"reads the record: {rec}")

    # ---- (2) consequences

    def do_cons(self, w: World, s: int, h: Hold, out: Steps) -> None:
        assert h.out is not None
        task, rec, error = self.sc.tasks[h.task], w.recs[h.task], None
        if any(t == h.task and g == h.og and o != h.out for t, g, o in w.sent):
            error = "S2 two outcomes handed over in one generation"
        if rec and rec.g == h.og and rec.out not in (h.out, "retrying"):
            error = "S2 consequence differs from the record that waiters see"
        nxt = w._replace(sent=w.sent | {(h.task, h.og, h.out)})
        if h.out.startswith("ok") and task.next is not None:
            self.continue_chain(nxt, s, h, out, error)
            return
        if h.out == "fail" and self.sc.dead:
            nxt = nxt._replace(letters=nxt.letters | {(h.task, h.og)})
        if task.root is not None and self.root_is_free(w, task.root, h):
            nxt, bad = self.write(nxt, task.root, h.out, h.og)
            error = error or bad
        self.go(nxt, s, h._replace(pc="ack"), out, f"(2) hands over {h.out} g{h.og}", error)

    def continue_chain(self, w: World, s: int, h: Hold, out: Steps, error: str | None) -> None:
        step = self.sc.tasks[h.task].next
        assert step is not None
        again = h.rep or self.spec.cons_re
        answers = self.publish(w, "T", step, 1, h.og, re=again, msgid=("id", step, h.og), expect=0 if again else None)
        for nw, answer, note in answers:
            label = f"(2) {'repeats' if h.rep else 'publishes'} t{step}{note}"
            self.go(nw, s, h._replace(pc="ack"), out, label, error)
            if answer == "ok" and w.budget[LOST]:
                nh = h._replace(rep=h.rep or self.resends_as_repeat())
                self.go(nw.spend(LOST), s, nh, out, label + ", confirmation lost", error, True)

    def root_is_free(self, w: World, i: int, h: Hold) -> bool:
        root = w.recs[i]
        if root is None:
            return True
        if root.out == "retrying":
            return root.g <= h.og or not self.spec.retrying_gen
        return root.out == "fail" and root.g < h.og

    # ---- (3) ack, or the re-issue

    def do_ack(self, w: World, s: int, h: Hold, out: Steps) -> None:
        copies = tuple(c for c in w.copies if c.seq != h.seq)
        self.go(w._replace(copies=copies), s, None, out, f"acks t{h.task}@{h.seq}")

    def do_re(self, w: World, s: int, h: Hold, out: Steps) -> None:
        p = self.plan(h)
        for nw, answer, note in self.publish(w, p.kind, h.task, p.n, p.g, re=p.re, msgid=p.msgid, expect=p.expect):
            label = f"re-issues t{h.task} n{p.n} as {p.kind}{note}"
            self.go(nw, s, h._replace(pc="ack" if answer != "refused" else "refused"), out, label)
            if answer == "ok" and w.budget[LOST]:
                self.go(nw.spend(LOST), s, h, out, label + ", confirmation lost", None, True)

    def do_refused(self, w: World, s: int, h: Hold, out: Steps) -> None:
        newer = self.refused_for_newer(w, h)
        after = h._replace(pc="ack" if newer else "refused2")
        self.go(w, s, after, out, f"was refused, looks for a newer copy: {'there is one' if newer else 'none'}")

    def do_refused2(self, w: World, s: int, h: Hold, out: Steps) -> None:
        verdict = self.refused_for_record(h, w.recs[h.task])
        if verdict is not None:
            self.go(w, s, verdict, out, f"looks for the record: {w.recs[h.task]}")
        else:
            self.go(w._replace(copies=unheld(w, h.seq, s)), s, None, out, "keeps the message (its lease runs out)")


def unheld(w: World, seq: int, s: int) -> tuple[Copy, ...]:
    """The copies, one of them free again if slot ``s`` holds it."""
    return tuple(c._replace(held=None) if c.held == s and c.seq == seq else c for c in w.copies)
