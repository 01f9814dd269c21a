"""The whole model: holders, senders, cancel and dead retry (D-7, F-3, H-6, I-11), and what must hold."""

from __future__ import annotations

from collections.abc import Sequence

from tests.model_check.holders import Holders, Steps
from tests.model_check.world import CRASHES, LOST, Copy, Scenario, Spec, Step, World


class Model(Holders):
    """A checkable model of one scenario under one set of rules."""

    def __init__(self, spec: Spec, scenario: Scenario) -> None:
        super().__init__(spec, scenario)
        self._parts: dict[object, object] = {}

    def initial(self) -> World:
        sc, k = self.sc, len(self.sc.tasks)
        return World(
            copies=(), holds=(None,) * sc.slots, recs=(None,) * sc.nrec, msgids=frozenset(), sender="send",
            second=("no" if sc.second is None else "send", 0), x=0,
            cancel="no" if sc.cancel is None else "idle", dead=("idle" if sc.dead else "no", 0, 0, 0),
            letters=frozenset(), budget=(sc.crashes, sc.lost, sc.retries, sc.snoozes, sc.handbacks),
            runs=((0, 0),) * k, extra=((0, 0),) * k, started=frozenset(), sent=frozenset(),
        )  # fmt: skip

    def compact(self, state: World, /) -> World:
        return World._make(map(self._parts.setdefault, state, state))

    def steps(self, state: World, /) -> Sequence[Step]:
        out: Steps = []
        self.sender(state, out)
        self.second_sender(state, out)
        self.canceller(state, out)
        self.dead_retry(state, out)
        self.deliveries(state, out)
        self.holders(state, out)
        return [(label, fault, self.norm(nxt), error) for label, fault, nxt, error in out]

    # ---- senders

    def sender(self, w: World, out: Steps) -> None:
        sc = self.sc
        if w.sender not in ("send", "resend"):
            return
        again = w.sender == "resend" and self.resends_as_repeat()
        expect = 0 if sc.send_unique or again else None
        for kind in sc.send:
            for nw, answer, note in self.publish(w, kind, 0, 1, 0, re=again, msgid=("id", 0, 0), expect=expect):
                label = f"sender publishes t0 as {kind}{note}"
                out.append((label, False, nw._replace(sender="sent"), None))
                if answer == "ok" and w.budget[LOST]:
                    out.append((label + ", confirmation lost", True, nw.spend(LOST)._replace(sender="resend"), None))

    def second_sender(self, w: World, out: Steps) -> None:
        pc, seq = w.second
        t = self.sc.second
        if t is None:
            return
        done = ("done", 0)
        if pc in ("send", "send2"):
            expect = 0 if pc == "send" else seq
            for nw, answer, note in self.publish(w, "T", t, 1, 0, re=False, msgid=("id", t, 0), expect=expect):
                after = ("read", 0) if answer == "refused" and pc == "send" else done
                out.append((f"sender 2 publishes t{t} (same key){note}", False, nw._replace(second=after), None))
        elif pc == "read":
            mine = self.on_key(w, self.sc.tasks[t].key)
            if not mine:
                out.append(("sender 2 reads: no holder", False, w._replace(second=("send", 0)), None))
                return
            c = max(mine)
            over = c.task != t and self.is_over(w, c)
            label = f"sender 2 reads the holder t{c.task}@{c.seq} g{c.g}: {'finished' if over else 'live'}"
            out.append((label, False, w._replace(second=("send2", c.seq) if over else done), None))

    def is_over(self, w: World, c: Copy) -> bool:
        """H-6: has the holder of the key its terminal record already?"""
        rec = w.recs[c.task]
        return rec is not None and rec.out != "retrying" and (rec.g >= c.g or not self.spec.holder_gen)

    # ---- cancel and dead retry

    def canceller(self, w: World, out: Steps) -> None:
        pc, t = w.cancel, self.sc.cancel
        if t is None or pc in ("false", "done"):
            return
        if pc != "idle" and w.budget[CRASHES]:
            out.append(("canceller crashes", True, w.spend(CRASHES)._replace(cancel="done"), None))
        if pc == "idle" and 0 in w.started:
            generation = self.cancellation(w, t)
            if generation is not None:
                nxt, error = self.write(w, t, "can", generation)
                out.append(("cancel (1) writes the record", False, nxt._replace(cancel="x"), error))
            else:
                out.append(("cancel -> False", False, w._replace(cancel="false"), None))
        elif pc == "x":
            out.append(("cancel (2) publishes x", False, w._replace(cancel="move", x=1), None))
        elif pc == "move":
            self.cancel_waiting(w, t, out)
        if w.x == 1:
            out.append(("x reaches every worker", False, w._replace(x=2), None))

    def cancel_waiting(self, w: World, t: int, out: Steps) -> None:
        waiting = [c for c in w.copies if c.kind == "S" and c.task == t]
        done = w._replace(cancel="done")
        if not waiting:
            out.append(("cancel finds nothing to move", False, done, None))
        for c in waiting:
            rest = tuple(d for d in w.copies if d.seq != c.seq)
            moved = c._replace(seq=self.top(w) + 1, kind="T", held=None, re=c.re or self.spec.cancel_re, post=True)
            out.append(("cancel moves the schedule to now", False, done._replace(copies=(*rest, moved)), None))
        task = self.sc.tasks[t]
        if self.sc.purge and task.next is None and task.root is None:
            rest = tuple(c for c in w.copies if c.task != t)
            if not self.spec.purge_seq:
                rest = tuple(c for c in w.copies if self.sc.tasks[c.task].key != task.key)
            out.append(("cancel purges the message", False, done._replace(copies=rest), None))

    def dead_retry(self, w: World, out: Steps) -> None:
        pc, t, ver, g = w.dead
        if pc in ("no", "done"):
            return
        if pc != "idle" and w.budget[CRASHES]:
            out.append(("dead retry crashes", True, w.spend(CRASHES)._replace(dead=("done", 0, 0, 0)), None))
        if pc == "idle":
            for task, _ in sorted(w.letters):
                rec = w.recs[task]
                if rec and rec.out == "fail" and rec.g == 0:  # one dead retry
                    reads = w._replace(dead=("pub", task, rec.ver, rec.g + 1))
                    out.append((f"dead retry of t{task} reads the record", False, reads, None))
        elif pc == "pub":
            mid = ("id", t, g if self.spec.dead_msgid else 0)
            for nw, answer, note in self.publish(w, "T", t, 1, g, re=True, msgid=mid, expect=0):
                if answer == "refused":
                    idle = nw._replace(dead=("idle", 0, 0, 0))
                    out.append(("dead retry is refused: again later", False, idle, None))
                    continue
                label = f"dead retry publishes t{t} g{g}{note}"
                out.append((label, False, nw._replace(dead=("swap", t, ver, g)), None))
                if answer == "ok" and w.budget[LOST]:
                    out.append((label + ", confirmation lost", True, nw.spend(LOST), None))
        else:
            self.swap(w, out)

    def swap(self, w: World, out: Steps) -> None:
        """Dead retry after its publish: the task's record, then its root's."""
        pc, t, ver, g = w.dead
        if pc == "swap":
            rec, nxt = w.recs[t], w
            assert rec is not None
            if rec.out == "fail" and (rec.ver == ver or not self.spec.dead_cas_first):
                nxt, _ = self.write(w, t, "retrying", g if self.spec.retrying_gen else max(g, rec.g))
            after = nxt._replace(dead=("swaproot", t, ver, g))
            out.append((f"dead retry swaps the record of t{t}", False, after, None))
            return
        i, nxt = self.sc.tasks[t].root, w
        if i is not None:
            root = w.recs[i]
            if root and root.out == "fail" and (root.g < g or not self.spec.dead_cas_first):
                nxt, _ = self.write(w, i, "retrying", g)
        after = nxt._replace(dead=("done", 0, 0, 0))
        out.append(("dead retry swaps the root's record", False, after, None))

    # ---- properties

    def invariant(self, state: World, /) -> str | None:
        w = state
        for t in w.started:
            if (lost := self.lost(w, t)) is not None:
                return lost
        if self.sc.send_unique or self.sc.second is not None:
            live: dict[int, set[int]] = {}
            for c in w.copies:
                rec = w.recs[c.task]
                if rec is None or rec.out == "retrying" or rec.g < c.g:
                    live.setdefault(self.sc.tasks[c.task].key, set()).add(c.task)
            if any(len(tasks) > 1 for tasks in live.values()):
                return "S7 two live tasks of one key"
        return None

    def lost(self, w: World, t: int) -> str | None:
        """S1: a task that has started has a copy, or its end is on record and was handed over."""
        task, rec = self.sc.tasks[t], w.recs[t]
        if task.norec or any(c.task == t for c in w.copies):
            return None
        if rec is None or rec.out == "retrying":
            return "S1 no copy and no terminal record"
        if rec.out.startswith("ok") and task.next is not None:
            return None if task.next in w.started else "S1 finished, no copy, and the next step was never published"
        if task.root is not None and w.recs[task.root] is None:
            return "S1 finished, no copy, and the root was never told"
        return None

    def goal(self, state: World, /) -> bool:
        w = state
        if w.copies or any(w.holds) or w.sender != "sent" or w.second[0] not in ("no", "done"):
            return False
        ends = {t for t in w.started if not self.sc.tasks[t].norec}
        ends |= {root for t in w.started if (root := self.sc.tasks[t].root) is not None}
        return all((rec := w.recs[i]) is not None and rec.out != "retrying" for i in ends)
