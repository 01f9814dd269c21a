"""What the driver relies on inside nats-py: a version that no longer has it has to be noticed here first."""

from __future__ import annotations

import inspect

import pytest
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

from actorq_nats.link import Link


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_process_msg", ["self", "sid", "subject", "reply", "data", "headers"]),
        ("_process_pong", ["self"]),
        ("_connect_command", ["self"]),
    ],
)
def test_overridden_methods_exist(name: str, parameters: list[str]) -> None:
    """Same name, same parameters, in the base class and here."""
    assert list(inspect.signature(getattr(Client, name)).parameters) == parameters
    assert list(inspect.signature(getattr(Link, name)).parameters) == parameters


def test_the_parser_calls_them() -> None:
    """Messages and pongs go through the overridden methods."""
    source = inspect.getsource(Parser.parse)
    for call in ("self.nc._process_msg(", "self.nc._process_pong(", "self.nc._process_err("):
        assert call in source


def test_the_transport_is_ours() -> None:
    """A client that has a transport takes no other; it writes through the stream that ``abort`` ends."""
    assert "if not self._transport" in inspect.getsource(vars(Client)["_connect_to_server"])
    assert "self._io_writer.write(payload)" in inspect.getsource(TcpTransport.write)
    transport = vars(Link(encrypted=False))["_transport"]
    assert isinstance(transport, TcpTransport)
    assert bool(transport)
