"""From a call and its options to the envelope that travels (semantics C-1, I-17, J-2). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from actorq.core.retrying import named
from actorq.core.values import to_wire
from actorq.errors import UsageError
from actorq.model.envelope import Envelope
from actorq.model.options import SendOptions


def compose(
    to: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    options: SendOptions,
    *,
    task_id: str,
    now: float,
    default_ttl: float,
    parent: Envelope | None = None,
    repeat: bool = False,
) -> Envelope:
    """The envelope of one call. ``args`` and ``kwargs`` are wire values; ``parent`` is the task that makes the call.

    A child inherits its parent's deadline (the earlier one counts), trace and metadata. Raises UsageError naming the
    key of metadata that cannot travel.
    """
    deadline = _moment(options.deadline, now)
    if parent is not None and parent.deadline is not None:
        deadline = parent.deadline if deadline is None else min(deadline, parent.deadline)
    ttl = default_ttl if options.result_ttl is None else options.result_ttl
    start = begins_at(options, now) or now
    return Envelope(
        id=task_id,
        root=task_id,
        parent="" if parent is None else parent.id,
        to=to,
        args=args,
        kwargs=kwargs,
        repeat=repeat,
        expires=_moment(options.expires, start),
        deadline=deadline,
        time_limit=options.time_limit,
        retry=None if options.retry is None else named(options.retry),
        reply=None if options.ignore_result else ttl,
        trace=None if parent is None else parent.trace,
        meta=_metadata(options.meta, {} if parent is None else parent.meta),
    )


def begins_at(options: SendOptions, now: float) -> float | None:
    """The moment (epoch seconds) before which the task must not start, None for at once."""
    return _moment(options.start, now)


def _moment(given: float | datetime | None, now: float) -> float | None:
    if given is None:
        return None
    return given.timestamp() if isinstance(given, datetime) else now + given


def _metadata(given: Mapping[str, Any], inherited: Mapping[str, Any]) -> Mapping[str, Any]:
    if not given:
        return inherited
    try:
        return {**inherited, **to_wire(given, "options: meta")}
    except TypeError as error:
        raise UsageError(str(error)) from error.__cause__
