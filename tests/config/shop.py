"""A program and its configuration, as they stand in the reference."""

from __future__ import annotations

from pathlib import Path

from actorq.config import Declared, Draft, Report, examine, read
from actorq.model.policy import Policy

ACTORS = ("ledger", "charge", "invoice", "transcode", "thumbnail", "send_email")
SHOP = Declared({name: Policy() for name in ACTORS})

GOOD = """\
version = 1
namespace = "shop"

[nats]
servers = ["nats://127.0.0.1:4222"]
connect_timeout = "10s"
send_timeout = "15s"

[streams]
replicas = 1
duplicate_window = "2m"
result_ttl = "1h"
dead_ttl = "14d"
manage = "create"                  # create | verify | none

[worker]
app = "shop.tasks:system"
backend = "asyncio"                # asyncio | trio
workers = 1                        # processes
shutdown_timeout = "30s"
ack_wait = "30s"
crash_budget = 5
queues = ["*"]

[defaults]                         # for every actor; each key may also stand in [actors.NAME]
concurrency = 16
threads = 8
timeout = "10m"
[defaults.retry]
max_attempts = 4
initial = "1s"

[supervisor]
strategy = "one_for_one"
max_restarts = 3
within = "5s"
children = ["billing", "media", "send_email"]     # omitted: all that no other supervisor names
[supervisor.backoff]
initial = "100ms"
factor = 2.0
max = "30s"
jitter = 0.2

[supervisors.billing]
strategy = "rest_for_one"
max_restarts = 5
within = "1m"
children = ["ledger", "charge", "invoice"]
[supervisors.media]
strategy = "one_for_all"
children = ["transcode", "thumbnail"]

[actors.charge]
queue = "payments"
rate_limit = "25/s"
global_concurrency = 10
timeout = "20s"
[actors.charge.retry]
max_attempts = 6
restart_on = ["shop.db.PoolBroken"]

[[schedules]]
name = "nightly"
actor = "invoice"
cron = "30 2 * * *"
timezone = "Europe/Berlin"
kwargs = { full = true }
"""

BAD = """\
version = 1
namespace = "shop"

[nats]
servers = ["nats://127.0.0.1:4222"]

[streams]
replicas = 1
result_ttl = "1h"

[worker]
backend = "asyncio"
workers = 2
queues = ["*"]

[defaults]
concurrency = 16
[defaults.retry]
max_attempts = 4
initial = "1s"

[supervisor]
strategy = "one_for_one"
children = [
    "billing",
    "media",  # and
    "send_email",
]

[supervisors.billing]
strategy = "rest_for_on"
max_restarts = 5
within = "1m"
children = ["ledger", "charge", "invocie"]

[supervisors.media]
strategy = "one_for_all"
children = ["transcode", "thumbnail", "ledger"]

[actors.charge]
rate_limit = "25 per sec"
global_concurrency = 10
timelimit = "20s"
"""

PROBLEMS = """\
actorq.toml:31: supervisors.billing.strategy: "rest_for_on" is not one of one_for_one, rest_for_one, one_for_all; did you mean "rest_for_one"?
actorq.toml:34: supervisors.billing.children[2]: "invocie" is neither an actor nor a supervisor; did you mean "invoice"?
actorq.toml:34: supervisors.billing.children: "ledger" already belongs to supervisors.media (line 38); a child has exactly one parent
actorq.toml:41: actors.charge.rate_limit: "25 per sec" is not a rate; write "25/s"
actorq.toml:43: actors.charge.timelimit: unknown key; did you mean "timeout"?
env ACTORQ_WORKER__GRACE: unknown key "worker.grace"; did you mean "worker.shutdown_timeout"?
""".splitlines()  # noqa: E501  as they are printed


def drafted(folder: Path, text: str, **environ: str) -> Draft:
    """What is read of ``text`` as actorq.toml in ``folder``."""
    (folder / "actorq.toml").write_text(text)
    return read(None, environ, folder=folder)


def judged(folder: Path, text: str, declared: Declared | None = SHOP, **environ: str) -> Report:
    """The same, looked at for a program."""
    return examine(drafted(folder, text, **environ), declared)


def lines(folder: Path, text: str, declared: Declared | None = SHOP, **environ: str) -> list[str]:
    """What is wrong with it."""
    return [str(problem) for problem in judged(folder, text, declared, **environ).problems]
