"""Changes the text of a YAML file: sets or removes one value, and leaves all other text as it is.

A change replaces as few characters as possible. It may be wrong for an unusual layout, so yaml_edit
reads the result back before it accepts it. No library does this: ruamel.yaml reformats the whole
file. Of the 31 shipped ones, loading and writing alone changes 3 (indented lists, `null`, spaces in
brackets), and it always loses CRLF, a byte order mark, aligned values, `{ a: 1 }`, comments in
brackets, and `---`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.edits.yaml_layout import Entry, Node, find_line
from framework.files.characters import find_misleading, is_invisible
from framework.files.document import parse_document

# Line breaks and invisible characters. YAML allows them in quotes, but no reader expects them.
_TO_ESCAPE = re.compile(
    "[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
# True and false in YAML 1.1, although PyYAML reads them as text.
_SHORT_BOOLEANS = ("y", "n")
_PADDING = re.compile(r" {2,}(?=#)")
_DASH = re.compile(r"\s*-[ \t]+")
# A key at the top, then its first nested key; the group is the indentation.
_NESTED = re.compile(
    r"^[^\s#][^\n]*:[ \t]*(?:#[^\n]*)?\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*( +)[^\s#-]", re.M
)


class UnknownLayoutError(ValueError):
    """The text has a layout that needs more than replacing a few characters."""


@dataclass(frozen=True)
class Target:
    """The place of an edit.

    Either `entry` is the entry at the path, or `missing` are the keys that do not exist yet, to be
    added to `parent`. With both, the entry is null and a mapping of the missing keys replaces it.
    `above` is the entry whose value is the parent; None for the root.
    """

    parent: Node
    above: Entry | None
    entry: Entry | None
    missing: KeyPath = ()


def append_value(text: str, path: KeyPath, value: Any) -> str:
    """Adds the first value to a text that has none."""
    newline = _newline(text)
    if text and not text.endswith("\n"):
        text += newline
    return text + newline.join(_block_lines(text, "", path, value)) + newline


def set_value(text: str, target: Target, value: Any, after: str | None) -> str:
    """Replaces the target's value, or adds it below the key `after`, or as the last key.

    Errors: UnknownLayoutError.
    """
    if target.entry is None:
        return _insert(text, target, value, after)
    return _replace(text, target.entry, _nest(target.missing, value))


def insert_item(text: str, target: Target, value: Any) -> str:
    """Adds an item before the target. Comments above the target stay with it.

    Errors: UnknownLayoutError.
    """
    parent, entry = target.parent, target.entry
    assert entry is not None
    rendered = render_inline(value)
    if parent.flow:
        return f"{text[: entry.start]}{rendered}, {text[entry.start :]}"
    begin = find_line(text, entry.start)[0]
    before = text[begin : entry.start]
    if not _DASH.fullmatch(before):
        raise UnknownLayoutError
    index = parent.entries.index(entry)
    key = target.above.key if target.above else None
    above = parent.entries[index - 1].value if index else key
    if above is None:
        raise UnknownLayoutError
    # A comment line belongs to what is below it, so the item goes right below what is above.
    end = find_line(text, above.end)[1]
    return f"{text[:end]}{_newline(text)}{before}{rendered}{text[end:]}"


def remove_entry(text: str, target: Target) -> str:
    """Removes the target with the comment on its last line. Comments above it stay.

    Errors: UnknownLayoutError.
    """
    parent, entry = target.parent, target.entry
    assert entry is not None
    if len(parent.entries) == 1 and (target.above or parent.flow):
        # A block without entries would read as null, so `{}` or `[]` takes its place.
        empty: Any = {} if parent.kind == "mapping" else []
        if target.above:
            return _replace(text, target.above, empty)
        return text[: parent.start] + render_inline(empty) + text[parent.end :]
    if parent.flow:
        return _remove_from_flow(text, parent.entries, parent.entries.index(entry))
    start, end = find_line(text, entry.start)[0], find_line(text, entry.value.end)[1]
    before = text[start : entry.start]
    # `end` is before the line break, which has two characters in a file from Windows.
    rest = text[end:].removeprefix("\r").removeprefix("\n")
    if text[start : parent.start].strip():
        # The first entry of an item: the next one takes its place behind the dash.
        return text[: parent.start] + rest.lstrip(" ")
    if before.strip() and (entry.key or not _DASH.fullmatch(before)):
        raise UnknownLayoutError
    return text[:start] + rest


def _remove_from_flow(text: str, entries: Sequence[Entry], index: int) -> str:
    entry = entries[index]
    if index + 1 < len(entries):
        return text[: entry.start] + text[entries[index + 1].start :]
    end = entries[index - 1].value.end
    gap = text[end : entry.start]
    comment = gap.replace(",", "", 1).rstrip(" ") if "#" in gap else ""
    # In `[a, # why\n b]` the comment belongs to `a`, so it stays when `b` goes.
    return text[:end] + comment + text[entry.value.end :]


def _replace(text: str, entry: Entry, value: Any) -> str:
    old = entry.value
    if old.start == old.end:
        # The empty value of `key:` begins right behind the colon, and that of an item behind the
        # dash, which need a space before a value.
        gap = " " if text[old.end - 1] in ":-" else ""
        return _splice(text, old.start, old.end, gap + render_inline(value))
    quote = old.style if old.style in ("'", '"') and isinstance(value, str) else ""
    rendered = render_inline(value, quote)
    if old.kind in ("mapping", "list") and not old.flow:
        return _replace_block(text, entry, rendered)
    if old.style in ("|", ">"):
        header = text[old.start : find_line(text, old.start)[1]]
        comment = header.partition(" #")[2]
        rendered += f"  #{comment}" if comment else ""
    return _splice(text, old.start, old.end, rendered)


def _replace_block(text: str, entry: Entry, rendered: str) -> str:
    """Writes the value behind the key. Comments between the key and the old block stay."""
    old = entry.value
    start = find_line(text, old.start)[0]
    if entry.key is None or entry.key.end > start:
        return _splice(text, old.start, old.end, rendered)
    colon = text.index(":", entry.key.end) + 1
    end = find_line(text, old.end)[1]
    # Remove the block's line break too, or the one before if the block ends the text.
    rest = text[end:].removeprefix("\r").removeprefix("\n")
    return _splice(text[:start] + rest, colon, colon, f" {rendered}")


def _splice(text: str, start: int, end: int, new: str) -> str:
    """Replaces characters. A comment behind them keeps its column if there is room."""
    rest = text[end:]
    if (padding := _PADDING.match(rest)) and "\n" not in text[start:end]:
        width = len(padding.group()) - (len(new) - (end - start))
        rest = " " * max(width, 2) + rest[padding.end() :]
    return text[:start] + new + rest


def _insert(text: str, target: Target, value: Any, after: str | None) -> str:
    parent = target.parent
    if parent.kind == "list":
        return _append_item(text, parent, value)
    if parent.flow:
        return _insert_in_flow(text, parent, _nest(target.missing, value))
    neighbour = next(
        (entry for entry in parent.entries if entry.key and entry.key.text == after),
        parent.entries[-1],
    )
    # Not the indentation of the neighbour: the first entry shows the column of them all.
    first = parent.entries[0].start
    indent = " " * (first - find_line(text, first)[0])
    lines = _block_lines(text, indent, target.missing, value)
    newline = _newline(text)
    end = find_line(text, neighbour.value.end)[1]
    return text[:end] + newline + newline.join(lines) + text[end:]


def _append_item(text: str, parent: Node, value: Any) -> str:
    """Adds an item behind the last one of a list."""
    rendered = render_inline(value)
    if parent.flow:
        start = text.index("[", parent.start) + 1
        if not parent.entries:
            return text[:start] + rendered + text[parent.end - 1 :]
        end = parent.entries[-1].value.end
        return _splice(text, end, end, f", {rendered}")
    last = parent.entries[-1]
    begin = find_line(text, parent.entries[0].start)[0]
    before = text[begin : parent.entries[0].start]
    if not _DASH.fullmatch(before):
        raise UnknownLayoutError
    end = find_line(text, last.value.end)[1]
    return f"{text[:end]}{_newline(text)}{before}{rendered}{text[end:]}"


def _insert_in_flow(text: str, parent: Node, value: Any) -> str:
    if text[parent.end - 1] != "}":
        raise UnknownLayoutError
    rendered = render_inline(value)[1:-1]
    if not parent.entries:
        start = text.index("{", parent.start) + 1
        return text[:start] + rendered + text[parent.end - 1 :]
    end = parent.entries[-1].value.end
    return _splice(text, end, end, f", {rendered}")


def _block_lines(text: str, indent: str, path: KeyPath, value: Any) -> list[str]:
    """Returns a line for each key of the path, indented by as much as the text's own lines."""
    nested = _NESTED.search(text)
    step = nested[1] if nested else "  "
    lines = [f"{indent}{step * depth}{render_key(key)}:" for depth, key in enumerate(path)]
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        # Mappings would make one long line, which the next item makes longer.
        below = indent + step * len(path)
        return lines + [f"{below}- {render_inline(item)}" for item in value]
    lines[-1] += f" {render_inline(value)}"
    return lines


def _nest(path: KeyPath, value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def render_inline(value: Any, quote: str = "") -> str:
    """Renders a value on one line. `quote` is the quote to keep for a text: "'", '"' or none.

    A text is quoted unless every YAML reader takes it for the same text without quotes.
    """
    if isinstance(value, dict):
        pairs = (f"{render_key(key)}: {render_inline(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(render_inline, value)) + "]"
    if isinstance(value, str):
        return _render_text(value, quote)
    if isinstance(value, float):
        # 1e-7 is a number to some readers and a text to others.
        return format(Decimal(repr(value)), "f")
    return json.dumps(value)


def render_key(key: Any) -> str:
    """Renders a key. Letters that only look like ASCII become escapes: the reader refuses them."""
    if isinstance(key, str) and find_misleading(key, is_key=True):
        quoted = json.dumps(key, ensure_ascii=False)
        return "".join(char if char.isascii() else _escape(char) for char in quoted)
    return render_inline(key)


def _render_text(text: str, quote: str) -> str:
    needs_escapes = any(_needs_escape(char) for char in text)
    if quote == "'" and not needs_escapes:
        return "'" + text.replace("'", "''") + "'"
    if not quote and not needs_escapes and _can_be_plain(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(_escape(char) if _needs_escape(char) else char for char in quoted)


def _needs_escape(character: str) -> bool:
    return bool(_TO_ESCAPE.match(character)) or is_invisible(character)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _can_be_plain(text: str) -> bool:
    """Returns True if a text needs no quotes, on a line of its own and in brackets."""
    if text.lower() in _SHORT_BOOLEANS or not text.isprintable():
        return False
    document, diagnostics = parse_document("", f"a: {text}\nb: [{text}]\nc: {{{text}: 1}}")
    return not diagnostics and document.data == {"a": text, "b": [text], "c": {text: 1}}
