"""From a setting that differs to the line whose change made it.

Kept apart from finding what differs: the value may stand in a line that nobody touched, such as an
interpolation, a profile that is listed now, or what showed again when an overlay went.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from framework.catalog import CatalogModel
from framework.core.diagnostics import KeyPath, Position
from framework.layers import find_referenced_keys
from framework.reports.setting_changes import SettingChange, get_written

_PROFILES = "catalog/_profiles/"


def find_roots(
    change: SettingChange, changes: Iterable[SettingChange], old: CatalogModel, new: CatalogModel
) -> tuple[SettingChange, ...]:
    """The changes that a change follows from through interpolations; itself where from none."""
    listed = tuple(changes)
    return tuple(dict.fromkeys(_roots(change, listed, old, new, frozenset())))


def _roots(
    change: SettingChange,
    changes: tuple[SettingChange, ...],
    old: CatalogModel,
    new: CatalogModel,
    seen: frozenset[KeyPath],
) -> Iterator[SettingChange]:
    text = _written(new, change)
    if change.path[0] in ("environment", "stack") or not isinstance(text, str) or "${" not in text:
        yield change
        return
    names = list(find_referenced_keys(text, change.path))
    below = [
        other
        for other in changes
        if other.path not in seen | {change.path} and any(_related(n, other.path) for n in names)
    ]
    if text != _written(old, change) or not below:
        yield change
    for other in below:
        yield from _roots(other, changes, old, new, seen | {change.path})


def _written(model: CatalogModel, change: SettingChange) -> Any:
    merged = model.merged if "stable" in change.tracks else model.candidate_merged
    for layer in reversed(merged.layers if merged else ()):
        if (found := get_written(layer.data, change.path)) is not None:
            return found
    return None


def _related(name: tuple[str, ...], path: KeyPath) -> bool:
    return all(one == str(other) for one, other in zip(name, path, strict=False))


def find_cause(
    change: SettingChange, old: CatalogModel, new: CatalogModel
) -> tuple[Position | None, bool]:
    """The line whose change made it, and True where that line is the old tree's and is gone.

    A value that shows again once what lay over it is gone has not changed itself; neither has a
    profile's when the model lists other profiles.
    """
    was, becomes = change.old_position, change.new_position
    if was != becomes and any(p and p.path.startswith(_PROFILES) for p in (was, becomes)):
        before, after = (_profiles(model) for model in (old, new))
        if before[0] != after[0]:
            return (after[1], False) if after[1] else (before[1], True)
    if becomes is None:
        return was, was is not None
    covered = {position.path for position in _all_positions(old, change)} - {
        was.path if was else ""
    }
    if was and becomes.path in covered and was.path not in _paths(new, change):
        return was, True
    return becomes, False


def _profiles(model: CatalogModel) -> tuple[Any, Position | None]:
    for layer in model.merged.layers:
        if layer.document.path == model.home:
            document = layer.document
            return document.data.get("profiles"), document.value_positions.get(("profiles",))
    return None, None


def _all_positions(model: CatalogModel, change: SettingChange) -> tuple[Position, ...]:
    merged = model.merged if "stable" in change.tracks else model.candidate_merged
    return merged.origins.get(change.path, ()) if merged else ()


def _paths(model: CatalogModel, change: SettingChange) -> frozenset[str]:
    return frozenset(position.path for position in _all_positions(model, change))
