"""Edits of one YAML file, prepared as text and proved by reading it back; nothing is written here.

Kept apart from what is edited and why: `bump` and every later verb that sets or removes a value
go through here, and `framework.edits.writing` puts the result in place.

    change = build_change(root, "catalog/x.yaml", [Edit(("image", "tag"), "v2")])
    with written(root, [change]):
        ...   # raise, and every file is again as it was
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from framework.core.diagnostics import KeyPath
from framework.core.errors import ConfigError, EditError
from framework.edits.finding import Target, dotted, find_target
from framework.edits.layout import find_line, read_layout
from framework.edits.proof import (
    expect_removed,
    expect_set,
    is_as_meant,
    is_same,
    keeps_comments,
)
from framework.edits.rewriting import rewrite_remove, rewrite_set
from framework.edits.splicing import UnknownLayoutError, append_value, remove_entry, set_value
from framework.files import Document, load_document
from framework.files.document import parse_document

_MARK = "\ufeff"


class Removed(Enum):
    """The type of REMOVED, so that None stays a value."""

    REMOVED = "removed"


REMOVED: Final = Removed.REMOVED


@dataclass(frozen=True)
class Edit:
    """Set `value` at `path`, or remove what stands there (REMOVED); mappings on the way are made.

    A key that is new goes below its sibling `after`, and last where there is none of that name.
    """

    path: KeyPath
    value: Any = REMOVED
    after: str | None = None


@dataclass(frozen=True)
class Change:
    """One file before and after; `old` is None where it is new. `data` is what it then says."""

    path: str
    old: bytes | None
    new: bytes
    data: dict[str, Any]

    @property
    def is_needed(self) -> bool:
        """False where the file says all of it already."""
        return self.old != self.new


def build_change(root: Path, path: str, edits: Iterable[Edit], *, opening: str = "") -> Change:
    """Prepare edits of one file; one that is missing is made, with `opening` as its first lines.

    Errors: ConfigError where the file has faults, EditError where what an edit changes is shared
    by an anchor, an alias or a merge key, or no mapping leads there.
    """
    old = _read(root, path)
    try:
        text = opening if old is None else old.decode()
    except UnicodeDecodeError:
        raise ConfigError(load_document(root, path)[1]) from None
    mark = _MARK if text.startswith(_MARK) else ""
    text = text.removeprefix(_MARK)
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
    removes = edit.value is REMOVED
    expected = (
        expect_removed(document.data, edit.path)
        if removes
        else expect_set(document.data, edit.path, edit.value)
    )
    if is_same(expected, document.data):
        return text, document
    layout = read_layout(text)
    target = find_target(path, text, layout, edit.path, removes=removes) if layout else None
    edited = _edited_lines(text, target)
    for attempt in (_splice, _rewrite):
        try:
            new = attempt(text, target, edit)
        except UnknownLayoutError:
            continue
        after, diagnostics = parse_document(path, new)
        meant = not diagnostics and is_as_meant(document, after, expected, edit.path)
        if meant and keeps_comments(text, new, edited):
            return new, after
    position = document.value_positions.get(edit.path) or document.value_positions[()]
    message = f"{dotted(edit.path)} cannot be edited here without changing more; edit it by hand"
    raise EditError((position, message))


def _splice(text: str, target: Target | None, edit: Edit) -> str:
    if target is None:
        return append_value(text, edit.path, edit.value)
    if edit.value is REMOVED:
        return remove_entry(text, target)
    return set_value(text, target, edit.value, edit.after)


def _rewrite(text: str, target: Target | None, edit: Edit) -> str:
    if edit.value is REMOVED:
        return rewrite_remove(text, edit.path)
    return rewrite_set(text, edit.path, edit.value)


def _edited_lines(text: str, target: Target | None) -> str:
    if target is None or target.entry is None:
        return ""
    return text[target.entry.start : find_line(text, target.entry.value.end)[1]]
