"""``actorq dead ls``, ``show``, ``retry`` and ``drop``: what could not be run, and what is to become of it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter, Token

from actorq.cli.consent import DryRun, Yes, consent
from actorq.cli.exits import FAILED, OK, USAGE, Exit, known_as, without_task
from actorq.cli.operate import beside
from actorq.cli.output import data, document, fields, listing, moment, plain, talk
from actorq.cli.settings import DEFAULTS, App, Common
from actorq.core.codec import readable_envelope
from actorq.dead import DeadLetters, Filters, Letter
from actorq.errors import ConfigError
from actorq.model.address import token
from actorq.model.durations import duration

Row = dict[str, Any]
Act = Callable[[DeadLetters, Letter], Awaitable[tuple[str, str, bool]]]
"""What becomes of one letter: a word for it, a text, and whether the letter is still there."""


def _when(_: object, tokens: tuple[Token, ...]) -> float:
    text = tokens[0].value
    try:
        return time.time() - duration(text, "a time")
    except ConfigError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ValueError(f"{text!r} is no time: write how long ago, such as 2h, or 2026-11-22T10:00") from None


Reason = Literal[
    "retries_exhausted", "crash_loop", "expired", "rejected", "undecodable", "bad_arguments", "unknown_method",
    "too_large",
]  # fmt: skip
When = Annotated[float | None, Parameter(converter=_when, metavar="TIME")]


@Parameter(name="*", group=Group("Which dead letters", sort_key=1))
@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Filters; what is meant fits all of them. An ISO time without a zone is local."""

    actor: Annotated[str, Parameter(help="Of this actor, or ACTOR.METHOD.", show_default=False)] = ""
    error: Annotated[str, Parameter(help="Of this class: its full name or the last part.", show_default=False)] = ""
    reason: Annotated[Reason | None, Parameter(help="Of this reason.")] = None
    queue: Annotated[str, Parameter(help="Of this queue.", show_default=False)] = ""
    since: Annotated[When, Parameter(help="Died since: how long ago, such as 2h, or an ISO time.")] = None
    until: Annotated[When, Parameter(help="Died until: the same.")] = None
    limit: Annotated[int | None, Parameter(help="At most so many, the oldest first.")] = None

    @property
    def given(self) -> bool:
        """Whether anything is filtered."""
        return any((self.actor, self.error, self.reason, self.queue)) or (self.since, self.until) != (None, None)

    def of(self, task_id: str) -> Filters:
        """The filters, for one task or (empty) for all."""
        return Filters(
            id=task_id, actor=self.actor, error=self.error, reason=self.reason or "", queue=self.queue,
            since=self.since, until=self.until,
        )  # fmt: skip


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """How what repeats or destroys is to be done."""

    everything: Annotated[bool, Parameter(name="--all", show_default=False, help="All there are.")] = False
    yes: Yes = False
    dry_run: DryRun = False


EVERY, ASKING = Which(), Doing()


def ls(*, which: Which = EVERY, app: App = None, common: Common = DEFAULTS) -> int:
    """List dead letters, oldest first."""
    _check(which)

    async def work(dead: DeadLetters) -> int:
        _list([_row(letter) async for letter in _chosen(dead, (), which)], common)
        return OK

    return _run(app, common, work)


def show(*ids: str, which: Which = EVERY, app: App = None, common: Common = DEFAULTS) -> int:
    """Show all that is known of dead letters: arguments, error, traceback.

    Parameters
    ----------
    ids
        Those of the tasks.
    """
    _check(which, ids, needed=True)

    async def work(dead: DeadLetters) -> int:
        known = [_known(letter) async for letter in _chosen(dead, ids, which)]
        code = _code(ids, known)
        if common.as_json:
            document(known[-1] if len(ids) == 1 else known)
        else:
            _show(known)
        return code

    return _run(app, common, work)


def retry(*ids: str, which: Which = EVERY, doing: Doing = ASKING, app: App = None, common: Common = DEFAULTS) -> int:
    """Let tasks run again from the first attempt, for whoever awaits them, and remove their dead letters.

    Parameters
    ----------
    ids
        Those of the tasks.
    """

    async def revived(dead: DeadLetters, letter: Letter) -> tuple[str, str, bool]:
        revival = await dead.retry(letter)
        return revival.outcome, revival.text, revival.letter_left

    return _act("revive", revived, ids, which, doing, app, common)


def drop(*ids: str, which: Which = EVERY, doing: Doing = ASKING, app: App = None, common: Common = DEFAULTS) -> int:
    """Remove dead letters for good.

    Parameters
    ----------
    ids
        Those of the tasks.
    """

    async def dropped(dead: DeadLetters, letter: Letter) -> tuple[str, str, bool]:
        gone = "dropped" if await dead.drop(letter) else "gone"
        return gone, f"the dead letter of task {letter.id} is {gone}", False

    return _act("drop", dropped, ids, which, doing, app, common)


def _check(which: Which, ids: Sequence[str] = (), *, needed: bool = False) -> None:
    for task_id in ids:
        token(task_id, "task id")
    if which.limit is not None and which.limit < 1:
        raise Exit(USAGE, "--limit takes 1 or more")
    if needed and not ids and not which.given:
        raise Exit(USAGE, "which dead letters? give ids or filters; actorq dead ls lists what there is")


def _run(app: str | None, common: Common, work: Callable[[DeadLetters], Awaitable[int]]) -> int:
    return beside(app, common, lambda client: work(DeadLetters(client)))


async def _chosen(dead: DeadLetters, ids: Sequence[str], which: Which) -> AsyncGenerator[Letter, None]:
    left = which.limit
    for task_id in dict.fromkeys(ids) or ("",):
        async for letter in dead.each(which.of(task_id), left):
            left = None if left is None else left - 1
            yield letter


def _act(what: str, act: Act, ids: Sequence[str], which: Which, doing: Doing, app: str | None, common: Common) -> int:
    """Look what it is about, have it allowed, then do it to exactly that, one by one."""
    _check(which, ids, needed=not doing.everything)

    async def work(dead: DeadLetters) -> int:
        found = {letter.message.sequence: _row(letter) async for letter in _chosen(dead, ids, which)}
        code = _code(ids, list(found.values()))
        if doing.dry_run or not found:
            _list(list(found.values()), common)
            return code
        consent(f"{what} {_counted(list(found.values()))}", yes=doing.yes)
        done: list[Row] = []
        async for letter in _chosen(dead, ids, which):
            if letter.message.sequence in found:
                outcome, text, left = await act(dead, letter)
                done.append({"id": letter.id, "actor": letter.content.actor, "outcome": outcome, "message": text})
                code = FAILED if left else code
                _tell(done[-1], common)
        if common.as_json:
            document(done)
        return code

    return _run(app, common, work)


def _tell(row: Row, common: Common) -> None:
    if row["outcome"] not in ("revived", "dropped"):
        talk(f"actorq: {row['message']}")
    elif not common.as_json:
        data(f"{row['id']}  {row['outcome']}")


def _counted(rows: Sequence[Row]) -> str:
    actors = Counter(str(row["actor"]) for row in rows).most_common()
    told = ", ".join(f"{count} of {actor}" for actor, count in actors[:5]) + (", ..." if len(actors) > 5 else "")
    return f"{len(rows)} dead letter{'s' if len(rows) > 1 else ''} ({told})"


def _code(ids: Sequence[str], found: Sequence[Row]) -> int:
    """The exit code for ids of which some have no letter. Raises Exit where none has one."""
    missing = [task_id for task_id in dict.fromkeys(ids) if not any(row["id"] == task_id for row in found)]
    if not missing:
        return OK
    whose = f"task{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
    text = f"no dead letter of {whose}: never died, revived, dropped, or past its time to live"
    if not found:
        raise Exit(FAILED, text, task_id=ids[0] if len(ids) == 1 else "")
    talk(f"actorq: {text}")
    return FAILED


def _list(rows: Sequence[Row], common: Common) -> None:
    listing(rows, "no dead letters, or none that fits", as_json=common.as_json)


def _row(letter: Letter) -> Row:
    content = letter.content
    return {
        "id": content.id, "actor": content.actor, "queue": content.queue, "reason": content.reason,
        "error": known_as(content.error), "attempts": content.attempts, "at": moment(content.at),
    }  # fmt: skip


def _known(letter: Letter) -> Row:
    """The row, and what else there is; the traceback last."""
    content = letter.content
    return {
        **_row(letter), "message": without_task(content.message, content.id, content.actor),
        "deliveries": content.deliveries, "worker": content.worker, "first_at": moment(content.first_at),
        "subject": content.subject, **_sent(content.envelope), "traceback": content.traceback,
    }  # fmt: skip


def _sent(body: bytes) -> Row:
    sent = readable_envelope(body)
    if sent is None:
        return {"body": body}
    return {
        "args": _tellable(list(sent.args)), "kwargs": _tellable(sent.kwargs), "meta": _tellable(sent.meta),
        "root": sent.root, "parent": sent.parent, "generation": sent.generation,
        "expires": moment(sent.expires or 0), "deadline": moment(sent.deadline or 0),
    }  # fmt: skip


def _tellable(value: object) -> object:
    """The value, or its text where JSON cannot hold it."""
    try:
        json.dumps(value, default=plain)
    except (TypeError, ValueError):
        return repr(value)
    return value


def _show(known: Sequence[Row]) -> None:
    for number, row in enumerate(known):
        remote_traceback = row.pop("traceback")
        data(("\n" if number else "") + fields({name: value for name, value in row.items() if value != {}}))
        if remote_traceback:
            data(remote_traceback.rstrip())
