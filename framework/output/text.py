"""Small pieces of text that several screens use: amounts of time, values, columns, widths."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from difflib import unified_diff
from typing import Any

from framework.core.changes import FieldChange

WIDTH = 100
_COMMAND = re.compile(r"`[^`]*`")
# Stands for a space within a command, which has to stay on one line to be copied.
_HELD = "\N{NO-BREAK SPACE}"
_MOST_CHARACTERS = 60
_MOST_DIFF_LINES = 12


def render_value(value: Any) -> str:
    """A value on one line, shortened where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 3]}..."


def render_image(reference: str) -> str:
    """The image without its registry and folders: `mlserver:1.7.0`."""
    return reference.rpartition("/")[2]


def render_wrapped(text: str, *, first: str = "", then: str = "") -> str:
    """Text in lines of at most 100 characters: `first` begins its first line, `then` the others.

    A longer word stays whole, and so does a command in backticks, so that both can be copied.
    """
    held = _COMMAND.sub(lambda found: found.group().replace(" ", _HELD), text)
    lines = textwrap.wrap(
        held,
        WIDTH,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(_HELD, " ")


def render_paragraphs(text: str) -> str:
    """A message of several lines, the rest of each indented below its beginning."""
    return "\n".join(
        line if len(line) <= WIDTH else _render_long(line) for line in text.splitlines()
    )


def _render_long(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return render_wrapped(line.strip(), first=indent, then=f"{indent}    ")


def render_field(path: str, field: FieldChange, *, first: str = "", then: str = "") -> str:
    """One field that changes: on one line where it fits, the differing lines of a long text.

    `first` begins the first line, `then` the others.
    """
    values = render_values(field)
    lines = [f"{path}  {values}"]
    if has_text(field):
        lines = [path, *_diff_lines(field.old, field.new)]
    elif len(first + lines[0]) > WIDTH:
        old, arrow, new = values.partition(" -> ")
        fits = len(then + values) <= WIDTH - 2 or not arrow
        lines = [path, values] if fits else [path, old, f"-> {new}"]
    return "\n".join([first + lines[0], *(f"{then}  {line}" for line in lines[1:])])


def render_values(field: FieldChange) -> str:
    """What a field was and becomes."""
    old, new = (_render_side(field.path, value) for value in (field.old, field.new))
    if field.old is None:
        return f"added {new}"
    return f"removed (was {old})" if field.new is None else f"{old} -> {new}"


def has_text(field: FieldChange) -> bool:
    """Whether a value has several lines, as a file in a ConfigMap."""
    values = (field.old, field.new)
    return any(isinstance(value, str) and "\n" in value.strip() for value in values)


def _diff_lines(old: Any, new: Any) -> list[str]:
    lines = [
        line.rstrip()
        for line in unified_diff(str(old or "").splitlines(), str(new or "").splitlines(), n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    more = len(lines) - _MOST_DIFF_LINES
    return lines[:_MOST_DIFF_LINES] + ([f"and {more} lines more (--json)"] if more > 0 else [])


def _render_side(path: str, value: Any) -> str:
    if path.endswith(".image") and isinstance(value, str):
        return render_image(value)
    return render_value(value)


def short_path(path: str) -> str:
    """A field's path without what every Pod template's begins with."""
    return path.removeprefix("spec.template.spec.")


def render_table(rows: Iterable[Sequence[str]], *, indent: str = "") -> str:
    """Rows in columns as wide as their widest cell, two spaces apart."""
    lines = [list(row) for row in rows]
    if not lines:
        return ""
    widths = [max(len(row[column]) for row in lines) for column in range(len(lines[0]))]
    return "\n".join(
        indent
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in lines
    )


def render_count(count: int, noun: str) -> str:
    """`1 model`, `13 models`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
