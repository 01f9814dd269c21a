"""The entry point: parses, runs one command, and turns whatever ends it into one line and an exit code.

Commands are named by import path, so that none is loaded before it is called for.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError, Parameter

from actorq.cli import logs
from actorq.cli.exits import INTERRUPTED, OK, USAGE, Exit, describe, failure, one_line
from actorq.cli.output import document, talk

SENDING = """For example:
  actorq send add 1 -2 --namespace shop --wait
  actorq send thumbnail a.png --kw size=64 -A shop.tasks:system
  actorq send note --namespace shop -- "-5 degrees"

What begins with a dash goes behind --, with the flags before it."""

_FULL_STOP = re.compile(r"(?<!\.)\.$")

app: App = App(
    "actorq",
    version=lambda: version("actorq"),
    help="Durable tasks for async Python over NATS JetStream.",
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command("actorq.cli.worker:worker", name="worker", help="Run a worker.")
app.command("actorq.cli.tasks:send", name="send", help="Send a task.", help_epilogue=SENDING)
app.command("actorq.cli.tasks:result", name="result", help="Wait for a task's value.")
app.command("actorq.cli.server:server", name="server", help="Run the embedded broker alone.")
app.command("actorq.cli.demo:demo", name="demo", help="See a real job survive the loss of a worker, in under a minute.")
app.command("actorq.cli.bench.command:bench", name="bench", help="Measure speed beside the raw client's, in one run.")
app.command("actorq.cli.workers:workers", name="workers", help="List the workers that are running.")
app.command("actorq.cli.workers:ping", name="ping", help="Ask every worker whether it is there.")
app.command("actorq.cli.completion:completion", name="completion", help="Print a shell's completion script.")
task: App = App("task", help="Look at tasks, and cancel or revive them.")
task.command("actorq.cli.listing:ls", name="ls", help="List tasks that have not ended.")
task.command("actorq.cli.tasks:show", name="show", help="Show what is known of a task.")
task.command("actorq.cli.tasks:watch", name="watch", help="Follow a task's states until it has ended.")
task.command("actorq.cli.listing:cancel", name="cancel", help="Cancel tasks.")
task.command("actorq.cli.listing:retry", name="retry", help="Let a dead task run again.")
queue: App = App("queue", help="Look at queues, pause, resume and purge them.")
queue.command("actorq.cli.queues:ls", name="ls", help="List what waits where, and who serves it.")
queue.command("actorq.cli.queues:pause", name="pause", help="Let workers take nothing from a queue.")
queue.command("actorq.cli.queues:resume", name="resume", help="Let workers take from a queue again.")
queue.command("actorq.cli.queues:purge", name="purge", help="Cancel every task that waits in a queue.")
actor: App = App("actor", help="Look at actors, restart and limit them.")
actor.command("actorq.cli.actors:ls", name="ls", help="List actors with their load and limits.")
actor.command("actorq.cli.actors:tree", name="tree", help="Show the supervision tree of every worker.")
actor.command("actorq.cli.actors:restart", name="restart", help="Restart an actor or a supervisor.")
actor.command("actorq.cli.actors:rate", name="rate", help="Change an actor's rate limit.")
app.command(task)
app.command(queue)
app.command(actor)
dead: App = App("dead", help="Look at dead letters; revive their tasks, or drop them.")
dead.command("actorq.cli.dead:ls", name="ls", help="List dead letters.")
dead.command("actorq.cli.dead:show", name="show", help="Show all that is known of dead letters.")
dead.command("actorq.cli.dead:retry", name="retry", help="Let their tasks run again.")
dead.command("actorq.cli.dead:drop", name="drop", help="Remove dead letters.")
app.command(dead)
config: App = App("config", help="Check and show the configuration.")
config.command("actorq.cli.config:check", name="check", help="Tell all that is wrong with the configuration.")
config.command("actorq.cli.config:show", name="show", help="Show every setting, and where it comes from.")
config.command("actorq.cli.config:schema", name="schema", help="Print the JSON Schema, for editors.")
app.command(config)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; ``arguments`` without the program's name. Gives the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    logs.set_up("warning", "plain", force=False)
    try:
        code = app(given, print_error=False, exit_on_error=False)
    except (KeyboardInterrupt, BaseExceptionGroup) as error:
        return _failed(error if isinstance(error, Exception) else Exit(INTERRUPTED, "interrupted"), given)
    except BrokenPipeError:
        # The reader has left: nothing more can be said, also not by the interpreter as it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except CycloptsError as error:
        return _failed(Exit(USAGE, f"{_FULL_STOP.sub('', one_line(error))} (see --help)"), given)
    except Exception as error:  # noqa: BLE001  the last resort: never a traceback
        return _failed(error, given)
    return code if isinstance(code, int) else OK


def _failed(error: Exception, given: Sequence[str]) -> int:
    code, text = describe(error)
    for line in text.splitlines():
        talk(f"actorq: {line}")
    # Not asked of the parser, which may be what failed.
    if "--json" in itertools.takewhile(lambda word: word != "--", given):
        document(failure(error))
    return code
