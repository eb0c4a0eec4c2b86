"""Compares two environments, or the working tree with a commit.

The manifests of each model are compared field by field. Each difference names its causes: the
settings that led to it, with the lines that changed, or the framework's code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from framework.catalog import CatalogModel, list_models
from framework.core.diagnostics import Diagnostic, Position
from framework.core.field_paths import ROOT, FieldPath
from framework.core.quantities import normalize_quantities
from framework.core.redaction import find_copied_secrets, redact, redact_value
from framework.core.stack import Stack
from framework.files import environment_path
from framework.kube.object_diff import compare_objects
from framework.plan.cache import PlanCache, compute_digests
from framework.reports.causes import (
    Objects,
    Target,
    Version,
    find_changed_line,
    find_roots,
    find_setting_causes,
    find_targets,
    index_objects,
    overlaps,
)
from framework.reports.comparison import (
    FRAMEWORK_CODE,
    Cause,
    ChangeKind,
    CommitComparison,
    Comparison,
    Difference,
    ModelDifference,
    ObjectDifference,
)
from framework.reports.setting_changes import (
    SettingChange,
    compare_environment_settings,
    compare_model_settings,
)
from framework.reports.sides import NO_MODEL, Side, Trees, find_owner, open_trees

# Chooses the names of the models to compare. The sides are () if no file differs.
ChooseModels = Callable[[Trees, tuple[Side, ...]], Collection[str]]


def compare_since(
    root: Path,
    ref: str,
    environment: str | None,
    *,
    choose: ChooseModels | None = None,
    why: bool = True,
) -> CommitComparison:
    """Compares the working tree with the commit where the branch left `ref`.

    `environment` limits the comparison to one environment; None compares all.

    If `why` is set, the causes of each difference are found as well. Models that have errors in
    either tree are named and not compared. Errors: UnknownRefError, GitError, UnknownNameError.
    """
    with open_trees(root, ref) as trees:
        comparisons = tuple(
            _compare_environment_since(trees, name, choose, why)
            for name in trees.select_environments(environment)
        )
        revision = trees.revision
        merge_base = revision.commit if revision.commit != revision.tip else None
        return CommitComparison(ref, revision.commit, merge_base, comparisons, trees.notes)


def _compare_environment_since(
    trees: Trees, environment: str, choose: ChooseModels | None, why: bool
) -> Comparison:
    sides = trees.load_sides(environment)
    names = choose(trees, sides or ()) if choose else None
    total = len(trees.list_models() if names is None else names)
    if sides is None:
        return Comparison(environment, "changed", unchanged=total)
    found = _compare_sides(*sides, names=names, why=why)
    if not found.compared:
        return found
    # Models that were not loaded, because none of their files differ, are unchanged as well.
    return replace(found, unchanged=total - len(found.models) - len(found.not_compared))


def compare_environments(
    old: Side, new: Side, *, names: Collection[str] | None = None
) -> Comparison:
    """Compares two environments of the working tree; `names` limits the models.

    The result for each model is cached by the digest of its files on both sides and of the code.
    Nearly every model differs between two environments, and finding the causes takes longer than
    reading the cache.
    """
    cache, sides = PlanCache(), (old, new)
    digests = [compute_digests(side.root, Stack.of(side.environment)) for side in sides]
    keys = {
        name: f"diff {digests[0].models[name]} {digests[1].models[name]}"
        for name in old.models & new.models
        if names is None or name in names
    }
    entries = cache.find(list(keys.values()))
    cached = {name: entries[key] for name, key in keys.items() if key in entries}
    found = _compare_sides(old, new, names=names, cached=cached)
    computed = {model.name: model for model in found.models if model.name not in cached}
    # A file that changed meanwhile would be stored under the digest of its old content.
    if [compute_digests(side.root, Stack.of(side.environment)) for side in sides] == digests:
        # None is stored for a model that is the same on both sides.
        cache.keep({key: computed.get(name) for name, key in keys.items() if name not in cached})
    return found


def _compare_sides(
    old: Side,
    new: Side,
    *,
    names: Collection[str] | None = None,
    why: bool = True,
    cached: Mapping[str, ModelDifference | None] | None = None,
) -> Comparison:
    """Compares complete manifests. Models that have errors on either side are not compared."""
    diagnostics = _list_diagnostics(old, new, names)
    if not (old.usable and new.usable):
        return Comparison(
            new.environment, None, compared=False, failure=old.failure, diagnostics=diagnostics
        )
    cached = cached or {}
    not_planned = old.not_planned | new.not_planned
    chosen = [
        name
        for name in sorted(old.models | new.models | not_planned)
        if names is None or name in names
    ]
    compared = [name for name in chosen if name not in not_planned]
    comparer = _Comparer(old, new, why, [name for name in compared if name not in cached])
    models = [cached[n] if n in cached else comparer.compare_model(n) for n in compared]
    change: ChangeKind = "changed"
    if not (old.present and new.present):
        change = "added" if new.present else "removed"
    return Comparison(
        new.environment,
        change,
        settings=comparer.describe_environment(),
        # Two environments have different Namespaces by design.
        objects=() if comparer.between_environments else comparer.compare_namespace(),
        models=tuple(model for model in models if model),
        unchanged=models.count(None),
        not_compared=tuple(name for name in chosen if name in not_planned),
        diagnostics=diagnostics,
        secrets=find_copied_secrets(
            manifest
            for side in (old, new)
            for manifests in side.manifests.values()
            for manifest in manifests
        ),
    )


def _list_diagnostics(
    old: Side, new: Side, names: Collection[str] | None
) -> tuple[Diagnostic, ...]:
    """Returns the diagnostics of both sides, without those of models that were not chosen.

    A diagnostic that both sides have is reported once, with the path of the new side.
    """
    old_only = sorted(set(old.diagnostics) - set(new.diagnostics))
    prefixed = [replace(d, path=f"{old.prefix}{d.path}") for d in old_only]
    owners = [d.model or find_owner(d.path) for d in (*new.diagnostics, *old_only)]
    return tuple(
        diagnostic
        for diagnostic, owner in zip((*new.diagnostics, *prefixed), owners, strict=True)
        if names is None or not owner or owner in names
    )


class _Comparer:
    """Compares two sides model by model. Loads the settings of models only where needed."""

    def __init__(self, old: Side, new: Side, why: bool, names: Collection[str]) -> None:
        self._old, self._new = self._sides = (old, new)
        self.between_environments = old.environment != new.environment
        self._environment = compare_environment_settings(old, new)
        both = frozenset(names) & old.models & new.models
        wanted: frozenset[str] = frozenset()
        if why:
            # Settings that no manifest shows, such as `links`, are compared for the models that
            # were loaded one by one. Loading all models only for these would take too long.
            wanted = both if self.between_environments else both & (new.only or frozenset())
            wanted |= {name for name in both if self._has_differences(name)}
        # For a model that runs on one side only, the catalog of the other side has the position of
        # `enabled: false`.
        one_sided = (old.models ^ new.models) & frozenset(names)
        self._catalogs = [
            side.read_catalog(wanted | (one_sided - side.models)) for side in self._sides
        ]
        self._models: list[dict[str, CatalogModel]] = [
            {model.name: model for model in catalog.models if model.name in wanted}
            if catalog
            else {}
            for catalog in self._catalogs
        ]

    def _has_differences(self, name: str) -> bool:
        old, new = (side.manifests[name] for side in self._sides)
        return not _is_same(old, new)

    def describe_environment(self) -> tuple[Difference, ...]:
        """Returns the differences of the environment's own settings."""
        return tuple(
            _describe(change, (self._cause(change),))
            for change in self._environment
            # The names of two environments differ by design.
            if change.path not in (("environment", "name"), ("stack", "name"))
        )

    def compare_namespace(self) -> tuple[ObjectDifference, ...]:
        """Returns the differences of the Namespace."""
        causes = tuple(map(self._cause, self._namespace_changes())) or self._code_cause()
        old, new = (index_objects(side.manifests.get(NO_MODEL, ())) for side in self._sides)
        return _compare_manifests(old, new, dict.fromkeys(find_targets(old, new), causes))

    def compare_model(self, name: str) -> ModelDifference | None:
        """Returns the differences of a model; None if there are none."""
        old, new = (self._index(side.manifests, name) for side in self._sides)
        if not (old and new):
            change: ChangeKind = "added" if new else "removed"
            reason = self._explain_absence(name, change)
            return ModelDifference(name, change, reason, objects=_compare_manifests(old, new, {}))
        before, after = (models.get(name) for models in self._models)
        changes = compare_model_settings(before, after) if before and after else ()
        causes = self._find_causes(name, old, new, changes)
        objects = _compare_manifests(old, new, causes)
        if not objects and not changes:
            return None
        settings = tuple(_describe(c, self._trace(c, changes, before, after)) for c in changes)
        secrets = find_copied_secrets([*old.values(), *new.values()])
        return ModelDifference(
            name,
            "changed",
            settings=_redact_copies(settings, secrets),
            objects=tuple(
                replace(obj, fields=_redact_copies(obj.fields, secrets)) for obj in objects
            ),
        )

    def _index(self, manifests: Mapping[str, Iterable[dict[str, Any]]], name: str) -> Objects:
        objects = manifests.get(name, ())
        return index_objects(
            map(_without_namespace, objects) if self.between_environments else objects
        )

    def _find_causes(
        self, name: str, old: Objects, new: Objects, changes: tuple[SettingChange, ...]
    ) -> dict[Target, tuple[Cause, ...]]:
        """Returns the causes of each difference: settings, or the framework's code.

        If other code rendered the old side, `rebuilt` is what today's code builds from the same old
        files, and the difference has two parts. One field can be in both.

            old  -- framework code -->  rebuilt  -- settings -->  new
        """
        targets = find_targets(old, new)
        before, after = (models.get(name) for models in self._models)
        if not targets or before is None or after is None:
            return dict.fromkeys(targets, self._code_cause())
        rebuilt = old
        if self._old.rebuilt is not None:
            rebuilt = self._index(self._old.rebuilt, name)
        by_code, by_setting = find_targets(old, rebuilt), find_targets(rebuilt, new)
        possible = changes
        if by_setting and not self.between_environments:
            possible = self._namespace_changes() + changes
        changes_by_target = find_setting_causes(
            self._version(self._old, before), self._version(self._new, after), possible, by_setting
        )
        causes: dict[Target, tuple[Cause, ...]] = {}
        for target in targets:
            # A dict keeps each cause once, in order.
            found = {
                cause: None
                for other, changes_of_target in changes_by_target.items()
                if overlaps(target, other)
                for change in changes_of_target
                for cause in self._trace(change, changes, before, after)
            }
            if any(overlaps(target, other) for other in by_code):
                # Last, because a reader can change the settings and not the code of the framework.
                found[Cause(FRAMEWORK_CODE)] = None
            causes[target] = tuple(found)
        return causes

    def _version(self, side: Side, model: CatalogModel) -> Version:
        environment, _ = side.settings
        assert environment is not None
        manifests = side.manifests if side.rebuilt is None else side.rebuilt
        return Version.of(model, environment, index_objects(manifests[model.name]))

    def _namespace_changes(self) -> tuple[SettingChange, ...]:
        return tuple(c for c in self._environment if c.path == ("environment", "namespace"))

    def _trace(
        self,
        change: SettingChange,
        changes: tuple[SettingChange, ...],
        old: CatalogModel | None,
        new: CatalogModel | None,
    ) -> tuple[Cause, ...]:
        """Returns the causes of a setting's change: the changes that it follows from."""
        if old is None or new is None:
            return ()
        causes = []
        for root in find_roots(change, (*changes, *self._environment), old, new):
            cause = self._cause(root, find_changed_line(root, old, new))
            if cause.position is None:
                # An environment's name is in no file. The line that reads it is shown instead.
                cause = replace(self._cause(change), setting=cause.setting)
            causes.append(cause)
        return tuple(dict.fromkeys(causes))

    def _cause(
        self, change: SettingChange, line: tuple[Position | None, bool] | None = None
    ) -> Cause:
        position, gone = line or (
            change.new_position or change.old_position,
            change.new_position is None,
        )
        prefix = self._old.prefix if gone else ""
        old_position, new_position = change.old_position, change.new_position
        return Cause(
            setting=change.name,
            position=f"{prefix}{position}" if position else None,
            gone=gone and position is not None,
            old_position=f"{self._old.prefix}{old_position}" if old_position else None,
            new_position=str(new_position) if new_position else None,
        )

    def _code_cause(self) -> tuple[Cause, ...]:
        return (Cause(FRAMEWORK_CODE),) if self._old.rebuilt is not None else ()

    def _explain_absence(self, name: str, change: ChangeKind) -> str:
        """Returns why a model runs on one side only."""
        present, absent = (1, 0) if change == "added" else (0, 1)
        side, catalog = self._sides[absent], self._catalogs[absent]
        event = "new" if change == "added" else "gone"
        if not side.present:
            return f"{environment_path(self._sides[present].environment)} is {event}"
        if name not in list_models(side.root):
            return f"catalog/{name}.yaml is {event}"
        position = catalog.disabled.get(name) if catalog else None
        where = f" at {side.prefix}{position}" if position else ""
        if side is self._old and not self.between_environments:
            return f"enabled; was disabled{where}"
        return f"enabled: false{where}"


def _without_namespace(manifest: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in manifest["metadata"].items() if k != "namespace"}
    return {**manifest, "metadata": metadata}


def _describe(change: SettingChange, causes: tuple[Cause, ...]) -> Difference:
    old, new = (redact(change.path, value) for value in (change.old, change.new))
    return Difference(change.name, old, new, causes)


def _redact_copies(
    differences: Iterable[Difference], secrets: Collection[str]
) -> tuple[Difference, ...]:
    """Returns the differences without secrets of the model.

    An interpolation may copy `env.API_TOKEN` into a setting or an object where nothing shows that
    it is secret.
    """
    return tuple(
        replace(item, old=redact_value(item.old, secrets), new=redact_value(item.new, secrets))
        for item in differences
    )


def _compare_manifests(
    old: Objects, new: Objects, causes: Mapping[Target, tuple[Cause, ...]]
) -> tuple[ObjectDifference, ...]:
    """Returns the objects that differ, sorted by kind and name, with the causes of each field."""
    differences = []
    for identity in sorted(old.keys() | new.keys()):
        kind, name = identity
        if identity in old and identity in new:
            if not _is_same(old[identity], new[identity]):
                fields = [
                    Difference(
                        field.path,
                        field.old,
                        field.new,
                        causes.get((identity, FieldPath.parse(field.path)), ()),
                    )
                    for field in compare_objects(old[identity], new[identity])
                ]
                differences.append(ObjectDifference(kind, name, "changed", tuple(fields)))
            continue
        change: ChangeKind = "added" if identity in new else "removed"
        own_causes = causes.get((identity, ROOT), ())
        differences.append(ObjectDifference(kind, name, change, causes=own_causes))
    return tuple(differences)


def _is_same(old: Any, new: Any) -> bool:
    # In Python, True == 1. In JSON, and so in Kubernetes, they differ.
    if json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True):
        return True
    old, new = normalize_quantities(old), normalize_quantities(new)
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
