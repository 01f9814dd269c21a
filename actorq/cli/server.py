"""``actorq server``: the embedded broker alone."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from actorq.cli.exits import OK, UNAVAILABLE, USAGE, Exit
from actorq.cli.output import data, document, masked, talk
from actorq.cli.settings import Json
from actorq.embedded import EmbeddedBroker

LOOPBACK = ("127.0.0.1", "localhost")


def server(*, port: int = 4222, store: Path | None = None, sync_always: bool = False, as_json: Json = False) -> int:
    """Run the embedded broker until Ctrl-C; its URL goes to stdout.

    Parameters
    ----------
    port
        Port on loopback; 0 takes a free one.
    store
        Folder of its data. Without it a temporary folder, removed at the end.
    sync_always
        Flush to disk before each confirmation: slower, and safe against power cuts.
    """
    end_on_terminate()
    with EmbeddedBroker(store, port=port, sync_always=sync_always) as broker:
        try:
            _announce(broker, kept=store is not None, as_json=as_json)
            broker.wait()
        except KeyboardInterrupt:
            return OK
        raise Exit(UNAVAILABLE, f"the broker ended by itself; see {broker.log}")


def _announce(broker: EmbeddedBroker, *, kept: bool, as_json: bool) -> None:
    if as_json:
        document({"url": broker.url, "pid": broker.pid, "store": str(broker.store)})
    else:
        data(broker.url)
    where = (
        f"data in {broker.store}" if kept else "data in a temporary folder, removed at the end: --store DIR keeps it"
    )
    talk(f"nats-server {broker.pid}; {where}; Ctrl-C ends it")


def beside(url: str) -> EmbeddedBroker:
    """A broker at the place where a system looks for one. Raises Exit if that is not on loopback."""
    parts = urlsplit(url)
    if parts.scheme != "nats" or parts.hostname not in LOOPBACK:
        raise Exit(USAGE, f"--embedded serves loopback, and {masked(url)} is elsewhere: use -s nats://127.0.0.1:4222")
    return EmbeddedBroker(port=4222 if parts.port is None else parts.port)


def end_on_terminate() -> None:
    """Make SIGTERM end a command as Ctrl-C does, so that it cleans up."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_: int, __: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt  # in the background of a script, where shells switch SIGINT off
    signal.raise_signal(signal.SIGINT)  # an event loop may have its own way with that one
