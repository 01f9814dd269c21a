"""ActorSystem: an explicit registry of actors and the way to reach them. No globals; nothing happens at import."""

from __future__ import annotations

import inspect
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack, overload

import anyio
from anyio.lowlevel import RunVar

from actorq.actor import Actor, Address, Call, ClassActor, Declare, unchecked
from actorq.blocking import BlockingClient
from actorq.client import RUNNING, Client
from actorq.core.codec import pack
from actorq.core.compose import begins_at, compose
from actorq.core.ids import TAIL_BITS, make_id, make_origin, random_origin
from actorq.core.remote import ExceptionRegistry
from actorq.errors import UsageError
from actorq.handle import Handle
from actorq.model.address import Mailbox, Namespace, parse_address, token
from actorq.model.message import ConnectionSettings, StreamSettings
from actorq.model.options import SendOptions
from actorq.model.policy import Policy
from actorq.model.supervision import SupervisorSpec
from actorq.model.supervisors import SupervisorOptions, merged
from actorq.outbox import Outgoing
from actorq.plugins import open_transport
from actorq.ports.transport import Transport
from actorq.runtime.context import Context
from actorq.runtime.execute import Middleware
from actorq.runtime.target import Target, name_of

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
M = TypeVar("M", bound=Middleware)
Lifespan = Callable[[], AbstractAsyncContextManager[Any]]
DEFAULT_TRANSPORT = "nats://127.0.0.1:4222"


@dataclass(slots=True, eq=False)
class _Shared:
    """The connection that all tasks of one event loop share."""

    opening: anyio.Lock = field(default_factory=anyio.Lock)
    users: int = 0
    client: Client | None = None


class ActorSystem:
    """A named set of actors over one transport.

    ``transport``: a URL (``nats://host:4222``, several comma separated, ``memory:``); without it ACTORQ_TRANSPORT, then
    NATS_URL, then nats://127.0.0.1:4222. ``lifespan``: an async context manager entered in each worker; its value is
    ``ctx.state``. ``connection_name``: how operators see this program; the same name gives the same reply address.
    ``connection``: further keys of ConnectionSettings. ``defaults``: options of every actor that does not set them
    itself. A command line may set ``transport``, ``connection`` and ``namespace`` before the system connects.
    Raises InvalidName for a name that is not a token, UsageError for an unknown option.
    """

    def __init__(
        self,
        name: str,
        *,
        transport: str | None = None,
        lifespan: Lifespan | None = None,
        connection_name: str | None = None,
        streams: StreamSettings | None = None,
        connection: Mapping[str, Any] | None = None,
        send_timeout: float = 15.0,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.namespace: Namespace = Namespace.of(name)
        self.lifespan: Lifespan | None = lifespan
        self.middlewares: list[Middleware] = []
        self.exceptions: ExceptionRegistry = ExceptionRegistry()
        self.actors: dict[str, Target] = {}
        self.supervisors: dict[str, SupervisorSpec] = {}
        self.defaults: Policy = Policy().merged(defaults or {}, f"defaults of system {name!r}")
        self.send_timeout = send_timeout
        self.streams: StreamSettings = streams or StreamSettings()
        self.transport: str | None = transport
        self.connection: dict[str, Any] = dict(connection or {})
        self._connection_name = connection_name
        self._shared: RunVar[_Shared] = RunVar(f"actorq system {name}")

    def __repr__(self) -> str:
        return f"<ActorSystem {self.name}>"

    # ---- declaring

    @overload
    def actor(self, declared: type[T], /) -> ClassActor[T]: ...  # type: ignore[overload-overlap]  # also a callable
    @overload
    def actor(
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> Actor[P, Concatenate[Context, P], Coroutine[Any, Any, R], R]: ...
    @overload
    def actor(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Actor[P, P, Coroutine[Any, Any, R], R]: ...
    @overload
    def actor(self, function: Callable[Concatenate[Context, P], R], /) -> Actor[P, Concatenate[Context, P], R, R]: ...
    @overload
    def actor(self, function: Callable[P, R], /) -> Actor[P, P, R, R]: ...
    @overload
    def actor(self, /, *, name: str | None = None, **options: Any) -> Declare: ...
    def actor(self, function: Any = None, /, *, name: str | None = None, **options: Any) -> Any:
        """Declare an actor: ``@system.actor`` or ``@system.actor(name=..., concurrency=..., ...)`` (see Policy).

        Raises InvalidName, ConfigError or UsageError naming the actor, also for a second actor of one name.
        """
        if function is None:
            return partial(self._declare, name=name, options=options)
        return self._declare(function, name, options)

    def _declare(self, declared: Any, name: str | None, options: Mapping[str, object]) -> Any:
        if not callable(declared):
            raise UsageError(f"{declared!r} cannot be an actor: declare a function, async or plain, or a class")
        name = token(name if name is not None else name_of(declared), "actor")
        if name in self.actors:
            raise UsageError(
                f"there are two actors named {name!r} in system {self.name!r} "
                f"({_where(self.actors[name].handler)} and {_where(declared)}): give one another name="
            )
        if name in self.supervisors:
            raise UsageError(f"actor {name!r} has the name of a supervisor in system {self.name!r}: give it another")
        policy = self.defaults.merged(options, f"actor {name!r}")
        target = self.actors[name] = Target.of(name, declared, policy, frozenset(options))
        kind: Any = Actor if target.factory is None else ClassActor
        return kind(self, target, declared)

    def supervisor(
        self,
        name: str,
        *,
        children: Iterable[str | Actor[..., ..., Any, Any] | ClassActor[Any]] | None = None,
        **options: Unpack[SupervisorOptions],
    ) -> None:
        """Declare a supervisor (see SupervisorSpec); the name ``"root"`` sets what the one above all others does.

        ``children``: actors, or names of actors and supervisors, in order of start; None: all that no other supervisor
        names. Raises InvalidName, ConfigError or UsageError naming the supervisor, also for a name that is taken.
        """
        whose = f"supervisor {token(name, 'supervisor')!r}"
        if name in self.actors or name in self.supervisors:
            kind = "an actor" if name in self.actors else "another one"
            raise UsageError(f"{whose} has the name of {kind} in system {self.name!r}: give it another")
        names = children if children is None or isinstance(children, str) else [_name(child) for child in children]
        self.supervisors[name] = merged(SupervisorSpec(name=name), {**options, "children": names}, whose)

    def middleware(self, function: M) -> M:
        """Wrap each attempt: ``async def f(ctx, call_next): return await call_next()``. The first is outermost."""
        self.middlewares.append(function)
        return function

    # ---- connecting

    async def __aenter__(self) -> Self:
        """Connect, or share the connection of this event loop; the last to leave it, in whatever task, closes it.

        Raises BrokerUnavailable, PermissionDenied or ConfigError.
        """
        shared = self._shared.get(None)
        if shared is None:
            self._shared.set(shared := _Shared())
        async with shared.opening:
            if shared.client is None:
                shared.client = await self.open_client()
            shared.users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shared = self._shared.get()
        shared.users -= 1
        if shared.users == 0 and shared.client is not None:
            # Whoever enters while this one closes opens another.
            client, shared.client = shared.client, None
            await self.close_client(client)

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[Client, None]:
        """A connection of its own, apart from the system's."""
        client = await self.open_client()
        try:
            yield client
        finally:
            await self.close_client(client)

    async def open_client(self) -> Client:
        """The same, to be ended with ``close_client`` in any task of this event loop."""
        name = self._connection_name
        origin = random_origin(secrets.randbits(30)) if name is None else make_origin(name)
        transport = await self._open_transport().__aenter__()
        client = Client(
            transport, self.namespace, origin, send_timeout=self.send_timeout, result_ttl=self.streams.result_ttl
        )
        try:
            await client.open()
        except BaseException:
            await self.close_client(client)
            raise
        return client

    async def close_client(self, client: Client) -> None:
        """End what ``open_client`` gave."""
        client.close()
        await client.transport.__aexit__(None, None, None)

    @property
    def url(self) -> str:
        """Where it connects, or would: ``transport``, else the environment, else the default. May hold secrets."""
        return self.transport or os.environ.get("ACTORQ_TRANSPORT") or os.environ.get("NATS_URL") or DEFAULT_TRANSPORT

    def _open_transport(self) -> Transport:
        name = self._connection_name or f"actorq {self.name}"
        settings = ConnectionSettings(
            url=self.url, prefix=self.namespace.prefix, name=name, streams=self.streams, **self.connection
        )
        return open_transport(settings)

    @property
    def client(self) -> Client:
        """The open connection of this event loop. Raises UsageError outside ``async with system``."""
        try:
            shared = self._shared.get(None)
        except RuntimeError:  # no event loop runs here
            shared = None
        if shared is None or shared.client is None:
            raise UsageError(
                f"system {self.name!r} is not connected: use `async with system:` around sending and awaiting, in "
                "the same event loop"
            )
        return shared.client

    def blocking(self) -> BlockingClient:
        """A client for synchronous callers: ``with system.blocking() as client: client.ask(add, 1, 2)``."""
        return BlockingClient(self)

    # ---- sending by name

    def ref(self, to: str) -> Address[..., Any]:
        """An address by name, of a class actor with the method: ``"geocoder.locate"``. Its code need not be known here.

        Raises InvalidName, or UsageError for a method that a class actor of this system does not have.
        """
        actor, _ = parse_address(to)
        target = self.actors.get(actor)
        if target is None or (target.factory is None and actor != to):
            return Address(self, to)
        target.at(to)
        return Address(self, to, target)

    async def send(self, to: str, /, *args: Any, **kwargs: Any) -> Handle[Any]:
        """Send a task by name. Queue and lanes come from the register, else queue ``default``."""
        return await self.ref(to).send(*args, **kwargs)

    async def ask(self, to: str, /, *args: Any, **kwargs: Any) -> Any:
        """Send a task by name and await its value."""
        return await self.ref(to).ask(*args, **kwargs)

    def handle(self, task_id: str) -> Handle[Any]:
        """The handle of a task sent at any time by any process."""
        return self.handle_by(lambda: self.client, task_id)

    def handle_by(self, client: Callable[[], Client], task_id: str) -> Handle[Any]:
        """The same over a given connection."""
        return Handle(client, client().ticket(token(task_id, "task id")), registry=self.exceptions)

    async def submit(
        self, to: str, calls: Sequence[Call], options: SendOptions, target: Target | None, client: Client | None = None
    ) -> list[Handle[Any]]:
        """Check, compose and send calls to one address, all confirmed when this returns."""
        by = self.client if client is None else client
        if options.task_id is not None and len(calls) > 1:
            raise UsageError("options: task_id names one task; send_many would give it to several")
        mailbox = await self._mailbox(by, to, options, target)
        outgoing = [self._compose(by, mailbox, to, call, options, target) for call in calls]
        convert = None if target is None else target.at(to).returned.from_wire
        return [
            Handle(lambda: by, ticket, registry=self.exceptions, convert=convert, duplicate=taken,
                   ignored=options.ignore_result, to=to)
            for ticket, taken in await by.submit(outgoing, options.send_timeout)
        ]  # fmt: skip

    async def _mailbox(self, client: Client, to: str, options: SendOptions, target: Target | None) -> Mailbox:
        actor = parse_address(to)[0]
        if target is not None:
            _one_queue(target, options)
        if options.queue is not None:
            return Mailbox(options.queue, 0, actor)
        return await client.register.home(actor) if target is None else Mailbox(target.policy.queue, 0, actor)

    def _compose(
        self, client: Client, mailbox: Mailbox, to: str, call: Call, options: SendOptions, target: Target | None
    ) -> Outgoing:
        args, kwargs = unchecked(to, *call) if target is None else target.at(to).parameters.bind(*call)
        now, running = client.transport.now(), RUNNING.get()
        task_id, repeat, parent = options.task_id, options.task_id is not None, None
        if running is not None:
            parent = running.envelope
            repeat = repeat or running.repeated
            task_id = task_id or running.child_id(to, pack([args, kwargs]))
        ttl = target.policy.result_ttl if target is not None else None
        envelope = compose(
            to, args, kwargs, options, now=now, repeat=repeat, parent=parent,
            task_id=task_id or make_id(now, secrets.randbits(TAIL_BITS), client.origin),
            default_ttl=self.streams.result_ttl if ttl is None else ttl,
        )  # fmt: skip
        return Outgoing(mailbox, envelope, begins_at(options, now), exclusive=repeat)


def _one_queue(target: Target, options: SendOptions) -> None:
    """Refuse another queue for an actor whose limit is that of one consumer, and so of one queue (H-2)."""
    policy = target.policy
    if policy.global_concurrency and options.queue not in (None, policy.queue):
        raise UsageError(
            f"actor {target.name!r}: global_concurrency holds in its own queue, {policy.queue!r}, and would not count "
            f"what is sent to queue {options.queue!r}: send without queue=, or declare the actor with that queue"
        )


def _name(child: str | Actor[..., ..., Any, Any] | ClassActor[Any]) -> str:
    if isinstance(child, ClassActor):
        return child.__target__.name
    return child.to if isinstance(child, Actor) else child


def _where(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)
