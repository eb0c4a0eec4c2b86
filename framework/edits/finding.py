"""What stands at a path of one YAML text, and the refusal to change what other places share.

Kept apart from changing the text: what may be edited does not depend on how.
"""

from __future__ import annotations

from dataclasses import dataclass

from framework.core.diagnostics import KeyPath, Position
from framework.core.errors import EditError
from framework.edits.layout import Entry, Node


@dataclass(frozen=True)
class Target:
    """`entry` is the one at the path and `missing` is (), or `missing` are the keys not there.

    Missing keys belong into `parent`; where `entry` is set with them, its value is null and they
    replace it. `above` is the entry that has the parent, None for the root.
    """

    parent: Node
    above: Entry | None
    entry: Entry | None
    missing: KeyPath = ()


def find_target(file: str, text: str, root: Node, path: KeyPath, *, removes: bool) -> Target:
    """The target at `path`. Errors: EditError where it is shared, or no mapping leads there."""
    parent, above = root, None
    for depth in range(len(path)):
        _refuse_shared(file, text, parent, above, path[:depth])
        index = _find_entry(file, text, parent, path[: depth + 1])
        if index is None:
            rest = path[depth:]
            _refuse_merged(file, text, parent, path, depth, removes=removes)
            return Target(parent, above, None, rest)
        entry = parent.entries[index]
        last = depth == len(path) - 1
        if last or (entry.value.is_null and isinstance(path[depth + 1], str)):
            _refuse_anchors(file, text, entry, path[: depth + 1])
            return Target(parent, above, entry, path[depth + 1 :])
        parent, above = entry.value, entry
    raise ValueError("an edit needs a path")


def position_at(file: str, text: str, index: int) -> Position:
    """The place of a character."""
    return Position(file, text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def dotted(path: KeyPath) -> str:
    """The path as messages write it."""
    return ".".join(map(str, path)) or "the file"


def _find_entry(file: str, text: str, parent: Node, path: KeyPath) -> int | None:
    key, at = path[-1], position_at(file, text, parent.start)
    if isinstance(key, int):
        if parent.kind != "list" or not 0 <= key < len(parent.entries):
            raise EditError((at, f"{dotted(path[:-1])} has no item {key}"))
        return key
    if parent.kind != "mapping":
        what = "a list" if parent.kind == "list" else "a single value"
        raise EditError((at, f'{dotted(path[:-1])} is {what}; "{key}" needs a mapping there'))
    for index, entry in enumerate(parent.entries):
        if entry.key and entry.key.text == key and not entry.is_merge:
            return index
    return None


def _refuse_shared(file: str, text: str, node: Node, above: Entry | None, path: KeyPath) -> None:
    if node.target is not None:
        other = position_at(file, text, node.target.start)
        message = f"{dotted(path)} is an alias of the value at {other}; write the value out here"
    elif node.uses:
        others = ", ".join(str(position_at(file, text, use)) for use in node.uses)
        message = f"{dotted(path)} is shared by the alias at {others}; write the value out there"
    else:
        return
    raise EditError((position_at(file, text, node.start), f"{message}, then edit again"))


def _refuse_anchors(file: str, text: str, entry: Entry, path: KeyPath) -> None:
    """Replacing an alias touches one place only, but hides that it was meant to be shared."""
    _refuse_shared(file, text, entry.value, None, path)
    inside = (entry.value.start, entry.value.end)
    for node in entry.value.inside():
        outer = [use for use in node.uses if not inside[0] <= use < inside[1]]
        if outer:
            message = (
                f"an alias at {position_at(file, text, outer[0])} needs this value; write it out"
            )
            raise EditError(
                (position_at(file, text, node.start), f"{message} there, then edit again")
            )


def _refuse_merged(
    file: str, text: str, parent: Node, path: KeyPath, depth: int, *, removes: bool
) -> None:
    """A key of one's own may stand beside `<<`; part of what it brings cannot be changed here."""
    if depth == len(path) - 1 and not removes:
        return
    for entry in parent.entries:
        if entry.is_merge and _brings(entry.value, str(path[depth])):
            message = f"{dotted(path[: depth + 1])} comes through this merge key; write it out here"
            raise EditError((position_at(file, text, entry.start), f"{message}, then edit again"))


def _brings(source: Node, key: str) -> bool:
    node = source.target or source
    if node.kind == "list":
        return any(_brings(entry.value, key) for entry in node.entries)
    return any(
        _brings(entry.value, key) if entry.is_merge else bool(entry.key and entry.key.text == key)
        for entry in node.entries
    )
