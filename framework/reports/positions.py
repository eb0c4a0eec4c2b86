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
    name_path,
    resolve,
)
from framework.core.stack import Stack
from framework.plan import Manifest
from framework.plan.build import build_model
from framework.reports.explain import ExplainedSetting
from framework.reports.refusals import find_described
from framework.reports.rendered_fields import FieldExplainer

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
    settings = SettingFinder(catalog)
    return tuple(
        replace(problem, position=_find_position(problem, catalog, settings))
        for problem in problems
    )


class SettingFinder:
    """Finds the settings behind fields, by experiment."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        # By model, with whether all of its settings are tried.
        self._explainers: dict[str, tuple[FieldExplainer, bool]] = {}
        self._keys_by_field: dict[tuple[str, str, str], set[str]] = {}

    def find(self, model: CatalogModel, name: str, path: FieldPath) -> str:
        """Returns the position of the setting that a field of `Kind/name` comes from, "" for none.

        With several settings, such as the repository and the tag of an image, it is the one in
        the most specific file.
        """
        if not path.steps:
            return ""
        if model.name not in self._explainers:
            tries_all = len(self._explainers) < _MAX_FULLY_TRIED
            self._explainers[model.name] = FieldExplainer(self._catalog, model), tries_all
        explainer, tries_all = self._explainers[model.name]
        # The same field of another model, such as spec.replicas of its Deployment.
        kind, _, own_name = name.partition("/")
        field = kind, own_name.replace(model.name, "*"), str(path)
        candidates = self._keys_by_field.setdefault(field, set())
        try:
            index, fields = explainer.read_fields(f"{name}.{path}")
        except FrameworkError:
            # A custom resource may have a field that nothing in the plan explains.
            return ""
        keys = {
            key
            for key in (explainer.written if tries_all else explainer.written & candidates)
            if fields.keys() & (explainer.find_effect(key).get(index) or set())
        }
        candidates |= keys
        # The name of a model or an environment has no line: its position is a file or a folder.
        explained: Iterable[ExplainedSetting] = explainer.explain_settings(sorted(keys))
        if not keys:
            explained = (key for _, key, _ in explainer.find_repeated_keys(index, fields))
        written = [setting for setting in explained if ":" in (setting.position or "")]
        latest = max(written, key=lambda setting: _rank(setting, model), default=None)
        return str(latest.position) if latest else ""


def _find_position(problem: Problem, catalog: Catalog, settings: SettingFinder) -> str:
    """Returns the position of a problem, "" if it comes from no file."""
    if problem.setting:
        return str(catalog.environment_position(tuple(problem.setting.split("."))))
    model = next((model for model in catalog.models if model.name == problem.component), None)
    if model is None:
        return ""
    kind, _, name = problem.object.partition(" ")
    wanted = kind, name.rpartition("/")[2]
    manifests = build_model(model, catalog.environment).manifests
    manifest = next((m for m in manifests if (m.kind, m.name) == wanted), None)
    found: Iterable[str] = ()
    if manifest is not None:
        # The fields that the server names are certain, and the words of a policy are a guess.
        paths = chain(_list_paths(problem), find_described(problem.message, manifest.object))
        found = (_find_field(model, manifest, path, settings) for path in paths)
    return next(filter(None, found), str(model.merged.start_of(model.home)))


def _find_field(
    model: CatalogModel, manifest: Manifest, path: FieldPath, settings: SettingFinder
) -> str:
    """Returns the position of a field, "" if the manifest lacks it."""
    steps = resolve(manifest.object, path)
    if steps is None:
        return ""
    by_value = _find_value(model, manifest, get_at(manifest.object, steps))
    # The server numbers the items of a list, which are named everywhere else.
    named = name_path(steps, manifest.object)
    return by_value or settings.find(model, f"{manifest.kind}/{manifest.name}", named)


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
