"""Prepares edits of one YAML file, and checks each by reading its result back.

Nothing is written here: the module transaction writes the prepared changes.

    change = build_change(root, "catalog/x.yaml", [Edit(("image", "tag"), "v2")])
    with apply_changes(root, [change]):
        ...   # an exception here restores every file

An edit of a value that other places share through an anchor, an alias or a merge key is refused.
The error names the place where the value must be written out first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from framework.core.diagnostics import KeyPath, Position
from framework.core.errors import ConfigError, EditError
from framework.core.field_paths import MISSING, FieldPath
from framework.edits.yaml_layout import Entry, Node, find_comments, find_line, read_layout
from framework.edits.yaml_text import (
    Target,
    UnknownLayoutError,
    append_value,
    insert_item,
    remove_entry,
    set_value,
)
from framework.files.document import Document, load_document, parse_document

_BYTE_ORDER_MARK = "\ufeff"


REMOVED: Final = MISSING
"""The value of an edit that removes an entry. Not None, which writes a null."""


@dataclass(frozen=True)
class Edit:
    """Sets `value` at `path`, or removes the entry there (REMOVED). Missing mappings are added.

    A new key goes below its sibling `after`; without such a sibling it becomes the last key. The
    index behind the last item of a list adds an item. `inserts` adds the item before that index.
    """

    path: KeyPath
    value: Any = REMOVED
    after: str | None = None
    inserts: bool = False


@dataclass(frozen=True)
class Change:
    """A file before and after; `old` is None for a new file. `data` is the new content as data."""

    path: str
    old: bytes | None
    new: bytes
    data: dict[str, Any]

    @property
    def is_needed(self) -> bool:
        """Returns False if the file has this content already."""
        return self.old != self.new


def build_change(root: Path, path: str, edits: Iterable[Edit], *, opening: str = "") -> Change:
    """Prepares edits of one file. A missing file is created, with `opening` as its first lines.

    Errors: ConfigError if the file has errors, EditError if an edit would change a shared value or
    if no mapping leads to its path.
    """
    old = _read(root, path)
    try:
        text = opening if old is None else old.decode()
    except UnicodeDecodeError:
        raise ConfigError(load_document(root, path)[1]) from None
    # Every position counts from the first character of YAML, so the mark is taken off for the edit.
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    document, diagnostics = parse_document(path, text)
    if diagnostics:
        raise ConfigError(diagnostics)
    for edit in edits:
        text, document = _apply(path, text, document, edit)
    return Change(path, old, (mark + text).encode(), document.data)


def _read(root: Path, path: str) -> bytes | None:
    try:
        return (root / path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise EditError((path, f"cannot be read: {exc.strerror or exc}")) from exc


def _apply(path: str, text: str, document: Document, edit: Edit) -> tuple[str, Document]:
    """Applies one edit by replacing characters.

    The result is accepted only if it reads back as expected and keeps the comments.
    """
    expected = _expect(document, edit)
    # Nothing to do. This also keeps an edit that is repeated from changing quotes or spaces.
    if is_same(expected, document.data):
        return text, document
    root = read_layout(text)
    finder = _TargetFinder(path, text, edit.path)
    target = finder.find(root, removes=edit.value is REMOVED) if root else None
    edited = ""
    if target and target.entry and not edit.inserts:
        # To the end of the line: the comment behind a removed value goes with it.
        edited = text[target.entry.start : find_line(text, target.entry.value.end)[1]]
    try:
        new = _replace_characters(text, target, edit)
    except UnknownLayoutError:
        raise _build_refusal(document, edit) from None
    after, diagnostics = parse_document(path, new)
    is_expected = not diagnostics and _reads_as_expected(document, after, expected, edit.path)
    if not is_expected or not _keeps_comments(text, new, edited):
        raise _build_refusal(document, edit)
    return new, after


def _build_refusal(document: Document, edit: Edit) -> EditError:
    position = document.value_positions.get(edit.path) or document.value_positions[()]
    shown = _format_path(edit.path)
    return EditError(
        (position, f"{shown} cannot be edited here without changing more; edit it by hand")
    )


def _replace_characters(text: str, target: Target | None, edit: Edit) -> str:
    if target is None:
        return append_value(text, edit.path, edit.value)
    if edit.value is REMOVED:
        return remove_entry(text, target)
    if edit.inserts and target.entry:
        return insert_item(text, target, edit.value)
    return set_value(text, target, edit.value, edit.after)


def _expect(document: Document, edit: Edit) -> dict[str, Any] | None:
    """Returns the data after an edit: None if no mapping or item leads there.

    Unchanged if there is nothing to remove.
    """
    expected = deepcopy(document.data)
    parent: Any = expected
    removes, index = edit.value is REMOVED, edit.path[-1]
    try:
        for key in edit.path[:-1]:
            if not removes and isinstance(parent, dict) and parent.get(str(key)) is None:
                parent[str(key)] = {}
            parent = parent[key]
        if removes:
            del parent[index]
            return expected
        # Through JSON, because the value may be a tuple or a subclass of str, and a file never
        # reads back as one of these.
        value = json.loads(json.dumps(edit.value))
        if isinstance(parent, list) and isinstance(index, int) and edit.inserts:
            parent.insert(index, value)
        elif isinstance(parent, list) and index == len(parent):
            parent.append(value)
        else:
            # Assigning to a list index that does not exist, or into a text, raises.
            parent[index] = value
    except (LookupError, TypeError):
        return document.data if removes else None
    return expected


def is_same(value: Any, other: Any) -> bool:
    """Returns True if two values are equal and of the same types. In Python, 1 == 1.0 == True."""
    return json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)


def _reads_as_expected(before: Document, after: Document, expected: Any, path: KeyPath) -> bool:
    """Returns True for the expected data, with all other keys in the same order and spelling."""
    # The items behind a removed list item move up, so the whole list is left to `expected`.
    edited = path[:-1] if isinstance(path[-1], int) else path
    return is_same(after.data, expected) and _list_others(before, edited) == _list_others(
        after, edited
    )


def _list_others(document: Document, edited: KeyPath) -> list[tuple[KeyPath, str | None]]:
    """Returns every path outside the edited one, with the spelling of its number."""
    return [
        (path, document.spellings.get(path))
        for path in _walk(document.data, ())
        if path[: len(edited)] != edited and path != edited[: len(path)]
    ]


def _walk(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    items: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, child in items:
        yield (*path, key)
        yield from _walk(child, (*path, key))


def _keeps_comments(before: str, after: str, edited: str) -> bool:
    """Returns True if no comment is lost except those of the `edited` lines."""
    lost = Counter(find_comments(before)) - Counter(find_comments(after))
    return all(comment in edited for comment in lost)


def _format_path(path: KeyPath) -> str:
    return str(FieldPath(path)) or "the file"


class _TargetFinder:
    """Finds the place of an edit in a YAML text. Raises EditError for a value that is shared."""

    def __init__(self, file: str, text: str, path: KeyPath) -> None:
        self._file, self._text, self._path = file, text, path

    def find(self, root: Node, *, removes: bool) -> Target:
        """Returns the target. Errors: EditError if it is shared, or if no mapping leads there."""
        path = self._path
        parent, above = root, None
        for depth in range(len(path)):
            self._refuse_shared(parent, path[:depth])
            entry = self._find_entry(parent, path[: depth + 1])
            is_last = depth == len(path) - 1
            if entry is None:
                # A key may be added beside `<<`, and overrides the merged key. Part of a merged
                # value cannot be changed or removed here.
                if removes or not is_last:
                    self._refuse_merged(parent, path[: depth + 1])
                return Target(parent, above, None, path[depth:])
            # `env:` without a value reads as null, and an edit of `env.LOG_LEVEL` makes a mapping
            # of it.
            if is_last or (entry.value.is_null and isinstance(path[depth + 1], str)):
                self._refuse_shared(entry.value, path[: depth + 1])
                self._refuse_anchors_inside(entry)
                return Target(parent, above, entry, path[depth + 1 :])
            parent, above = entry.value, entry
        raise ValueError("an edit needs a path")

    def _find_entry(self, parent: Node, path: KeyPath) -> Entry | None:
        key, shown = path[-1], _format_path(path[:-1])
        if isinstance(key, int):
            if parent.kind == "list" and key == len(parent.entries) and path == self._path:
                # Behind the last item: the item is added.
                return None
            if parent.kind != "list" or not 0 <= key < len(parent.entries):
                raise self._error(parent.start, f"{shown} has no item {key}")
            return parent.entries[key]
        if parent.kind != "mapping":
            what = "a list" if parent.kind == "list" else "a single value"
            raise self._error(parent.start, f'{shown} is {what}; "{key}" needs a mapping there')
        return next((e for e in parent.entries if _has_key(e, key)), None)

    def _refuse_shared(self, node: Node, path: KeyPath) -> None:
        shown = _format_path(path)
        if node.target is not None:
            message = (
                f"{shown} is an alias of the value at {self._position(node.target.start)}; "
                "write the value out here"
            )
        elif node.uses:
            aliases = ", ".join(str(self._position(use)) for use in node.uses)
            message = f"{shown} is shared by the alias at {aliases}; write the value out there"
        else:
            return
        raise self._error(node.start, f"{message}, then edit again")

    def _refuse_anchors_inside(self, entry: Entry) -> None:
        """Refuses to replace a value that contains the anchor of an alias elsewhere."""
        start, end = entry.value.start, entry.value.end
        for node in entry.value.walk():
            outside = [use for use in node.uses if not start <= use < end]
            if outside:
                alias = self._position(outside[0])
                message = f"an alias at {alias} needs this value; write it out there"
                raise self._error(node.start, f"{message}, then edit again")

    def _refuse_merged(self, parent: Node, path: KeyPath) -> None:
        for entry in parent.entries:
            if entry.is_merge and _merges_key(entry.value, str(path[-1])):
                message = f"{_format_path(path)} comes from this merge key; write it out here"
                raise self._error(entry.start, f"{message}, then edit again")

    def _position(self, index: int) -> Position:
        text = self._text
        line = text.count("\n", 0, index) + 1
        return Position(self._file, line, index - text.rfind("\n", 0, index))

    def _error(self, index: int, message: str) -> EditError:
        return EditError((self._position(index), message))


def _has_key(entry: Entry, key: str) -> bool:
    return entry.key is not None and entry.key.text == key and not entry.is_merge


def _merges_key(source: Node, key: str) -> bool:
    """Returns True if a merge key's value, a mapping or a list of mappings, contains a key."""
    node = source.target or source
    if node.kind == "list":
        return any(_merges_key(entry.value, key) for entry in node.entries)
    return any(
        _merges_key(entry.value, key) if entry.is_merge else _has_key(entry, key)
        for entry in node.entries
    )
