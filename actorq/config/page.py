"""The reference of the configuration as a page, made from the table of keys."""

from __future__ import annotations

from collections.abc import Iterator

from actorq.config.keys import KEYS, Key, Reload, Table
from actorq.model.policy import LATER

_BEGIN = """\
# Configuration

Settings of workers and of the command line. This page is made from the table that files are checked against;
`actorq config schema` gives the same to editors. How to use it: [Configure workers](../how-to/configure.md).

**The file** is the one after `--config`, else `ACTORQ_CONFIG`, else `actorq.toml` in the working folder, else the
table `[tool.actorq]` of `pyproject.toml` there. Without any, all keys have their defaults.

**What counts:** a flag, else a variable of the environment, else the file, else the code (the options of a decorator),
else `[defaults]` of the file, else the default. `actorq config show --origin` prints where each value comes from.

**Values.** Durations are `"250ms"`, `"30s"`, `"5m"`, `"1h30m"` or seconds; sizes `"512KiB"`, `"10MB"` or bytes; rates
`"10/s"`, `"100/m"`, `"5/10s"`. Unknown keys are errors.

**Variables in strings.** `${NAME}` stands for a variable of the environment, `${NAME:-default}` also for one that is
empty or not set, `$$` for a dollar sign. Such a string may also stand for a number, a list (comma separated) or `true`.

**Variables instead of keys.** `ACTORQ_` and the path in upper case, two underscores between its parts:
`ACTORQ_WORKER__SHUTDOWN_TIMEOUT=45s`, `ACTORQ_ACTORS__CHARGE__RATE_LIMIT=5/s`, `ACTORQ_DEFAULTS__RETRY__INITIAL=1s`. A
dash in a name is an underscore there. A variable of this form that stands for no key is an error.

**Included files** are read first: the values of the including file lie over theirs, those of later ones over those of
earlier ones. Tables are merged, lists are replaced.

**Reload** (SIGHUP) reads all anew. *live*: applies at once. *restart*: the actor is drained and started again, which
does not count against its supervisor. *refused*: the change is refused as a whole; start another worker.
"""
_RELOAD: dict[Reload, str] = {"live": "live", "restart": "restart", "refused": "refused", "unused": ""}


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_BEGIN, *_sections()])


def _sections() -> Iterator[str]:
    yield from _section("The file itself", "", Table("", _keys(KEYS)))
    for name, entry in KEYS.entries.items():
        if not isinstance(entry, Table) or name == "actors":
            continue
        titles = {
            "defaults": "[defaults] and [actors.NAME]",
            "supervisors": "[supervisors.NAME]",
            "schedules": "[[schedules]]",
        }
        table = entry.each or entry
        doc = f"{entry.doc} {KEYS.entries['actors'].doc}" if name == "defaults" else entry.doc
        yield from _section(titles.get(name, f"[{name}]"), doc, table)
        if name == "defaults":
            later = ", ".join(f"`{each}`" for each in LATER)
            yield f"Of later versions, and until then refused: {later}.\n"


def _section(title: str, doc: str, table: Table) -> Iterator[str]:
    yield f"## {title}\n"
    if doc:
        yield f"{doc}\n"
    yield "| key | takes | default | reload | meaning |"
    yield "|---|---|---|---|---|"
    for path, key in Table("", {**_keys(table), **_tables(table)}).walk():
        if key.doc:
            name = ".".join(path)
            yield f"| `{name}` | {key.kind.name} | {_default(key)} | {_RELOAD[key.reload]} | {key.doc} |"
    yield ""


def _keys(table: Table) -> dict[str, Key | Table]:
    return {name: entry for name, entry in table.entries.items() if isinstance(entry, Key)}


def _tables(table: Table) -> dict[str, Key | Table]:
    return {name: entry for name, entry in table.entries.items() if isinstance(entry, Table)}


def _default(key: Key) -> str:
    if key.default is None or key.default in ((), {}):
        return "none"
    return f"`{key.kind.spell(key.default)}`"
