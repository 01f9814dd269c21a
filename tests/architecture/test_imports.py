"""What may import what, and what `import actorq` brings along."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import actorq
from tests.architecture.source import ROOT, sources

MODULES = [source.module for source in sources() if not source.path.endswith("__main__.py")]
# The drivers, what they stand on, and what only the command line or a test needs.
NOT_AT_IMPORT = (
    "actorq.cli", "actorq.config", "actorq.embedded", "actorq.testing", "actorq.worker", "actorq_memory", "actorq_nats",
    "asyncio", "cyclopts", "importlib.metadata", "nats", "pytest", "rich", "trio",
)  # fmt: skip


def test_the_import_contracts_hold() -> None:
    """The contracts stand in pyproject.toml: layers, and what the core, the runtime and the drivers may not import."""
    program = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported(module: str) -> None:
    importlib.import_module(module)


def test_importing_the_package_loads_no_driver_no_command_line_and_no_event_loop() -> None:
    program = f"import sys, actorq; print(*[name for name in {NOT_AT_IMPORT} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_the_facade_is_a_sorted_list_of_names_and_nothing_else() -> None:
    assert actorq.__all__ == sorted(set(actorq.__all__))
    *imports, lazy, names = ast.parse((ROOT / "actorq/__init__.py").read_text()).body[1:]
    assert isinstance(lazy, ast.If)
    assert isinstance(names, ast.Assign)
    assert all(isinstance(node, ast.ImportFrom) for node in [*imports, *lazy.body])
    found = [node for node in [*imports, *lazy.body] if isinstance(node, ast.ImportFrom)]
    ours = [node for node in found if node.module is not None and node.module.startswith("actorq.")]
    assert {alias.name for node in ours for alias in node.names} == set(actorq.__all__)


def test_every_public_name_says_what_it_is() -> None:
    assert [name for name in actorq.__all__ if not getattr(actorq, name).__doc__] == []
