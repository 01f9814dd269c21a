"""``actorq actor ls``, ``tree``, ``restart`` and ``rate``: what workers run, and orders to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from actorq.cli.exits import FAILED, OK, USAGE, Exit
from actorq.cli.operate import Answer, OneWorker, actors_of, ask, backlog, beside, states_of
from actorq.cli.output import data, document, listing, span, talk
from actorq.cli.settings import DEFAULTS, App, Common
from actorq.cli.workers import nobody
from actorq.client import Client
from actorq.errors import ConfigError
from actorq.model.address import token
from actorq.model.durations import rate as parse_rate
from actorq.register import Registered

UNSERVED = "nobody serves it"
NO_LIMIT = "none"


def ls(*, app: App = None, common: Common = DEFAULTS) -> int:
    """List the actors that are registered or run: slots, load, limits, over all workers."""

    async def work(client: Client) -> int:
        infos, paused = await ask(client, "info"), await client.register.paused()
        mailboxes: dict[str, list[Registered]] = {}
        for entry in await client.register.entries():
            mailboxes.setdefault(entry.mailbox.actor, []).append(entry)
        rows: list[Answer] = []
        for name in sorted({*mailboxes, *(name for info in infos for name in actors_of(info))}):
            own = sorted(mailboxes.get(name, []), key=lambda entry: not entry.home)
            waiting = sum([(await backlog(client, entry.mailbox))[0] for entry in own])
            rows.append(_row(name, own, states_of(infos, name), waiting, paused))
        listing(rows, "no actor is registered, and no worker answers", as_json=common.as_json)
        return OK

    return beside(app, common, work)


def _row(name: str, own: list[Registered], here: list[Answer], waiting: int, paused: set[str]) -> Answer:
    queue = own[0].mailbox.queue if own else str(here[0].get("queue"))
    states = {"paused"} if queue in paused else {str(state.get("state")) for state in here}
    return {
        "name": name, "queue": queue, "workers": len(here),
        "concurrency": sum(state.get("concurrency") or 0 for state in here),
        "running": sum(state.get("running") or 0 for state in here),
        "waiting": waiting,
        "rate": ", ".join(sorted({str(state["rate"]) for state in here if state.get("rate")})) or None,
        "state": ", ".join(sorted(states)) if here else UNSERVED,
    }  # fmt: skip


def tree(*, worker: OneWorker = None, app: App = None, common: Common = DEFAULTS) -> int:
    """Show the supervision tree of every worker as it is now: states, restarts, uptimes, last errors."""

    async def work(client: Client) -> int:
        trees = [
            {"worker": answer["worker"], "tree": answer["tree"]}
            for answer in await ask(client, "tree", worker=worker)
            if answer.get("tree")
        ]
        if worker is not None and not trees:
            raise Exit(FAILED, nobody(worker))
        if common.as_json:
            document(trees)
        elif not trees:
            talk(nobody(worker))
        else:
            data("\n".join(line for found in trees for line in drawn(str(found["worker"]), found["tree"])))
        return OK

    return beside(app, common, work)


def drawn(worker: str, root: Answer) -> Iterator[str]:
    """The lines of one worker's tree."""
    yield f"worker {worker}"
    yield from _branch(root, "", last=True)


def _branch(node: Answer, indent: str, *, last: bool) -> Iterator[str]:
    yield f"{indent}{'└── ' if last else '├── '}{_told(node)}"
    children: list[Answer] = node.get("children") or []
    for child in children:
        yield from _branch(child, indent + ("    " if last else "│   "), last=child is children[-1])


def _told(node: Answer) -> str:
    restarts, held, running = node.get("restarts") or 0, node.get("held") or 0, node.get("running")
    facts = [
        str(node.get("name")),
        str(node.get("strategy") or ""),
        str(node.get("state")),
        "" if node.get("uptime") is None else f"up {span(node['uptime'])}",
        "" if running is None else f"{running} running" + (f" of {held} held" if held else ""),
        f"at {node['rate']}" if node.get("rate") else "",
        f"{restarts} restart{'s' if restarts != 1 else ''}" if restarts else "",
        f"last error: {' '.join(str(node['error']).split())}" if node.get("error") else "",
    ]
    return "  ".join(fact for fact in facts if fact)


def restart(path: str, /, *, worker: OneWorker = None, app: App = None, common: Common = DEFAULTS) -> int:
    """Restart an actor or a supervisor where it runs; this does not count as a failure.

    Parameters
    ----------
    path
        As `actorq actor tree` has it, root/billing/charge, or its name alone.
    """
    for part in path.split("/"):
        token(part, "part of the path")
    order = Order("restart", {"path": path}, f"{path} restarts", nobody(worker))
    return order.give(worker, app, common)


def rate(
    name: str,
    limit: str,
    /,
    *,
    burst: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    worker: OneWorker = None,
    app: App = None,
    common: Common = DEFAULTS,
) -> int:
    """Change an actor's rate limit in the workers that run now; it lasts until they restart.

    Parameters
    ----------
    name
        The actor's.
    limit
        10/s, 100/m, 5/10s for each worker, or none.
    burst
        How many at once; by default as many as the rate's count.
    """
    token(name, "actor")
    try:
        given = None if limit == NO_LIMIT else str(parse_rate(limit, "the rate"))
    except ConfigError as error:
        raise Exit(USAGE, f"{error}, or none") from error
    text = f"{name} has no rate limit" if given is None else f"{name} is limited to {given}"
    whom = "no worker that runs now" if worker is None else f"no worker {worker!r} that runs now"
    missing = f"{whom} has actor {name!r}: see `actorq actor ls`{'' if worker is None else ' and `actorq workers`'}"
    return Order("rate", {"actor": name, "rate": given, "burst": burst}, text, missing).give(worker, app, common)


@dataclass(frozen=True, slots=True)
class Order:
    """What workers are told to do. ``done``: what is said of those who did; ``missing``: that none was reached."""

    verb: str
    question: Mapping[str, object]
    done: str
    missing: str

    def give(self, worker: str | None, app: str | None, common: Common) -> int:
        """Tell all workers, or one, and say who did it. Raises Exit where none could."""

        async def work(client: Client) -> int:
            answers = await ask(client, self.verb, self.question, worker=worker)
            rows = [{"worker": a["worker"], "ok": bool(a.get("ok")), "error": a.get("error")} for a in answers]
            failed = [row for row in rows if not row["ok"]]
            if len(failed) == len(rows):
                raise Exit(FAILED, "; ".join(sorted({str(row["error"]) for row in failed})) or self.missing)
            if common.as_json:
                document(rows)
                return OK
            data(f"{self.done} in {len(rows) - len(failed)} of {len(rows)} worker{'s' if len(rows) != 1 else ''}")
            for row in failed:
                talk(f"actorq: {row['worker']}: {row['error']}")
            return OK

        return beside(app, common, work)
