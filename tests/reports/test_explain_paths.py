"""Every command prints a field's path in one notation, and `explain KEY=` accepts each path."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from framework.catalog import Catalog, CatalogModel, load_catalog
from framework.core.errors import UnknownNameError
from framework.core.field_paths import FieldPath, get_at, list_keys, resolve, walk
from framework.core.stack import Stack
from framework.engines.cli_events import _build_field, _read_fields
from framework.kube.object_diff import compare_objects
from framework.output.text import shorten_path
from framework.plan import Manifest
from framework.plan.build import build_model
from framework.reports.compare import compare_environments
from framework.reports.comparison import FRAMEWORK_CODE, Difference, ModelDifference
from framework.reports.effective_settings import list_settings
from framework.reports.explain import Explainer
from framework.reports.rendered_fields import FieldExplainer, _locate
from framework.reports.sides import load_side
from framework.settings.model import Model
from tests.shipped import SHIPPED

# Together they have a canary, an autoscaler, a ConfigMap, an Ingress and secrets.
_MODELS = ["sentiment", "fraud", "intent", "llama-chat"]
_SAMPLE = ["sentiment", *(pytest.param(model, marks=pytest.mark.grid) for model in _MODELS[1:])]


def _load(model: str, environment: str = "prod") -> tuple[Catalog, CatalogModel]:
    catalog = load_catalog(SHIPPED, Stack.of(environment), models={model})
    return catalog, catalog.models[0]


def _list_versions(model: CatalogModel, catalog: Catalog) -> Iterator[tuple[Manifest, ...]]:
    """Yields the manifests of the model with each of its settings changed, added or removed."""
    for setting in list_settings(model.settings):
        for changed in setting.alternatives(model.settings):
            assert isinstance(changed, Model)
            candidate = model.candidate if changed.canary.candidate is not None else None
            version = copy.copy(model)
            object.__setattr__(version, "settings", changed)
            object.__setattr__(version, "candidate", candidate)
            yield build_model(version, catalog.environment).manifests


def _list_property_paths(value: Any, path: str = "") -> Iterator[str]:
    """Yields the paths of single values as Pulumi writes them: `spec.ports[0].name`."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            step = f'["{key}"]' if "." in key or "/" in key else f".{key}" if path else key
            yield from _list_property_paths(child, path + step)
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            yield from _list_property_paths(child, f"{path}[{index}]")
    else:
        yield path


def _list_paths(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Yields the paths of an object's change in the outputs of either engine, drift and diff."""
    yield from (field.path for field in compare_objects(old, new))
    details = [*_list_property_paths(old), *_list_property_paths(new)]
    step = {
        "type": "kubernetes:x:Y",
        "old": {"inputs": old, "outputs": old},
        "new": {"inputs": new},
        "diffs": details,
    }
    yield from (field.path for field in _read_fields(step) if field.old != field.new)


@pytest.mark.parametrize("model", _SAMPLE)
def test_explain_accepts_every_field_that_a_setting_can_change(model: str) -> None:
    catalog, loaded = _load(model)
    explainer = FieldExplainer(catalog, loaded)
    base = {(m.kind, m.logical_name): m.object for m in build_model(loaded, catalog.environment)
            .manifests}  # fmt: skip
    keys = {
        (kind, name, path)
        for manifests in _list_versions(loaded, catalog)
        for manifest in manifests
        for kind, name in [(manifest.kind, manifest.logical_name)]
        if (kind, name) in base and base[kind, name] != manifest.object
        for path in _list_paths(base[kind, name], manifest.object)
        # A setting that may be any mapping, such as affinity, gets a key that Kubernetes lacks.
        if "x" not in FieldPath.parse(path).steps
    }
    assert len(keys) > 100
    for kind, name, path in keys:
        explainer.find_field(f"{kind}/{name}.{path}")
        explainer.find_field(f"{kind}/{name}.{shorten_path(path)}")


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
        changed = copy.deepcopy(obj)
        get_at(changed, concrete[:-1])[concrete[-1]] = _change_value(value)
        yield str(FieldPath(concrete)), changed


@pytest.mark.parametrize("model", _MODELS)
def test_both_engines_name_a_change_by_the_same_path_and_explain_finds_it(model: str) -> None:
    catalog, loaded = _load(model)
    for manifest in build_model(loaded, catalog.environment).manifests:
        for pulumi_path, changed in _changes(manifest.object):
            # Previews of the embedded engine, drift, diff and affected.
            (field,) = compare_objects(changed, manifest.object)
            # Previews of the pulumi CLI.
            assert _build_field(pulumi_path, changed, manifest.object) == field
            found = _locate(manifest.object, FieldPath.parse(field.path))
            assert found is not None
            assert field.path in (str(found), str(found).removesuffix(".value"))


def _list_differences(model: ModelDifference) -> Iterator[tuple[str, Difference]]:
    yield from (("", setting) for setting in model.settings)
    for obj in model.objects:
        yield from ((f"{obj.kind}/{obj.name}.", field) for field in obj.fields)


def test_explain_accepts_every_path_of_diff_and_affected() -> None:
    comparison = compare_environments(*(load_side(SHIPPED, name) for name in ("dev", "prod")))
    accepted = 0
    for model in (found for found in comparison.models if found.change == "changed"):
        for environment in ("dev", "prod"):
            catalog, loaded = _load(model.name, environment)
            fields, settings = FieldExplainer(catalog, loaded), Explainer(catalog, loaded)
            for prefix, difference in _list_differences(model):
                if prefix:
                    fields.find_field(prefix + difference.path)
                else:
                    assert settings.find(difference.path)
                # `affected` prints the causes.
                for cause in difference.causes:
                    assert cause.setting == FRAMEWORK_CODE or settings.find(cause.setting)
                accepted += 1
    assert accepted > 100
    catalog, loaded = _load("sentiment")
    for setting in comparison.settings:
        assert Explainer(catalog, loaded).find(setting.path)


@pytest.mark.parametrize(
    "path",
    [
        'metadata.annotations["kubectl.kubernetes.io/restartedAt"]',
        "spec.template.spec.containers[model].env[DEBUG]",
        "spec.template.spec.containers[model].ports[9999].protocol",
        "spec.template.spec.containers[injected].image",
        "spec.paused",
        "containers[model].resources.limits.cpu",
    ],
)
def test_explain_accepts_a_field_that_drift_finds_and_the_catalog_does_not_set(path: str) -> None:
    catalog, model = _load("sentiment")
    index, found = FieldExplainer(catalog, model).find_field(f"Deployment.{path}")
    assert (index >= 0, str(found).endswith(path)) == (True, True)
    assert FieldPath.parse(str(found)) == found


@pytest.mark.parametrize(
    ("key", "explained"),
    [
        pytest.param("args[0]", "args", id="item of a list"),
        pytest.param("env.GONE", "env.GONE", id="entry that was removed"),
        pytest.param("volumes.gone.emptyDir.sizeLimit", "volumes.gone", id="below a removed entry"),
        pytest.param("canary.candidate.image.tag", "canary.candidate.image.tag", id="candidate"),
        pytest.param("autoscaling.minReplicas", "autoscaling", id="below what is not set"),
        pytest.param("environment.namespace", "environment.namespace", id="environment"),
        pytest.param("stack.name", "stack.name", id="name of the stack"),
    ],
)
def test_explain_accepts_a_setting_that_only_the_other_side_has(key: str, explained: str) -> None:
    catalog, model = _load("sentiment")
    assert [setting.key for setting in Explainer(catalog, model).find(key)] == [explained]


def test_explain_refuses_a_field_that_kubernetes_does_not_have() -> None:
    catalog, model = _load("sentiment")
    with pytest.raises(UnknownNameError, match=r"did you mean Deployment\.spec\.strategy"):
        FieldExplainer(catalog, model).find_field("Deployment.spec.strateg")
