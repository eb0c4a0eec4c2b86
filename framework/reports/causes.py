"""Finds the causes of a difference: first the settings that lead to it, then the changed lines.

The settings are found by experiment: the model is planned again with one setting of the other
version at a time. A table from settings to fields would have to be updated with every change of the
plan; an experiment needs no update.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from framework.catalog import CatalogModel
from framework.core.diagnostics import KeyPath, Position
from framework.core.field_paths import ROOT, FieldPath, get_at, paths_overlap
from framework.kube.object_diff import compare_objects
from framework.layers import find_referenced_keys
from framework.plan.build import build_model
from framework.reports.setting_changes import SettingChange, get_written
from framework.settings.environment import Environment
from framework.settings.model import Model

# An object's kind and name, without the hash of its content.
Identity = tuple[str, str]
Objects = Mapping[Identity, Mapping[str, Any]]
# A field of an object by its path; ROOT is the object itself, where only one side has it.
Target = tuple[Identity, FieldPath]

_HASH_LENGTH = len("-01234567")
_PROFILES = "catalog/_profiles/"


@dataclass(frozen=True, eq=False)
class Version:
    """One version of a model, which can be planned again with other settings."""

    model: CatalogModel
    environment: Environment
    objects: Objects
    stable: dict[str, Any]
    candidate: dict[str, Any] | None

    @classmethod
    def of(cls, model: CatalogModel, environment: Environment, objects: Objects) -> Version:
        """Returns the version that the catalog has. `objects` were planned from it."""
        merged = model.candidate_merged
        candidate = merged.data if merged else None
        return cls(model, environment, objects, model.merged.data, candidate)

    def with_change(self, change: SettingChange, other: Version) -> Version:
        """Returns this version with one setting as it is in `other`."""
        if change.path == ("environment", "namespace"):
            return replace(self, environment=other.environment)
        if change.path == ("canary", "candidate"):
            return replace(self, candidate=other.candidate)
        stable, candidate = self.stable, self.candidate
        if "stable" in change.tracks:
            stable = _with_value(stable, change.path, get_at(other.stable, change.path, None))
        if "canary" in change.tracks and candidate is not None:
            candidate = _with_value(
                candidate, change.path, get_at(other.candidate, change.path, None)
            )
        return replace(self, stable=stable, candidate=candidate)

    def plan(self) -> Objects | None:
        """Returns the objects; None if these settings are not valid together."""
        try:
            settings = Model.model_validate(self.stable)
            candidate = None if self.candidate is None else Model.model_validate(self.candidate)
        except ValidationError:
            return None
        model = replace(self.model, settings=settings, candidate=candidate)
        return index_objects(m.object for m in build_model(model, self.environment).manifests)


def index_objects(manifests: Iterable[Mapping[str, Any]]) -> Objects:
    """Returns the objects by kind and name.

    The name of a ConfigMap ends in a hash of its content. Without the hash, both versions of a
    ConfigMap have the same key, so that their fields are compared.
    """
    objects: dict[Identity, Mapping[str, Any]] = {}
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        if manifest["kind"] == "ConfigMap":
            name = name[:-_HASH_LENGTH]
        objects[manifest["kind"], name] = manifest
    return objects


def find_targets(old: Objects, new: Objects) -> frozenset[Target]:
    """Returns every field that differs, and every object that only one side has."""
    targets: set[Target] = set()
    for identity in old.keys() | new.keys():
        if identity not in old or identity not in new:
            targets.add((identity, ROOT))
        elif old[identity] != new[identity]:
            fields = compare_objects(old[identity], new[identity])
            targets |= {(identity, FieldPath.parse(field.path)) for field in fields}
    return frozenset(targets)


def overlaps(target: Target, other: Target) -> bool:
    """Returns True if one target is the other or lies in it."""
    if target[0] != other[0]:
        return False
    return target[1].is_within(other[1]) or other[1].is_within(target[1])


def find_setting_causes(
    old: Version, new: Version, changes: Iterable[SettingChange], targets: Iterable[Target]
) -> dict[Target, tuple[SettingChange, ...]]:
    """Returns, for each target, the setting changes that lead to it, in the order of `changes`.

    A target is explained by the first of these experiments that produces it:

    1. One change is applied to the old version. `replicas: 3` to `4` produces `spec.replicas`.
    2. One change is undone in the new version, for a target that needs several changes at once.
       `canary.mode: within` lowers the stable replicas only if there is a candidate; if both are
       new, neither alone does, and undoing either raises the replicas again.
    3. What is left is attributed to the changes that could not be planned alone in 1.
    """
    ordered, wanted = tuple(changes), frozenset(targets)
    if not ordered:
        return {}
    # The usual case, a changed tag: there is no other cause, so nothing is planned again.
    if len(ordered) == 1:
        return dict.fromkeys(wanted, ordered)
    applied = {
        change: _find_effect(old.with_change(change, new), old.objects) for change in ordered
    }
    effects = {change: effect or frozenset() for change, effect in applied.items()}
    if unexplained := [target for target in wanted if not _is_explained(target, effects)]:
        for change in ordered:
            undone = _find_effect(new.with_change(change, old), new.objects) or frozenset()
            effects[change] |= {
                other for other in undone if any(overlaps(other, target) for target in unexplained)
            }
        left = {target for target in unexplained if not _is_explained(target, effects)}
        for change, effect in applied.items():
            if effect is None:
                # A change that is not valid alone, such as `ingress.port` without the port that it
                # names.
                effects[change] |= left
    return {
        target: tuple(
            change
            for change in ordered
            if any(overlaps(target, other) for other in effects[change])
        )
        for target in wanted
    }


def _is_explained(target: Target, effects: Mapping[SettingChange, frozenset[Target]]) -> bool:
    return any(overlaps(target, other) for effect in effects.values() for other in effect)


def _find_effect(version: Version, base: Objects) -> frozenset[Target] | None:
    """Returns what differs between a version and `base`; None if it cannot be planned."""
    objects = version.plan()
    return None if objects is None else find_targets(base, objects)


def _with_value(data: Any, path: KeyPath, value: Any) -> Any:
    """Returns a copy with `value` at `path`, or without the key for None. Shares the rest."""
    head, *rest = path
    if isinstance(data, list) and isinstance(head, int):
        item = _with_value(data[head], tuple(rest), value) if rest else value
        return [*data[:head], item, *data[head + 1 :]]
    others = {key: child for key, child in (data or {}).items() if key != head}
    if not rest and value is None:
        return others
    item = _with_value((data or {}).get(head), tuple(rest), value) if rest else value
    # A key that exists keeps its place: the order of ports and variables is that of the manifest.
    return {**data, head: item} if data and head in data else {**others, head: item}


def find_roots(
    change: SettingChange, changes: Iterable[SettingChange], old: CatalogModel, new: CatalogModel
) -> tuple[SettingChange, ...]:
    """Returns the changes that a change follows from through interpolations, or itself.

    With `labels: {version: ${image.tag}}`, a change of `labels.version` follows from `image.tag`.
    """
    return tuple(dict.fromkeys(_walk_roots(change, tuple(changes), old, new, frozenset())))


def _walk_roots(
    change: SettingChange,
    changes: tuple[SettingChange, ...],
    old: CatalogModel,
    new: CatalogModel,
    seen: frozenset[KeyPath],
) -> Iterator[SettingChange]:
    text = _get_written_text(new, change)
    if change.path[0] in ("environment", "stack") or not isinstance(text, str) or "${" not in text:
        yield change
        return
    names = list(find_referenced_keys(text, change.path))
    read = [
        other
        for other in changes
        if other.path not in seen | {change.path}
        and any(paths_overlap(n, other.path) for n in names)
    ]
    if text != _get_written_text(old, change) or not read:
        yield change
    for other in read:
        yield from _walk_roots(other, changes, old, new, seen | {change.path})


def _get_written_text(model: CatalogModel, change: SettingChange) -> Any:
    merged = model.merged if "stable" in change.tracks else model.candidate_merged
    for layer in reversed(merged.layers if merged else ()):
        if (value := get_written(layer.data, change.path)) is not None:
            return value
    return None


def find_changed_line(
    change: SettingChange, old: CatalogModel, new: CatalogModel
) -> tuple[Position | None, bool]:
    """Returns the line whose change made a setting differ; True if it is a removed old line.

    The line that holds the new value need not be the line that changed:
    - If the model lists other profiles now, the value comes from a profile that nobody edited. The
      changed line is the list of profiles.
    - If an overlay is removed, the value of an earlier layer applies again. The changed line is the
      removed one.
    """
    old_position, new_position = change.old_position, change.new_position
    positions = (old_position, new_position)
    if old_position != new_position and any(
        position and position.path.startswith(_PROFILES) for position in positions
    ):
        (old_list, old_line), (new_list, new_line) = (_find_profiles(m) for m in (old, new))
        if old_list != new_list:
            return (new_line, False) if new_line else (old_line, True)
    if new_position is None:
        return old_position, old_position is not None
    old_paths, new_paths = (_paths_of_origins(model, change) for model in (old, new))
    if (
        old_position
        and old_position.path not in {new_position.path, *new_paths}
        and new_position.path in old_paths
    ):
        return old_position, True
    return new_position, False


def _find_profiles(model: CatalogModel) -> tuple[Any, Position | None]:
    for layer in model.merged.layers:
        if layer.document.path == model.home:
            document = layer.document
            return document.data.get("profiles"), document.value_positions.get(("profiles",))
    return None, None


def _paths_of_origins(model: CatalogModel, change: SettingChange) -> frozenset[str]:
    """Returns the files that set a setting, overridden or not."""
    merged = model.merged if "stable" in change.tracks else model.candidate_merged
    origins = merged.origins.get(change.path, ()) if merged else ()
    return frozenset(position.path for position in origins)
