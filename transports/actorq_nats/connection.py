"""The connection to a broker for as long as the transport is open: lost and found again, always a new link."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Protocol

from nats.errors import Error as NatsError

from actorq.errors import ActorqError, BrokerUnavailable, ConfigError, PermissionDenied
from actorq.model.message import ConnectionSettings
from actorq_nats.dial import Address, Options, addresses_of
from actorq_nats.errors import parse_denial
from actorq_nats.link import Link, NotEncrypted, Sink

log = logging.getLogger("actorq.nats")

RETRY_PAUSE = 0.25
ATTEMPT_TIMEOUT = 5
SILENCE = 3.0
"""Seconds without an answer to a ping after which a link is given up."""
SILENT_BEATS = 3
CLOSE_TIMEOUT = 2.0


class Listener(Protocol):
    """Somebody whose work depends on the connection. Everything is called in the I/O loop."""

    def connected(self) -> None:
        """There is a new link; nothing is subscribed on it yet."""
        ...

    def disconnected(self) -> None:
        """The link is lost; what was written to it may or may not have arrived."""
        ...

    def denied(self, action: str, subject: str) -> bool:
        """The broker refused ``publish`` or ``subscription`` for a (lower-cased) subject; True if it was ours."""
        ...


class Connection:
    """Writes to the broker and hands out what arrives. Belongs to the I/O loop."""

    def __init__(self, settings: ConnectionSettings, options: Options, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._options = options
        self._addresses = addresses_of(settings.url)
        self._address: Address | None = None
        # Servers that are known by their number alone prove themselves by the name that the user gave.
        self._hostname = self._addresses[0].host
        self._listeners: dict[Listener, None] = {}
        self._sids = count(1)
        self._out: list[bytes] = []
        self._flushing = False
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._reason = ""
        self._round_trips: set[asyncio.Future[None]] = set()
        self._disposals: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._unanswered = 0
        self._oldest_ping = 0.0
        self._signs = 0, 0
        self._told: set[tuple[str, str]] = set()
        self.loop = loop
        self.link: Link | None = None

    @property
    def user(self) -> str:
        """Whom the broker takes us for, in words."""
        return self._options.user

    @property
    def where(self) -> str:
        """The servers, without secrets."""
        return ", ".join(str(address) for address in self._addresses if not address.found)

    # Coming and going

    async def open(self, deadline: float) -> None:
        """The first link; from then on lost ones are replaced.

        Raises BrokerUnavailable, PermissionDenied, or ConfigError where there is no encryption that can be trusted.
        """
        self._connected(await self._find(deadline))
        self._keeper = self.loop.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            await self._lost.wait()
            self._lost.clear()
            self._connected(await self._find(None))
            log.info("connection %r to %s is back", self._settings.name, self.where)

    async def _find(self, deadline: float | None) -> Link:
        told = False
        while True:
            for address in list(self._addresses):
                left = ATTEMPT_TIMEOUT if deadline is None else min(ATTEMPT_TIMEOUT, deadline - self.loop.time())
                try:
                    return await self._dial(address, max(0.05, left))
                except ActorqError as error:
                    # Credentials that were good once may be good again; at the first time they are simply wrong.
                    hopeless = not isinstance(error, BrokerUnavailable)
                    if deadline is not None and (hopeless or self.loop.time() + RETRY_PAUSE > deadline):
                        raise
                    if not told:
                        log.warning("%s; trying again", error)
                    told = True
            await asyncio.sleep(RETRY_PAUSE)

    async def _dial(self, address: Address, timeout: float) -> Link:
        link = Link(encrypted=self._options.encrypted)
        kwargs = dict(self._options.kwargs)
        if self._options.encrypted and address.found and address.is_ip:
            kwargs["tls_hostname"] = self._hostname
        try:
            async with asyncio.timeout(timeout):
                await link.connect(
                    [f"nats://{address}"], connect_timeout=ATTEMPT_TIMEOUT,
                    error_cb=link.heard_error, closed_cb=link.heard_close, **kwargs,
                )  # fmt: skip
        except (OSError, NatsError, TimeoutError) as error:
            raise self._explained(address, error, timeout) from error
        finally:
            if not link.is_connected:
                link.abort()
        self._address = address
        return link

    def _explained(self, address: Address, error: Exception, timeout: float) -> ActorqError:
        text = str(error).removeprefix("nats: ")
        if "authorization" in text.lower() or "authentication" in text.lower():
            return PermissionDenied(
                f"the broker at {address} does not let {self.user} in ({text}): check the credentials"
            )
        if isinstance(error, NotEncrypted | ssl.SSLError):
            return ConfigError(f"no trusted connection to {address}: {text}; check the server's TLS and nats.tls_ca")
        if isinstance(error, TimeoutError):
            text = f"no answer within {timeout:.2g} s"
        elif isinstance(error, OSError) and error.strerror:
            text = error.strerror
        return BrokerUnavailable(f"no broker can be reached at {address}: {text}; check the address and that it runs")

    def _connected(self, link: Link) -> None:
        self.link = link
        link.on_lost = lambda reason: self._lose(link, reason)
        link.on_error = self._complain
        self._unanswered = 0
        for uri in link.discovered_servers:
            address = Address(uri.hostname or "", uri.port or 0, found=True)
            if all((known.host, known.port) != (address.host, address.port) for known in self._addresses):
                self._addresses.append(address)
        for listener in list(self._listeners):
            listener.connected()
        self._up.set()
        if link.is_broken:
            self._lose(link, "closed at once")

    def _lose(self, link: Link, reason: str) -> None:
        if self.link is not link:
            return
        self.link = None
        self._reason = reason
        self._out.clear()
        self._up.clear()
        # The others first: they may be there while this one is not yet.
        self._addresses.sort(key=lambda address: address == self._address)
        log.warning("connection %r to %s is lost (%s); looking for the broker", self._settings.name, self.where, reason)
        self._dispose(link)
        for future in self._round_trips:
            if not future.done():
                future.set_exception(self.unavailable())
        for listener in list(self._listeners):
            listener.disconnected()
        self._lost.set()

    def _dispose(self, link: Link) -> None:
        link.abort()
        task = self.loop.create_task(_close(link))
        self._disposals.add(task)
        task.add_done_callback(self._disposals.discard)

    def cut(self) -> None:
        """Drop the link without a goodbye and look for no other one."""
        if self._keeper is not None:
            self._keeper.cancel()
        if self.link is not None:
            self._lose(self.link, "cut off")

    async def close(self) -> None:
        """The end: what was written is sent, if the broker takes it soon."""
        with suppress(BrokerUnavailable, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.round_trip()
        if self._keeper is not None:
            self._keeper.cancel()
        link, self.link = self.link, None
        if link is not None:
            self._dispose(link)
        if self._disposals:
            await asyncio.wait(self._disposals)

    def unavailable(self) -> BrokerUnavailable:
        """There is no connection, or it was lost meanwhile."""
        return BrokerUnavailable(f"the connection to {self.where} is lost ({self._reason}); it is being looked for")

    async def ready(self) -> None:
        """Wait for a link."""
        while self.link is None:
            await self._up.wait()

    # Talking

    def add(self, listener: Listener) -> None:
        """Tell it of links from now on; the present one included."""
        self._listeners[listener] = None
        if self.link is not None:
            listener.connected()

    def remove(self, listener: Listener) -> None:
        self._listeners.pop(listener, None)

    def write(self, line: bytes) -> None:
        """Send protocol lines, with all others of this turn of the loop at once. Dropped where there is no link."""
        if self.link is None:
            return
        self._out.append(line)
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self.link is None or not self._out:
            return
        if self.link.is_broken:
            self._lose(self.link, "closed by the server")
            return
        self.link.send(b"".join(self._out))
        self._out.clear()

    def subscribe(self, subject: str, sink: Sink) -> int:
        """Have ``sink`` called for what arrives on ``subject``, as long as this link lasts. Needs a link."""
        assert self.link is not None
        sid = next(self._sids)
        self.link.sinks[sid] = sink
        self.write(f"SUB {subject} {sid}\r\n".encode())
        return sid

    def unsubscribe(self, sid: int) -> None:
        """Ask the broker for no more; what is on its way still reaches the sink."""
        self.write(b"UNSUB %d\r\n" % sid)

    def forget(self, sid: int) -> None:
        """Drop what still arrives for a subscription."""
        if self.link is not None:
            self.link.sinks.pop(sid, None)

    def ping(self, answered: Callable[[], None]) -> None:
        """Call ``answered`` when the broker has taken everything written so far; never if the link is lost."""
        if self.link is not None:
            self.link.pongs.append(answered)
            self.write(b"PING\r\n")

    async def round_trip(self) -> None:
        """Return when the broker has taken everything written so far. Raises BrokerUnavailable."""
        if self.link is None:
            raise self.unavailable()
        future: asyncio.Future[None] = self.loop.create_future()
        self._round_trips.add(future)
        self.ping(lambda: None if future.done() else future.set_result(None))
        try:
            await future
        finally:
            self._round_trips.discard(future)

    def beat(self, answered: Callable[[], None]) -> None:
        """Ping, as every second or so; a link that leaves several unanswered for too long is given up."""
        if self.link is None:
            return
        now = self.loop.time()
        reads, unsent = self.link.signs
        if reads != self._signs[0] or unsent < self._signs[1]:
            # Slow is not dead: answers wait behind what is being sent, or behind large messages that arrive in parts.
            self._oldest_ping = now
        self._signs = reads, unsent
        # Beats count as well as seconds: after this process was stopped for a while, the answers are there but unread.
        if self._unanswered >= SILENT_BEATS and now - self._oldest_ping > SILENCE:
            self._lose(self.link, f"no answer for {now - self._oldest_ping:.1f} s")
            return
        if not self._unanswered:
            self._oldest_ping = now
        self._unanswered += 1

        def heard() -> None:
            self._unanswered = 0
            answered()

        self.ping(heard)

    def _complain(self, text: str) -> None:
        denial = parse_denial(text)
        if denial is None:
            log.warning("connection %r to %s: %s", self._settings.name, self.where, text)
            return
        taken = [listener.denied(*denial) for listener in list(self._listeners)]
        # Subjects of acks and events have many values: one complaint for what begins alike.
        alike = (denial[0], ".".join(denial[1].split(".")[:4]))
        if not any(taken) and alike not in self._told:
            self._told.add(alike)
            log.error("%s at %s: %s; allow it in the broker's permissions", self.user, self.where, text)


async def _close(link: Link) -> None:
    with suppress(OSError, NatsError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await link.close()
