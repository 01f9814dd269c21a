"""How commands reach a running system: its records in the broker, and its workers over the control subjects.

They make no streams; a worker that does not answer in time is taken for not there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from actorq.cli.settings import Common
from actorq.cli.tasks import Wait, reading
from actorq.client import Client
from actorq.model.address import Mailbox, token

WINDOW, PATIENCE = 0.5, 2.0
"""Seconds to wait for the answers of all workers, and for that of one."""
COUNTED = 256
"""What can only be counted by reading it is counted up to here."""

OneWorker = Annotated[str | None, Parameter(help="Only this worker, by its name.")]
Answer = dict[str, Any]
NOTHING: Mapping[str, object] = {}


def beside(app: str | None, common: Common, work: Callable[[Client], Awaitable[int]]) -> int:
    """Do ``work`` with a connection to a system that exists; give its exit code. Raises Exit."""
    system = common.reach(app, reading=True)
    return reading(system, Wait(None), lambda: work(system.client))


async def ask(
    client: Client,
    verb: str,
    question: Mapping[str, object] = NOTHING,
    *,
    worker: str | None = None,
    seen: Callable[[Answer], None] = lambda _: None,
) -> list[Answer]:
    """What all workers answer within a short window, or one that has more time; by name. ``seen``: as it arrives."""

    def enough(answer: Answer) -> bool:
        seen(answer)
        return worker is not None

    whom, within = ("all", WINDOW) if worker is None else (token(worker, "worker name"), PATIENCE)
    answers: list[Answer] = await client.ask_workers(verb, question, enough=enough, worker=whom, within=within)
    return sorted((answer for answer in answers if "worker" in answer), key=lambda answer: str(answer["worker"]))


def serves(info: Answer, mailbox: Mailbox) -> bool:
    """Whether the worker that gave ``info`` takes messages from a mailbox."""
    queues: list[str] = info.get("queues", [])
    return mailbox.actor in actors_of(info) and (mailbox.queue in queues or "*" in queues)


def states_of(infos: list[Answer], actor: str) -> list[Answer]:
    """What each worker that has the actor says of it."""
    return [actors_of(info)[actor] for info in infos if actor in actors_of(info)]


def actors_of(info: Answer) -> dict[str, Answer]:
    """What a worker says of its actors, by name."""
    actors: dict[str, Answer] | None = info.get("actors")
    return actors or {}


async def backlog(client: Client, mailbox: Mailbox) -> tuple[int, int]:
    """How many messages of a mailbox wait, and how many workers hold."""
    found = await client.transport.backlog(mailbox.consumer)
    if found is not None:
        return found.waiting, found.held
    # No worker has ever served it, or none for a day.
    return len(await client.transport.browse(client.namespace.inbox(mailbox), limit=COUNTED)), 0


async def scheduled(client: Client, mailbox: Mailbox) -> int:
    """How many messages to a mailbox are due later, retries included; counted up to COUNTED."""
    return len(await client.transport.browse(client.namespace.schedule(mailbox, "*"), limit=COUNTED))


async def running_tasks(client: Client) -> list[Answer]:
    """What runs now, in any worker: ``id actor queue attempt`` of each, and ``started`` where that is known."""
    tasks: list[Answer] = []
    for answer in await ask(client, "tasks"):
        tasks += answer.get("running", [])
    return tasks
