"""Explains which settings the fields of a manifest come from.

The settings are found by experiment. The model is planned again for every setting, with that one
setting changed or removed; the fields that differ come from it. So derived values, rounding and
conditions count exactly as in the plan. Recording which settings the plan reads would give the
settings of an object, not of each field. A plan takes about 0.1 ms, so all experiments together
take less time than reading the files.

The key of an entry of a mapping, such as `http` in `ports`, is not a setting, but some fields
repeat it. Another experiment renames the key, and the fields that then differ come from "the key
http of ports".

A path may also name a field that is not rendered, as in a drift report or after a removal. It is
accepted if Kubernetes has such a field, and explained as set by nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from framework.catalog import Catalog, CatalogModel
from framework.core.errors import UnknownNameError, UsageError
from framework.core.field_paths import (
    MISSING,
    ROOT,
    FieldPath,
    FieldPathError,
    ItemKey,
    Step,
    find_item,
    is_leaf,
    name_items,
    name_path,
    resolve,
    walk,
)
from framework.core.redaction import REDACTED, redact
from framework.core.secret_patterns import can_be_secret
from framework.kinds.namespace import build_namespace
from framework.plan import Manifest
from framework.plan.build import build_model
from framework.plan.patch.field_types import FieldType
from framework.reports.effective_settings import RENAMED, is_valid
from framework.reports.explain import CANDIDATE, ExplainedSetting, Explainer, Source
from framework.settings.base import Settings
from framework.settings.environment import Environment
from framework.settings.model import Model

# Printed paths leave out this prefix, so `Deployment.containers[model].image` is accepted as well.
_POD_SPEC = FieldPath.parse("spec.template.spec")


@dataclass(frozen=True)
class ObjectName:
    """The kind, namespace and name of a Kubernetes object; a Namespace is in no namespace."""

    kind: str
    namespace: str | None
    name: str


@dataclass(frozen=True)
class ExplainedField:
    """One value of a manifest, and the keys of the settings that it comes from.

    A value that no setting changes has no `settings`. For the name of an entry they are "the key
    http of ports".
    """

    field: str
    value: Any
    settings: tuple[str, ...]


@dataclass(frozen=True)
class ExplainedFields:
    """The fields at or below a path of one object, empty if nothing there is rendered.

    `needs` are the keys that decide whether the object exists at all. `adds` are keys that are not
    set and that would add fields here. `settings` explains every key named, and those that they
    read.
    """

    object: ObjectName
    needs: tuple[str, ...]
    fields: tuple[ExplainedField, ...]
    adds: tuple[str, ...]
    settings: tuple[ExplainedSetting, ...]


@dataclass(frozen=True)
class _Field:
    """A single value of a manifest, by the path that is printed."""

    path: FieldPath
    value: Any


class FieldExplainer:
    """Explains fields by experiment: plans a model as it is, and once for every changed setting.

    For example, `replicas: 3` becomes 4. The only field that differs is `spec.replicas` of the
    Deployment, so that field comes from `replicas`. If the Deployment were gone, it would need the
    setting; if a field appeared, the setting would add it.
    """

    def __init__(self, catalog: Catalog, model: CatalogModel) -> None:
        self._model, self._environment = model, catalog.environment
        self._explainer = Explainer(catalog, model)
        self._effects: dict[str, dict[int, set[FieldPath] | None]] = {}
        self._namespace = build_namespace(catalog.environment.namespace, catalog.stack.environment)
        self._environment_name = catalog.stack.environment
        self.manifests = self._build(model, catalog.environment)

    def _build(self, model: CatalogModel, environment: Environment) -> tuple[Manifest, ...]:
        """Plans the model's objects and the Namespace that they are in."""
        # The logical name of a Namespace is its name. It stays the same when an experiment changes
        # the name, so that both versions are known to be the same object.
        namespace = build_namespace(environment.namespace, self._environment_name)
        namespace = replace(namespace, logical_name=self._namespace.logical_name)
        return (*build_model(model, environment).manifests, namespace)

    def explain(self, key: str) -> ExplainedFields:
        """Explains the fields at or below `Kind.path` or `Kind/name.path`.

        Errors: UnknownNameError; UsageError if the key is not a valid path.
        """
        index, path = self.find_field(key)
        manifest = self.manifests[index]
        below, fields = _select_fields(manifest.object, path)
        causes: dict[FieldPath, set[str]] = {tracked: set() for tracked in fields}
        needs, adds = list[str](), list[str]()
        for setting, effect in self._find_effects(index).items():
            if effect is None:
                needs.append(setting)
                continue
            for tracked in effect & fields.keys():
                causes[tracked].add(setting)
            if effect.isdisjoint(fields) and any(field.is_within(below) for field in effect):
                adds.append(setting)
        entry_keys: dict[str, ExplainedSetting] = {}
        values = {tracked: field.value for tracked, field in fields.items()}
        for entry, name, repeating in self.find_repeated_keys(index, values):
            entry_keys[name.key] = name
            for tracked in repeating:
                # Removing the mapping that holds the key removes the field, but is not its cause.
                others = {s for s in causes[tracked] if not f"{entry}.".startswith(f"{s}.")}
                causes[tracked] = others | {name.key}
        found = {tracked: _without_parents(keys) for tracked, keys in causes.items()}
        named = dict.fromkeys(key for keys in (*found.values(), needs) for key in keys)
        explained = self._explainer.explain_with_reads(named.keys() - entry_keys.keys())
        settings = sorted((*explained, *entry_keys.values()), key=lambda setting: setting.key)
        secrets = {setting.key for setting in settings if setting.secret}
        return ExplainedFields(
            ObjectName(manifest.kind, manifest.object["metadata"].get("namespace"), manifest.name),
            needs=_without_parents(needs),
            fields=tuple(
                ExplainedField(
                    str(field.path),
                    self._explainer.redact_repeated(_redact(field, secrets & {*found[tracked]})),
                    found[tracked],
                )
                for tracked, field in fields.items()
            ),
            adds=tuple(sorted(adds)),
            settings=tuple(settings),
        )

    @cached_property
    def written(self) -> frozenset[str]:
        """Returns the keys of the settings and sections that a file sets."""
        settings = self._explainer.settings.items()
        return frozenset(key for key, (_, setting) in settings if not setting.default)

    def read_fields(self, key: str) -> tuple[int, dict[FieldPath, Any]]:
        """Returns the index of a manifest, and its values at or around a path by tracked path.

        Errors: UnknownNameError, UsageError.
        """
        index, found = self.find_field(key)
        return index, {
            tracked: value
            for tracked, field, value in walk_tracked(self.manifests[index].object)
            if is_leaf(value) and (field.is_within(found) or found.is_within(field))
        }

    def _find_effects(self, index: int) -> dict[str, set[FieldPath] | None]:
        """Returns the fields of one manifest that each setting changes, and the model's name."""
        renamed = replace(self._model, name=f"{self._model.name}x")
        after = self._build(renamed, self._environment)[index]
        return {
            "name": {*_find_differing(self.manifests[index].object, after.object)},
            **{key: self.find_effect(key).get(index, set()) for key in self._explainer.settings},
        }

    def find_effect(self, key: str) -> dict[int, set[FieldPath] | None]:
        """Returns the fields that a setting changes, by the index of their manifest.

        The fields are tracked paths; None stands for an object that needs the setting.
        """
        if key in self._effects:
            return self._effects[key]
        source, setting = self._explainer.settings[key]
        effect = self._effects[key] = {}
        for changed in setting.alternatives(source.settings):
            manifests = self._plan(source, changed)
            for index, base in enumerate(self.manifests if manifests is not None else ()):
                same = _find_same_object(manifests or (), base)
                if same is None:
                    effect[index] = None
                elif same.object != base.object:
                    fields = effect.setdefault(index, set())
                    if fields is not None:
                        fields |= {*_find_differing(base.object, same.object)}
        return effect

    def find_repeated_keys(
        self, index: int, fields: Mapping[FieldPath, Any]
    ) -> Iterator[tuple[str, ExplainedSetting, set[FieldPath]]]:
        """Yields the entries whose keys fields repeat, such as the name of a port.

        Each comes with the explanation of its key, and with the fields. `fields` are the values of
        one manifest by their tracked paths.
        """
        for entry, (source, setting) in self._explainer.settings.items():
            named = {f: value for f, value in fields.items() if setting.path[-1] in str(value)}
            changed = setting.rename_key(source.settings) if named else None
            manifests = self._plan(source, changed) if changed else None
            same = _find_same_object(manifests or (), self.manifests[index])
            if same is None:
                continue
            # List items are tracked by their names, so the renamed key is in the paths as well.
            after = {
                str(tracked).replace(RENAMED, ""): value
                for tracked, _, value in walk_tracked(same.object)
                if is_leaf(value)
            }
            if repeating := {f for f, value in named.items() if after.get(str(f), value) != value}:
                yield entry, self._explainer.explain_key(entry), repeating

    def explain_settings(self, keys: Iterable[str]) -> tuple[ExplainedSetting, ...]:
        """Explains settings, without those of which another one is a part."""
        shown = _without_parents([*keys])
        settings = self._explainer.explain_with_reads(shown)
        return tuple(setting for setting in settings if setting.key in shown)

    def find_field(self, key: str) -> tuple[int, FieldPath]:
        """Returns the index of the manifest that a key begins with, and the path in it.

        Errors: UnknownNameError, UsageError.
        """
        head, _, text = key.partition(".")
        kind, _, name = head.partition("/")
        try:
            path = FieldPath.parse(text)
        except FieldPathError as error:
            raise UsageError(f"KEY={key}: {error}") from error
        for index, manifest in enumerate(self.manifests):
            if manifest.kind != kind or name not in ("", manifest.name, manifest.logical_name):
                continue
            paths = (path, FieldPath((*_POD_SPEC.steps, *path.steps)))
            for found in (_locate(manifest.object, candidate) for candidate in paths):
                if found is not None:
                    return index, found
            for candidate in paths:
                if _is_kubernetes_field(kind, candidate):
                    return index, candidate
            known = [f"{head}.{known}" for known, _ in walk(manifest.object)]
            raise UnknownNameError("field", key, known)
        known = [m.kind for m in self.manifests]
        known += [f"{m.kind}/{m.name}" for m in self.manifests if known.count(m.kind) > 1]
        raise UnknownNameError("object", head, set(known))

    def _plan(self, source: Source, changed: Settings) -> tuple[Manifest, ...] | None:
        """Returns the manifests with other settings of one source; None if they cannot be built."""
        model, environment = self._model, self._environment
        if isinstance(changed, Environment):
            environment = changed
        elif isinstance(changed, Model) and source.prefix == CANDIDATE:
            model = replace(model, candidate=changed)
        elif isinstance(changed, Model):
            # As in the catalog: a model without `canary.candidate` has no canary track.
            candidate = model.candidate if changed.canary.candidate is not None else None
            model = replace(model, settings=changed, candidate=candidate)
        try:
            return self._build(model, environment) if model.settings.enabled else ()
        except Exception:
            # An experiment may break a pattern or a range, and such settings cannot be planned.
            # Valid settings always can, so anything else is a bug.
            if is_valid(changed):
                raise
            return None


def _select_fields(
    manifest: Mapping[str, Any], path: FieldPath
) -> tuple[FieldPath, dict[FieldPath, _Field]]:
    """Returns the tracked path of a printed path, and the fields at or below it by tracked path."""
    below, fields = path, {}
    for tracked, field, value in walk_tracked(manifest):
        if field == path:
            below = tracked
        if field.is_within(path) and is_leaf(value):
            fields[tracked] = _Field(field, value)
    return below, fields


def walk_tracked(
    value: Any, tracked: FieldPath = ROOT, path: FieldPath = ROOT
) -> Iterator[tuple[FieldPath, FieldPath, Any]]:
    """Yields the tracked path, the path, and the value of every field below `path`.

    A list item is tracked by its name where the items have one, whatever its key is:

        tracked path                printed path
        ports[http].protocol        ports[8080].protocol

    The printed path of a port contains its number, so an experiment that changes the number would
    seem to remove every field of `ports[8080]`. Only the number of the tracked port changes.
    """
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield tracked.child(key), path.child(key), child
            yield from walk_tracked(child, tracked.child(key), path.child(key))
    elif isinstance(value, list):
        steps = name_items(path, value)
        for item, step, name in zip(value, steps, _track_items(value, steps), strict=True):
            tracked_item = tracked.child(name)
            yield tracked_item, path.child(step), item
            yield from walk_tracked(item, tracked_item, path.child(step))


def _track_items(items: Sequence[Any], steps: Sequence[Step]) -> list[Step]:
    names = [item.get("name") if isinstance(item, Mapping) else None for item in items]
    has_names = None not in names and len(set(names)) == len(names)
    return [ItemKey(str(name)) for name in names] if has_names else list(steps)


def _find_differing(old: Any, new: Any, path: FieldPath = ROOT) -> Iterator[FieldPath]:
    """Yields the tracked path of every single value that differs, or that only one side has."""
    if old == new:
        return
    if any(is_leaf(side) and side is not MISSING for side in (old, new)):
        yield path
    before, after = _list_children(old, path), _list_children(new, path)
    for step in before.keys() | after.keys():
        below = path.child(step)
        yield from _find_differing(before.get(step, MISSING), after.get(step, MISSING), below)


def _list_children(value: Any, path: FieldPath) -> Mapping[Step, Any]:
    """Returns the children of a mapping or list by their tracked steps; {} for a single value."""
    if isinstance(value, list):
        return dict(zip(_track_items(value, name_items(path, value)), value, strict=True))
    return value if isinstance(value, Mapping) else {}


def _locate(manifest: Mapping[str, Any], path: FieldPath) -> FieldPath | None:
    """Returns the path as it is printed; None if the manifest does not have the field."""
    keys = resolve(manifest, path, _find_named_item)
    return None if keys is None else name_path(keys, manifest)


def _find_named_item(path: FieldPath, items: Sequence[Any], step: Step) -> int | None:
    """Returns the index of a list item, also by its `name`: `ports[http]` is `ports[80]`."""
    index = find_item(path, items, step)
    if index is None:
        names = [item.get("name") if isinstance(item, Mapping) else None for item in items]
        index = names.index(str(step)) if str(step) in names else None
    return index


def _is_kubernetes_field(kind: str, path: FieldPath) -> bool:
    """Returns True if objects of a kind can have such a field."""
    field_type: FieldType | None = FieldType(kind)
    for step in path.steps:
        if field_type is None or field_type.name == "object":
            break
        has_items = field_type.name in ("list", "map")
        field_type = field_type.items if has_items else field_type.fields.get(str(step))
    return field_type is not None


def _find_same_object(manifests: tuple[Manifest, ...], base: Manifest) -> Manifest | None:
    identity = (base.kind, base.logical_name)
    return next((m for m in manifests if (m.kind, m.logical_name) == identity), None)


def _without_parents(keys: set[str] | list[str]) -> tuple[str, ...]:
    """Returns the keys, sorted, without those of mappings that contain another of the keys."""
    return tuple(k for k in sorted(keys) if not any(other.startswith(f"{k}.") for other in keys))


def _redact(field: _Field, secrets: set[str]) -> Any:
    """Redacts a value that comes from a secret setting, or that its own path marks as secret."""
    if secrets and can_be_secret(field.value):
        return REDACTED
    return redact(field.path.steps, field.value, of_manifest=True)
