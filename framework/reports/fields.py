"""Which settings a rendered field comes from, found by experiment.

Kept apart from the plan, which builds manifests and knows nothing of who asks.

For each setting the model is planned again with that one setting changed or removed; the fields
that differ come from it. The name of an entry of a mapping, such as a port's, is no setting: for
the fields that repeat one its key is renamed. No table can fall behind the plan this way, and
derived values, rounding and conditions count as they do there. Recording which settings are read
would not tell one field of an object from another. A plan takes a tenth of a millisecond, so all
experiments take less time than reading the files.
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
from framework.reports.effective import RENAMED, Setting
from framework.reports.explain import Explained, Explainer
from framework.reports.paths import flatten, is_secret_field
from framework.reports.written import CANDIDATE, Source
from framework.settings.base import Settings
from framework.settings.environment import Environment
from framework.settings.model import Model


@dataclass(frozen=True)
class Field:
    """One value of a manifest, and the keys of the settings that decide it; () where none does.

    For a value that is an entry's name these say "the key http of ports".
    """

    path: str
    value: Any
    settings: tuple[str, ...]


@dataclass(frozen=True)
class ExplainedFields:
    """The fields at or below one path of one object.

    `needs` are the keys that decide whether the object is made at all, `adds` those that are not
    set and would add fields here. `settings` explains every key named, and what those read.
    """

    kind: str
    namespace: str
    name: str
    fields: tuple[Field, ...]
    needs: tuple[str, ...]
    adds: tuple[str, ...]
    settings: tuple[Explained, ...]


def explain_fields(catalog: Catalog, model: CatalogModel, key: str) -> ExplainedFields:
    """The settings behind `Kind.path`, or `Kind/name.path`. Errors: UnknownNameError."""
    return _Experiments(catalog, model).explain(key)


class _Experiments:
    """One model planned once as it is, and once for every way to change one setting."""

    def __init__(self, catalog: Catalog, model: CatalogModel) -> None:
        self._model, self._environment = model, catalog.environment
        self._explainer = Explainer(catalog, model)
        self._manifests = build_model(model, catalog.environment).manifests

    def explain(self, key: str) -> ExplainedFields:
        index, path = self._find(key)
        object_ = self._manifests[index].object
        fields = flatten(object_, path)
        if not fields:
            head = key[: len(key) - len(path)]
            known = [head + one for one in flatten(object_, "", parents=True)]
            raise UnknownNameError("field", key, known)
        causes: dict[str, set[str]] = {field: set() for field in fields}
        needs, adds = [], []
        for name, differing in self._list_effects(index, path, fields):
            if differing is None:
                needs.append(name)
            elif differing & fields.keys():
                for field in differing & fields.keys():
                    causes[field].add(name)
            elif differing:
                adds.append(name)
        keys = self._name_keys(index, causes, fields)
        found = {field: _without_parents(sorted(names)) for field, names in causes.items()}
        named = {name: None for names in found.values() for name in names if name not in keys}
        settings = [*self._explainer.follow([*named, *needs]), *keys.values()]
        settings.sort(key=lambda one: one.key)
        secret = {one.key for one in settings if one.secret}
        return ExplainedFields(
            kind=self._manifests[index].kind,
            namespace=object_["metadata"]["namespace"],
            name=self._manifests[index].name,
            fields=tuple(
                Field(field, _mask(field, value, secret.intersection(found[field])), found[field])
                for field, value in fields.items()
            ),
            needs=_without_parents(sorted(needs)),
            adds=tuple(sorted(adds)),
            settings=tuple(settings),
        )

    def _find(self, key: str) -> tuple[int, str]:
        """The object that a key begins with, and the path in it."""
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
        """For every setting that counts the fields it changes, None where the object goes."""
        base = self._manifests[index]
        renamed = replace(self._model, name=f"{self._model.name}x")
        after = build_model(renamed, self._environment).manifests[index]
        yield "name", _differing(before, flatten(after.object, path))
        for name, (source, setting) in self._explainer.settings.items():
            differing: set[str] = set()
            for manifests in self._list_plans(source, setting):
                found = _same_object(manifests, base)
                if found is None:
                    yield name, None
                    break
                if found.object != base.object:
                    differing |= _differing(before, flatten(found.object, path))
            else:
                yield name, differing

    def _name_keys(
        self, index: int, causes: dict[str, set[str]], before: Mapping[str, Any]
    ) -> dict[str, Explained]:
        """Puts the fields that name a mapping's entry down to its key, and no more to the mapping
        that is there or not; the keys, by what they are called."""
        keys: dict[str, Explained] = {}
        for entry, (source, setting) in self._explainer.settings.items():
            changed = setting.renamed(source.settings)
            manifests = self._plan(source, changed) if changed else None
            found = _same_object(manifests or (), self._manifests[index])
            if found is None:
                continue
            renamed = flatten(found.object, "").items()
            after = {one.replace(RENAMED, ""): value for one, value in renamed}
            for field in before.keys() & after.keys():
                if before[field] != after[field] and setting.path[-1] in str(before[field]):
                    key = self._explainer.explain_key(entry)
                    keys[key.key] = key
                    kept = {one for one in causes[field] if not f"{entry}.".startswith(f"{one}.")}
                    causes[field] = kept | {key.key}
        return keys

    def _list_plans(self, source: Source, setting: Setting) -> Iterator[tuple[Manifest, ...]]:
        for changed in setting.alternatives(source.settings):
            if (manifests := self._plan(source, changed)) is not None:
                yield manifests

    def _plan(self, source: Source, changed: Settings) -> tuple[Manifest, ...] | None:
        """The objects where the settings of a source are these; None where none can be made."""
        model, environment = self._model, self._environment
        if isinstance(changed, Environment):
            environment = changed
        elif isinstance(changed, Model) and source.prefix == CANDIDATE:
            model = replace(model, candidate=changed)
        elif isinstance(changed, Model):
            # As the catalog does: without one no canary runs.
            kept = model.candidate if changed.canary.candidate is not None else None
            model = replace(model, settings=changed, candidate=kept)
        try:
            return build_model(model, environment).manifests if model.settings.enabled else ()
        except UNPLANNABLE:
            return None


def _same_object(manifests: tuple[Manifest, ...], base: Manifest) -> Manifest | None:
    same = (base.kind, base.logical_name)
    return next((one for one in manifests if (one.kind, one.logical_name) == same), None)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    missing = object()
    return {
        path
        for path in before.keys() | after.keys()
        if before.get(path, missing) != after.get(path, missing)
    }


def _without_parents(keys: list[str]) -> tuple[str, ...]:
    """Without the mappings of which a setting inside is named as well: that one says more."""
    return tuple(key for key in keys if not any(other.startswith(f"{key}.") for other in keys))


def _mask(path: str, value: Any, secret: set[str]) -> Any:
    hidden = can_be_secret(value) and (secret or is_secret_field(path))
    return REDACTED if hidden else value
