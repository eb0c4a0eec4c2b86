"""Every command prints the path of a field in the same notation, and `explain` accepts it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest

from framework.catalog import Catalog, load_catalog
from framework.core.field_paths import FieldPath, get_at, list_keys, resolve, walk
from framework.core.stack import Stack
from framework.engines.cli import _build_field
from framework.kinds.kind import Manifest
from framework.kube.object_diff import compare_objects
from framework.plan.build import build_plan
from framework.reports.rendered_fields import _locate, explain_fields
from tests.shipped import SHIPPED

MODELS = ("sentiment", "fraud", "intent", "llama-chat")


@cache
def _catalog(model: str) -> Catalog:
    return load_catalog(SHIPPED, Stack.of("prod"), models={model})


def _manifests(model: str) -> tuple[Manifest, ...]:
    return build_plan(_catalog(model)).models[0].manifests


def _change_value(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"{value}-changed"


def _changes(obj: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields Pulumi's path of each single value, and the object with another value there.

    Leaves out the names of list items: an item with another name is a different item.
    """
    for path, value in walk(obj):
        keys = list_keys(FieldPath(path.steps[:-2])) if len(path.steps) > 1 else ()
        if isinstance(value, dict | list) or value is None or path.steps[-1] in keys:
            continue
        concrete = resolve(obj, path)
        assert concrete is not None
        changed = deepcopy(obj)
        get_at(changed, concrete[:-1])[concrete[-1]] = _change_value(value)
        yield str(FieldPath(concrete)), changed


@pytest.mark.parametrize("model", MODELS)
def test_both_engines_name_a_change_by_the_same_path_and_explain_finds_it(model: str) -> None:
    for manifest in _manifests(model):
        for pulumi_path, changed in _changes(manifest.object):
            # Previews of the embedded engine, drift, diff and affected.
            (field,) = compare_objects(changed, manifest.object)
            # Previews of the pulumi CLI.
            assert _build_field(pulumi_path, changed, manifest.object) == field
            found = _locate(manifest.object, FieldPath.parse(field.path))
            assert found is not None
            assert field.path in (str(found), str(found).removesuffix(".value"))


@pytest.mark.parametrize("model", MODELS)
def test_explain_accepts_printed_paths(model: str) -> None:
    catalog = _catalog(model)
    manifest = next(m for m in _manifests(model) if m.kind == "Deployment")
    paths = [
        compare_objects(changed, manifest.object)[0].path
        for _, changed in _changes(manifest.object)
    ]
    for path in random.Random(model).sample(paths, 3):
        explained = explain_fields(catalog, catalog.models[0], f"Deployment.{path}")
        assert [field.field for field in explained.fields][:1] in ([path], [f"{path}.value"])
