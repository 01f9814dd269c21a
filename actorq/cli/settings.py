"""Flags that every command takes: where the broker is, which namespace, what form the answer has."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Annotated, Any

from cyclopts import Group, Parameter, Token

from actorq.cli.exits import USAGE, Exit
from actorq.cli.target import load
from actorq.config.config import Config
from actorq.config.plan import sound
from actorq.config.reading import Draft, read
from actorq.errors import ActorqError
from actorq.model.address import token
from actorq.model.durations import duration
from actorq.planning import apply
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
        return float(text) if text.replace(".", "", 1).isdigit() else duration(text, "")
    except ActorqError as error:
        raise ValueError(str(error).removeprefix(": ")) from error


Seconds = Annotated[float, Parameter(converter=_seconds, metavar="TIME")]
"""Seconds, or text such as 250ms, 30s, 5m."""

App = Annotated[str | None, Parameter(alias="-A", env_var="ACTORQ_APP", help="MODULE:SYSTEM, for types and namespace.")]

Flag = Annotated[bool, Parameter(show_default=False)]
"""What is off unless it is given."""

Json = Annotated[bool, Parameter(name="--json", show_default=False, help="One JSON document on stdout.")]


@Parameter(name="*", group=Group("Connection and output", sort_key=9))
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Connection flags, namespace and form of the output."""

    server: Annotated[
        str | None, Parameter(alias="-s", help="URLs of the broker, comma separated. [env var: NATS_URL]")
    ] = None
    user: Annotated[str | None, Parameter(help="User name. [env var: NATS_USER]")] = None
    password: Annotated[str | None, Parameter(help="Password. [env var: NATS_PASSWORD]")] = None
    token: Annotated[str | None, Parameter(help="Token. [env var: NATS_TOKEN]")] = None
    creds: Annotated[str | None, Parameter(help="Credentials file. [env var: NATS_CREDS]")] = None
    nkey: Annotated[str | None, Parameter(help="File of an nkey seed. [env var: NATS_NKEY]")] = None
    tls_cert: Annotated[str | None, Parameter(name="--tlscert", help="Client certificate. [env var: NATS_CERT]")] = None
    tls_key: Annotated[str | None, Parameter(name="--tlskey", help="Client key. [env var: NATS_KEY]")] = None
    tls_ca: Annotated[str | None, Parameter(name="--tlsca", help="Certificate authority. [env var: NATS_CA]")] = None
    namespace: Annotated[
        str | None, Parameter(env_var="ACTORQ_NAMESPACE", help="Instead of the target's system name.")
    ] = None
    config_file: Annotated[
        str | None, Parameter(name="--config", env_var="ACTORQ_CONFIG", help="Configuration file, else ./actorq.toml.")
    ] = None
    as_json: Annotated[bool, Parameter(name="--json", show_default=False, help="One JSON document.")] = False

    def __repr__(self) -> str:
        return f"<Common {self.namespace}>"

    def draft(self) -> Draft:
        """What the file, the environment and these flags say. Raises nothing: problems are in it."""
        draft = read(self.config_file, os.environ)
        config = draft.config
        # Over the file, as all of the environment; below the code where the file says nothing (see connect).
        config = config.laid_over(
            {path: value for path, value in nats_environment().items() if config.is_from_file(path)}
        )
        return replace(draft, config=config.laid_over(self.flags()))

    def flags(self) -> dict[str, tuple[str, object]]:
        """The flags that were given, by the paths of the keys that they stand for, each with its name."""
        given: dict[str, tuple[str, object]] = {}
        if self.namespace is not None:
            of_environment = os.environ.get("ACTORQ_NAMESPACE") == self.namespace
            source = "env ACTORQ_NAMESPACE" if of_environment else "flag --namespace"
            given["namespace"] = source, token(self.namespace, "namespace")
        if self.server is not None:
            given["nats.servers"] = "flag --server", tuple(self.server.split(","))
        for key in ENVIRONMENT:
            if (value := getattr(self, key)) is not None:
                given[f"nats.{key}"] = f"flag --{key.replace('tls_', 'tls')}", value
        return given

    def target(self, app: str | None) -> str | None:
        """MODULE:SYSTEM: ``app``, else what the file says. Raises ConfigError with all problems of the file."""
        found: str | None = app or sound(self.draft()).get("worker.app")
        return found

    def reach(self, app: str | None, *, reading: bool = False) -> ActorSystem:
        """The system to speak to from outside its processes. Raises Exit.

        ``reading``: make no streams, and do without the code where the namespace is known: it may not be there.
        """
        system = self.system(app if reading else self.target(app))
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
        """The target's system, or a bare one for the namespace, set up as flags, environment and file say.

        Raises Exit, or ConfigError with all problems of the file.
        """
        config = sound(self.draft())
        if app is None and config.namespace is None:
            app = config.get("worker.app")
        if app is None and config.namespace is None:
            raise Exit(
                USAGE,
                "which system? give --namespace NAME or --app MODULE:SYSTEM (or ACTORQ_NAMESPACE, ACTORQ_APP, or"
                " namespace or worker.app in actorq.toml)",
            )
        system = load(app) if app is not None else ActorSystem(str(config.namespace))
        self.connect(system, config)
        return system

    def connect(self, system: ActorSystem, config: Config | None = None) -> None:
        """Lay flags and file over a system's own settings, and those over the environment's. None: no file."""
        if config is None:
            config = Config().laid_over({path: value for path, value in self.flags().items() if path != "namespace"})
        environment = {path.removeprefix("nats."): value for path, (_, value) in nats_environment().items()}
        environment.pop("servers", None)  # the system looks there itself
        system.connection = environment | system.connection
        apply(config, system)


def nats_environment() -> dict[str, tuple[str, Any]]:
    """What variables that are not actorq's own say, by the paths of the keys that they stand for."""
    found: dict[str, tuple[str, Any]] = {}
    for name in ("ACTORQ_TRANSPORT", "NATS_URL"):
        if url := os.environ.get(name):
            found.setdefault("nats.servers", (f"env {name}", tuple(url.split(","))))
    for key, name in ENVIRONMENT.items():
        if value := os.environ.get(name):
            found[f"nats.{key}"] = f"env {name}", value
    return found


DEFAULTS = Common()
