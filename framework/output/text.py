"""Renders the small pieces of text that several screens share: values, tables, wrapped lines."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from framework.core.suggestions import list_names

if TYPE_CHECKING:
    from framework.core.changes import FieldChange

WIDTH = 100
"""The width of text in a pipe, where the output must not depend on the machine."""
MAX_NAMES = 3
"""The names of a list that one line shows."""
_NARROWEST, _WIDEST = 60, 200
_MAX_CHARACTERS = 60
_MAX_DIFF_LINES = 12
_COMMAND = re.compile(r"`[^`]*`")
# Replaces the spaces of a command while text is wrapped, so that a command stays on one line and
# can be copied.
_HELD_SPACE = "\N{NO-BREAK SPACE}"
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]"
)


def screen_width() -> int:
    """Returns the width to wrap at: the terminal's between 60 and 200 columns, 100 in a pipe."""
    if not sys.stdout.isatty():
        return WIDTH
    return min(_WIDEST, max(_NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns))


def render_count(count: int, noun: str) -> str:
    """Returns `1 model` or `13 models`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def render_plain(value: Any) -> str:
    """Renders a text as it is, and any other value as JSON with sorted keys."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def render_value(value: Any) -> str:
    """Returns a value on one line, shortened to 60 characters; an empty text in quotes."""
    if isinstance(value, str) and not value.strip():
        return json.dumps(value)
    text = render_plain(value)
    text = " ".join(text.split())
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 3]}..."


def render_visible(text: str) -> str:
    """Returns a text with control characters as escapes, so that none reaches the terminal.

    Names and values of a cluster are not ours: an escape sequence in one could hide other lines.
    Line breaks stay. Marks that change the direction of text are escaped as well.
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def render_image(reference: str) -> str:
    """Returns an image without its registry and folders: `mlserver:1.7.0`."""
    return reference.rpartition("/")[2]


def render_wrapped(text: str, *, first: str = "", then: str = "") -> str:
    """Wraps text to the screen; `first` starts the first line, `then` every other line.

    A longer word and a command in backticks stay whole, so that both can be copied.
    """
    held = _COMMAND.sub(lambda match: match.group().replace(" ", _HELD_SPACE), text)
    lines = textwrap.wrap(
        held,
        screen_width(),
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(_HELD_SPACE, " ")


def render_paragraphs(text: str) -> str:
    """Wraps each line of a message by itself, and indents what follows its first line."""

    def wrap(line: str) -> str:
        indent = line[: len(line) - len(line.lstrip())]
        return render_wrapped(line.strip(), first=indent, then=f"{indent}    ")

    return "\n".join(
        line if len(line) <= screen_width() else wrap(line) for line in text.splitlines()
    )


def render_table(rows: Iterable[Sequence[str]], *, indent: str = "") -> str:
    """Aligns the cells of rows in columns, two spaces apart."""
    lines = [list(row) for row in rows]
    if not lines:
        return ""
    widths = [max(len(row[column]) for row in lines) for column in range(len(lines[0]))]
    return "\n".join(
        indent
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in lines
    )


def render_pending(models: Sequence[str], environment: str) -> str:
    """Renders the models whose files changed since the last `up`, and the next command."""
    return render_wrapped(
        f"pending   {render_count(len(models), 'model')} (catalog changed, not applied): "
        f"{list_names(models, MAX_NAMES)}   next: `make preview ENV={environment}`",
        then=" " * 10,
    )


def shorten_path(path: str) -> str:
    """Returns a field's path without the part that all fields of a Pod template share."""
    return path.removeprefix("spec.template.spec.")


def render_field(path: str, field: FieldChange, *, first: str = "", then: str = "") -> str:
    """Renders a field change: on one line if it fits, else with its values below its path.

    For a text with several lines, it shows only the lines that differ. `first` starts the first
    line, `then` every other line.
    """
    values = render_values(field)
    lines = [f"{path}  {values}"]
    if has_text(field):
        lines = [path, *_diff_lines(field.old, field.new)]
    elif len(first + lines[0]) > screen_width():
        old, arrow, new = values.partition(" -> ")
        fits = len(then + values) <= screen_width() - 2 or not arrow
        lines = [path, values] if fits else [path, old, f"-> {new}"]
    return "\n".join([first + lines[0], *(f"{then}  {line}" for line in lines[1:])])


def render_values(field: FieldChange) -> str:
    """Returns `1 -> 2`, `added 2` or `removed (was 1)`."""
    old, new = (
        render_image(value)
        if field.path.endswith(".image") and isinstance(value, str)
        else render_value(value)
        for value in (field.old, field.new)
    )
    if field.old is None:
        return f"added {new}"
    return f"removed (was {old})" if field.new is None else f"{old} -> {new}"


def has_text(field: FieldChange) -> bool:
    """Returns True if a value has several lines, such as a file in a ConfigMap."""
    return any(isinstance(value, str) and "\n" in value.strip() for value in (field.old, field.new))


def _diff_lines(old: Any, new: Any) -> list[str]:
    before, after = str(old or "").splitlines(), str(new or "").splitlines()
    lines = [
        line.rstrip()
        for line in unified_diff(before, after, n=0)
        if not line.startswith(("---", "+++", "@@"))
    ] or list_secret_lines(before)
    more = len(lines) - _MAX_DIFF_LINES
    return _shorten_lines(lines[:_MAX_DIFF_LINES]) + (
        [f"and {more} more lines (--json)"] if more > 0 else []
    )


def _shorten_lines(lines: list[str]) -> list[str]:
    """Returns the lines of a diff with long ones cut to the part where they begin to differ.

    One line of a ConfigMap may have a megabyte.
    """
    long = sorted(line[1:] for line in lines if len(line) > _WIDEST)
    # In sorted texts, the first and the last differ at the earliest place.
    pairs = zip(long[0], long[-1], strict=False) if len(long) > 1 else ()
    common = next((at for at, (first, last) in enumerate(pairs) if first != last), 0)
    start = max(0, common - _NARROWEST)
    return [_cut_line(line, start) if len(line) > _WIDEST else line for line in lines]


def _cut_line(line: str, start: int) -> str:
    text = f"...{line[1 + start :]}" if start else line[1:]
    return f"{line[0]}{text if len(text) < _WIDEST else f'{text[: _WIDEST - 4]}...'}"


def list_secret_lines(lines: Sequence[str]) -> list[str]:
    """Returns the lines of a diff between two texts that differ only in their secrets."""
    # Imported only here: most commands print no such text, and this one is slow to load.
    from framework.core.redaction import REDACTED

    secret = [line for line in lines if REDACTED in line]
    return [f"{mark}{line}" for mark in "-+" for line in secret]
