"""Which files are read, what they include, and what is told of those that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorq.config import read
from tests.config.shop import SHOP, drafted, judged, lines


def problems(folder: Path, named: str | None = None, **environ: str) -> list[str]:
    return [str(problem) for problem in read(named, environ, folder=folder).problems]


def workers(folder: Path, named: str | None = None, **environ: str) -> tuple[int, str]:
    config = read(named, environ, folder=folder).config
    return config.get("worker.workers"), config.origin("worker.workers")


def test_the_named_file_goes_before_the_variable_that_before_the_folders(tmp_path: Path) -> None:
    assert workers(tmp_path) == (1, "default")
    (tmp_path / "pyproject.toml").write_text("[project]\n\n[tool.actorq.worker]\nworkers = 2\n")
    assert workers(tmp_path) == (2, "pyproject.toml:4")
    (tmp_path / "actorq.toml").write_text("[worker]\nworkers = 3\n")
    assert workers(tmp_path) == (3, "actorq.toml:2")
    (tmp_path / "variable.toml").write_text("worker.workers = 4\n")
    assert workers(tmp_path, ACTORQ_CONFIG="variable.toml") == (4, "variable.toml:1")
    (tmp_path / "flag.toml").write_text("worker = { workers = 5 }\n")
    assert workers(tmp_path, "flag.toml", ACTORQ_CONFIG="variable.toml") == (5, "flag.toml:1")
    assert workers(tmp_path, str(tmp_path / "flag.toml")) == (5, f"{tmp_path}/flag.toml:1")


def test_a_variable_goes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "actorq.toml").write_text("[worker]\nworkers = 3\n")
    assert workers(tmp_path, ACTORQ_WORKER__WORKERS="7") == (7, "env ACTORQ_WORKER__WORKERS")


@pytest.mark.parametrize("text", ["[project]\n", "[tool.ruff]\n", "not toml\n"])
def test_a_project_that_says_nothing_of_actorq_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert read(None, {}, folder=tmp_path).config.files == ()
    assert problems(tmp_path) == []


def test_a_project_file_that_is_named_has_to_have_the_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("tool = 3\n")
    assert problems(tmp_path, "pyproject.toml") == [
        "pyproject.toml: it has no table [tool.actorq]; add one, or name another file"
    ]


def test_a_project_file_tells_the_paths_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("\n[tool.actorq]\nname = 3\n")
    assert problems(tmp_path) == ['pyproject.toml:3: name: unknown key; did you mean "namespace"?']


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert problems(tmp_path, "gone.toml") == ["gone.toml: it does not exist; check the name"]
    assert problems(tmp_path, ACTORQ_CONFIG="gone.toml") == ["gone.toml: it does not exist; check the name"]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "actorq.toml").mkdir()
    assert problems(tmp_path) == ["actorq.toml: it is a folder; name a file"]


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    (line,) = problems(tmp_path, "loop.toml")
    assert line.startswith("loop.toml: it cannot be read: ")
    assert line.endswith("; name another file")


def test_a_mark_at_the_beginning_and_other_ends_of_lines(tmp_path: Path) -> None:
    (tmp_path / "actorq.toml").write_bytes(b'\xef\xbb\xbfversion = 1\r\n[worker]\r\nworkers = "x"\r\n')
    assert problems(tmp_path) == [
        'actorq.toml:3: worker.workers: "x" is not allowed; write a whole number, 1 or more',
    ]


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "actorq.toml").write_bytes(b'a = 1\nb = "caf\xe9"\n')
    assert problems(tmp_path) == ["actorq.toml:2: it is not UTF-8 (byte 0xe9); save it as UTF-8"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\n\nb == 2\n", "actorq.toml:3: it is not TOML in column 4: invalid value"),
        ('a = """\n\n', "actorq.toml:3: it is not TOML at its end: unterminated string"),
        ("[a]\n[a]\n", "actorq.toml:2: it is not TOML: [a] stands here a second time; keep one of them"),
        ("[a.b]\n[a.b]\n", "actorq.toml:2: it is not TOML: [a.b] stands here a second time; keep one of them"),
    ],
)
def test_what_is_no_toml_is_one_problem_with_its_line(tmp_path: Path, text: str, line: str) -> None:
    assert lines(tmp_path, text) == [line]


def test_lists_without_an_end_are_one_problem_too(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, "a = " + "[" * 20_000)
    assert line.startswith("actorq.toml:1: it is not TOML")


def test_the_including_file_lies_over_those_it_includes_and_later_ones_over_earlier(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/a.toml").write_text('[worker]\nworkers = 2\nname = "a"\nlog_level = "debug"\n')
    (tmp_path / "conf.d/b.toml").write_text('include = "../base.toml"\n[worker]\nworkers = 3\nname = "b"\n')
    (tmp_path / "base.toml").write_text('[worker]\nmax_tasks = 9\nname = "base"\n[actors.charge]\ntimeout = 1\n')
    draft = drafted(tmp_path, 'include = ["conf.d/*.toml"]\n[worker]\nworkers = 4\n[actors.charge]\nburst = 1\n')
    config = draft.config
    assert draft.problems == ()
    assert config.files == ("actorq.toml", "conf.d/a.toml", "conf.d/b.toml", "conf.d/../base.toml")
    assert config.worker == {"workers": 4, "name": "b", "log_level": "debug", "max_tasks": 9}
    assert config.origin("worker.max_tasks") == "conf.d/../base.toml:2"
    assert (config.origin("actors.charge.timeout"), config.origin("actors.charge.burst")) == (
        "conf.d/../base.toml:5", "actorq.toml:5",
    )  # fmt: skip


def test_lists_are_replaced_as_a_whole(tmp_path: Path) -> None:
    schedule = '[[schedules]]\nname = "{}"\nactor = "x"\nevery = 5\n'
    (tmp_path / "base.toml").write_text('worker.queues = ["a", "b"]\n' + schedule.format("a") + schedule.format("b"))
    draft = drafted(tmp_path, 'include = "base.toml"\nworker.queues = ["c"]\n' + schedule.format("c"))
    assert draft.problems == ()
    assert draft.config.worker == {"queues": ("c",)}
    names = [value.value for path, value in draft.config.values.items() if path[-1] == "name"]
    assert names == ["c"]


def test_a_problem_of_an_included_file_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text("\n[worker]\nworkers = 0\n")
    assert lines(tmp_path, 'include = "more.toml"\nworker.name = 1\n') == [
        "actorq.toml:2: worker.name: 1 is not a name; use 1 to 64 of A-Z a-z 0-9 _ -",
        "more.toml:3: worker.workers: 0 is not allowed; write a whole number, 1 or more",
    ]


def test_what_cannot_be_included_is_told_of_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "ring.toml").write_text('include = ["actorq.toml"]\n')
    (tmp_path / "odd.toml").write_text("=\n")
    assert lines(tmp_path, 'include = [\n"gone.toml", 3,\n"ring.toml",\n"odd.toml", "${GONE}", ""]\n') == [
        'actorq.toml:2: include[0]: "gone.toml" does not exist; check the name',
        "actorq.toml:4: include[4]: there is no variable GONE in the environment; set it, or write ${GONE:-default}",
        "odd.toml:1: it is not TOML in column 1: invalid statement",
        'ring.toml:1: include[0]: "actorq.toml" includes itself (actorq.toml > ring.toml > actorq.toml); take it out',
    ]
    assert lines(tmp_path, 'include = ["odd.toml", 3, ""]\n') == [
        'actorq.toml:1: include[1]: 3 is not text; write "..."',
        "actorq.toml:1: include[2]: it is empty; write something, or leave it out",
        "odd.toml:1: it is not TOML in column 1: invalid statement",
    ]


def test_a_pattern_means_all_files_but_the_including_one(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text("worker.workers = 2\n")
    draft = drafted(tmp_path, 'include = "*.toml"\n')
    assert draft.problems == ()
    assert draft.config.files == ("actorq.toml", "b.toml")


def test_the_same_file_may_be_included_by_several(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text("worker.workers = 2\n")
    for name in "ab":
        (tmp_path / f"{name}.toml").write_text('include = "base.toml"\n')
    assert drafted(tmp_path, 'include = ["a.toml", "b.toml"]\n').problems == ()


def test_a_name_of_an_included_file_may_have_a_variable(tmp_path: Path) -> None:
    (tmp_path / "eu.toml").write_text("worker.workers = 2\n")
    assert drafted(tmp_path, 'include = "${REGION}.toml"\n', REGION="eu").config.get("worker.workers") == 2


def test_other_parents_in_another_file_are_named_with_it(tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text('[supervisors.media]\nchildren = [\n"ledger"]\n')
    text = 'include = "more.toml"\n[supervisor]\nchildren = ["media", "billing"]\n[supervisors.billing]\n'
    (line,) = lines(tmp_path, text + 'children = ["ledger"]\n')
    assert line == (
        'more.toml:3: supervisors.media.children: "ledger" already belongs to supervisors.billing (actorq.toml:5);'
        " a child has exactly one parent"
    )


def test_warnings_have_places_too(tmp_path: Path) -> None:
    report = judged(tmp_path, '[supervisor]\nchildren = ["charge"]\nmax_restarts = 30\n', SHOP)
    assert report.problems == ()
    assert report.warnings[0].startswith("actorq.toml:1: supervisor: a child that always fails is restarted for ever")
    assert 'actorq.toml:2: supervisor.children: no supervisor names actor "ledger"' in report.warnings[1]
