"""Random YAML documents: an edit changes the lines of its own entry and no other byte."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.diagnostics import KeyPath
from framework.edits.yaml_edit import REMOVED, Edit, build_change
from framework.edits.yaml_layout import find_comments
from framework.files.document import Document, parse_document

_KEYS = ["a", "b-c", "nvidia.com/gpu", '"q: r"', "'on'", "é", "longerKey"]
_SCALARS = [
    "1", "1.10", "true", "null", "", "plain text", '"1.6.1"', "'it''s'", "v1", "${a.b}", "漢🙂",
    '"tab\\t # no comment"', "http://x.y/z", "25%", "[]", "{}", "[a, 'b', {c: d}]",
    "{a: 1, é: [x]}", "{ spaced: 1 }", "|\n  text # no comment\n\n  more", ">-\n  folded\n  text",
    "|+\n  kept\n",
]  # fmt: skip
_COMMENTS = ["", "", "  # aligned: no", " # ünï"]
_BETWEEN = ["", "", "# head\n", "\n", "\n# two\n\n"]
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1000, 1000),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(
        lambda text: "???" not in text
    ),
    st.sampled_from(["1.10", "012", "on", "1e3", "v2", "a: b", "x #y", "-", "[", "*a", "<<", "~"]),
    st.lists(st.sampled_from(["a", "1.0", "b c"]), max_size=3),
    st.dictionaries(st.sampled_from(["k", "1", "on"]), st.integers(0, 9), max_size=2),
)


@st.composite
def _blocks(draw: st.DrawFn, indent: str = "", depth: int = 0) -> str:
    text = ""
    step = draw(st.sampled_from(["  ", "    "]))
    for key in draw(st.lists(st.sampled_from(_KEYS), min_size=1, max_size=4, unique=True)):
        text += "".join(
            f"{indent}{line}\n" if line else "\n"
            for line in draw(st.sampled_from(_BETWEEN)).splitlines()
        )
        comment = draw(st.sampled_from(_COMMENTS))
        kind = draw(st.sampled_from(["scalar", "scalar", "mapping", "list"])) if depth < 3 else ""
        if kind == "mapping":
            text += f"{indent}{key}:{comment}\n" + draw(_blocks(indent + step, depth + 1))
        elif kind == "list":
            items = draw(st.lists(st.sampled_from(["x", "'1'", "{a: b}"]), min_size=1, max_size=3))
            text += f"{indent}{key}:{comment}\n"
            text += "".join(f"{indent}{step}- {item}{comment}\n" for item in items)
        else:
            value, *more = draw(st.sampled_from(_SCALARS)).split("\n")
            text += f"{indent}{key}: {value}".rstrip() + f"{comment}\n"
            text += "".join(f"{indent}{line}\n" if line else "\n" for line in more)
    return text


@st.composite
def _files(draw: st.DrawFn) -> str:
    text = draw(_blocks()) + draw(st.sampled_from(["", "# end\n", "\n\n"]))
    text = draw(st.sampled_from(["", "---\n", "# first\n\n"])) + text
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    # The last line break is part of a text after `|`; a key below it would change that text.
    if draw(st.booleans()) and "|" not in text:
        text = text.rstrip("\r\n")
    return draw(st.sampled_from(["", "\ufeff"])) + text


def _mappings(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    found = [path]
    for key, child in value.items():
        if isinstance(child, dict):
            found += _mappings(child, (*path, key))
    return found


def _parent(data: Any, path: KeyPath) -> Any:
    for key in path[:-1]:
        data = data[key]
    return data


def _outside(text: str, document: Document, path: KeyPath) -> tuple[list[str], list[str]]:
    """Returns the lines above the entry at `path`, and those from the next key on."""
    lines = text.splitlines(keepends=True)
    first = document.key_positions[path].line - 1
    later = [
        position.line - 1
        for other, position in document.key_positions.items()
        if position.line - 1 > first and other[: len(path)] != path
    ]
    return lines[:first], lines[min(later, default=len(lines)) :]


@pytest.mark.parametrize("kind", ["set", "add", "remove"])
@given(text=_files(), data=st.data())
def test_edit_changes_only_its_own_entry(
    kind: str, text: str, data: st.DataObject, tmp_path: Path
) -> None:
    document, diagnostics = parse_document("f.yaml", text.removeprefix("\ufeff"))
    assert not diagnostics
    parent = data.draw(st.sampled_from(_mappings(document.data)))
    keys = sorted(_parent(document.data, (*parent, "")))
    key = "new key" if kind == "add" or not keys else data.draw(st.sampled_from(keys))
    path = (*parent, key)
    value = REMOVED if kind == "remove" else data.draw(_VALUES)
    expected = deepcopy(document.data)
    if kind != "remove":
        _parent(expected, path)[key] = value
    else:
        _parent(expected, path).pop(key, None)

    (tmp_path / "f.yaml").write_bytes(text.encode())
    new = build_change(tmp_path, "f.yaml", [Edit(path, value)]).new.decode()

    after, diagnostics = parse_document("f.yaml", new.removeprefix("\ufeff"))
    assert not diagnostics
    assert json.dumps(after.data) == json.dumps(expected)
    assert new.startswith("\ufeff") == text.startswith("\ufeff")
    assert ("\r\n" in new) == ("\r\n" in text) or "\n" not in new
    _check_lines(text, new, document, path)


def _check_lines(text: str, new: str, document: Document, path: KeyPath) -> None:
    after, before = new.removeprefix("\ufeff"), text.removeprefix("\ufeff")
    if path in document.key_positions:
        while len(path) > 1 and _is_emptied(document, path, before, after):
            path = path[:-1]
        above, below = _outside(before, document, path)
        lines = after.splitlines(keepends=True)
        assert lines[: len(above)] == above
        tail = "".join(below).rstrip("\r\n")
        assert after.rstrip("\r\n").endswith(tail)
    else:
        # The new lines are one piece: without them the text is the old text.
        start = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
                     min(len(before), len(after)))  # fmt: skip
        rest = before[start:]
        assert after.endswith((rest, rest.lstrip(" ")))
        assert len(find_comments(after)) >= len(find_comments(before))


def _is_emptied(document: Document, path: KeyPath, before: str, after: str) -> bool:
    """Returns whether the edit removed the last key of a mapping, which is then written `{}`."""
    return len(_parent(document.data, path)) == 1 and before != after


@given(value=_VALUES)
def test_any_value_is_read_back_and_can_be_undone(value: Any, tmp_path: Path) -> None:
    text = "x: {k: old, l: 1}   # c\nblock:\n  k: old  # d\n"
    for path in (("x", "k"), ("block", "k")):
        (tmp_path / "f.yaml").write_text(text)
        change = build_change(tmp_path, "f.yaml", [Edit(path, value)])
        assert json.dumps(_parent(change.data, path)["k"]) == json.dumps(value)
        (tmp_path / "f.yaml").write_bytes(change.new)
        undone = build_change(tmp_path, "f.yaml", [Edit(path, "old")]).new.decode()
        assert parse_document("", undone)[0].data == parse_document("", text)[0].data
        assert find_comments(undone) == find_comments(text)
