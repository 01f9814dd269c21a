"""Every Python block of the README and the documents is executed.

The blocks of one page run in their order in one module, on the in-process transport. A block with ``await`` outside of
a function runs in an event loop, beside a worker for each system that the page has declared. A block that begins with a
comment such as ``# shop.py`` can be imported by those after it. ``python pytest`` marks a test module, which pytest
runs; ``python no-run`` what cannot run here: it has to compile.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import types
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from actorq import ActorSystem, Worker
from tests.docs.pages import PAGES, Block, blocks, name_of

pytest_plugins = ["pytester"]
INFOS = {"", "no-run", "pytest"}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """An importable ``__main__`` in a folder of its own, with a broker of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("ACTORQ_TRANSPORT", f"memory:{uuid.uuid4().hex}")
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    return main


def compiled(page: Path, block: Block) -> types.CodeType:
    source = "\n" * (block.line - 1) + block.text
    code: types.CodeType = compile(source, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return code


async def run_beside_workers(code: types.CodeType, names: dict[str, Any]) -> None:
    systems = {value for value in names.values() if isinstance(value, ActorSystem)}
    async with AsyncExitStack() as workers:
        for system in systems:
            await workers.enter_async_context(Worker(system))
        with anyio.fail_after(30):
            await eval(code, names)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_blocks_of_the_page_run(
    page: Path, backend: str, module: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in blocks(page, "python"):
        assert block.info in INFOS, f"{name_of(page)}:{block.line}: unknown mark {block.info!r}"
        code = compiled(page, block)
        if block.info:
            continue
        if file := re.match(r"# (\w+)\.py\n", block.text):
            (tmp_path / f"{file[1]}.py").write_text(block.text)
            monkeypatch.delitem(sys.modules, file[1], raising=False)
        if code.co_flags & inspect.CO_COROUTINE:
            anyio.run(run_beside_workers, code, vars(module), backend=backend)
        else:
            exec(code, vars(module))
    for name in [path.stem for path in tmp_path.glob("*.py")]:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_tests_of_the_page_pass(page: Path, pytester: pytest.Pytester) -> None:
    tests = [block for block in blocks(page, "python") if block.info == "pytest"]
    for block in tests:
        pytester.makepyfile(**{f"test_block_{block.line}": block.text})
    if tests:
        result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
        result.assert_outcomes(passed=len(re.findall(r"def test_", "".join(block.text for block in tests))))
