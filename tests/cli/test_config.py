"""`actorq config`, and what the other commands take from the file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from actorq import ActorSystem
from actorq.cli.exits import Exit
from actorq.cli.settings import Common
from actorq.errors import ConfigError
from actorq.model.address import Namespace
from tests.cli.shell import Shell, shell_in
from tests.config.shop import ACTORS, BAD, GOOD, PROBLEMS

PROGRAM = f"""
from actorq import ActorSystem, Retry
system = ActorSystem("shop", transport="nats://me:hush@code:1", connection={{"token": "hush"}})
for name in {ACTORS!r}:
    system.actor(name=name, **({{"threads": 3}} if name == "ledger" else {{}}))(lambda: None)
system.supervisor("billing", max_restarts=2, children=["charge"])
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = shell_in(tmp_path, "nats://127.0.0.1:1")
    (tmp_path / "program.py").write_text(PROGRAM)
    return shell


def test_check_tells_every_problem_as_documented(shell: Shell) -> None:
    (shell.folder / "actorq.toml").write_text(BAD)
    done = shell.run("config", "check", "program:system", ACTORQ_WORKER__GRACE="45s")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.splitlines() == PROBLEMS


def test_check_says_that_all_is_well_and_warns(shell: Shell) -> None:
    (shell.folder / "actorq.toml").write_text(GOOD.replace("shop.tasks:system", "program:system"))
    done = shell.run("config", "check")
    assert (done.returncode, done.stdout) == (0, "ok: actorq.toml: 47 settings, 3 supervisors, 6 actors\n")
    assert done.stderr == (
        'warning: actorq.toml:58: actors.charge.retry: the program has not imported a module "shop.db", so it may never'
        ' raise "shop.db.PoolBroken"\n'
        "warning: actorq.toml:62: schedules: this version runs no schedules; what is here is checked in shape and left"
        " alone\n"
    )


def test_check_without_a_program_says_what_it_could_not_see(shell: Shell) -> None:
    done = shell.run("config", "check")
    assert (done.returncode, done.stdout) == (0, "ok: no file: 0 settings\n")
    assert done.stderr == "names of actors are not checked: name the program, MODULE:SYSTEM\n"


def test_check_tells_of_a_program_that_cannot_be_imported_besides_all_else(shell: Shell) -> None:
    (shell.folder / "actorq.toml").write_text('[worker]\napp = "gone:system"\nworkers = 0\n')
    done = shell.run("config", "check")
    assert done.returncode == 78
    lines = done.stderr.splitlines()
    assert lines[0].startswith("actorq.toml:2: worker.app: cannot import 'gone': there is no module 'gone'")
    assert lines[1:] == [
        "actorq.toml:3: worker.workers: 0 is not allowed; write a whole number, 1 or more",
        "names of actors are not checked: see above",
    ]
    assert shell.run("config", "check", "gone").returncode == 2


def test_check_as_a_document(shell: Shell) -> None:
    (shell.folder / "actorq.toml").write_text("[worker]\nworkers = 0\n")
    done = shell.run("config", "check", "program:system", "--json", ACTORQ_WORKER__X="1")
    assert done.returncode == 78
    assert json.loads(done.stdout) == {
        "ok": False,
        "files": ["actorq.toml"],
        "problems": [
            {
                "file": "actorq.toml", "line": 2, "path": "worker.workers",
                "problem": "0 is not allowed; write a whole number, 1 or more",
            },
            {
                "file": "env ACTORQ_WORKER__X", "line": None, "path": "worker.x",
                "problem": json.loads(done.stdout)["problems"][1]["problem"],
            },
        ],
        "warnings": [],
    }  # fmt: skip


def test_a_file_that_is_not_there_is_one_line(shell: Shell) -> None:
    done = shell.run("config", "check", "program:system", "--config", "gone.toml")
    assert (done.returncode, done.stderr) == (78, "gone.toml: it does not exist; check the name\n")
    done = shell.run("config", "show", "--config", "gone.toml")
    assert (done.returncode, done.stderr) == (78, "actorq: gone.toml: it does not exist; check the name\n")


def test_show_tells_where_each_value_comes_from(shell: Shell) -> None:
    (shell.folder / "actorq.toml").write_text(
        '[worker]\napp = "program:system"\n[nats]\npassword = "hush"\n[actors.charge]\nrate_limit = "5/s"\n'
        '[supervisors.billing]\nchildren = ["charge"]\n'
    )
    done = shell.run(
        "config", "show", "--origin", "--namespace", "other", ACTORQ_DEFAULTS__TIMEOUT="none", NATS_CREDS="file"
    )
    assert done.returncode == 0, done.stderr
    assert "hush" not in done.stdout + done.stderr
    rows = {line.split()[0]: line.split(None, 1)[1] for line in done.stdout.splitlines()}
    shown = {path: " ".join(rest.split()) for path, rest in rows.items()}
    assert {path: shown[path] for path in EXPECTED} == EXPECTED
    assert set(shown) > {f"actors.{name}.queue" for name in ACTORS}


EXPECTED = {
    "namespace": "other flag --namespace",
    "nats.servers": "nats://***@code:1 code",
    "nats.password": "*** actorq.toml:4",
    "nats.token": "*** code",
    "nats.creds": "file env NATS_CREDS",
    "nats.user": "none default",
    "streams.dead_ttl": "14d default",
    "worker.app": "program:system actorq.toml:2",
    "supervisor.children": "billing, ledger, invoice, transcode, thumbnail, send_email default",
    "supervisors.billing.max_restarts": "2 code",
    "supervisors.billing.children": "charge actorq.toml:8",
    "actors.charge.rate_limit": "5/s actorq.toml:6",
    "actors.ledger.threads": "3 decorator",
    "actors.ledger.timeout": "none env ACTORQ_DEFAULTS__TIMEOUT",
    "actors.ledger.retry.initial": "1s default",
}


def test_show_as_a_document(shell: Shell) -> None:
    (shell.folder / "actorq.toml").write_text(GOOD.replace('app = "shop.tasks:system"', ""))
    done = shell.run("config", "show", "--json", ACTORQ_NAMESPACE="x")
    rows = {row["path"]: (row["value"], row["origin"]) for row in json.loads(done.stdout)}
    assert rows["namespace"] == ("x", "env ACTORQ_NAMESPACE")
    assert rows["worker.shutdown_timeout"] == (30.0, "actorq.toml:20")
    assert rows["actors.charge.rate_limit"] == ("25/s", "actorq.toml:55")
    assert rows["nats.servers"] == (["nats://127.0.0.1:1"], "env NATS_URL")
    assert rows["nats.send_timeout"] == (15.0, "actorq.toml:7")
    assert rows["schedules[0].kwargs"] == ({"full": True}, "actorq.toml:67")
    assert rows["defaults.retry.max_attempts"] == (4, "actorq.toml:30")


def test_the_schema_is_a_document(shell: Shell) -> None:
    done = shell.run("config", "schema", "--json")
    assert json.loads(done.stdout)["title"] == "actorq.toml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("NATS_URL", "NATS_USER", "ACTORQ_TRANSPORT", "ACTORQ_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_namespace_comes_from_the_file_where_nothing_else_says_it(folder: Path) -> None:
    (folder / "actorq.toml").write_text('namespace = "from-file"\n[worker]\napp = "not_there:system"\n')
    assert Common().reach(None, reading=True).namespace == Namespace.of("from-file")
    assert Common(namespace="flag").reach(None, reading=True).namespace == Namespace.of("flag")
    with pytest.raises(Exit, match="not_there"):
        Common().reach(None)
    (folder / "with_system.py").write_text("from actorq import ActorSystem\nsystem = ActorSystem('own')\n")
    assert Common().system("with_system:system").namespace == Namespace.of("from-file")


def test_the_target_comes_from_the_file_where_nothing_else_says_it(folder: Path) -> None:
    (folder / "other.toml").write_text('[worker]\napp = "with_shop:system"\n')
    (folder / "with_shop.py").write_text("from actorq import ActorSystem\nsystem = ActorSystem('own')\n")
    common = Common(config_file="other.toml")
    assert common.target(None) == "with_shop:system"
    assert common.target("a:b") == "a:b"
    assert common.reach(None).name == common.system(None).name == "own"
    assert Common().target(None) is None


def test_flag_then_environment_then_file_then_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "actorq.toml").write_text(
        "[nats]\nservers = ['nats://file:1', 'nats://file:2']\nuser = 'file'\nconnect_timeout = 3\nsend_timeout = 4\n"
        "[streams]\nreplicas = 3\n"
    )

    def connected(common: Common) -> ActorSystem:
        system = ActorSystem("shop", transport="nats://code:1", connection={"user": "code", "token": "code"})
        common.connect(system, common.draft().config)
        return system

    system = connected(Common())
    assert (system.url, system.send_timeout, system.streams.replicas) == ("nats://file:1,nats://file:2", 4.0, 3)
    assert system.connection == {"user": "file", "token": "code", "connect_timeout": 3.0}
    monkeypatch.setenv("NATS_URL", "nats://env:1")
    monkeypatch.setenv("NATS_USER", "env")
    monkeypatch.setenv("NATS_TOKEN", "env")
    system = connected(Common())
    # Over the file, as the file says something; below the code, as the file says nothing.
    assert (system.url, system.connection["user"], system.connection["token"]) == ("nats://env:1", "env", "code")
    monkeypatch.setenv("ACTORQ_NATS__SERVERS", "nats://own:1")
    assert connected(Common()).url == "nats://own:1"
    assert connected(Common(server="nats://flag:1,nats://flag:2")).url == "nats://flag:1,nats://flag:2"


def test_a_file_with_problems_ends_every_command(folder: Path) -> None:
    (folder / "actorq.toml").write_text("a = 1\nb = 2\n")
    for act in (Common().reach, Common().system, Common().target):
        with pytest.raises(ConfigError) as caught:
            act(None)
        assert len(caught.value.problems) == 2
