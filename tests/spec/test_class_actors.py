"""Class actors: methods as addresses, one instance for each worker, its setup and its teardown (A-1, B-1, F-1b)."""

from __future__ import annotations

import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from actorq import ActorSystem, Context, DeadLettered, InvalidArguments, InvalidName, UsageError, Worker
from actorq.model.address import Mailbox
from actorq.runtime.target import Background
from actorq.testing import wait_until

MakeSystem = Callable[..., ActorSystem]


def in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class Places:
    def inherited(self, text: str) -> str:
        return f"{text} of {type(self).__name__}"


class Geocoder(Places):
    """The class of most tests here."""

    SCALE = 2

    def __init__(self, start: int = 0) -> None:
        self.calls = start

    async def locate(self, ctx: Context, address: str, *, scale: float = SCALE) -> tuple[float, float]:
        self.calls += 1
        return len(address) * scale, ctx.attempt

    def count(self) -> tuple[int, bool]:
        return self.calls, in_main_thread()

    @staticmethod
    async def fixed(x: int) -> int:
        return x

    @classmethod
    def named(cls) -> str:
        return cls.__name__

    twice = functools.partialmethod(Places.inherited, "two")

    class Nested:
        pass

    @property
    def calls_made(self) -> int:
        raise AssertionError("looked at")

    @functools.cached_property
    def cached(self) -> int:
        raise AssertionError("looked at")

    def _private(self) -> None: ...


# ---- declaring


@pytest.mark.parametrize(
    ("declared", "name"),
    [("Geocoder", "geocoder"), ("HTTPClient", "http_client"), ("Pdf2Text", "pdf2_text"), ("My_Own", "my_own")],
)
def test_a_class_is_named_in_snake_case(declared: str, name: str) -> None:
    """A-1: without name= the address of a class is its name as that of a function would be written."""
    system = ActorSystem("declaring", transport="memory:")
    system.actor(type(declared, (Geocoder,), {}))
    system.actor(name="other", concurrency=3)(Geocoder)
    assert list(system.actors) == [name, "other"]


def test_public_methods_are_addresses_and_nothing_else_is() -> None:
    """A-1: also inherited, static and class methods; not properties, nested classes, values and what is private."""
    geocoder = ActorSystem("declaring", transport="memory:").actor(Geocoder)
    assert geocoder.locate.to == "geocoder.locate"
    assert [name for name in dir(geocoder) if not name.startswith("_")] == [
        "count", "fixed", "inherited", "locate", "named", "twice",
    ]  # fmt: skip
    for name in ("find", "SCALE", "Nested", "calls_made", "setup"):
        with pytest.raises(AttributeError, match=f"actor 'geocoder' has no method '{name}'; it has inherited, locate"):
            getattr(geocoder, name)


def test_a_method_may_have_any_name() -> None:
    """The names that addresses of functions have for their own are free for methods."""

    class Post:
        def send(self) -> str:
            return "sent"

        def options(self) -> None: ...

        def to(self) -> None: ...

    post = ActorSystem("declaring", transport="memory:").actor(Post)
    assert [post.send.to, post.options.to, post.to.to] == ["post.send", "post.options", "post.to"]
    assert post().send() == "sent"


def test_calling_it_gives_a_plain_instance() -> None:
    """A-2: as without the decorator; and other classes may be derived from it."""
    system = ActorSystem("declaring", transport="memory:")
    geocoder = system.actor(Geocoder)
    assert type(geocoder(start=3)) is Geocoder
    assert geocoder(start=3).count() == (3, True)
    assert geocoder.__doc__ == "The class of most tests here."

    @system.actor
    class Precise(geocoder):  # type: ignore[misc, valid-type]  # pyright: ignore[reportGeneralTypeIssues]
        pass

    assert system.actors["precise"].methods.keys() == system.actors["geocoder"].methods.keys()


class Needs:
    def __init__(self, url: str) -> None: ...
    def get(self) -> None: ...


class Abstract(ABC):
    @abstractmethod
    def get(self) -> None: ...


class Yields:
    def get(self) -> Iterator[int]:
        yield 1


class Empty:
    def setup(self) -> None: ...


class SetsUpAnother(Geocoder):
    def setup(self, pool: object) -> None: ...


class SetsUpInAThread(Geocoder):
    def setup(self, background: Background) -> None: ...


class TearsDownMore(Geocoder):
    async def teardown(self, background: Background) -> None: ...


class IsLifespan(Geocoder):
    async def setup(self) -> Any:
        yield


Foreign = type("Foreign", (), {"größe": Places.inherited})


@pytest.mark.parametrize(
    ("declared", "error", "text"),
    [
        (Needs, UsageError, r"Needs.__init__ without arguments, but it takes \(url"),
        (Abstract, UsageError, "Abstract is abstract: give it get"),
        (Yields, UsageError, "'a.get' yields, but an actor gives one value"),
        (Empty, UsageError, "Empty has no public method"),
        (
            SetsUpAnother,
            UsageError,
            r"setup\(\) may take nothing, or a parameter annotated Background; it takes \(pool",
        ),
        (SetsUpInAThread, UsageError, "tasks are started in `async def setup"),
        (TearsDownMore, UsageError, r"teardown\(\) cannot take a Background"),
        (IsLifespan, UsageError, r"setup\(\) yields: open in setup\(\) and close in teardown"),
        (Foreign, InvalidName, "method of 'a' 'größe' is not a valid name"),
    ],
)
def test_a_class_that_no_worker_could_run_is_refused(declared: Any, error: type[Exception], text: str) -> None:
    """At its declaration, without making an instance, and so that one sees what to change."""
    system = ActorSystem("declaring", transport="memory:")
    with pytest.raises(error, match=text):
        system.actor(name="a")(declared)
    assert not system.actors


# ---- sending


@pytest.mark.anyio
async def test_methods_are_sent_to_and_awaited(system: ActorSystem) -> None:
    """A-3, A-4: by attribute or by name, with options, several at once; typed as the method is."""
    geocoder = system.actor(Geocoder)
    async with system, Worker(system):
        assert await geocoder.locate.ask("Riga", scale=3) == (12.0, 1)
        assert await system.ask("geocoder.locate", "Riga") == (8.0, 1)
        handle = await system.ref("geocoder.locate").options(delay="50ms", meta={"a": 1}).send("Riga")
        assert await handle == (8.0, 1)
        assert [await handle for handle in await geocoder.fixed.send_many([(1,), (2,)])] == [1, 2]
        assert await geocoder.count.ask() == (3, False)
        assert await geocoder.inherited.ask("all") == "all of Geocoder"
        assert await geocoder.named.ask() == "Geocoder"
        assert await geocoder.twice.ask() == "two of Geocoder"


@pytest.mark.anyio
async def test_the_blocking_client_sends_to_methods(system: ActorSystem) -> None:
    """The same from synchronous code."""
    geocoder = system.actor(Geocoder)

    def use() -> list[Any]:
        with system.blocking() as client:
            return [client.ask(geocoder.locate, "Riga"), client.ask("geocoder.locate", "Riga")]

    async with Worker(system):
        assert await anyio.to_thread.run_sync(use) == [(8.0, 1)] * 2


@pytest.mark.anyio
async def test_what_is_wrong_is_told_to_the_sender(system: ActorSystem) -> None:
    """A-4: arguments that do not fit, an unknown method or none at all: an error at once, and nothing is sent."""
    geocoder = system.actor(Geocoder)
    async with system:
        with pytest.raises(InvalidArguments, match=r"geocoder.locate\(\) argument address") as caught:
            await geocoder.locate.send(3)
        assert caught.value.actor == "geocoder.locate"
        with pytest.raises(UsageError, match="'geocoder' is a class: send to one of its methods; it has inherited"):
            await system.send("geocoder", "Riga")
        with pytest.raises(UsageError, match="'geocoder' has no method 'find'; it has inherited, locate"):
            await system.send("geocoder.find", "Riga")
        inbox = system.namespace.inbox(Mailbox("default", 0, "geocoder"))
        assert await system.client.transport.get(inbox) is None


@pytest.mark.anyio
async def test_without_the_code_the_worker_tells(make_system: MakeSystem) -> None:
    """A-1, F-1b: a method can be sent to by name alone; one that there is not is a dead letter at once."""
    works, web = make_system(), make_system()
    works.actor(queue="maps")(Geocoder)
    works.actor(name="add")(lambda: None)
    async with web, Worker(works):
        assert list(await web.ask("geocoder.locate", "Riga")) == [8.0, 1]
        for to in ("geocoder.find", "geocoder", "geocoder.setup", "add.find"):
            with pytest.raises(DeadLettered, match=r"has no method|is a class") as caught:
                await web.ask(to, "Riga")
            assert caught.value.reason == "unknown_method"


# ---- running


class Pool:
    """Notes what happens to it."""

    def __init__(self) -> None:
        self.events: list[object] = []

    async def setup(self, background: Background) -> None:
        self.events.append("setup")
        background.start_soon(self.refresh, "every minute", name="refresh")

    async def refresh(self, how: str) -> None:
        self.events.append(how)
        try:
            await anyio.sleep_forever()
        finally:
            self.events.append("refreshing ended")

    async def teardown(self) -> None:
        self.events.append("teardown")

    async def use(self) -> None:
        await wait_until(lambda: "every minute" in self.events, description="the background task runs")
        self.events.append("use")


@pytest.mark.anyio
async def test_an_instance_lives_as_long_as_its_worker(system: ActorSystem) -> None:
    """A-1: set up before its first message, torn down at the end; what runs beside it ends before that."""
    made: list[Pool] = []

    class Noted(Pool):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    noted = system.actor(Noted)
    assert made == []
    async with system:
        async with Worker(system):
            await noted.use.ask()
            await noted.use.ask()
        async with Worker(system):
            await noted.use.ask()
    assert [one.events for one in made] == [
        ["setup", "every minute", "use", "use", "refreshing ended", "teardown"],
        ["setup", "every minute", "use", "refreshing ended", "teardown"],
    ]


@pytest.mark.anyio
async def test_plain_setup_and_teardown_run_in_threads(system: ActorSystem) -> None:
    """E-3: loading a model does not stop the event loop."""
    places: list[bool] = []

    @system.actor
    class Model:
        def setup(self) -> None:
            places.append(in_main_thread())

        def teardown(self) -> None:
            places.append(in_main_thread())

        async def predict(self, x: int) -> int:
            return x

    async with system, Worker(system):
        assert await Model.predict.ask(3) == 3  # type: ignore[attr-defined]  # mypy leaves a decorated class a class
    assert places == [False, False]


@pytest.mark.anyio
async def test_methods_share_the_slots_of_their_actor(system: ActorSystem) -> None:
    """E-2: `concurrency` bounds all methods of an actor together."""

    class Careful:
        def __init__(self) -> None:
            self.running = self.most = 0

        async def work(self) -> int:
            self.running += 1
            self.most = max(self.most, self.running)
            await anyio.sleep(0.001)
            self.running -= 1
            return self.most

        async def other(self) -> int:
            return await self.work()

    careful = system.actor(name="careful", concurrency=2)(Careful)
    async with system, Worker(system):
        handles = [*await careful.work.send_many([()] * 6), *await careful.other.send_many([()] * 6)]
        assert max([await handle for handle in handles]) == 2


@pytest.mark.anyio
async def test_plain_methods_beside_async_ones_have_threads_of_their_own(system: ActorSystem) -> None:
    """A-1: `threads` bounds the plain methods, `concurrency` all of them together."""
    full = threading.Event()
    inside, most = 0, 0
    lock = threading.Lock()

    class Mixed:
        def wait(self) -> None:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            full.wait(timeout=10)
            with lock:
                inside -= 1

        async def quick(self) -> str:
            return "quick"

    system.actor(name="mixed", concurrency=5, threads=2)(Mixed)
    async with system, Worker(system):
        handles = await system.ref("mixed.wait").send_many([()] * 4)
        await wait_until(lambda: inside == 2, description="both threads are taken")
        assert await system.ask("mixed.quick") == "quick"
        full.set()
        for handle in handles:
            await handle
    assert most == 2
