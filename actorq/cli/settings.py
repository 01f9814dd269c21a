"""Flags that every command takes: where the broker is, which namespace, what form the answer has."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Annotated, Any

from cyclopts import Group, Parameter, Token

from actorq.cli.exits import USAGE, Exit
from actorq.cli.target import load
from actorq.errors import ActorqError
from actorq.model.address import Namespace
from actorq.model.durations import duration
from actorq.system import ActorSystem

ENVIRONMENT = {
    "user": "NATS_USER",
    "password": "NATS_PASSWORD",
    "token": "NATS_TOKEN",
    "creds": "NATS_CREDS",
    "nkey": "NATS_NKEY",
    "tls_cert": "NATS_CERT",
    "tls_key": "NATS_KEY",
    "tls_ca": "NATS_CA",
}


def _seconds(_: object, tokens: tuple[Token, ...]) -> float:
    text = tokens[0].value
    try:
        return float(text) if text.replace(".", "", 1).isdigit() else duration(text, "a duration")
    except ActorqError as error:
        raise ValueError(str(error)) from error


Seconds = Annotated[float, Parameter(converter=_seconds, metavar="TIME")]
"""Seconds, or text such as 250ms, 30s, 5m."""

App = Annotated[str | None, Parameter(alias="-A", env_var="ACTORQ_APP", help="MODULE:SYSTEM, for types and namespace.")]

Json = Annotated[bool, Parameter(name="--json", show_default=False, help="One JSON document on stdout.")]


@Parameter(name="*", group=Group("Connection and output", sort_key=9))
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Connection flags, namespace and form of the output."""

    server: Annotated[
        str | None, Parameter(alias="-s", help="URLs of the broker, comma separated. [env: NATS_URL]")
    ] = None
    user: Annotated[str | None, Parameter(help="User name. [env: NATS_USER]")] = None
    password: Annotated[str | None, Parameter(help="Password. [env: NATS_PASSWORD]")] = None
    token: Annotated[str | None, Parameter(help="Token. [env: NATS_TOKEN]")] = None
    creds: Annotated[str | None, Parameter(help="Credentials file. [env: NATS_CREDS]")] = None
    nkey: Annotated[str | None, Parameter(help="File of an nkey seed. [env: NATS_NKEY]")] = None
    tls_cert: Annotated[str | None, Parameter(name="--tlscert", help="Client certificate. [env: NATS_CERT]")] = None
    tls_key: Annotated[str | None, Parameter(name="--tlskey", help="Client key. [env: NATS_KEY]")] = None
    tls_ca: Annotated[str | None, Parameter(name="--tlsca", help="Certificate authority. [env: NATS_CA]")] = None
    namespace: Annotated[
        str | None, Parameter(env_var="ACTORQ_NAMESPACE", help="Instead of the target's system name.")
    ] = None
    as_json: Annotated[bool, Parameter(name="--json", show_default=False, help="One JSON document.")] = False

    def __repr__(self) -> str:
        return f"<Common {self.namespace}>"

    def reach(self, app: str | None, *, reading: bool = False) -> ActorSystem:
        """The system to speak to from outside its processes; ``reading`` makes no streams. Raises Exit."""
        system = self.system(app)
        if system.url.startswith("memory:"):
            raise Exit(
                USAGE,
                "memory: is a broker inside one process, which another one cannot reach: run `actorq server` and give"
                " this command and the workers -s nats://127.0.0.1:4222",
            )
        if reading and system.streams.manage == "create":
            system.streams = replace(system.streams, manage="verify")
        return system

    def system(self, app: str | None) -> ActorSystem:
        """The target's system, or a bare one for the namespace, connected as the flags say. Raises Exit."""
        if app is not None:
            system = load(app)
            if self.namespace is not None:
                system.namespace = Namespace.of(self.namespace)
        elif self.namespace is not None:
            system = ActorSystem(self.namespace)
        else:
            raise Exit(
                USAGE, "which system? give --namespace NAME or --app MODULE:SYSTEM (or ACTORQ_NAMESPACE, ACTORQ_APP)"
            )
        self.connect(system)
        return system

    def connect(self, system: ActorSystem) -> None:
        """Lay the connection flags over a system's own settings, and those over the environment's."""
        environment: dict[str, Any] = {
            key: os.environ[name] for key, name in ENVIRONMENT.items() if os.environ.get(name)
        }
        flags = {key: value for key in ENVIRONMENT if (value := getattr(self, key)) is not None}
        system.connection = environment | system.connection | flags
        system.transport = self.server or system.transport


DEFAULTS = Common()
