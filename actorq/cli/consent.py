"""What destroys or repeats is done only if somebody says so: by ``--yes``, or when asked at a terminal."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from actorq.cli.exits import FAILED, USAGE, Exit

Yes = Annotated[bool, Parameter(name=["--yes", "-y"], show_default=False, help="Do it without being asked.")]
DryRun = Annotated[bool, Parameter(show_default=False, help="Say what it would do, and do nothing.")]


def consent(what: str, *, yes: bool) -> None:
    """Return if ``what`` ("cancel 3 tasks") is to be done. Raises Exit: 1 for a no, 2 where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Exit(USAGE, f"{what}? add --yes to do it, or --dry-run to see what it would do")
    sys.stderr.write(f"actorq: {what}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Exit(FAILED, "nothing was done")
