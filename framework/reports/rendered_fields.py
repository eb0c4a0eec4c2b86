"""Explains which settings make a field of a manifest.

The settings are found by experiment. The model is planned again for every setting, with that one
setting changed or removed; the fields that differ come from it. So derived values, rounding and
conditions count exactly as in the plan. Recording which settings the plan reads would not tell the
fields of an object apart. A plan takes about 0.1 ms, so all experiments together take less time
than reading the files.

The name of an entry of a mapping, such as `http` in `ports`, is not a setting. For the fields that
repeat it the key is renamed, and they name "the key http of ports".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from framework.catalog import Catalog, CatalogModel
from framework.core.errors import UnknownNameError
from framework.core.redaction import REDACTED, can_be_secret
from framework.plan import Manifest
from framework.plan.stack import UNPLANNABLE, build_model
from framework.reports.effective_settings import RENAMED, Setting
from framework.reports.explain import CANDIDATE, ExplainedSetting, Explainer, Source
from framework.reports.paths import flatten, is_secret_field
from framework.settings.base import Settings
from framework.settings.environment import Environment
from framework.settings.model import Model


@dataclass(frozen=True)
class ObjectName:
    """The kind, namespace and name of a Kubernetes object."""

    kind: str
    namespace: str
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
    """The fields at or below a path of one object.

    `needs` are the keys that decide whether the object exists at all. `adds` are keys that are not
    set, and would add fields here. `settings` explains every key named, and those that they read.
    """

    object: ObjectName
    needs: tuple[str, ...]
    fields: tuple[ExplainedField, ...]
    adds: tuple[str, ...]
    settings: tuple[ExplainedSetting, ...]


def explain_fields(catalog: Catalog, model: CatalogModel, key: str) -> ExplainedFields:
    """Explains the fields at or below `Kind.path` or `Kind/name.path`. Errors: UnknownNameError."""
    return _Experiments(catalog, model).explain(key)


class _Experiments:
    """Plans one model as it is, and once for every way to change one setting."""

    def __init__(self, catalog: Catalog, model: CatalogModel) -> None:
        self._model, self._environment = model, catalog.environment
        self._explainer = Explainer(catalog, model)
        self._manifests = build_model(model, catalog.environment).manifests

    def explain(self, key: str) -> ExplainedFields:
        index, path = self._find_object(key)
        manifest = self._manifests[index]
        fields = flatten(manifest.object, path)
        if not fields:
            head = key[: len(key) - len(path)]
            known = [head + known_path for known_path in flatten(manifest.object, "", parents=True)]
            raise UnknownNameError("field", key, known)
        causes: dict[str, set[str]] = {field: set() for field in fields}
        needs, adds = [], []
        for setting, changed in self._list_effects(index, path, fields):
            if changed is None:
                needs.append(setting)
            elif changed & fields.keys():
                for field in changed & fields.keys():
                    causes[field].add(setting)
            elif changed:
                adds.append(setting)
        entry_keys = self._attribute_names_to_keys(index, causes, fields)
        found = {field: _without_parents(causes[field]) for field in fields}
        explained = dict.fromkeys(
            key for keys in found.values() for key in keys if key not in entry_keys
        )
        settings = [
            *self._explainer.explain_with_reads([*explained, *needs]),
            *entry_keys.values(),
        ]
        settings.sort(key=lambda setting: setting.key)
        secrets = {setting.key for setting in settings if setting.secret}
        return ExplainedFields(
            ObjectName(manifest.kind, manifest.object["metadata"]["namespace"], manifest.name),
            needs=_without_parents(needs),
            fields=tuple(
                ExplainedField(
                    field, _redact(field, value, secrets & {*found[field]}), found[field]
                )
                for field, value in fields.items()
            ),
            adds=tuple(sorted(adds)),
            settings=tuple(settings),
        )

    def _find_object(self, key: str) -> tuple[int, str]:
        """Returns the index of the manifest that a key begins with, and the path in it."""
        head, _, path = key.partition(".")
        kind, _, name = head.partition("/")
        for index, manifest in enumerate(self._manifests):
            if manifest.kind == kind and name in ("", manifest.name, manifest.logical_name):
                return index, path
        known = [m.kind for m in self._manifests]
        known += [f"{m.kind}/{m.name}" for m in self._manifests if known.count(m.kind) > 1]
        raise UnknownNameError("object", head, set(known))

    def _list_effects(
        self, index: int, path: str, before: Mapping[str, Any]
    ) -> Iterator[tuple[str, set[str] | None]]:
        """Yields, for every setting, the fields that it changes; None if the object disappears."""
        base = self._manifests[index]
        renamed = replace(self._model, name=f"{self._model.name}x")
        after = build_model(renamed, self._environment).manifests[index]
        yield "name", _differing(before, flatten(after.object, path))
        for key, (source, setting) in self._explainer.settings.items():
            differing: set[str] = set()
            for manifests in self._list_plans(source, setting):
                same = _find_same_object(manifests, base)
                if same is None:
                    yield key, None
                    break
                if same.object != base.object:
                    differing |= _differing(before, flatten(same.object, path))
            else:
                yield key, differing

    def _attribute_names_to_keys(
        self, index: int, causes: dict[str, set[str]], before: Mapping[str, Any]
    ) -> dict[str, ExplainedSetting]:
        """Attributes the fields that repeat the name of an entry to its key, in `causes`.

        Before, such a field is attributed to the mapping that holds the key, because removing the
        mapping removes the field. Returns the explanation of each key by "the key http of ports".
        """
        entry_keys: dict[str, ExplainedSetting] = {}
        for entry, (source, setting) in self._explainer.settings.items():
            changed = setting.rename_key(source.settings)
            manifests = self._plan(source, changed) if changed else None
            same = _find_same_object(manifests or (), self._manifests[index])
            if same is None:
                continue
            # List items are identified by their names, so the renamed key is in the paths as well.
            renamed = flatten(same.object, "").items()
            after = {path.replace(RENAMED, ""): value for path, value in renamed}
            for field in before.keys() & after.keys():
                if before[field] != after[field] and setting.path[-1] in str(before[field]):
                    key = self._explainer.explain_key(entry)
                    entry_keys[key.key] = key
                    others = {s for s in causes[field] if not f"{entry}.".startswith(f"{s}.")}
                    causes[field] = others | {key.key}
        return entry_keys

    def _list_plans(self, source: Source, setting: Setting) -> Iterator[tuple[Manifest, ...]]:
        for changed in setting.alternatives(source.settings):
            if (manifests := self._plan(source, changed)) is not None:
                yield manifests

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
            return build_model(model, environment).manifests if model.settings.enabled else ()
        except UNPLANNABLE:
            return None


def _find_same_object(manifests: tuple[Manifest, ...], base: Manifest) -> Manifest | None:
    identity = (base.kind, base.logical_name)
    return next((m for m in manifests if (m.kind, m.logical_name) == identity), None)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    missing = object()
    return {
        path
        for path in before.keys() | after.keys()
        if before.get(path, missing) != after.get(path, missing)
    }


def _without_parents(keys: set[str] | list[str]) -> tuple[str, ...]:
    """Returns the keys, sorted, without the mappings that hold another one of them."""
    return tuple(k for k in sorted(keys) if not any(other.startswith(f"{k}.") for other in keys))


def _redact(path: str, value: Any, secrets: set[str]) -> Any:
    """Redacts a value that comes from a secret setting, or that its own path marks as secret."""
    is_secret = can_be_secret(value) and (secrets or is_secret_field(path))
    return REDACTED if is_secret else value
