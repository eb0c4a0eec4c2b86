"""Compares the settings of two versions of a model or an environment, with the lines that set them.

Only settings are compared here, not the manifests that they lead to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, get_origin

from framework.catalog import CatalogModel
from framework.core.diagnostics import KeyPath, Position
from framework.core.field_paths import FieldPath
from framework.core.quantities import is_same_quantity
from framework.kinds.naming import Track
from framework.layers import Merged
from framework.reports.sides import Side
from framework.settings.model import Model

_CANDIDATE: KeyPath = ("canary", "candidate")
# Mappings whose keys people choose. Each key is a setting of its own, even if the whole mapping is
# added or removed.
_FREE_FORM = frozenset(
    setting.alias
    for setting in Model.model_fields.values()
    if get_origin(setting.annotation) is dict
)
# Below these settings users write objects of any kind, so also custom resources.
_ANY_OBJECT = frozenset({"objects", "patch"})
# The order of these mappings is the order of a list in the manifest.
_ORDERED = frozenset({"env", "envFrom", "ports", "volumes", "mounts", "httpHeaders"})
# `defaults` and `overrides` are settings of the models; a description reaches no manifest.
_NOT_COMPARED = {"defaults", "overrides", "description"}


@dataclass(frozen=True, eq=False)
class SettingChange:
    """One setting that differs, in `tracks`. Its value is None on a side that does not set it.

    A mapping that only one side has counts as one setting.
    """

    path: KeyPath
    old: Any
    new: Any
    old_position: Position | None = None
    new_position: Position | None = None
    tracks: tuple[Track, ...] = ("stable",)

    @property
    def name(self) -> str:
        """Returns the path as it is printed; `canary.candidate.*` for the canary alone."""
        path = (*_CANDIDATE, *self.path) if self.tracks == ("canary",) else self.path
        return str(FieldPath(path))


def compare_model_settings(old: CatalogModel, new: CatalogModel) -> tuple[SettingChange, ...]:
    """Returns every setting that differs, sorted by path; those of only the canary come last."""
    changes = [
        _change(path, before, after, old.merged, new.merged)
        for path, before, after in _walk_differences(
            (), _without_candidate(old), _without_candidate(new)
        )
    ]
    if old.candidate_merged is None or new.candidate_merged is None:
        if old.candidate_merged is not new.candidate_merged:
            values = (old.settings.canary.candidate, new.settings.canary.candidate)
            changes.append(_change(_CANDIDATE, *values, old.merged, new.merged))
        return tuple(changes)
    merged = (old.candidate_merged, new.candidate_merged)
    canary_changes = {
        path: _change(path, before, after, *merged, tracks=("canary",))
        for path, before, after in _walk_differences((), merged[0].data, merged[1].data)
    }
    # The candidate is laid over the stable settings, so most changes are the same for both tracks.
    for index, change in enumerate(changes):
        same = canary_changes.get(change.path)
        if same and (same.old, same.new) == (change.old, change.new):
            del canary_changes[change.path]
            changes[index] = replace(change, tracks=("stable", "canary"))
    return (*changes, *canary_changes.values())


def _without_candidate(model: CatalogModel) -> dict[str, Any]:
    canary = model.merged.data.get("canary")
    if not isinstance(canary, dict) or "candidate" not in canary:
        return model.merged.data
    canary = {key: value for key, value in canary.items() if key != "candidate"}
    data = {key: value for key, value in model.merged.data.items() if key != "canary"}
    return {**data, "canary": canary} if canary else data


def compare_environment_settings(old: Side, new: Side) -> tuple[SettingChange, ...]:
    """Returns the environment's own settings that differ, as `environment.*`."""
    (old_settings, old_merged), (new_settings, new_merged) = old.settings, new.settings
    if old_settings is None or new_settings is None:
        return ()
    data = [
        settings.model_dump(mode="json", by_alias=True, exclude=_NOT_COMPARED)
        for settings in (old_settings, new_settings)
    ]
    changes = []
    for path, before, after in _walk_differences((), *data):
        positions = _last_origin(old_merged, path), _last_origin(new_merged, path)
        changes.append(SettingChange(("environment", *path), before, after, *positions))
    if old.environment != new.environment:
        names = (old.environment, new.environment)
        changes += [SettingChange((key, "name"), *names) for key in ("environment", "stack")]
    return tuple(changes)


def _last_origin(merged: Merged, path: KeyPath) -> Position | None:
    positions = merged.origins.get(path, ())
    return positions[-1] if positions else None


def _walk_differences(path: KeyPath, old: Any, new: Any) -> Iterator[tuple[KeyPath, Any, Any]]:
    """Yields the paths that differ with both values; None for a side that has no value.

    If the order of a mapping matters and its order differs, the whole mapping is one difference.
    """
    if len(path) == 1 and path[0] in _FREE_FORM:
        old, new = ({} if value is None else value for value in (old, new))
    if isinstance(old, dict) and isinstance(new, dict) and not _is_reordered(path, old, new):
        for key in sorted({*old, *new}):
            yield from _walk_differences((*path, key), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from _walk_differences((*path, index), *pair)
    elif is_same_quantity(path, old, new, is_custom_resource=bool(path) and path[0] in _ANY_OBJECT):
        return
    elif type(old) is not type(new) or old != new or isinstance(old, dict):
        # A mapping gets here only if it is reordered, which `==` ignores.
        yield path, old, new


def _is_reordered(path: KeyPath, old: dict[str, Any], new: dict[str, Any]) -> bool:
    if not path or path[-1] not in _ORDERED:
        return False
    return [key for key in old if key in new] != [key for key in new if key in old]


def _change(
    path: KeyPath,
    old: Any,
    new: Any,
    old_merged: Merged,
    new_merged: Merged,
    tracks: tuple[Track, ...] = ("stable",),
) -> SettingChange:
    old_position = _find_position(old_merged, path, old, new)
    new_position = _find_position(new_merged, path, new, old)
    return SettingChange(path, old, new, old_position, new_position, tracks)


def _find_position(merged: Merged, path: KeyPath, value: Any, other: Any) -> Position | None:
    """Returns the position of a value.

    For a list it is the first item that differs; for a key removed with null, the null.
    """
    if value is None and path not in merged.origins:
        return merged.removal(path)
    if isinstance(value, list):
        other_items = other if isinstance(other, list) else []
        for index, item in enumerate(value):
            if index >= len(other_items) or other_items[index] != item:
                return merged.origin((*path, index))
    return merged.origin(path)


def get_written(data: Any, path: KeyPath) -> Any:
    """Returns the value that a layer has at a path, as written; None if it has none.

    An interpolation at a parent, as in `resources: ${environment.resources}`, sets everything
    below it, and is returned for each path below it.
    """
    for key in path:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            return data if isinstance(data, str) else None
    return data
