"""Declared actors: what ``@system.actor`` returns, and what sends to an address."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, Unpack, overload

from actorq.client import Client
from actorq.core.codec import to_wire
from actorq.errors import InvalidArguments, UsageError
from actorq.handle import Handle
from actorq.model.options import NO_OPTIONS, CallOptions, SendOptions, send_options
from actorq.runtime.context import Context
from actorq.runtime.target import Target

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")
C_co = TypeVar("C_co", covariant=True)

Call = tuple[tuple[Any, ...], Mapping[str, Any]]


class Sender(Protocol):
    """What an address needs of its system."""

    async def submit(
        self, to: str, calls: Sequence[Call], options: SendOptions, target: Target | None, client: Client | None = None
    ) -> list[Handle[Any]]: ...


def unchecked(to: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Wire form of a call to an actor whose signature is not known here; InvalidArguments for what cannot travel."""
    try:
        what = f"{to}() arguments"
        return to_wire(tuple(args), what), to_wire(dict(kwargs), what)
    except TypeError as error:
        raise InvalidArguments(str(error), actor=to) from error


def several(calls: Iterable[Sequence[Any]]) -> list[Call]:
    """The calls of ``send_many``. Raises UsageError where something else than sequences of arguments was given."""
    listed: list[Call] = []
    for args in calls:
        if isinstance(args, str | bytes) or not hasattr(args, "__iter__"):
            raise UsageError(f"send_many: {args!r} is no tuple of arguments; write [({args!r},), ...]")
        listed.append((tuple(args), {}))
    return listed


class Address(Generic[P, R]):
    """An address with options: sends to an actor by name. Immutable; ``options`` gives a new one."""

    __slots__ = ("_options", "_sender", "_target", "to")

    def __init__(
        self, sender: Sender, to: str, target: Target | None = None, options: SendOptions = NO_OPTIONS
    ) -> None:
        self._sender = sender
        self._target = target
        self._options = options
        self.to: str = to

    def __repr__(self) -> str:
        return f"<Address {self.to}>"

    def options(self, **options: Unpack[CallOptions]) -> Address[P, R]:
        """The same address with options for the calls made through it. Raises UsageError naming a wrong key."""
        return Address(self._sender, self.to, self._target, send_options(options, self._options))

    async def send(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Send one task; the broker has confirmed it when this returns.

        Raises InvalidArguments or PayloadTooLarge (nothing was sent), BrokerUnavailable (surely not stored) or
        DeliveryUnknown. If cancelled here, the task may or may not be stored.
        """
        (handle,) = await self._sender.submit(self.to, [(args, kwargs)], self._options, self._target)
        return handle

    async def ask(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Send one task and await its value. Raises as ``send`` and as ``Handle.result``."""
        (handle,) = await self._sender.submit(self.to, [(args, kwargs)], self._options, self._target)
        value: R = await handle.result()
        return value

    async def send_many(self, calls: Iterable[Sequence[Any]]) -> list[Handle[R]]:
        """Send one task for each tuple of arguments, pipelined; all are confirmed when this returns."""
        return await self._sender.submit(self.to, several(calls), self._options, self._target)

    async def submit_by(self, client: Client, calls: Sequence[Call]) -> list[Handle[R]]:
        """Send several calls, each ``(args, kwargs)``, over a given connection."""
        return await self._sender.submit(self.to, calls, self._options, self._target, client)


class Actor(Address[P, R], Generic[P, Q, C_co, R]):
    """A declared function actor. Calling it runs the plain function here and now, as without the decorator.

    ``P`` is what senders give, ``Q`` what a direct call takes: the same but for an injected Context.
    """

    __slots__ = ("__dict__", "_function", "target")

    def __init__(self, sender: Sender, target: Target, function: Callable[Q, C_co]) -> None:
        super().__init__(sender, target.name, target)
        self.target: Target = target
        self._function = function
        functools.update_wrapper(self, function)

    def __repr__(self) -> str:
        return f"<Actor {self.to}>"

    def __call__(self, *args: Q.args, **kwargs: Q.kwargs) -> C_co:
        return self._function(*args, **kwargs)


class ClassActor(Generic[T]):
    """A declared class actor: ``Geocoder.locate`` is the address of its method, ``Geocoder()`` a plain instance.

    ``__wrapped__`` is the class itself. All of its own names begin with ``_``, so that a method may have any other.
    """

    __wrapped__: type[T]

    def __init__(self, sender: Sender, target: Target, declared: type[T]) -> None:
        functools.update_wrapper(self, declared, updated=())
        self.__target__: Target = target
        self._sender = sender

    def __repr__(self) -> str:
        return f"<ClassActor {self.__target__.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> T:
        return self.__wrapped__(*args, **kwargs)

    def __getattr__(self, name: str) -> Address[..., Any]:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        target = self.__target__
        if name not in target.methods:
            raise AttributeError(target.lacks(name), name=name, obj=self)
        return Address(self._sender, f"{target.name}.{name}", target)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.__target__.methods]

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type[T]]:
        return (self.__wrapped__,)


class Declare(Protocol):
    """What ``@system.actor(...)`` with options gives: the decorator."""

    @overload
    def __call__(self, declared: type[T], /) -> ClassActor[T]: ...  # type: ignore[overload-overlap]  # also a callable
    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> Actor[P, Concatenate[Context, P], Coroutine[Any, Any, R], R]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Actor[P, P, Coroutine[Any, Any, R], R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], R], /
    ) -> Actor[P, Concatenate[Context, P], R, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Actor[P, P, R, R]: ...
