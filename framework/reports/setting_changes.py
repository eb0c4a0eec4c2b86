"""The settings that differ between two versions of a model, and the lines that make them differ.

Kept apart from manifests: these are the words people wrote, whatever they are rendered to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_origin

from framework.catalog import CatalogModel
from framework.core.diagnostics import KeyPath, Position
from framework.kinds.naming import Track
from framework.layers import Merged
from framework.reports.sides import Side
from framework.settings.diagnostics import dotted
from framework.settings.model import Model

_CANDIDATE: KeyPath = ("canary", "candidate")
# Mappings whose keys people choose: each key is a setting, even where all of them come or go.
_OPEN = frozenset(
    setting.alias
    for setting in Model.model_fields.values()
    if get_origin(setting.annotation) is dict
)
# The order of these is that of a list in the manifest.
_ORDERED = frozenset({"env", "envFrom", "ports", "volumes", "mounts", "httpHeaders"})
_NO_EFFECT = {"defaults", "overrides", "description"}


@dataclass(frozen=True, eq=False)
class SettingChange:
    """One setting that differs; None and no place on the side where nothing says it.

    `tracks` are those it differs for; a mapping that is there on one side only is one setting.
    """

    path: KeyPath
    old: Any
    new: Any
    old_position: Position | None = None
    new_position: Position | None = None
    tracks: tuple[Track, ...] = ("stable",)

    @property
    def name(self) -> str:
        """`rollout.maxSurge`; a candidate's own begin with `canary.candidate`."""
        path = (*_CANDIDATE, *self.path) if self.tracks == ("canary",) else self.path
        return dotted(path)


def compare_models(old: CatalogModel, new: CatalogModel) -> tuple[SettingChange, ...]:
    """Every setting that differs, in order of path; the candidate's own after the stable ones."""
    stable = [
        _change(path, before, after, old.merged, new.merged)
        for path, before, after in walk_differences((), *map(_stable, (old, new)))
    ]
    if old.candidate_merged is None or new.candidate_merged is None:
        if old.candidate_merged is not new.candidate_merged:
            stable.append(_candidate_change(old, new))
        return tuple(stable)
    pair = (old.candidate_merged, new.candidate_merged)
    own = {
        path: _change(path, before, after, *pair, tracks=("canary",))
        for path, before, after in walk_differences((), *(one.data for one in pair))
    }
    changes = []
    for change in stable:
        shared = own.get(change.path)
        if shared and (shared.old, shared.new) == (change.old, change.new):
            del own[change.path]
            change = SettingChange(*_fields(change), tracks=("stable", "canary"))
        changes.append(change)
    return (*changes, *own.values())


def _fields(change: SettingChange) -> tuple[KeyPath, Any, Any, Position | None, Position | None]:
    return change.path, change.old, change.new, change.old_position, change.new_position


def _stable(model: CatalogModel) -> dict[str, Any]:
    canary = model.merged.data.get("canary")
    if not isinstance(canary, dict) or "candidate" not in canary:
        return model.merged.data
    rest = {key: value for key, value in canary.items() if key != "candidate"}
    data = {key: value for key, value in model.merged.data.items() if key != "canary"}
    return {**data, "canary": rest} if rest else data


def _candidate_change(old: CatalogModel, new: CatalogModel) -> SettingChange:
    values = [(model.settings.canary.candidate, model.merged) for model in (old, new)]
    (before, was), (after, becomes) = values
    return _change(_CANDIDATE, before, after, was, becomes)


def walk_differences(path: KeyPath, old: Any, new: Any) -> Iterator[tuple[KeyPath, Any, Any]]:
    """The paths that differ, with both values; None for a side that has none.

    A mapping that stands in another order where that counts is one difference.
    """
    if len(path) == 1 and path[0] in _OPEN:
        old, new = ({} if value is None else value for value in (old, new))
    if isinstance(old, dict) and isinstance(new, dict) and not _is_reordered(path, old, new):
        for key in sorted({*old, *new}):
            yield from walk_differences((*path, key), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from walk_differences((*path, index), *pair)
    elif type(old) is not type(new) or old != new or isinstance(old, dict):
        yield path, old, new


def _is_reordered(path: KeyPath, old: dict[str, Any], new: dict[str, Any]) -> bool:
    if not path or path[-1] not in _ORDERED:
        return False
    return [key for key in old if key in new] != [key for key in new if key in old]


def _change(
    path: KeyPath,
    old: Any,
    new: Any,
    was: Merged,
    becomes: Merged,
    tracks: tuple[Track, ...] = ("stable",),
) -> SettingChange:
    positions = _position(was, path, old, new), _position(becomes, path, new, old)
    return SettingChange(path, old, new, *positions, tracks)


def _position(merged: Merged, path: KeyPath, value: Any, other: Any) -> Position | None:
    """Where a value stands; for a list the first item the other side lacks, for none its null."""
    if value is None and path not in merged.origins:
        return _null_position(merged, path)
    if isinstance(value, list):
        have = other if isinstance(other, list) else []
        for index, item in enumerate(value):
            if index >= len(have) or have[index] != item:
                return merged.origin((*path, index))
    return merged.origin(path)


def _null_position(merged: Merged, path: KeyPath) -> Position | None:
    for layer in reversed(merged.layers):
        for end in range(len(path), 0, -1):
            if layer.key_position(path[:end]) and get_written(layer.data, path[:end]) is None:
                return layer.value_position(path[:end])
    return None


def compare_environments(old: Side, new: Side) -> tuple[SettingChange, ...]:
    """The environment's own settings that differ, under `environment`; not what it lays over."""
    (before_all, was), (after_all, becomes) = old.settings, new.settings
    if before_all is None or after_all is None:
        return ()
    data = [
        one.model_dump(mode="json", by_alias=True, exclude=_NO_EFFECT)
        for one in (before_all, after_all)
    ]
    changes = []
    for path, before, after in walk_differences((), *data):
        positions = _own_position(was, path), _own_position(becomes, path)
        changes.append(SettingChange(("environment", *path), before, after, *positions))
    if old.environment != new.environment:
        names = (old.environment, new.environment)
        changes += [SettingChange((key, "name"), *names) for key in ("environment", "stack")]
    return tuple(changes)


def _own_position(merged: Merged, path: KeyPath) -> Position | None:
    positions = merged.origins.get(path, ())
    return positions[-1] if positions else None


def get_written(data: Any, path: KeyPath) -> Any:
    """What a layer says at a path, or the interpolation that brings it; None for nothing."""
    for key in path:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            # An interpolation brings all that is below it.
            return data if isinstance(data, str) else None
    return data
