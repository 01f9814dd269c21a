"""What the broker has to hold for one namespace: its streams and consumers, and what is wrong with those that exist.

Pure: settings and found configurations in, wanted configurations and problems out (all as the broker's JSON has them,
durations in nanoseconds).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from actorq.model.message import ConsumerSpec, StreamSettings

Config = Mapping[str, Any]
SECOND = 1_000_000_000
MAX_CONSUMERS = 5_000
MAX_WAITING = 10_000
"""Pull requests that may wait at one consumer; each worker has a few. The server's default is 512."""
MIN_SERVER = (2, 14, 3)
_UNLIMITED = (-1, 0, None)


class Kind(Enum):
    """The stores of a namespace, by the second tokens of their subjects; the name is the end of the stream's."""

    TASKS = "tsmjkx"
    RESULTS = "rp"
    DEAD = "d"


_KINDS = {letter: kind for kind in Kind for letter in kind.value} | {"*": Kind.TASKS}


def kind_of(prefix: str, subject: str) -> Kind | None:
    """Which store takes a subject or filter (``*`` as second token: tasks); None where nobody stores it."""
    tokens = subject.split(".", 2)
    return _KINDS.get(tokens[1]) if len(tokens) == 3 and tokens[0] == prefix else None


def stream_name(prefix: str, kind: Kind) -> str:
    """``{prefix}_tasks``, ``{prefix}_results`` or ``{prefix}_dead``."""
    return f"{prefix}_{kind.name.lower()}"


def wanted_streams(prefix: str, settings: StreamSettings) -> dict[Kind, dict[str, Any]]:
    """The three streams of a namespace, each as a new one is made."""
    return {
        kind: {
            "name": stream_name(prefix, kind),
            "subjects": [f"{prefix}.{letter}.>" for letter in kind.value],
            "storage": "file",
            "num_replicas": settings.replicas,
            "duplicate_window": int(settings.duplicate_window * SECOND),
            "allow_direct": True,
            "allow_msg_ttl": True,
            "discard": "old",
            "max_msgs": -1,
            "max_bytes": -1,
            **own,
        }
        for kind, own in _own_settings(prefix, settings)
    }


def _own_settings(prefix: str, settings: StreamSettings) -> Iterator[tuple[Kind, dict[str, Any]]]:
    yield (
        Kind.TASKS,
        {
            "retention": "workqueue",
            "max_age": 0,
            "max_msgs_per_subject": -1,
            # Explicit: without a number the server allows 1,000.
            "max_consumers": MAX_CONSUMERS,
            "allow_msg_schedules": True,
            "allow_atomic": True,
            "allow_rollup_hdrs": True,
            "republish": {"src": f"{prefix}.x.>", "dest": f"{prefix}.n.x.>"},
        },
    )
    yield (
        Kind.RESULTS,
        {
            "retention": "limits",
            "max_age": 0,
            "max_msgs_per_subject": 1,
            "republish": {"src": f"{prefix}.r.>", "dest": f"{prefix}.n.>"},
        },
    )
    yield Kind.DEAD, {"retention": "limits", "max_age": int(settings.dead_ttl * SECOND), "max_msgs_per_subject": -1}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about a stream that exists. ``problems``: one line each; ``changes``: keys to update."""

    problems: tuple[str, ...]
    changes: Mapping[str, Any]


# What a setting that was left at its default must not overrule: another program, or an operator, may have chosen.
_TUNABLE = {"num_replicas": "replicas", "duplicate_window": "duplicate_window", "max_age": "dead_ttl"}
_LIMITS = ("max_msgs", "max_bytes", "max_age")


def judge_stream(kind: Kind, found: Config, wanted: Config, settings: StreamSettings) -> Verdict:
    """Compare a stream with what it should be."""
    problems: list[str] = []
    changes: dict[str, Any] = {}
    for key, value in wanted.items():
        have = found.get(key)
        if _same(key, have, value):
            continue
        if _is_tunable(kind, key):
            if getattr(settings, _TUNABLE[key]) != getattr(StreamSettings(), _TUNABLE[key]):
                changes[key] = value
        elif key != "max_consumers" and not (kind is Kind.DEAD and key in _LIMITS):
            problems.append(_problem(str(found.get("name")), key, have, value))
    problems += [
        f"stream {found.get('name')}: {key} is set, which actorq cannot work with: remove it"
        for key in ("sealed", "deny_delete", "deny_purge", "no_ack", "mirror", "sources", "subject_transform")
        if found.get(key)
    ]
    return Verdict(tuple(problems), changes)


def _is_tunable(kind: Kind, key: str) -> bool:
    return key in _TUNABLE and (key != "max_age" or kind is Kind.DEAD)


def _same(key: str, have: object, value: object) -> bool:
    if key == "subjects":
        return set(_texts(value)) <= set(_texts(have))
    if value in _UNLIMITED:
        return have in _UNLIMITED
    return have == value or (isinstance(value, dict) and isinstance(have, dict) and value.items() <= have.items())


def _texts(value: object) -> list[str]:
    return [str(item) for item in cast("list[object]", value)] if isinstance(value, list) else []


def _problem(name: str, key: str, have: object, value: object) -> str:
    advice = ": remove the limit, which drops messages that were confirmed" if key in _LIMITS else ""
    return f"stream {name}: {key} is {_shown(key, have)}, needed is {_shown(key, value)}{advice}"


def advised(problems: Sequence[str]) -> tuple[str, ...]:
    """Problems of streams with what to do about those that say nothing of it, once, at the last of them."""
    bare = [i for i, problem in enumerate(problems) if ", needed is " in problem and ": remove" not in problem]
    advice = ": change this with the nats CLI, or remove the streams once they are empty and let actorq make them"
    return tuple(problem + advice if i in bare[-1:] else problem for i, problem in enumerate(problems))


_TIMES = {"max_age", "duplicate_window", "ack_wait", "inactive_threshold"}
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))
_WORDS = {"ack_wait": "lease", "max_ack_pending": "limit of messages held", "inactive_threshold": "idle time"}


def _shown(key: str, value: object) -> str:
    if key not in _TIMES or not isinstance(value, int):
        return repr(value)
    seconds = value / SECOND
    whole = next(((unit, size) for unit, size in _UNITS if seconds and seconds % size == 0), ("s", 1))
    return f"{seconds / whole[1]:g} {whole[0]}"


def told_changes(found: Config, changes: Config) -> str:
    """What is to be changed, in words."""
    return ", ".join(
        f"{_WORDS.get(key, key)} from {_shown(key, found.get(key))} to {_shown(key, value)}"
        for key, value in changes.items()
    )


def missing_stream(name: str) -> str:
    """What to tell where actorq may not create streams."""
    return f'stream {name} does not exist: run once with streams.manage = "create", or create it with the nats CLI'


def server_version(text: str) -> tuple[int, ...]:
    """``2.15.1-beta`` as numbers; empty if it is no version."""
    parts = text.partition("-")[0].split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()


def wanted_consumer(spec: ConsumerSpec) -> dict[str, Any]:
    """A durable pull consumer as a new one is made."""
    return {
        "durable_name": spec.name,
        "name": spec.name,
        "filter_subject": spec.filter,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "max_deliver": -1,
        "max_waiting": MAX_WAITING,
        **live_keys(spec),
    }


def live_keys(spec: ConsumerSpec) -> dict[str, Any]:
    """What may be changed while the consumer is in use."""
    return {
        "ack_wait": int(spec.lease * SECOND),
        "max_ack_pending": spec.max_held or -1,
        "inactive_threshold": int(spec.idle * SECOND),
    }


@dataclass(frozen=True, slots=True)
class ConsumerState:
    """How a consumer stands. ``lease`` in seconds; ``held_up``: messages wait though nothing holds them back."""

    lease: float
    held_up: bool = False

    @classmethod
    def of(cls, info: Config) -> ConsumerState:
        """From the broker's account of it."""
        config = info["config"]
        limit = config.get("max_ack_pending", -1)
        free = limit <= 0 or info.get("num_ack_pending", 0) < limit
        waiting = info.get("num_pending", 0) > 0 and not info.get("paused")
        return cls(config.get("ack_wait", 0) / SECOND, bool(waiting and free))


def judge_consumer(stream: str, found: Config, spec: ConsumerSpec) -> Verdict:
    """Compare a consumer with what a worker needs."""
    wanted = wanted_consumer(spec)
    live = live_keys(spec)
    problems = [
        f"consumer {spec.name} of stream {stream} has {key} {found.get(key)!r}, needed is {value!r}: "
        "remove that consumer (its messages stay), or use another queue or actor name"
        for key, value in wanted.items()
        if key not in live and key != "max_waiting" and not _same(key, found.get(key), value)
    ]
    return Verdict(tuple(problems), {key: value for key, value in live.items() if found.get(key) != value})


def overlaps(one: str, other: str) -> bool:
    """Whether any subject matches both filters (``*`` tokens; ``>`` at the end)."""
    ours, theirs = one.split("."), other.split(".")
    for mine, yours in zip(ours, theirs, strict=False):
        if ">" in (mine, yours):
            return True
        if mine != yours and "*" not in (mine, yours):
            return False
    return len(ours) == len(theirs)


def overlap_problem(spec: ConsumerSpec, name: str, filter_: str) -> str:
    """Why a consumer cannot be made beside another one (semantics B-4)."""
    actor = spec.filter.split(".")[4] if spec.filter.count(".") >= 4 else spec.filter
    return (
        f"consumer {spec.name} with filter {spec.filter} cannot be made: actor {actor} already has consumer {name} "
        f"with filter {filter_}; remove that consumer (its messages stay), or use another queue or actor name"
    )
