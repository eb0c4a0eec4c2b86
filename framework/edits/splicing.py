"""Edits as the replacement of a few characters of the text, so that all others stay as they are.

Kept apart from the check of the result: what is written here may be wrong for a layout nobody
thought of, and `framework.edits.documents` reads it back before it believes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.edits.finding import Target
from framework.edits.layout import Entry, Node, find_line
from framework.edits.scalars import render_inline

_PADDING = re.compile(r" {2,}(?=#)")
_DASH = re.compile(r"\s*-[ \t]+")
_NESTED = re.compile(
    r"^[^\s#][^\n]*:[ \t]*(?:#[^\n]*)?\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*( +)[^\s#-]", re.M
)


class UnknownLayoutError(ValueError):
    """The text is laid out in a way that needs more than replacing a few characters."""


def append_value(text: str, path: KeyPath, value: Any) -> str:
    """Add the first value to a text that has none."""
    newline = _newline(text)
    if text and not text.endswith("\n"):
        text += newline
    return text + newline.join(_block_lines(text, "", path, value)) + newline


def set_value(text: str, target: Target, value: Any, after: str | None) -> str:
    """Replace the target's value, or add it: below the key `after`, or last in its mapping."""
    if target.entry is None:
        return _insert(text, target, value, after)
    return _replace(text, target.entry, _nest(target.missing, value))


def remove_entry(text: str, target: Target) -> str:
    """Take the target out, with the comment in its last line; comments above it stay."""
    parent, entry = target.parent, target.entry
    assert entry is not None
    if len(parent.entries) == 1 and (target.above or parent.flow):
        empty: Any = {} if parent.kind == "mapping" else []
        if target.above:
            return _replace(text, target.above, empty)
        return text[: parent.start] + render_inline(empty) + text[parent.end :]
    if parent.flow:
        return _remove_from_flow(text, parent.entries, parent.entries.index(entry))
    start, end = find_line(text, entry.start)[0], find_line(text, entry.value.end)[1]
    before = text[start : entry.start]
    if before.strip() and (entry.key or not _DASH.fullmatch(before)):
        raise UnknownLayoutError
    if text.startswith("\r", end):
        end += 1
    return text[:start] + text[end + 1 :]


def _remove_from_flow(text: str, entries: Sequence[Entry], index: int) -> str:
    entry = entries[index]
    if index + 1 < len(entries):
        return text[: entry.start] + text[entries[index + 1].start :]
    end = entries[index - 1].value.end
    gap = text[end : entry.start]
    kept = gap.replace(",", "", 1).rstrip(" ") if "#" in gap else ""
    return text[:end] + kept + text[entry.value.end :]


def _replace(text: str, entry: Entry, value: Any) -> str:
    old = entry.value
    if old.start == old.end:
        if entry.key is None:
            raise UnknownLayoutError
        gap = "" if text[old.end - 1] != ":" else " "
        return _spliced(text, old.start, old.end, gap + render_inline(value))
    quote = old.style if old.style in ("'", '"') and isinstance(value, str) else ""
    shown = render_inline(value, quote)
    if old.kind in ("mapping", "list") and not old.flow:
        return _replace_block(text, entry, shown)
    if old.style in ("|", ">"):
        header = text[old.start : find_line(text, old.start)[1]]
        comment = header.partition(" #")[2]
        shown += f"  #{comment}" if comment else ""
    return _spliced(text, old.start, old.end, shown)


def _replace_block(text: str, entry: Entry, shown: str) -> str:
    """The new value stands behind the key; the comments between it and the block stay."""
    old = entry.value
    start = find_line(text, old.start)[0]
    if entry.key is None or entry.key.end > start:
        return _spliced(text, old.start, old.end, shown)
    colon = text.index(":", entry.key.end) + 1
    end = find_line(text, old.end)[1]
    # The block's own line break goes with it, or the one before where it ends the text.
    rest = text[end:].removeprefix("\r").removeprefix("\n")
    return _spliced(text[:start] + rest, colon, colon, f" {shown}")


def _spliced(text: str, start: int, end: int, new: str) -> str:
    """`new` for what stands there; a comment behind it keeps its column where there is room."""
    rest = text[end:]
    if (padding := _PADDING.match(rest)) and "\n" not in text[start:end]:
        width = len(padding.group()) - (len(new) - (end - start))
        rest = " " * max(width, 2) + rest[padding.end() :]
    return text[:start] + new + rest


def _insert(text: str, target: Target, value: Any, after: str | None) -> str:
    parent = target.parent
    if parent.flow:
        return _insert_in_flow(text, parent, _nest(target.missing, value))
    neighbour = next(
        (entry for entry in parent.entries if entry.key and entry.key.text == after),
        parent.entries[-1],
    )
    first = parent.entries[0].start
    indent = " " * (first - find_line(text, first)[0])
    lines = _block_lines(text, indent, target.missing, value)
    newline = _newline(text)
    end = find_line(text, neighbour.value.end)[1]
    return text[:end] + newline + newline.join(lines) + text[end:]


def _insert_in_flow(text: str, parent: Node, value: Any) -> str:
    if text[parent.end - 1] != "}":
        raise UnknownLayoutError
    shown = render_inline(value)[1:-1]
    if not parent.entries:
        start = text.index("{", parent.start) + 1
        return text[:start] + shown + text[parent.end - 1 :]
    end = parent.entries[-1].value.end
    return _spliced(text, end, end, f", {shown}")


def _block_lines(text: str, indent: str, path: KeyPath, value: Any) -> list[str]:
    found = _NESTED.search(text)
    step = found[1] if found else "  "
    lines = [f"{indent}{step * depth}{render_inline(key)}:" for depth, key in enumerate(path)]
    lines[-1] += f" {render_inline(value)}"
    return lines


def _nest(path: KeyPath, value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
