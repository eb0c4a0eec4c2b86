"""Finds the settings behind fields: their file, line and column.

For the problems of a preview (`locate_problems`) and for the findings of a drift check
(drift/sources.py). Both load the catalog again, so only if there is anything to find.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from framework.catalog import Catalog, CatalogModel, load_catalog
from framework.core.changes import Problem
from framework.core.errors import FrameworkError
from framework.core.field_paths import (
    FieldPath,
    FieldPathError,
    get_at,
    is_leaf,
    name_path,
    resolve,
)
from framework.core.stack import Stack
from framework.plan import Manifest
from framework.plan.build import build_model
from framework.reports.explain import ExplainedSetting
from framework.reports.refusals import find_described
from framework.reports.rendered_fields import FieldExplainer, walk_tracked

# Trying every setting of a model takes up to half a second. After this number of models, only the
# settings that changed the same field of an earlier model are tried, which takes some hundredths.
_MAX_FULLY_TRIED = 20


def locate_problems(root: Path, stack: Stack, problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Returns the problems with the position of the setting that each comes from.

    A problem of a model without such a setting has the position of the model's file.
    """
    if not problems:
        return ()
    names = {problem.component for problem in problems} - {""}
    catalog = load_catalog(root, stack, models=names)
    finder = _PositionFinder(catalog)
    return tuple(replace(problem, position=finder.find(problem)) for problem in problems)


class SettingFinder:
    """Finds the settings behind fields, by experiment."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._models: dict[str, _ModelSettings] = {}
        self._full_tries_left = _MAX_FULLY_TRIED
        self._keys_by_field: dict[tuple[str, str, str], set[str]] = {}

    def find(self, model: CatalogModel, name: str, path: FieldPath) -> str:
        """Returns the position of the setting that a field of `Kind/name` comes from, "" for none.

        With several settings, such as the repository and the tag of an image, it is the one in
        the most specific file.
        """
        if not path.steps:
            return ""
        settings = self._get_settings(model)
        # The same field of another model, such as spec.replicas of its Deployment.
        kind, _, own_name = name.partition("/")
        field = kind, own_name.replace(model.name, "*"), str(path)
        candidates = self._keys_by_field.setdefault(field, set())
        keys = settings.find(name, path, None if settings.tries_all else candidates)
        candidates |= keys
        # The name of a model or an environment has no line: its position is a file or a folder.
        explained = settings.explainer.explain_settings(sorted(keys))
        if not keys:
            explained = settings.explain_repeated_keys(name, path)
        written = [setting for setting in explained if ":" in (setting.position or "")]
        latest = max(written, key=lambda setting: _rank(setting, model), default=None)
        return str(latest.position) if latest else ""

    def _get_settings(self, model: CatalogModel) -> _ModelSettings:
        if model.name not in self._models:
            self._full_tries_left -= 1
            explainer = FieldExplainer(self._catalog, model)
            self._models[model.name] = _ModelSettings(
                explainer, tries_all=self._full_tries_left >= 0
            )
        return self._models[model.name]


class _ModelSettings:
    """The settings of one model, and the fields that change with each of them.

    If not `tries_all`, only the candidates that other models suggest are tried.
    """

    def __init__(self, explainer: FieldExplainer, *, tries_all: bool) -> None:
        self.explainer, self.tries_all = explainer, tries_all
        self._written = frozenset(explainer.list_written())
        self._effects: dict[str, dict[int, set[FieldPath] | None]] = {}

    def find(self, name: str, path: FieldPath, candidates: Iterable[str] | None) -> set[str]:
        """Returns the keys of the settings behind a field; all are candidates if None."""
        index, fields = self._read_fields(name, path)
        return {
            key
            for key in (self._written if candidates is None else self._written & {*candidates})
            if fields.keys() & (self._find_effect(key).get(index) or set())
        }

    def explain_repeated_keys(self, name: str, path: FieldPath) -> tuple[ExplainedSetting, ...]:
        """Explains the keys of entries that a field repeats: `http`, the name of a port."""
        found = self.explainer.find_repeated_keys(*self._read_fields(name, path))
        return tuple(key for _, key, _ in found)

    def _read_fields(self, name: str, path: FieldPath) -> tuple[int, dict[FieldPath, Any]]:
        """Returns the index of a manifest, and its values at or around a path by tracked path."""
        try:
            index, found = self.explainer.find_field(f"{name}.{path}")
        except FrameworkError:
            # A custom resource may have a field that nothing in the plan explains.
            return 0, {}
        manifest = self.explainer.manifests[index].object
        return index, {
            tracked: value
            for tracked, field, value in walk_tracked(manifest)
            if is_leaf(value) and (field.is_within(found) or found.is_within(field))
        }

    def _find_effect(self, key: str) -> dict[int, set[FieldPath] | None]:
        if key not in self._effects:
            self._effects[key] = self.explainer.find_effect(key)
        return self._effects[key]


class _PositionFinder:
    """Finds positions in the files of one environment."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._models = {model.name: model for model in catalog.models}
        self._manifests: dict[str, tuple[Manifest, ...]] = {}
        self._settings = SettingFinder(catalog)

    def find(self, problem: Problem) -> str:
        """Returns the position of a problem, "" if it comes from no file."""
        if problem.setting:
            path = tuple(problem.setting.split("."))
            return str(self._catalog.environment_position(path))
        model = self._models.get(problem.component)
        if model is None:
            return ""
        manifest = self._find_manifest(model, problem.object)
        if manifest is None:
            return str(model.merged.start_of(model.home))
        # The fields that the server names are certain, and the words of a policy are a guess.
        paths = chain(_list_paths(problem), find_described(problem.message, manifest.object))
        found = (self._find_field(model, manifest, path) for path in paths)
        return next(filter(None, found), str(model.merged.start_of(model.home)))

    def _find_field(self, model: CatalogModel, manifest: Manifest, path: FieldPath) -> str:
        """Returns the position of a field, "" if the manifest lacks it."""
        steps = resolve(manifest.object, path)
        if steps is None:
            return ""
        value = get_at(manifest.object, steps)
        # The server numbers the items of a list, which are named everywhere else.
        named = name_path(steps, manifest.object)
        by_value = _find_value(model, manifest, value)
        return by_value or self._settings.find(model, f"{manifest.kind}/{manifest.name}", named)

    def _find_manifest(self, model: CatalogModel, name: str) -> Manifest | None:
        if model.name not in self._manifests:
            plan = build_model(model, self._catalog.environment)
            self._manifests[model.name] = plan.manifests
        wanted = name.partition(" ")[0], name.partition(" ")[2].rpartition("/")[2]
        manifests = self._manifests[model.name]
        return next((m for m in manifests if (m.kind, m.name) == wanted), None)


def _list_paths(problem: Problem) -> Iterator[FieldPath]:
    """Yields each field of a problem, followed by its parents.

    A field that the server misses is not in the manifest, but its parent is.
    """
    for field in problem.fields:
        try:
            steps = FieldPath.parse(field).steps
        except FieldPathError:
            continue
        yield from (FieldPath(steps[:end]) for end in range(len(steps), 0, -1))


def _find_value(model: CatalogModel, manifest: Manifest, value: Any) -> str:
    """Returns the position of the only setting that has this value, "" if there are several.

    This finds names, such as that of a Secret, without an experiment.
    """
    if not isinstance(value, str) or not value:
        return ""
    merged = model.merged
    if manifest.track == "canary" and model.candidate_merged:
        merged = model.candidate_merged
    found = [path for path in merged.origins if get_at(merged.data, path, None) == value]
    return str(model.position(found[0], merged)) if len(found) == 1 else ""


def _rank(setting: ExplainedSetting, model: CatalogModel) -> tuple[int, str]:
    path = str(setting.position).partition(":")[0]
    if path.endswith(f"/models/{model.name}.yaml"):
        return 4, setting.key
    if path == model.home:
        return 3, setting.key
    return (2 if path.startswith("environments/") else 1), setting.key
