"""Strategic merge: applies a partial manifest to a complete one.

Mappings merge deeply and null removes a key. Items of a list merge by the key that identifies them
(`core.field_paths.LIST_KEYS`); a list without such a key is replaced. The directives are
`$patch: replace` in a mapping and `$patch: delete` in an item.

The rules are those of `k8s.io/apimachinery/pkg/util/strategicpatch`, of which no maintained Python
implementation exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from framework.core.diagnostics import Code, KeyPath, SettingDiagnostic
from framework.core.field_paths import ROOT, FieldPath, ItemKey, list_keys
from framework.core.suggestions import suggest
from framework.plan.patch.field_types import FieldType

DIRECTIVE = "$patch"


class PatchError(Exception):
    """A patch that cannot be applied, with everything that is wrong with it."""

    def __init__(self, diagnostics: Iterable[SettingDiagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(diagnostic.message for diagnostic in self.diagnostics))


def apply_patch(manifest: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the manifest with `patch` applied; changes neither. Raises PatchError."""
    merge = _Merge()
    merged = merge.mapping(manifest, patch, FieldType(manifest["kind"]), ())
    if merge.diagnostics:
        raise PatchError(merge.diagnostics)
    return merged


def list_fields(kind: str, patch: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the paths of the fields that a valid patch sets or removes, sorted:
    `spec.template.spec.containers[model].env[DEBUG].value`."""
    return tuple(sorted({str(path) for path in _walk(patch, ROOT, FieldType(kind))}))


def find_touched(patch: Any, path: FieldPath) -> KeyPath | None:
    """Returns the path in a patch of the value that sets `path`, or replaces or removes a parent.

    Returns None where the patch does neither, or has a value there that cannot be applied.
    """
    at: KeyPath = ()
    for depth, step in enumerate(path.steps):
        if isinstance(patch, Mapping):
            # `$patch: replace` drops everything below, so it touches each field of the mapping.
            if DIRECTIVE in patch:
                return (*at, DIRECTIVE)
            if str(step) not in patch:
                return None
            at, patch = (*at, str(step)), patch[str(step)]
        elif isinstance(patch, list):
            keys = list_keys(FieldPath(path.steps[:depth]))
            if not keys and isinstance(step, int) and step < len(patch):
                # The patch replaces a list without keys as a whole, so the indexes are the same.
                at, patch = (*at, step), patch[step]
                continue
            names = [str(get_key(item, keys[0])) if keys else "" for item in patch]
            if str(step) not in names:
                return None
            index = names.index(str(step))
            at, patch = (*at, index), patch[index]
        else:
            # A null removes the parent of the field, and with it the field.
            return at if patch is None else None
    return at


def merge_key(path: FieldPath, type_: FieldType | None) -> str:
    """Returns the key that identifies the items of the list at `path`, "" where it has none.

    `LIST_KEYS` finds a list by its name, but several lists are called `ports`. So the definition of
    the items must have the key as well: the ports of a NetworkPolicy have no containerPort, and are
    replaced as a whole.
    """
    items = type_.items if type_ and type_.name == "list" else None
    keys = list_keys(path)
    return keys[0] if keys and items and keys[0] in items.fields else ""


def get_key(item: Any, key: str) -> Any:
    """Returns the value under `key`, None where `item` is not a mapping."""
    return item.get(key) if isinstance(item, Mapping) else None


def find_item(items: Any, key: str, name: Any) -> int | None:
    """Returns the index of the first item whose `key` is `name`, None where there is none."""
    candidates = items if isinstance(items, list) else []
    return next((i for i, item in enumerate(candidates) if get_key(item, key) == name), None)


def suggest_item(items: Any, key: str, name: Any) -> str:
    """Returns a hint that begins with a semicolon: the nearest name, else the known names."""
    candidates = items if isinstance(items, list) else []
    return suggest(str(name), [str(get_key(item, key)) for item in candidates])


class _Merge:
    """One merge. It continues after an error, so that all errors are reported in one run."""

    def __init__(self) -> None:
        self.diagnostics: list[SettingDiagnostic] = []

    def mapping(
        self, old: Mapping[str, Any], new: Mapping[str, Any], type_: FieldType | None, at: KeyPath
    ) -> dict[str, Any]:
        merged = {} if DIRECTIVE in new else dict(old)
        for key, value in new.items():
            if key.startswith("$"):
                if key != DIRECTIVE or value != "replace":
                    self._add(
                        (*at, key),
                        'is not a supported directive; expected "$patch: replace", or '
                        '"$patch: delete" in an item of a list',
                    )
            elif value is None:
                merged.pop(key, None)
            else:
                child = type_.child(key) if type_ else None
                merged[key] = self._value(merged.get(key), value, child, (*at, key))
        return merged

    def _value(self, old: Any, new: Any, type_: FieldType | None, at: KeyPath) -> Any:
        if old is not None and _shape(old) != _shape(new):
            self._add(at, f"is {_shape(new)}; expected {_shape(old)}, as in the manifest")
            return old
        if isinstance(new, dict):
            return self.mapping(old or {}, new, type_, at)
        if isinstance(new, list) and (key := merge_key(FieldPath(at), type_)):
            return self._items(old or [], new, key, type_, at)
        # The manifest must not share values with the settings, which other stacks use too.
        return deepcopy(new)

    def _items(
        self, old: list[Any], new: list[Any], key: str, type_: FieldType | None, at: KeyPath
    ) -> list[Any]:
        items, item_type = list(old), type_.items if type_ else None
        for index, patch in enumerate(new):
            name = get_key(patch, key)
            if not isinstance(name, str | int):
                self._add((*at, index), f"has no {key}, which identifies the items of {at[-1]}")
                continue
            position = find_item(items, key, name)
            if patch.get(DIRECTIVE) == "delete":
                if position is None:
                    hint = suggest_item(items, key, name)
                    message = f"deletes {name}, which does not exist in the manifest{hint}"
                    self._add((*at, index), message)
                # All items of the name: a list with two of them is refused by the API server later.
                items = [item for item in items if get_key(item, key) != name]
            elif position is None:
                items.append(self.mapping({}, patch, item_type, (*at, index)))
            else:
                items[position] = self.mapping(items[position], patch, item_type, (*at, index))
        return items

    def _add(self, at: KeyPath, message: str) -> None:
        self.diagnostics.append(SettingDiagnostic(at, message, Code.BAD_PATCH))


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else "a single value"


def _walk(patch: Any, path: FieldPath, type_: FieldType | None) -> Iterator[FieldPath]:
    if not isinstance(patch, Mapping) or DIRECTIVE in patch or not patch:
        yield path
        return
    for key, value in patch.items():
        below = path.child(key)
        child = type_.child(key) if type_ else None
        list_key = merge_key(below, child) if isinstance(value, list) else ""
        if not list_key:
            yield from _walk(value, below, child)
            continue
        for item in value:
            name = item[list_key]
            others = {field: content for field, content in item.items() if field != list_key}
            step = name if isinstance(name, int) else ItemKey(name)
            yield from _walk(others, below.child(step), child.items if child else None)
