"""``actorq task ls`` and ``cancel``: several tasks at once."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from actorq.cancelling import cancel as cancel_task
from actorq.cli import dead
from actorq.cli.consent import DryRun, Yes, consent
from actorq.cli.exits import FAILED, OK
from actorq.cli.operate import Answer, beside, running_tasks
from actorq.cli.output import listing, moment, talk
from actorq.cli.settings import DEFAULTS, App, Common
from actorq.client import Client
from actorq.core.copies import envelope_in
from actorq.errors import ResultError
from actorq.model.address import parse_address, token
from actorq.paging import pages

State = Literal["queued", "running", "scheduled", "retrying"]
PAGE = 256
UNKNOWN = "unknown"


def ls(
    *,
    actor: str | None = None,
    queue: str | None = None,
    state: State | None = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 50,
    app: App = None,
    common: Common = DEFAULTS,
) -> int:
    """List tasks that have not ended: those that run, then those that wait, then those that are due later.

    Parameters
    ----------
    actor
        Of this actor, or ACTOR.METHOD, only.
    queue
        In this queue only.
    state
        queued, running, scheduled (due later, not tried yet) or retrying (due later, tried before).
    limit
        At most so many.
    """
    if actor is not None:
        parse_address(actor)
    if queue is not None:
        token(queue, "queue")

    async def work(client: Client) -> int:
        rows = await _Search(client, actor, queue, state, limit + 1).rows()
        listing(rows[:limit], "no such task", as_json=common.as_json)
        if len(rows) > limit:
            talk(f"actorq: there are more: --limit {limit} was reached")
        return OK

    return beside(app, common, work)


class _Search:
    """One look at what has not ended."""

    def __init__(self, client: Client, actor: str | None, queue: str | None, state: State | None, limit: int) -> None:
        self._client = client
        self._actor = actor
        self._queue = queue
        self._state = state
        self._limit = limit
        self._rows: list[Answer] = []

    async def rows(self) -> list[Answer]:
        running = {str(task["id"]): task for task in await running_tasks(self._client)}
        for task in running.values():
            self._add(
                str(task["id"]), task["actor"], task["queue"], "running", task["attempt"], task.get("started", 0.0)
            )
        if self._state in (None, "queued"):
            await self._browse("t", set(running))
        if self._state in (None, "scheduled", "retrying"):
            await self._browse("s", set())
        return self._rows[: self._limit]

    def _add(self, task_id: str, to: str, queue: str, state: str, attempt: int, since: float) -> None:
        asked = ((self._state, state), (self._queue, queue))
        of_actor = self._actor in (None, to, to.partition(".")[0])
        if of_actor and all(wanted in (None, given) for wanted, given in asked):
            self._rows.append(
                {"id": task_id, "actor": to, "queue": queue, "state": state, "attempt": attempt, "since": moment(since)}
            )

    async def _browse(self, kind: str, without: set[str]) -> None:
        name, _, _ = (self._actor or "*").partition(".")
        every = self._client.namespace.every(kind, self._queue or "*", name)
        if len(self._rows) >= self._limit:
            return
        async for messages in pages(self._client.transport, every, PAGE):
            for message in messages:
                envelope, queue = envelope_in(message), message.subject.split(".")[2]
                if envelope.id not in without:
                    later = "retrying" if envelope.attempt > 1 else "scheduled"
                    state = "queued" if kind == "t" else later
                    self._add(envelope.id, envelope.to, queue, state, envelope.attempt, message.at)
            if len(self._rows) >= self._limit:
                break


def cancel(
    task_id: str,
    /,
    *more: str,
    yes: Yes = False,
    dry_run: DryRun = False,
    app: App = None,
    common: Common = DEFAULTS,
) -> int:
    """Cancel tasks: what waits is not run, what runs is told to stop; exit 1 if one of them had ended before.

    Parameters
    ----------
    task_id
        What `actorq send` printed, or a handle's id.
    more
        Further ids.
    """
    ids = [token(each, "task id") for each in dict.fromkeys((task_id, *more))]
    if not dry_run:
        consent(f"cancel {ids[0] if len(ids) == 1 else f'{len(ids)} tasks'}", yes=yes)

    async def work(client: Client) -> int:
        rows = [await _cancelled(client, each, dry_run) for each in ids]
        listing(rows, "", as_json=common.as_json)
        return OK if dry_run or all(row["state"] == "cancelled" for row in rows) else FAILED

    return beside(app, common, work)


async def _cancelled(client: Client, task_id: str, dry_run: bool) -> Answer:
    done = False
    try:
        done = not dry_run and await cancel_task(client, task_id)
        state = await client.status(task_id)
    except ResultError as error:
        talk(f"actorq: {error}")
        state = UNKNOWN
    return {"id": task_id, "cancelled": done, "state": state}


def retry(
    task_id: str, /, *, yes: Yes = False, dry_run: DryRun = False, app: App = None, common: Common = DEFAULTS
) -> int:
    """Let a dead task run again from the first attempt, as `actorq dead retry` does.

    Parameters
    ----------
    task_id
        What `actorq send` printed, or a handle's id.
    """
    doing = dead.Doing(yes=yes, dry_run=dry_run)
    return dead.retry(task_id, doing=doing, app=app, common=common)
