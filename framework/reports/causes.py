"""Which of the settings that differ make a field of a manifest differ, found by experiment.

Kept apart from comparing: this plans one model again and again, each time with one setting of the
other version; what differs then comes from that setting. No table can fall behind the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from framework.catalog import CatalogModel
from framework.core.diagnostics import KeyPath
from framework.kube.object_diff import compare_objects
from framework.plan.stack import UNPLANNABLE, build_model
from framework.reports.paths import is_below
from framework.reports.setting_changes import SettingChange
from framework.settings.environment import Environment
from framework.settings.model import Model

# The kind of an object and its name, without the hash of its content.
Identity = tuple[str, str]
Objects = Mapping[Identity, Mapping[str, Any]]
# A field of an object by its path; "" for the object itself, which only one side has.
Target = tuple[Identity, str]
_HASH_LENGTH = len("-01234567")


@dataclass(frozen=True, eq=False)
class Version:
    """One version of a model, as it can be planned again."""

    model: CatalogModel
    environment: Environment
    objects: Objects
    stable: dict[str, Any]
    candidate: dict[str, Any] | None

    @classmethod
    def of(cls, model: CatalogModel, environment: Environment, objects: Objects) -> Version:
        """The version that a catalog has, and the objects that were planned of it."""
        merged = model.candidate_merged
        candidate = merged.data if merged else None
        return cls(model, environment, objects, model.merged.data, candidate)

    def having(self, change: SettingChange, other: Version) -> Version:
        """This version with one setting as the other has it."""
        if change.path == ("environment", "namespace"):
            return replace(self, environment=other.environment)
        if change.path == ("canary", "candidate"):
            return replace(self, candidate=other.candidate)
        stable, candidate = self.stable, self.candidate
        if "stable" in change.tracks:
            stable = _with(stable, change.path, _get(other.stable, change.path))
        if "canary" in change.tracks and candidate is not None:
            candidate = _with(candidate, change.path, _get(other.candidate, change.path))
        return replace(self, stable=stable, candidate=candidate)

    def plan(self) -> Objects | None:
        """Its objects; None where no such model can be."""
        try:
            settings = Model.model_validate(self.stable)
            candidate = None if self.candidate is None else Model.model_validate(self.candidate)
            model = replace(self.model, settings=settings, candidate=candidate)
            return index_objects(m.object for m in build_model(model, self.environment).manifests)
        except UNPLANNABLE:
            return None


def index_objects(manifests: Iterable[Mapping[str, Any]]) -> Objects:
    """The objects by kind and name; the same object whatever its content's hash is."""
    found: dict[Identity, Mapping[str, Any]] = {}
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        hashed = manifest["kind"] == "ConfigMap"
        found[manifest["kind"], name[:-_HASH_LENGTH] if hashed else name] = manifest
    return found


def find_targets(old: Objects, new: Objects) -> frozenset[Target]:
    """Every field that differs, and every object that only one side has."""
    found: set[Target] = set()
    for identity in old.keys() | new.keys():
        if identity not in old or identity not in new:
            found.add((identity, ""))
        elif old[identity] != new[identity]:
            fields = compare_objects(old[identity], new[identity])
            found |= {(identity, field.path) for field in fields}
    return frozenset(found)


def is_related(one: Target, other: Target) -> bool:
    """True where one is the other or lies in it."""
    if one[0] != other[0]:
        return False
    return is_below(one[1], other[1]) or is_below(other[1], one[1])


def find_causes(
    old: Version, new: Version, changes: Iterable[SettingChange], targets: Iterable[Target]
) -> dict[Target, tuple[SettingChange, ...]]:
    """For each target the changes that make it, in their order.

    First each change is made to the old version alone. What none of them explains needs several at
    once, so there each is taken back from the new version; what then stays is put down to those
    that cannot be made alone.
    """
    listed = tuple(changes)
    wanted = frozenset(targets)
    if len(listed) == 1:
        return dict.fromkeys(wanted, listed)
    hits: dict[SettingChange, frozenset[Target]] = {}
    impossible: list[SettingChange] = []
    for change in listed:
        tried = _try(old.having(change, new), old.objects)
        hits[change] = tried or frozenset()
        if tried is None:
            impossible.append(change)
    for target in [one for one in wanted if not _explained(one, hits)]:
        for change in listed:
            back = _try(new.having(change, old), new.objects) or frozenset()
            hits[change] |= {one for one in back if is_related(one, target)}
        if not _explained(target, hits):
            for change in impossible:
                hits[change] |= {target}
    return {
        target: tuple(
            change for change in listed if any(is_related(target, hit) for hit in hits[change])
        )
        for target in wanted
    }


def _explained(target: Target, hits: Mapping[SettingChange, frozenset[Target]]) -> bool:
    return any(is_related(target, hit) for found in hits.values() for hit in found)


def _try(version: Version, base: Objects) -> frozenset[Target] | None:
    objects = version.plan()
    return None if objects is None else find_targets(base, objects)


def _get(data: Any, path: KeyPath) -> Any:
    for key in path:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            return None
    return data


def _with(data: Any, path: KeyPath, value: Any) -> Any:
    """A copy with `value` at `path`, without the key where it is None; the rest is shared."""
    head, *rest = path
    if isinstance(data, list) and isinstance(head, int):
        item = _with(data[head], tuple(rest), value) if rest else value
        return [*data[:head], item, *data[head + 1 :]]
    kept = {key: child for key, child in (data or {}).items() if key != head}
    if not rest and value is None:
        return kept
    item = _with((data or {}).get(head), tuple(rest), value) if rest else value
    # Where it stood, for the order of ports and variables is theirs in the manifest.
    return {**data, head: item} if data and head in data else {**kept, head: item}
