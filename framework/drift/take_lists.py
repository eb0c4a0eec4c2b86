"""Takes the differences of a list whose items have no keys, such as `args`.

An index does not identify an item: a new `--v` in front of `[--a, --b]` changes both items and adds
a third. So all differences of a list are taken together, or none. The live list is aligned with the
list of the files, and only the items that differ are edited: the others keep their interpolations
and comments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from framework.catalog import CatalogModel
from framework.core.diagnostics import KeyPath
from framework.core.errors import EditError
from framework.core.field_paths import FieldPath, find_list_without_keys, get_at, resolve
from framework.drift.report import Finding
from framework.edits.yaml_edit import REMOVED, Edit
from framework.layers.references import escape, find_interpolations

_GONE = object()


@dataclass(frozen=True)
class ListChange:
    """The list at `path` of an object: as the files render it, and as it is in the cluster."""

    path: FieldPath
    old: list[Any]
    new: list[Any]

    @property
    def adds_at_end(self) -> bool:
        """Returns True if the live list only has more items at its end."""
        return self.new[: len(self.old)] == self.old

    def list_steps(self) -> list[tuple[int, int, list[Any]]]:
        """Returns the replaced ranges of `old` with their new items, the last one first.

        Applied in this order, no step moves the items of a later one.
        """
        # As text, because the items may be mappings, and because 1 == True in Python.
        old, new = (
            [json.dumps(item, sort_keys=True) for item in items] for items in (self.old, self.new)
        )
        matcher = SequenceMatcher(None, old, new, autojunk=False)
        return [
            (start, end, self.new[first:last])
            for kind, start, end, first, last in reversed(matcher.get_opcodes())
            if kind != "equal"
        ]


def group_by_list(findings: Iterable[Finding]) -> list[tuple[Finding, ...]]:
    """Returns the findings that can only be taken together, in the order of their first ones."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for number, finding in enumerate(findings):
        path = find_list_without_keys(FieldPath.parse(finding.path))
        key = (finding.type, finding.object, path) if path else (number,)
        groups.setdefault(key, []).append(finding)
    return [tuple(group) for group in groups.values()]


def find_companions(finding: Finding, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Returns the findings that can only be taken together with this one, and itself."""
    return next(group for group in group_by_list(findings) if finding in group)


def build_list_change(findings: Sequence[Finding], obj: Mapping[str, Any]) -> ListChange:
    """Returns the change of a list, from all findings about it.

    Errors: EditError if the live list is not known as a whole, or if the files changed it since the
    last `up`: an index of one list may then be another item in the other.
    """
    path = find_list_without_keys(FieldPath.parse(findings[0].path))
    assert path is not None
    where = f"{findings[0].label} {path}"
    if len(findings) < findings[0].list_differences:
        raise EditError(
            (
                where,
                "other differences of this list are accepted by drift.accept or allowed by "
                "drift.injectors, and a list is taken as a whole; FINDING= with the id of one "
                "difference also takes the accepted ones, else edit the catalog by hand",
            )
        )
    steps = resolve(obj, path)
    old = list(get_at(obj, steps)) if steps is not None else []
    files_changed = any(f.desired != f.recorded or _read(obj, f) != f.desired for f in findings)
    if files_changed or any(finding.list_is_pending for finding in findings):
        raise EditError(
            (
                where,
                "the files changed this list since the last `up`, so its items cannot be matched "
                "with the live ones; edit the catalog by hand, or put the list back with `up`",
            )
        )
    return ListChange(path, old, _build_live(where, path, old, findings))


def _read(obj: Mapping[str, Any], finding: Finding) -> Any:
    steps = resolve(obj, FieldPath.parse(finding.path))
    return None if steps is None else get_at(obj, steps)


def _build_live(
    where: str, path: FieldPath, old: Sequence[Any], findings: Iterable[Finding]
) -> list[Any]:
    live = deepcopy(list(old))
    below = [(FieldPath.parse(f.path).steps[len(path.steps) :], f.live) for f in findings]
    for (index, *rest), value in sorted(below, key=lambda pair: int(str(pair[0][0]))):
        assert isinstance(index, int)
        if not rest:
            live[index : index + 1] = [_GONE if value is None else value]
            continue
        item = live[index] if index < len(live) else None
        *parents, key = rest
        steps = resolve(item, FieldPath(tuple(parents)))
        parent = None if steps is None else get_at(item, steps)
        if not isinstance(parent, dict) or not isinstance(key, str):
            raise EditError((where, "its items have lists of their own; edit the catalog by hand"))
        if value is None:
            parent.pop(key, None)
        else:
            parent[key] = value
    return [item for item in live if item is not _GONE]


def build_item_edits(change: ListChange, path: KeyPath, written: Any) -> list[Edit]:
    """Returns the edits of the items of a list that a file has at `path`; [] if it has none.

    `written` is the value there: a list, or a mapping of `items` or `append`. The items that it
    appends are the last ones of the rendered list.
    """
    is_text = False
    if isinstance(written, Mapping):
        is_text = written.get("interpolate") is False
        key = next((key for key in ("items", "append") if key in written), "")
        path, written = (*path, key), written.get(key)
    if not isinstance(written, list):
        return []
    before = len(change.old) - len(written)
    if before < 0 or (before and path[-1] != "append"):
        return []
    edits: list[Edit] = []
    for start, end, items in change.list_steps():
        if start < before:
            return []
        edits += _build_step_edits(path, start - before, change.old[start:end], items, is_text)
    return edits


def _build_step_edits(
    path: KeyPath, start: int, old: Sequence[Any], new: Sequence[Any], is_text: bool
) -> Iterator[Edit]:
    """Yields the edits that replace the items from `start` on."""
    common = min(len(old), len(new))
    for index in reversed(range(common, len(old))):
        yield Edit((*path, start + index))
    for item in reversed(new[common:]):
        yield Edit((*path, start + common), item if is_text else escape(item), inserts=True)
    for index, (before, after) in enumerate(zip(old, new, strict=False)):
        item_path = (*path, start + index)
        if not isinstance(before, Mapping) or not isinstance(after, Mapping):
            yield Edit(item_path, after if is_text else escape(after))
            continue
        for key in [*after, *(key for key in before if key not in after)]:
            if before.get(key) != after.get(key):
                value = after.get(key, REMOVED)
                yield Edit((*item_path, key), value if is_text else escape(value))


def build_whole_list(change: ListChange, path: KeyPath, model: CatalogModel) -> list[Any] | None:
    """Returns the live list as one to write: items that do not differ keep their interpolations.

    None if the layers have it in another form than the files render it.
    """
    items = _find_written(path, model)
    if items is None and not describe_loss([path], model):
        # No layer sets the list, so a new one loses nothing.
        return list(escape(change.new))
    if items is None or len(items) != len(change.old):
        return None
    for start, end, new in change.list_steps():
        items[start:end] = [
            _keep_written(items[start + index], change.old[start + index], item)
            if start + index < end
            else escape(item)
            for index, item in enumerate(new)
        ]
    return items


def describe_loss(paths: Iterable[KeyPath], model: CatalogModel) -> str:
    """Returns what a copy of the list that the layers render would lose; "" for nothing.

    It would lose interpolations, and settings that are no lists and make items of the list.
    """
    for path in paths:
        keys = [path, path[2:]] if path[:2] == ("canary", "candidate") else [path]
        for layer in model.merged.layers:
            values = [
                get_at(layer.data, key[:end], None) for key in keys for end in range(len(key))
            ]
            written = [get_at(layer.data, key, None) for key in keys]
            texts = [value for value in values if isinstance(value, str)]
            if any(find_interpolations([*texts, *written])):
                return "lose the interpolations of the others"
            if texts or any(not isinstance(value, list | None) for value in written):
                return f"override {FieldPath(path)}"
    return ""


def _keep_written(written: Any, old: Any, new: Any) -> Any:
    if not all(isinstance(item, Mapping) for item in (written, old, new)):
        return escape(new)
    return {
        key: written[key] if key in written and old.get(key) == value else escape(value)
        for key, value in new.items()
    }


def _find_written(path: KeyPath, model: CatalogModel) -> list[Any] | None:
    """Returns the list that the layers of a model set at a path, before interpolation."""
    # A canary runs with the list of the stable track, unless its candidate has one.
    tried = [path, path[2:]] if path[:2] == ("canary", "candidate") else [path]
    for key in tried:
        items: list[Any] | None = None
        for layer in model.merged.layers:
            value = get_at(layer.data, key, None)
            if isinstance(value, list):
                items = [*(items or []), *value] if key in layer.appended else list(value)
        if items is not None:
            return deepcopy(items)
    return None
