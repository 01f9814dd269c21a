"""``actorq completion``: the script that teaches a shell the commands and flags."""

from __future__ import annotations

from typing import Literal

from actorq.cli.exits import OK
from actorq.cli.output import data


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the completion script of a shell, for example: eval "$(actorq completion bash)".

    Parameters
    ----------
    shell
        bash, zsh or fish.
    """
    from actorq.cli.main import app  # noqa: PLC0415  which names this module, and is loaded by now

    data(app.generate_completion(prog_name="actorq", shell=shell))
    return OK
