"""Renders the small pieces of text that several screens share: tables, counts, wrapped lines."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

from framework.core.suggestions import list_names

WIDTH = 100
"""The width of text in a pipe, where the output must not depend on the machine."""
MAX_NAMES = 3
"""The names of a list that one line shows."""
_NARROWEST, _WIDEST = 60, 200
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


def render_visible(text: str) -> str:
    """Returns a text with control characters as escapes, so that none reaches the terminal.

    Names and values of a cluster are not ours: an escape sequence in one could hide other lines.
    Line breaks stay. Marks that change the direction of text are escaped as well.
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


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
