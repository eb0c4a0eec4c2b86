"""Compares two sides: models, their objects field by field, and the lines that cause each.

Kept apart from where the sides come from, two environments or two trees: the comparison is one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from framework.catalog import CatalogModel, list_models
from framework.core.diagnostics import Position
from framework.core.redaction import find_secret_texts, redact
from framework.reports.causes import (
    Objects,
    Target,
    Version,
    find_causes,
    find_targets,
    index_objects,
    is_related,
)
from framework.reports.differences import (
    CODE,
    Cause,
    Comparison,
    Difference,
    Kind,
    ModelDifference,
    ObjectDifference,
)
from framework.reports.object_differences import compare_manifests, is_same
from framework.reports.setting_changes import (
    SettingChange,
    compare_environments,
    compare_models,
)
from framework.reports.sides import ITSELF, Side, find_switch, list_diagnostics
from framework.reports.tracing import find_cause, find_roots
from framework.settings.diagnostics import dotted

# What was found out before, by model; None where nothing differs.
Known = Mapping[str, ModelDifference | None]


def compare_sides(
    old: Side,
    new: Side,
    *,
    names: Collection[str] | None = None,
    why: bool = True,
    known: Known | None = None,
) -> Comparison:
    """Compare whole manifests; `names` are the models to look at, `why` also finds the causes.

    Between two environments the Namespace is expected to differ, and is no difference. Settings
    that no manifest shows are told of the models that were looked at one by one. `known` has what
    was found out before. What has faults on either side is not compared.
    """
    diagnostics = list_diagnostics(old, new, names)
    if not (old.usable and new.usable):
        return Comparison(
            new.environment, "changed", diagnostics=diagnostics, compared=False, failure=old.failure
        )
    broken = sorted(old.unplanned | new.unplanned)
    listed = sorted((old.models | new.models).difference(broken))
    chosen = [name for name in listed if names is None or name in names]
    known = known or {}
    comparer = _Comparer(old, new, why, [name for name in chosen if name not in known])
    found = [known[n] if n in known else comparer.compare_model(n) for n in chosen]
    change: Kind = "changed"
    if not (old.present and new.present):
        change = "added" if new.present else "removed"
    return Comparison(
        environment_name=new.environment,
        change=change,
        environment=comparer.describe_environment(),
        namespace=() if comparer.across else comparer.compare_namespace(),
        models=tuple(model for model in found if model),
        same=found.count(None),
        secrets=find_secret_texts(
            one for side in (old, new) for group in side.manifests.values() for one in group
        ),
        diagnostics=diagnostics,
        uncompared=tuple(name for name in broken if names is None or name in names),
    )


class _Comparer:
    """Compares two sides model by model; reads the settings of no more models than it must."""

    def __init__(self, old: Side, new: Side, why: bool, names: Collection[str]) -> None:
        self._old, self._new = self._sides = (old, new)
        self.across = old.environment != new.environment
        self._environment = compare_environments(old, new)
        both = frozenset(names) & old.models & new.models
        told = both if self.across else both & (new.only or frozenset())
        wanted = told | {name for name in both if self._differs(name)} if why else frozenset()
        self._models = [side.load_models(wanted) for side in self._sides]

    def _differs(self, name: str) -> bool:
        old, new = (side.manifests[name] for side in self._sides)
        return not is_same(old, new)

    def describe_environment(self) -> tuple[Difference, ...]:
        """The environment's own settings; its name is no setting."""
        return tuple(
            _describe(change, (self._cause(change),))
            for change in self._environment
            if change.path[-1] != "name" or change.path[0] not in ("environment", "stack")
        )

    def compare_namespace(self) -> tuple[ObjectDifference, ...]:
        """The objects that belong to the environment and to no model."""
        listed = [c for c in self._environment if c.path == ("environment", "namespace")]
        causes = tuple(map(self._cause, listed)) or self._code_cause()
        old, new = (index_objects(side.manifests.get(ITSELF, ())) for side in self._sides)
        return compare_manifests(old, new, dict.fromkeys(find_targets(old, new), causes))

    def compare_model(self, name: str) -> ModelDifference | None:
        """The model's differences; None where there is none."""
        old, new = (self._objects(side.manifests, name) for side in self._sides)
        if not (old and new):
            change: Kind = "added" if new else "removed"
            return ModelDifference(
                name, change, self._reason(name, change), objects=compare_manifests(old, new, {})
            )
        before, after = (models.get(name) for models in self._models)
        changes = compare_models(before, after) if before and after else ()
        causes = self._find_causes(name, old, new, changes)
        objects = compare_manifests(old, new, causes)
        if not objects and not changes:
            return None
        settings = tuple(_describe(c, self._causes(c, changes, before, after)) for c in changes)
        return ModelDifference(name, "changed", settings=settings, objects=objects)

    def _objects(self, manifests: Mapping[str, Iterable[dict[str, Any]]], name: str) -> Objects:
        found = manifests.get(name, ())
        return index_objects(map(_without_namespace, found) if self.across else found)

    def _find_causes(
        self, name: str, old: Objects, new: Objects, changes: tuple[SettingChange, ...]
    ) -> dict[Target, tuple[Cause, ...]]:
        """The causes of each field: settings as far as the code in hand can tell, or the code."""
        targets = find_targets(old, new)
        before, after = (models.get(name) for models in self._models)
        if not targets or before is None or after is None:
            return dict.fromkeys(targets, self._code_cause())
        rebuilt = old
        if self._old.rebuilt is not None:
            rebuilt = self._objects(self._old.rebuilt, name)
        by_code = find_targets(old, rebuilt)
        by_setting = find_targets(rebuilt, new)
        made = self._environment_changes(by_setting) + changes
        versions = self._version(self._old, before), self._version(self._new, after)
        found = find_causes(*versions, made, by_setting) if made else {}
        causes: dict[Target, tuple[Cause, ...]] = {}
        for target in targets:
            roots = {
                cause: None
                for other, listed in found.items()
                if is_related(target, other)
                for change in listed
                for cause in self._causes(change, changes, before, after)
            }
            if any(is_related(target, other) for other in by_code):
                roots[Cause(CODE)] = None
            causes[target] = tuple(roots)
        return causes

    def _version(self, side: Side, model: CatalogModel) -> Version:
        environment, _ = side.settings
        assert environment is not None
        manifests = side.manifests if side.rebuilt is None else side.rebuilt
        return Version.of(model, environment, index_objects(manifests[model.name]))

    def _environment_changes(self, targets: Iterable[Target]) -> tuple[SettingChange, ...]:
        if self.across or not targets:
            return ()
        return tuple(c for c in self._environment if c.path == ("environment", "namespace"))

    def _causes(
        self,
        change: SettingChange,
        changes: tuple[SettingChange, ...],
        old: CatalogModel | None,
        new: CatalogModel | None,
    ) -> tuple[Cause, ...]:
        if old is None or new is None:
            return ()
        roots = find_roots(change, (*changes, *self._environment), old, new)
        causes = []
        for root in roots:
            found = self._cause(root, find_cause(root, old, new))
            if not found.position:
                # An environment's name stands in no file; what reads it does.
                found = replace(self._cause(change), setting=found.setting)
            causes.append(found)
        return tuple(dict.fromkeys(causes))

    def _cause(
        self, change: SettingChange, found: tuple[Position | None, bool] | None = None
    ) -> Cause:
        position, gone = found or (
            change.new_position or change.old_position,
            change.new_position is None,
        )
        prefix = self._old.prefix if gone else ""
        return Cause(
            setting=dotted(change.path) if change.path[0] == "environment" else change.name,
            position=f"{prefix}{position}" if position else "",
            old_position=f"{self._old.prefix}{change.old_position}" if change.old_position else "",
            new_position=str(change.new_position or ""),
            gone=gone and position is not None,
        )

    def _code_cause(self) -> tuple[Cause, ...]:
        return (Cause(CODE),) if self._old.rebuilt is not None else ()

    def _reason(self, name: str, change: Kind) -> str:
        here, there = (self._new, self._old) if change == "added" else (self._old, self._new)
        if not there.present:
            environment = f"environments/{here.environment}/environment.yaml"
            return f"{environment} is {'new' if change == 'added' else 'gone'}"
        if name not in list_models(there.root):
            return f"catalog/{name}.yaml is {'new' if change == 'added' else 'gone'}"
        if not self.across and there is self._old:
            return f"enabled; it was not{_switch(there, name)}"
        return f"enabled: false{_switch(there, name)}"


def _switch(side: Side, name: str) -> str:
    position = find_switch(side.root, side.environment, name)
    return f" at {side.prefix}{position}" if position else ""


def _without_namespace(manifest: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in manifest["metadata"].items() if k != "namespace"}
    return {**manifest, "metadata": metadata}


def _describe(change: SettingChange, causes: tuple[Cause, ...]) -> Difference:
    old, new = (redact(change.path, value) for value in (change.old, change.new))
    return Difference(change.name, old, new, causes)
