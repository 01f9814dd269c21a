"""Errors as users meet them: whatever their values and exceptions do (semantics A-4, E-5, I-10)."""

from __future__ import annotations

import copy
import dataclasses
import enum
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actorq import ActorSystem, Address, InvalidArguments, PayloadTooLarge, RemoteError, Retry, UsageError, Worker
from tests.spec.conftest import MakeSystem

pytestmark = pytest.mark.anyio


@dataclasses.dataclass
class Unfinished:
    """Its field is never set."""

    x: int = dataclasses.field(init=False)


class Broken(list[int]):
    def __iter__(self) -> Iterator[int]:
        raise LookupError("its rows are gone")


def fail(*_: Any) -> Any:
    raise RuntimeError("user code")


class Loud(Exception):
    """Nothing of it can be read."""

    __str__: Any = fail
    __repr__: Any = fail
    args: Any = property(fail)
    __notes__: Any = property(fail)


class OutOfStock(Exception):
    pass


class Colour(enum.Enum):
    RED = "red"


async def ask(actor: Address[..., Any], *args: Any) -> Any:
    """Send and await, with an end: a worker that died of the task would be waited for in vain."""
    return await (await actor.send(*args)).result(10)


BROKEN_VALUES = [(Unfinished, "AttributeError: 'Unfinished' object"), (lambda: Broken([1]), "LookupError: its rows")]


@pytest.mark.parametrize(("make", "text"), BROKEN_VALUES)
async def test_a_result_whose_own_code_fails_is_a_failure_of_its_task(
    system: ActorSystem, make: Any, text: str
) -> None:
    """E-5: a returned value whose own code raises fails its task with a TypeError; the worker goes on."""

    @system.actor(retry=Retry(max_attempts=1))
    async def give() -> Any:
        return [make()]

    @system.actor
    async def add(a: int, b: int) -> int:
        return a + b

    async with system, Worker(system):
        with pytest.raises(TypeError, match=rf"the result of give\(\)\[0\]: {text}") as caught:
            await ask(give)
        assert isinstance(caught.value, RemoteError)
        assert await ask(add, 1, 2) == 3


@pytest.mark.parametrize("error", [Loud(), ValueError(Unfinished()), ValueError(Broken([1])), Loud])
async def test_an_exception_that_cannot_be_read_is_a_failure_of_its_task(system: ActorSystem, error: Any) -> None:
    """E-5, I-10: whatever a raised exception does when it is looked at, its waiter hears of it."""

    @system.actor(retry=Retry(max_attempts=1))
    async def fail() -> None:
        raise error

    @system.actor
    async def add(a: int, b: int) -> int:
        return a + b

    async with system, Worker(system):
        with pytest.raises(RemoteError) as caught:
            await ask(fail)
        assert caught.value.type_name.endswith(("Loud", "ValueError"))
        assert await ask(add, 1, 2) == 3


@pytest.mark.parametrize(("make", "text"), BROKEN_VALUES)
async def test_an_argument_whose_own_code_fails_is_refused(system: ActorSystem, make: Any, text: str) -> None:
    """A-4: it is the caller's error, named with actor and argument, by declared actor and by name."""

    @system.actor
    async def take(rows: list[Any]) -> None:
        raise AssertionError("it must not run")

    async with system:
        with pytest.raises(InvalidArguments, match=rf"take\(\) argument rows\[0\]: {text}"):
            await take.send([make()])
        with pytest.raises(InvalidArguments, match=rf"elsewhere\(\) arguments\[0\]\[0\]: {text}"):
            await system.send("elsewhere", [make()])
        with pytest.raises(InvalidArguments, match=rf"elsewhere\(\) arguments\['rows'\]: {text}"):
            await system.send("elsewhere", rows=make())


async def test_metadata_is_checked_by_the_sender(system: ActorSystem) -> None:
    """C-1: text as keys and values that can travel; anything else is refused before it is sent, with its key."""

    @system.actor
    async def look() -> None:
        raise AssertionError("it must not run")

    async with system:
        with pytest.raises(UsageError, match=r"options: meta .*key 1"):
            look.options(meta={1: 2})  # type: ignore[dict-item]
        with pytest.raises(UsageError, match=r"options: meta\['a'\]\['b'\]: object cannot travel"):
            await look.options(meta={"a": {"b": object()}}).send()


async def test_metadata_travels_as_any_value_does(system: ActorSystem) -> None:
    """C-1: an Enum as its value, for example."""
    from actorq import Context  # noqa: PLC0415  resolved where the handler is declared

    async def look(ctx: Context) -> dict[str, Any]:
        return dict(ctx.meta)

    look.__annotations__["ctx"] = Context
    actor = system.actor(look)
    async with system, Worker(system):
        assert await ask(actor.options(meta={"colour": Colour.RED})) == {"colour": "red"}


async def test_of_two_options_the_later_wins(system: ActorSystem) -> None:
    """J-1: whichever way a start or a limit is written, what is set last counts."""

    @system.actor
    async def add(a: int, b: int) -> int:
        return a + b

    tomorrow = datetime.now(UTC) + timedelta(days=1)
    async with system, Worker(system):
        assert await ask(add.options(eta=tomorrow).options(delay=0), 1, 2) == 3
        assert await ask(add.options(expires="10ms").options(expires=tomorrow), 1, 2) == 3
        with pytest.raises(UsageError, match="delay and eta"):
            add.options(delay=1, eta=tomorrow)


async def test_an_unknown_error_is_shown_with_its_name(make_system: MakeSystem) -> None:
    """I-10: a plain RemoteError says which class was raised, even if that had no text; through parents, too."""
    system = make_system()

    @system.actor(retry=Retry(max_attempts=1))
    async def silent() -> None:
        raise OutOfStock

    @system.actor(retry=Retry(max_attempts=1))
    async def parent(text: str) -> None:
        await (silent if not text else spoken).ask()

    @system.actor(retry=Retry(max_attempts=1))
    async def spoken() -> None:
        raise OutOfStock("none left")

    async with system, Worker(system):
        for text in ("", "none left"):
            with pytest.raises(RemoteError) as caught:
                await ask(parent, text)
            assert type(caught.value) is RemoteError
            assert str(caught.value) == f"{__name__}.OutOfStock" + (f": {text}" if text else "")


async def test_an_error_of_a_task_can_be_copied_and_pickled(system: ActorSystem) -> None:
    """I-10: it passes through a process pool or an error tracker as what it is."""
    system.exceptions.register(OutOfStock)

    @system.actor(retry=Retry(max_attempts=1))
    def fail(kind: str) -> None:
        raise {"known": OutOfStock("none left"), "built in": FileNotFoundError(2, "gone", "/x")}[kind]

    async with system, Worker(system):
        for kind, original in (("known", OutOfStock), ("built in", FileNotFoundError)):
            with pytest.raises(original) as caught:
                await ask(fail, kind)
            for again in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
                assert type(again) is type(caught.value)
                assert str(again) == str(caught.value)
                assert vars(again) == vars(caught.value)


async def test_a_rebuilt_error_of_actorq_has_all_attributes(system: ActorSystem) -> None:
    """I-10: they hold their defaults, as what they were does not travel."""

    @system.actor
    async def big() -> str:
        return "x" * 600_000

    async with system, Worker(system):
        with pytest.raises(PayloadTooLarge, match="600,") as caught:
            await ask(big)
        assert (caught.value.limit, caught.value.size) == (0, 0)
