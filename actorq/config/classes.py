"""Exceptions that a policy names by text: whether the program has them, and under which name they are compared."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Mapping

from actorq import errors
from actorq.core.remote import type_name
from actorq.model.policy import Policy


def doubts(policies: Mapping[str, Policy]) -> Iterator[tuple[str, str]]:
    """For each name that looks wrong: the actor whose policy has it, and what is to say. Imports nothing."""
    for actor, policy in policies.items():
        for kind in (*policy.retry.no_retry, *policy.retry.restart_on):
            if isinstance(kind, str) and (text := _doubt(kind)) is not None:
                yield actor, text


def _doubt(name: str) -> str | None:
    module, _, last = name.rpartition(".")
    place = {"": builtins, "actorq": errors}.get(module) or sys.modules.get(module)
    if place is None:
        return f'the program has not imported a module "{module}", so it may never raise "{name}"'
    found = getattr(place, last, None)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        return f'there is no exception class "{name}"; nothing will match it'
    own = type_name(found)
    if place in (builtins, errors) or own == name:
        return None
    return f'"{name}" is defined as "{own}", by which it is compared; write that'
