"""Finds the user's ActorSystem: MODULE:SYSTEM, importable from the current folder."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from actorq.cli.exits import CONFIGURATION, USAGE, Exit, one_line, users_line
from actorq.system import ActorSystem

_IMPORTLIB = str(Path(importlib.__file__).parent)
_SHAPE = "write MODULE:SYSTEM, for example shop.tasks:system"


def load(target: str) -> ActorSystem:
    """Import ``module:attribute``. Raises Exit: 2 for a target of another form, 78 for what cannot be imported."""
    name, colon, attribute = target.partition(":")
    if not (name and colon and attribute):
        raise Exit(USAGE, f"target {target!r} is not of the form module:attribute: {_SHAPE}")
    if name.endswith(".py") or "/" in name:
        dotted = name.removesuffix(".py").strip("./").replace("/", ".")
        raise Exit(USAGE, f"target {target!r} names a file, not a module: write {dotted}:{attribute}")
    module = _import(name)
    found: object = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, ActorSystem):
        return found
    known = [key for key, value in vars(module).items() if isinstance(value, ActorSystem)]
    hint = (
        f"it has {', '.join(f'{name}:{key}' for key in known)}" if known else "it has no ActorSystem at its top level"
    )
    what = f"is of type {type(found).__name__}, not an ActorSystem" if found is not None else "does not exist"
    raise Exit(CONFIGURATION, f"{target} {what}; module {name!r} is {module.__file__}, {hint}")


def _import(name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            where = f"there is no module {error.name!r}, neither in {folder} nor installed"
            raise Exit(
                CONFIGURATION, f"cannot import {name!r}: {where}; run it from the folder of your code"
            ) from error
        raise _failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _failed(name: str, error: BaseException) -> Exit:
    place = users_line(error, _IMPORTLIB)
    what = f"{type(error).__name__}: {one_line(error)}"
    return Exit(CONFIGURATION, f"cannot import {name!r}: {what}{place and f' ({place})'}")
