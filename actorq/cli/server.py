"""``actorq server``: the embedded broker alone; and how other commands bring one along."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter
from cyclopts.validators import Number

from actorq.cli import signals
from actorq.cli.exits import OK, UNAVAILABLE, USAGE, Exit
from actorq.cli.output import data, document, masked, talk
from actorq.cli.settings import Flag, Json
from actorq.embedded import EmbeddedBroker, PortTaken

LOOPBACK = ("127.0.0.1", "localhost")


def server(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 4222,
    store: Path | None = None,
    sync_always: Flag = False,
    as_json: Json = False,
) -> int:
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
    signals.listen()
    broker = EmbeddedBroker(store, port=port, sync_always=sync_always)
    with running(broker, "use that one, or choose another port with --port (0 takes a free one)"):
        try:
            _announce(broker, kept=store is not None, as_json=as_json)
            broker.wait()
        except KeyboardInterrupt:
            return OK
        raise ended(broker)


@contextmanager
def running(broker: EmbeddedBroker, if_taken: str) -> Generator[EmbeddedBroker]:
    """The broker, started. Raises Exit with the advice ``if_taken`` where its port is in use."""
    try:
        broker.start()
    except PortTaken as error:
        raise Exit(UNAVAILABLE, f"{error}: {if_taken}") from error
    with broker:
        yield broker


def ended(broker: EmbeddedBroker) -> Exit:
    """That a broker of ours is gone, with its last words: its log may be gone as well."""
    return Exit(UNAVAILABLE, f"the embedded broker ended: {broker.last_words()}")


def _announce(broker: EmbeddedBroker, *, kept: bool, as_json: bool) -> None:
    pid = broker.pid  # asked once: from the moment that it is told, somebody may end that process
    if as_json:
        document({"url": broker.url, "pid": pid, "store": str(broker.store)})
    else:
        data(broker.url)
    where = (
        f"data in {broker.store}" if kept else "data in a temporary folder, removed at the end: --store DIR keeps it"
    )
    talk(f"nats-server {pid}; {where}; Ctrl-C ends it")


def beside(url: str) -> EmbeddedBroker:
    """A broker at the place where a system looks for one. Raises Exit if that is not on loopback."""
    try:
        parts = urlsplit(url)
        port = 4222 if parts.port is None else parts.port
    except ValueError as error:
        raise Exit(
            USAGE, f"--embedded: {masked(url)} names no port up to 65535: use -s nats://127.0.0.1:4222"
        ) from error
    if parts.scheme != "nats" or parts.hostname not in LOOPBACK:
        raise Exit(USAGE, f"--embedded serves loopback, and {masked(url)} is elsewhere: use -s nats://127.0.0.1:4222")
    return EmbeddedBroker(port=port)
