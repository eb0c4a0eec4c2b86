"""Strategic merge: lays a partial manifest over a whole one, as the API server does.

Kept apart, and pure, because it knows nothing of models: mappings merge deeply, null takes a key
away, lists of named items merge by the key that the API gives them, every other list is replaced.
Rules: `k8s.io/apimachinery/pkg/util/strategicpatch`; no Python library for it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from framework.core.suggestions import suggest
from framework.kinds.kind import Step
from framework.plan.kubernetes_fields import FieldType

Path = tuple[str | int, ...]

DIRECTIVE = "$patch"


class PatchDiagnostic(NamedTuple):
    """What is wrong in a patch; `message` follows the name of `at`, which is a key's where
    `at_key`, and else a value's."""

    at: Path
    message: str
    at_key: bool = False


class PatchError(Exception):
    """A patch that cannot be laid, with every flaw of it."""

    def __init__(self, diagnostics: Iterable[PatchDiagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(diagnostic.message for diagnostic in self.diagnostics))


def apply_patch(manifest: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with `patch` laid over it; neither is changed. Errors: PatchError."""
    merge = _Merge()
    merged = merge.mapping(manifest, patch, FieldType(manifest["kind"]), ())
    if merge.diagnostics:
        raise PatchError(merge.diagnostics)
    return merged


def list_fields(kind: str, patch: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields a patch sets or takes away: `spec.template.spec.containers[model].env[DEBUG]`."""
    return tuple(sorted(set(_walk(patch, "", FieldType(kind)))))


def find_touched(patch: Any, path: tuple[Step, ...]) -> Path | None:
    """Where a patch sets `path`, or replaces or removes what it is in; None where it does not, or
    has a value there that could not be laid."""
    at: Path = ()
    for step in path:
        if isinstance(patch, Mapping) and DIRECTIVE in patch:
            return (*at, DIRECTIVE)
        if isinstance(step, tuple) and isinstance(patch, list):
            key, value = step
            found = [i for i, item in enumerate(patch) if get_key(item, key) == value]
            if not found:
                return None
            at, patch = (*at, found[0]), patch[found[0]]
        elif isinstance(step, str) and isinstance(patch, Mapping):
            if step not in patch:
                return None
            at, patch = (*at, step), patch[step]
        else:
            return at if patch is None else None
    return at


def get_key(item: Any, key: str) -> Any:
    """What a mapping has under `key`; None where it is no mapping."""
    return item.get(key) if isinstance(item, Mapping) else None


def find_item(items: Any, key: str, name: Any) -> int | None:
    """Where in a list the first item is whose `key` is `name`; None where there is none."""
    listed = items if isinstance(items, list) else []
    return next((i for i, item in enumerate(listed) if get_key(item, key) == name), None)


def suggest_item(items: Any, key: str, name: Any) -> str:
    """`; did you mean "model"?`, or the few names there are, or nothing."""
    names = [str(get_key(item, key)) for item in items] if isinstance(items, list) else []
    return suggest(str(name), names)


class _Merge:
    """One merge, which goes on after a flaw to find the others."""

    def __init__(self) -> None:
        self.diagnostics: list[PatchDiagnostic] = []

    def mapping(
        self, old: Mapping[str, Any], new: Mapping[str, Any], of: FieldType | None, at: Path
    ) -> dict[str, Any]:
        merged = {} if DIRECTIVE in new else dict(old)
        for key, value in new.items():
            if key.startswith("$"):
                self._check_directive(key, value, (*at, key))
            elif value is None:
                merged.pop(key, None)
            else:
                below = of.below(key) if of else None
                merged[key] = self._value(merged.get(key), value, below, (*at, key))
        return merged

    def _check_directive(self, key: str, value: Any, at: Path) -> None:
        if key != DIRECTIVE or value != "replace":
            message = (
                'is no directive that is read here; expected "$patch: replace", or '
                '"$patch: delete" in an item of a list'
            )
            self.diagnostics.append(PatchDiagnostic(at, message))

    def _value(self, old: Any, new: Any, of: FieldType | None, at: Path) -> Any:
        if old is not None and _shape(old) != _shape(new):
            message = f"is {_shape(new)}; expected {_shape(old)}, as the manifest has there"
            self.diagnostics.append(PatchDiagnostic(at, message))
            return old
        if isinstance(new, dict):
            return self.mapping(old or {}, new, of, at)
        if isinstance(new, list) and of and of.merge_key:
            return self._items(old or [], new, of, at)
        return deepcopy(new)

    def _items(self, old: list[Any], new: list[Any], of: FieldType, at: Path) -> list[Any]:
        items, key = list(old), of.merge_key
        for index, patch in enumerate(new):
            here = (*at, index)
            name = get_key(patch, key)
            if not isinstance(name, str | int):
                message = f"has no {key}; items of {at[-1]} are told apart by it"
                self.diagnostics.append(PatchDiagnostic(here, message))
                continue
            found = find_item(items, key, name)
            if patch.get(DIRECTIVE) == "delete":
                if found is None:
                    message = f"deletes {name}, which the manifest has not"
                    hint = suggest_item(items, key, name)
                    self.diagnostics.append(PatchDiagnostic(here, message + hint))
                items = [item for item in items if get_key(item, key) != name]
            elif found is None:
                items.append(self.mapping({}, patch, of.items, here))
            else:
                items[found] = self.mapping(items[found], patch, of.items, here)
        return items


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else "a single value"


def _walk(patch: Any, path: str, of: FieldType | None) -> Iterator[str]:
    if not isinstance(patch, Mapping) or DIRECTIVE in patch or not patch:
        yield path
        return
    for key, value in patch.items():
        plain = not any(mark in key for mark in "./")
        here = f"{path}{'.' if path else ''}{key}" if plain else f'{path}["{key}"]'
        below = of.below(key) if of else None
        if not isinstance(value, list) or not below or not below.merge_key:
            yield from _walk(value, here, below)
            continue
        for item in value:
            own = {name: child for name, child in item.items() if name != below.merge_key}
            yield from _walk(own, f"{here}[{item[below.merge_key]}]", below.items)
