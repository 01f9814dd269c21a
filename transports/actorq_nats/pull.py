"""Continuous pulling from one durable consumer, within the credit that was granted.

Messages are asked for in batches and arrive on an inbox of their own. Every way in which asking can end (served,
expired, consumer deleted, leader changed, connection lost, silence) leads back to one of two things: ask again for what
has come back, or open anew on another inbox.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from typing import Any

from actorq.errors import ActorqError, BrokerUnavailable
from actorq.model.message import ConsumerSpec
from actorq_nats.connection import Connection
from actorq_nats.errors import denied
from actorq_nats.topology import ConsumerState
from actorq_nats.wire import broker_headers, parse_status, publish_line

log = logging.getLogger("actorq.nats")

EXPIRY = 30.0
HEARTBEAT = 2.0
SILENCE = 2 * HEARTBEAT + 0.5
"""Seconds without anything heard after which a pull is taken for lost, as when the consumer's leader was killed."""
REFRESH = 30.0
"""Seconds between two looks at how the consumer stands."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 2.0
_PULL = '{{"batch":{},"expires":{:.0f},"idle_heartbeat":{:.0f}}}'
_EXPIRED = (404, 408)
_HEARTBEAT = 100
_PENDING = "Nats-Pending-Messages"


class _State(Enum):
    CLOSED = auto()
    OPEN = auto()
    FADING = auto()
    """Unsubscribed; what the broker sent before it knew still arrives."""


class Pull:
    """Belongs to the I/O loop.

    ``credit``: granted and not yet used by a delivery. ``_asked``: how much of it the broker has been asked for.
    """

    def __init__(
        self,
        connection: Connection,
        spec: ConsumerSpec,
        stream: str,
        inbox: str,
        *,
        revive: Callable[[], Coroutine[Any, Any, ConsumerState]],
        arrived: Callable[[bytes, bytes, bytes, bytes], None],
        failed: Callable[[ActorqError], None],
    ) -> None:
        """``revive`` makes sure that the consumer exists; ``arrived`` takes deliveries; ``failed`` the end."""
        self._connection = connection
        self._spec = spec
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{spec.name}"
        self._inbox = inbox
        self._revive = revive
        self._arrived = arrived
        self._failed = failed
        self._loop = connection.loop
        self._state = _State.CLOSED
        self._credit = 0
        self._asked = 0
        self._opened = 0
        self._sid = 0
        self._reply = ""
        self._heard = 0.0
        self._asking = False
        self._started = False
        self._stopped = False
        self._healthy = False
        self._taken = 0
        self._looked = 0.0
        self._suspect = False
        self._again = False
        self._task: asyncio.Task[None] | None = None

    # Credit

    def grant(self, credit: int) -> None:
        """Allow more deliveries."""
        self._credit += credit
        self._ask_soon()

    def _ask_soon(self) -> None:
        # Once for all grants and deliveries of this turn of the loop.
        if not self._asking:
            self._asking = True
            self._loop.call_soon(self._ask)

    def _ask(self) -> None:
        self._asking = False
        want = self._credit - self._asked
        # Not for each single credit: a pull request costs the broker as much as a message.
        if self._state is _State.OPEN and want > 0 and (not self._asked or 4 * want >= self._credit):
            if not self._asked:
                self._heard = self._loop.time()
            self._asked += want
            body = _PULL.format(want, EXPIRY * 1e9, HEARTBEAT * 1e9).encode()
            self._connection.write(publish_line(self._subject, self._reply, body))

    def _receive(self, subject: bytes, reply: bytes, body: bytes, block: bytes) -> None:
        self._heard = self._loop.time()
        if reply:
            self._healthy = True
            self._credit -= 1
            self._asked -= 1
            self._taken += 1
            self._suspect = False
            self._arrived(subject, reply, body, block)
            if self._asked <= 0 < self._credit:
                self._ask_soon()
            return
        code, text = parse_status(block)
        if code == _HEARTBEAT:
            self._healthy = True
        elif code in _EXPIRED:
            self._asked -= int(broker_headers(block).get(_PENDING, self._asked))
            self._ask_soon()
        elif self._state is _State.OPEN:
            log.info("consumer %s: the broker ended a pull (%s %s); opening anew", self._spec.name, code, text)
            self._reopen()

    # Opening and closing

    def open(self) -> None:
        """Begin; the consumer exists."""
        self._started = True
        if self._stopped or self._connection.link is None:
            return
        self._opened += 1
        self._reply = f"{self._inbox}{self._opened}"
        self._sid = self._connection.subscribe(self._reply, self._receive)
        self._state = _State.OPEN
        self._asked = 0
        self._looked = self._loop.time()
        self._ask_soon()

    async def _fade(self) -> None:
        """Take what is still coming on the present inbox, and nothing after that. Raises BrokerUnavailable."""
        if self._state is _State.OPEN:
            self._state = _State.FADING
            self._connection.unsubscribe(self._sid)
        if self._state is _State.FADING:
            await self._connection.round_trip()
            self._connection.forget(self._sid)
            self._state = _State.CLOSED
            self._asked = 0

    def _reopen(self) -> None:
        self._again = self._task is not None
        if self._task is None and not self._stopped:
            self._task = self._loop.create_task(self._open_anew())

    async def _open_anew(self) -> None:
        pause = FIRST_PAUSE
        try:
            # A consumer that was served or at least heard of since the last time is tried again at once.
            if not self._healthy:
                await asyncio.sleep(pause)
            while True:
                await self._connection.ready()
                try:
                    await self._fade()
                    await self._revive()
                    break
                except BrokerUnavailable as error:
                    log.debug("consumer %s cannot be opened yet: %s", self._spec.name, error)
                    await asyncio.sleep(pause)
                    pause = min(LONGEST_PAUSE, 2 * pause)
        except ActorqError as error:
            self._end(error)
            return
        finally:
            self._healthy = False
            self._task = None
        self.open()

    def _end(self, error: ActorqError) -> None:
        self._stopped = True
        self._failed(error)

    async def stop(self) -> None:
        """Withdraw all credit; when this returns nothing more arrives."""
        self._stopped = True
        self._connection.remove(self)
        if self._task is not None:
            self._task.cancel()
        self._credit = 0
        try:
            await self._fade()
        except BrokerUnavailable:
            return

    def beat(self) -> None:
        """Look whether the broker still talks to us, and from time to time whether it says the truth."""
        now = self._loop.time()
        if self._state is not _State.OPEN or self._task is not None:
            return
        if self._asked > 0 and now - self._heard > SILENCE:
            log.warning("consumer %s: nothing heard for %.1f s; opening anew", self._spec.name, now - self._heard)
            self._reopen()
        elif now - self._looked > REFRESH:
            self._looked = now
            self._task = self._loop.create_task(self._look())

    async def _look(self) -> None:
        """Another worker may have changed the lease; and a pull that is served nothing while messages wait is deaf."""
        taken, asking = self._taken, self._asked > 0
        try:
            state = await self._revive()
        except BrokerUnavailable:
            return
        except ActorqError as error:
            self._end(error)
            return
        finally:
            self._task = None
            if self._again or self._state is _State.CLOSED:  # the link was lost, and perhaps found, meanwhile
                self._reopen()
        deaf = state.held_up and asking and self._asked > 0 and self._taken == taken
        if deaf and self._suspect:
            log.warning("consumer %s: messages wait but none is delivered; opening anew", self._spec.name)
            self._reopen()
        self._suspect = deaf and not self._suspect

    # Listener

    def connected(self) -> None:
        if self._started:
            self._reopen()

    def disconnected(self) -> None:
        self._state = _State.CLOSED
        self._asked = 0
        self._healthy = True  # the next connection is worth a try without delay

    def denied(self, action: str, subject: str) -> bool:
        ours = {"publish": self._subject, "subscription": self._reply}.get(action, "")
        if not ours or ours.lower() != subject:
            return False
        self._end(denied(action, ours, self._connection.user))
        return True
