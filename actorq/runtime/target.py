"""A declared actor as senders and workers see it: name, policy, and the signature of each thing that it does.

A class is looked at when it is declared and instantiated by workers alone.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import FunctionType, MappingProxyType
from typing import Any, Protocol, TypeVarTuple

from actorq.core.convert import Parameters, Returned
from actorq.errors import InvalidArguments, UsageError
from actorq.model.address import token
from actorq.model.policy import Policy
from actorq.runtime.context import Context
from actorq.runtime.threads import ThreadCall

Args = TypeVarTuple("Args")
HOOKS = ("setup", "teardown")
InThread = Callable[[Callable[[], Any]], ThreadCall]


def _uncounted(function: Callable[[], Any]) -> ThreadCall:
    return ThreadCall(function, lambda _: None)


class Background(Protocol):
    """Where a class actor starts tasks that run beside its messages, from ``setup()`` until ``teardown()``.

    A parameter of ``setup()`` annotated ``Background`` receives it. If such a task raises, the actor fails, and its
    supervisor restarts it. A task group of anyio is one, too: for tests.
    """

    def start_soon(
        self, func: Callable[[*Args], Coroutine[Any, Any, Any]], /, *args: *Args, name: object = None
    ) -> object:
        """Start ``func(*args)`` as a task."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """What one address runs. ``name``: "" for a function actor. ``is_async``: in the event loop, else in a thread.

    ``function`` shows its signature as senders see it: a method's is bound, but to no instance.
    """

    name: str
    function: Callable[..., Any]
    is_async: bool
    parameters: Parameters
    returned: Returned

    @classmethod
    def of(cls, name: str, function: Callable[..., Any], to: str, injected: type = Context) -> Method:
        """Read the signature. ``to``: its address. Raises UsageError where an annotation cannot be understood."""
        parameters = Parameters.of(function, name=to, context_type=injected)
        return cls(name, function, _is_async(_called(function)), parameters, Returned.of(function))


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One actor: ``handler`` is what was declared. ``given``: the options that its declaration set itself.

    A function has one method, named "". A class, which ``factory`` is then, has those that are public.
    """

    name: str
    handler: Callable[..., Any]
    policy: Policy
    methods: Mapping[str, Method]
    factory: Callable[[], object] | None = None
    setup: Method | None = None
    teardown: Method | None = None
    given: frozenset[str] = frozenset()

    @classmethod
    def of(cls, name: str, handler: Callable[..., Any], policy: Policy, given: frozenset[str] = frozenset()) -> Target:
        """Read a function's signature, or a class's methods.

        Raises UsageError for an annotation that cannot be understood, for what yields, and for a class that cannot be
        made without arguments, has no public method, or another ``setup`` or ``teardown`` than a worker can call.
        """
        if not inspect.isclass(handler):
            _refuse_generator(handler, name)
            return cls(name, handler, policy, {"": Method.of("", handler, name)}, given=given)
        _check_constructor(name, handler)
        found = _methods(handler)
        setup, teardown = (_hook(name, hook, found.pop(hook, None)) for hook in HOOKS)
        if not found:
            raise UsageError(f"actor {name!r}: {handler.__qualname__} has no public method that could be sent to")
        methods = {token(method, f"method of {name!r}"): _method(name, method, found[method]) for method in found}
        return cls(name, handler, policy, MappingProxyType(methods), handler, setup, teardown, given)

    @property
    def is_async(self) -> bool:
        """Whether any of it runs in the event loop."""
        return any(method.is_async for method in self.methods.values())

    @property
    def is_mixed(self) -> bool:
        """Whether some of it runs in the event loop, and some in threads."""
        return self.factory is not None and len({method.is_async for method in self.methods.values()}) > 1

    @property
    def slots(self) -> int:
        """How many of it may run at once in one worker."""
        return self.policy.concurrency if self.is_async else min(self.policy.concurrency, self.policy.threads)

    @property
    def shown(self) -> str | dict[str, str]:
        """What it takes, for the register: its signature, a class's for each method."""
        if self.factory is None:
            return str(self.methods[""].parameters)
        return {name: str(method.parameters) for name, method in self.methods.items()}

    def at(self, to: str) -> Method:
        """The method behind one of its addresses. Raises UsageError saying which it has."""
        method = self.methods.get(to.partition(".")[2])
        if method is None:
            raise UsageError(self.lacks(to.partition(".")[2]))
        return method

    def lacks(self, method: str) -> str:
        """What to tell who asked for a method that it does not have."""
        if self.factory is None:
            return f"actor {self.name!r} has no method {method!r}: it is a function; send to {self.name!r}"
        found = f"has no method {method!r}" if method else "is a class: send to one of its methods"
        return f"actor {self.name!r} {found}; it has {', '.join(self.methods)}"

    def with_policy(self, policy: Policy) -> Target:
        """The same actor, run otherwise."""
        return dataclasses.replace(self, policy=policy)

    def build(self) -> object:
        """A new instance of a class; None for a function. Raises whatever its ``__init__`` does."""
        return None if self.factory is None else self.factory()

    async def set_up(self, instance: object, background: Background, in_thread: InThread = _uncounted) -> None:
        """Call ``setup()``, a plain one in a thread. Raises whatever it does; its ``teardown()`` is not due then.

        If cancelled here, a thread that ``in_thread`` has made is abandoned.
        """
        if self.setup is not None:
            await _run(self.setup, instance, in_thread, background)

    async def tear_down(self, instance: object, in_thread: InThread = _uncounted) -> None:
        """Call ``teardown()``, a plain one in a thread. Raises as ``set_up``."""
        if self.teardown is not None:
            await _run(self.teardown, instance, in_thread)

    def __repr__(self) -> str:
        return f"<Target {self.name}>"


def name_of(declared: object) -> object:
    """The name of an actor that is given none: a function's own, ``http_client`` for ``class HTTPClient``."""
    name = getattr(declared, "__name__", None)
    if name is None or not inspect.isclass(declared):
        return name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


# ---- looking at what is declared


def _methods(declared: type) -> dict[str, Callable[..., Any]]:
    """The public methods, inherited ones first, as they are called. Properties, nested classes and values are none."""
    names = dict.fromkeys(name for base in reversed(declared.__mro__) for name in vars(base) if name[0] != "_")
    found: dict[str, Callable[..., Any]] = {}
    for name in names:
        raw = inspect.getattr_static(declared, name)
        if _is_routine(raw) and callable(getattr(declared, name)):
            # As the method of an instance: of none, for nobody knows what making one would do.
            found[name] = raw.__get__(_NO_INSTANCE, declared)
    return found


_NO_INSTANCE = object()


def _is_routine(raw: object) -> bool:
    if isinstance(raw, FunctionType | functools.partialmethod):
        return True
    # Class and static methods, and what decorators make of a method. No property has what it wraps.
    return hasattr(raw, "__wrapped__") and hasattr(raw, "__get__")


def _method(actor: str, name: str, function: Callable[..., Any]) -> Method:
    to = f"{actor}.{name}"
    _refuse_generator(function, to)
    return Method.of(name, function, to)


def _refuse_generator(function: Callable[..., Any], to: str) -> None:
    if _yields(function):
        raise UsageError(
            f"actor {to!r} yields, but an actor gives one value: return a list, or send a task for each value"
        )


def _yields(function: Callable[..., Any]) -> bool:
    called = _called(function)
    return inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)


def _check_constructor(name: str, declared: type) -> None:
    if inspect.isabstract(declared):
        missing = ", ".join(sorted(getattr(declared, "__abstractmethods__", ())))
        raise UsageError(f"actor {name!r}: {declared.__qualname__} is abstract: give it {missing}")
    try:
        signature = inspect.signature(declared)
    except ValueError:  # of a class written in C: seen when it is made
        return
    try:
        signature.bind()
    except TypeError as error:
        raise UsageError(
            f"actor {name!r}: workers call {declared.__qualname__}.__init__ without arguments, but it takes"
            f" {signature}: give them defaults, and open resources in setup()"
        ) from error


def _hook(actor: str, name: str, function: Callable[..., Any] | None) -> Method | None:
    if function is None:
        return None
    if _yields(function):
        raise UsageError(f"actor {actor!r}: {name}() yields: open in setup() and close in teardown()")
    hook = Method.of(name, function, f"{actor}.{name}", injected=Background)
    background = hook.parameters.context
    try:
        hook.parameters.bind((), {})
    except InvalidArguments as error:
        allowed = "nothing, or a parameter annotated Background" if name == "setup" else "nothing"
        raise UsageError(f"actor {actor!r}: {name}() may take {allowed}; it takes {hook.parameters}") from error
    if background is not None and (name == "teardown" or not hook.is_async):
        raise UsageError(
            f"actor {actor!r}: {name}() cannot take a Background: tasks are started in `async def setup()`"
        )
    return hook


def _called(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The function that a call ends up in: past partials, and in an object's ``__call__``."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    return handler if inspect.isroutine(handler) else type(handler).__call__


def _is_async(function: Callable[..., Any]) -> bool:
    """Whether it, or what it wraps, is ``async def``: a plain decorator passes the coroutine on."""
    if inspect.iscoroutinefunction(function):
        return True
    wrapped = getattr(function, "__wrapped__", None)
    return wrapped is not None and _is_async(_called(wrapped))


async def _run(hook: Method, instance: object, in_thread: InThread, background: Background | None = None) -> None:
    taken = hook.parameters.context
    function = functools.partial(getattr(instance, hook.name), **({} if taken is None else {taken: background}))
    result = function() if hook.is_async else await _called_in(in_thread(function))
    if inspect.isawaitable(result):
        await result


async def _called_in(thread: ThreadCall) -> Any:
    try:
        return await thread()
    finally:
        thread.leave()  # which counts it if it still runs
