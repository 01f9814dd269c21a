"""On which line a key of a TOML text stands."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.config.kinds import is_list, is_table
from actorq.config.positions import line_of, positions
from actorq.config.problems import Path

TEXT = r'''
# a comment = 1
a = 1
b.c . "d e" = [1, 2]   # 4
[t]
'x.y' = """
[not.a.table]
k = 3 \""" """""
"q\"\u0041" = {in = 1, "side" = {deep = '#'}}
list = [
  1, # ]
  [2,
   3], "]",

  { k = "},]" },
]
date = 1979-05-27 07:32:00 # not , [ this
lit = LITERAL
[[x]]
k = 1
[x.sub]
k = 2
  [[x.more]]
  k = 3
[[x.more]]
[[ x ]]
k = 4
[x.'sub']
[ late . "table" ]
'''.replace("LITERAL", "'" * 3 + '"""' + "'" * 3)
LINES: dict[Path, int] = {
    ("a",): 3,
    ("b",): 4,
    ("b", "c"): 4,
    ("b", "c", "d e"): 4,
    ("b", "c", "d e", 1): 4,
    ("t",): 5,
    ("t", "x.y"): 6,
    ("t", 'q"A'): 9,
    ("t", 'q"A', "in"): 9,
    ("t", 'q"A', "side", "deep"): 9,
    ("t", "list"): 10,
    ("t", "list", 0): 11,
    ("t", "list", 1): 12,
    ("t", "list", 1, 1): 13,
    ("t", "list", 2): 13,
    ("t", "list", 3): 15,
    ("t", "list", 3, "k"): 15,
    ("t", "date"): 17,
    ("t", "lit"): 18,
    ("x",): 19,
    ("x", 0): 19,
    ("x", 0, "k"): 20,
    ("x", 0, "sub"): 21,
    ("x", 0, "sub", "k"): 22,
    ("x", 0, "more", 0): 23,
    ("x", 0, "more", 0, "k"): 24,
    ("x", 0, "more", 1): 25,
    ("x", 1): 26,
    ("x", 1, "k"): 27,
    ("x", 1, "sub"): 28,
    ("late",): 29,
    ("late", "table"): 29,
}


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_every_form_of_a_key_has_its_line(ending: str) -> None:
    found = positions(TEXT.replace("\n", ending))
    assert {path: found.get(path) for path in LINES} == LINES


def test_the_text_above_means_what_it_was_taken_for() -> None:
    data = tomllib.loads(TEXT)
    assert all(holds(data, path) for path in positions(TEXT))
    assert all(path in positions(TEXT) for path in every_path(data))


def test_what_is_not_known_stands_where_its_surroundings_are() -> None:
    lines = positions(TEXT)
    assert line_of(lines, ("t", "gone", "deeper")) == 5
    assert line_of(lines, ("nowhere",)) == 1


def holds(data: Any, path: Path) -> bool:
    for part in path:
        if not (part < len(data) if isinstance(part, int) else part in data):
            return False
        data = data[part]
    return True


def every_path(data: Any, path: Path = ()) -> list[Path]:
    pairs: Any = data.items() if is_table(data) else enumerate(data) if is_list(data) else ()
    return [found for key, value in pairs for found in ((*path, key), *every_path(value, (*path, key)))]


# Texts that are written along with the lines of their keys.
names = st.text("ab", min_size=1, max_size=2)
plain = st.sampled_from(["1", "1.5", "true", '"a # b"', "'[x]'", '"""\nx = 1\n"""', "'''\n[y]\n'''", "2020-01-02"])
lists = st.lists(plain, max_size=3).map(lambda items: "[\n" + "".join(f"  {item}, # c\n" for item in items) + "]")
inline = st.lists(plain, max_size=2).map(
    lambda items: "{" + ", ".join(f"k{index} = {item}" for index, item in enumerate(items)) + "}"
)
statements = st.tuples(names, st.one_of(plain, lists, inline))
headers = st.lists(names, min_size=1, max_size=3).map(lambda parts: (".".join(parts), ""))


@given(st.lists(st.one_of(statements, headers), max_size=12, unique_by=lambda part: part[0]), st.booleans())
def test_each_key_is_found_where_it_was_written(parts: list[tuple[str, str]], arrays: bool) -> None:
    text, expected = "", dict[int, list[str]]()
    for name, value in parts:
        written = f"{name} = {value}" if value else f"[[{name}]]" if arrays else f"[{name}]"
        expected[text.count("\n") + 1] = name.split(".")
        text += written + "\n\n"
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = positions(text)
    assert set(every_path(data)) <= set(found)
    for path, line in found.items():
        if line in expected and isinstance(path[-1], str) and not path[-1].startswith("k"):
            assert path[-1] in expected[line]


@given(st.text("ab.=[]{}\"'\n #,\\1", max_size=40))
def test_whatever_the_text_is_it_ends(text: str) -> None:
    positions(text)
