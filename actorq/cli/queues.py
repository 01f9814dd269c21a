"""``actorq queue ls``, ``pause``, ``resume`` and ``purge``: what waits where, and whether it may go on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio

from actorq.cancelling import cancel
from actorq.cli.actors import UNSERVED
from actorq.cli.consent import DryRun, Yes, consent
from actorq.cli.exits import OK
from actorq.cli.operate import Answer, ask, backlog, beside, running_tasks, scheduled, serves
from actorq.cli.output import data, document, listing, talk
from actorq.cli.settings import DEFAULTS, App, Common
from actorq.client import Client
from actorq.core.copies import envelope_in
from actorq.errors import ResultError
from actorq.model.address import Mailbox, token
from actorq.model.message import Message
from actorq.paging import pages

PAGE = 256


def ls(*, app: App = None, common: Common = DEFAULTS) -> int:
    """List the mailboxes of every queue: what waits, what workers hold, what is scheduled, who serves it."""

    async def work(client: Client) -> int:
        infos, paused = await ask(client, "info"), await client.register.paused()
        boxes = [entry.mailbox for entry in await client.register.entries()]
        rows = [await _standing(client, mailbox, infos, paused) for mailbox in boxes]
        listing(rows, "no mailbox is registered: nothing was sent, and no worker has run", as_json=common.as_json)
        for queue in sorted(paused - {mailbox.queue for mailbox in boxes}):
            talk(f"actorq: queue {queue} is paused, and no mailbox is registered in it")
        return OK

    return beside(app, common, work)


async def _standing(client: Client, mailbox: Mailbox, infos: list[Answer], paused: set[str]) -> Answer:
    waiting, held = await backlog(client, mailbox)
    workers = sum(serves(info, mailbox) for info in infos)
    return {
        "queue": mailbox.queue, "lane": mailbox.lane, "actor": mailbox.actor, "waiting": waiting, "held": held,
        "scheduled": await scheduled(client, mailbox), "workers": workers, "paused": mailbox.queue in paused,
        "note": None if workers else UNSERVED,
    }  # fmt: skip


def pause(queue: str, /, *, app: App = None, common: Common = DEFAULTS) -> int:
    """Let workers take nothing more from a queue; what runs goes on, what is sent waits.

    Parameters
    ----------
    queue
        Its name.
    """
    return _set(queue, app, common, paused=True)


def resume(queue: str, /, *, app: App = None, common: Common = DEFAULTS) -> int:
    """Let workers take from a queue again.

    Parameters
    ----------
    queue
        Its name.
    """
    return _set(queue, app, common, paused=False)


def _set(queue: str, app: str | None, common: Common, *, paused: bool) -> int:
    token(queue, "queue")

    async def work(client: Client) -> int:
        changed = await client.register.pause(queue, paused)
        await _warn_of_unknown(client, queue)
        if common.as_json:
            document({"queue": queue, "paused": paused, "changed": changed})
        else:
            data(f"queue {queue} {'is' if changed else 'was'} {'paused' if paused else 'running'}")
        return OK

    return beside(app, common, work)


async def _warn_of_unknown(client: Client, queue: str) -> None:
    if not await client.register.entries(queue=queue):
        talk(f"actorq: no mailbox is registered in queue {queue!r}: check the name with `actorq queue ls`")


def purge(
    queue: str, /, *, yes: Yes = False, dry_run: DryRun = False, app: App = None, common: Common = DEFAULTS
) -> int:
    """Cancel every task that waits in a queue; what runs or is scheduled for later stays.

    Parameters
    ----------
    queue
        Its name.
    """
    token(queue, "queue")
    if not dry_run:
        consent(f"cancel every task that waits in queue {queue}", yes=yes)

    async def work(client: Client) -> int:
        await _warn_of_unknown(client, queue)
        rows: list[Answer] = []
        async for page in _waiting(client, queue):
            if not dry_run:
                async with anyio.create_task_group() as tasks:
                    for row in page:
                        tasks.start_soon(_cancel, client, row)
            rows += page
        if common.as_json or dry_run:
            listing(rows, f"nothing waits in queue {queue}", as_json=common.as_json)
        else:
            count = sum(row["cancelled"] for row in rows)
            data(f"{count} task{'s' if count != 1 else ''} of queue {queue} cancelled")
        return OK

    return beside(app, common, work)


async def _cancel(client: Client, row: Answer) -> None:
    try:
        row["cancelled"] = await cancel(client, row["id"], waits=True)
    except ResultError:  # it has ended meanwhile, and keeps no record
        row["cancelled"] = False


async def _waiting(client: Client, queue: str) -> AsyncIterator[list[Answer]]:
    """What waits in a queue and does not run, page by page."""
    began, every = client.transport.now(), client.namespace.every("t", queue)
    running = {task["id"] for task in await running_tasks(client)}
    async for messages in pages(client.transport, every, PAGE):
        yield [row for row in map(_row, messages) if row["id"] not in running]
        if messages and messages[-1].at >= began:
            break  # what is sent while this goes on is not chased after


def _row(message: Message) -> Answer:
    return {"id": envelope_in(message).id, "actor": message.subject.split(".")[4], "cancelled": False}
