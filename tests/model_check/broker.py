"""The broker of the model: conditional publishes, duplicates, records. Only the order of sequences counts."""

from __future__ import annotations

from tests.model_check.world import Copy, MsgId, Rec, Scenario, Spec, Step, World, put

Answer = tuple[World, str, str]


class Broker:
    """Atomic operations on a world."""

    def __init__(self, spec: Spec, scenario: Scenario) -> None:
        if spec.unique_by_id:  # inside a canvas a message is keyed by its id, whatever its actor's `unique` says
            inner = {task.next for task in scenario.tasks} - {None}
            keyed = [t._replace(key=100 + i) if i in inner else t for i, t in enumerate(scenario.tasks)]
            scenario = scenario._replace(tasks=tuple(keyed))
        self.spec, self.sc = spec, scenario

    def on_key(self, w: World, key: int) -> list[Copy]:
        return [c for c in w.copies if self.sc.tasks[c.task].key == key]

    def cancelled(self, w: World) -> bool:
        return w.cancel not in ("no", "idle", "false")

    def publish(
        self, w: World, kind: str, task: int, n: int, g: int, *, re: bool, msgid: MsgId, expect: int | None
    ) -> list[Answer]:
        """All answers that the broker may give: (world, "ok" | "dup" | "refused", note)."""
        out: list[Answer] = []
        if msgid in w.msgids:
            out.append((w, "dup", " -> duplicate"))
        note = " (Msg-Id forgotten)" if out else ""
        last = max((c.seq for c in self.on_key(w, self.sc.tasks[task].key)), default=0)
        if expect is not None and expect != last:
            out.append((w, "refused", " -> refused" + note))
            return out
        copies = w.copies
        if kind == "S":  # at most one message for each schedule subject
            copies = tuple(c for c in copies if not (c.kind == "S" and c.task == task))
        copies += (Copy(self.top(w) + 1, kind, task, n, g, re, 0, None, self.cancelled(w)),)
        stored = w._replace(copies=copies, msgids=w.msgids | {msgid}, started=w.started | {task})
        out.append((stored, "ok", note))
        return out

    @staticmethod
    def top(w: World) -> int:
        return max([c.seq for c in w.copies] + [h.seq for h in w.holds if h] + [w.second[1]], default=0)

    def write(self, w: World, i: int, out: str, g: int) -> tuple[World, str | None]:
        """Write a record; also what is wrong with that, if anything."""
        old, error = w.recs[i], None
        if old is not None:
            replaceable = old.out == "retrying" or (old.out == "fail" and g > old.g) or out == "retrying"
            if not replaceable:
                error = f"S2 terminal record {old[:2]} overwritten by {(out, g)}"
            if g < old.g:
                error = f"S2 record {old[:2]} overwritten by a lower generation"
        return w._replace(recs=put(w.recs, i, Rec(out, g, (old.ver if old else 0) + 1))), error

    def fire(self, w: World, c: Copy) -> Step:
        """A schedule falls due."""
        rest = tuple(d for d in w.copies if d.seq != c.seq)
        fired = c._replace(seq=self.top(w) + 1, kind="T", held=None)
        return (f"schedule of t{c.task} n{c.n} fires", False, w._replace(copies=(*rest, fired)), None)

    def norm(self, w: World) -> World:
        """Sequences become ranks; Msg-Ids of re-issues whose message is gone are dropped."""
        seqs = {c.seq for c in w.copies}
        seqs.update(h.seq for h in w.holds if h)
        if w.second[1]:
            seqs.add(w.second[1])
        ids = frozenset(m for m in w.msgids if m[0] != "own" or m[2] in seqs)
        if len(ids) == len(w.msgids):
            ids = w.msgids
        if not seqs or max(seqs) == len(seqs):
            copies = tuple(sorted(w.copies))
            return w if copies == w.copies and ids is w.msgids else w._replace(copies=copies, msgids=ids)
        rank = {q: k for k, q in enumerate(sorted(seqs), 1)}
        return w._replace(
            copies=tuple(sorted(c._replace(seq=rank[c.seq]) for c in w.copies)),
            holds=tuple(h._replace(seq=rank[h.seq]) if h else None for h in w.holds),
            msgids=frozenset((m[0], m[1], rank[m[2]]) if m[0] == "own" else m for m in ids),
            second=(w.second[0], rank.get(w.second[1], 0)),
        )
