"""The settings that `explain` names for a rendered field are those that change it when changed."""

from __future__ import annotations

import json
import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from framework.catalog import Catalog, load_catalog
from framework.core.errors import ConfigError, FrameworkError, UnknownNameError
from framework.core.field_paths import FieldPath
from framework.core.stack import Stack
from framework.files.document import parse_document
from framework.plan.build import build_model
from framework.reports.effective_settings import list_settings
from framework.reports.rendered_fields import ExplainedFields, FieldExplainer, walk_tracked
from tests.plan.small_catalog import PROD, write_files
from tests.shipped import SHIPPED

Fields = dict[tuple[str, str], Any]
# Together they have a canary, an autoscaler, a ConfigMap and an Ingress.
_MODELS = ["sentiment", "fraud", "intent", "llama-chat"]
_SAMPLE = ["sentiment", *(pytest.param(model, marks=pytest.mark.grid) for model in _MODELS[1:])]

# Settings that a candidate does not inherit if it has another one: a tag replaces the digest.
_REPLACED_BY: dict[tuple[str, ...], tuple[str, ...]] = {("image", "digest"): ("image", "tag")}
_KEY = re.compile("the key (.+) of (.+)")

# Values for settings that are not set and so have none to vary; valid in every shipped model.
_UNSET: dict[str, list[Any]] = {
    "image.digest": [f"sha256:{'0' * 64}"],
    "image.pullSecrets": [["pull"]],
    "serviceAccount.name": ["another"],
    "scheduling.priorityClass": ["high"],
    "scheduling.affinity": [{"nodeAffinity": {}}],
    "ports.http.servicePort": [81],
    "probes.startup": [
        {"tcpSocket": {"port": 8999}, "periodSeconds": 3, "initialDelaySeconds": 2},
        {"httpGet": {"path": "/started", "port": 8999, "scheme": "HTTPS"}, "timeoutSeconds": 9},
    ],
    "autoscaling": [
        {"minReplicas": 2, "maxReplicas": 4, "cpu": 70},
        {"minReplicas": 15, "maxReplicas": 19, "memory": 70},
    ],
    "annotations": [{"a": "b"}],
    "labels": [{"a": "b"}],
    "command": [["serve"]],
    "envFrom": [{"all": {"configMap": "c"}}],
}


def _fields(catalog: Catalog) -> Fields:
    return {
        (f"{manifest.kind}/{manifest.logical_name}", str(tracked)): value
        for model in catalog.models
        for manifest in build_model(model, catalog.environment).manifests
        for tracked, _, value in walk_tracked(manifest.object)
        if not isinstance(value, dict | list) or not value
    }


@cache
def _base(model: str) -> tuple[Catalog, Fields]:
    catalog = load_catalog(SHIPPED, Stack.of("prod"), models={model})
    return catalog, _fields(catalog)


def _override(model: str, path: tuple[str, ...], value: Any) -> Fields | None:
    """Returns the fields of a model in prod with one setting overridden; None if it is invalid."""
    nested = value
    for part in reversed(path):
        nested = {part: nested}
    document, diagnostics = parse_document("--set", json.dumps(nested))
    assert not diagnostics
    try:
        return _fields(
            load_catalog(SHIPPED, Stack.of("prod"), models={model}, overrides=[document])
        )
    except ConfigError:
        return None


def _list_other_values(key: str, value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value + 9, max(value - 1, 0)]
    if isinstance(value, list) and value:
        return [[], [*value, value[-1]]]
    if isinstance(value, str) and value:
        swaps = {"additional": "within", "TCP": "UDP", "RuntimeDefault": "Unconfined",
                 "IfNotPresent": "Always", "ClusterIP": "NodePort", "HTTP": "HTTPS",
                 "Prefix": "Exact", "http": 8999}  # fmt: skip
        return [swaps.get(value, f"{value}x"), "34%", f"9{value}"]
    return _UNSET.get(key, [])


@cache
def _load_named_settings(model: str) -> dict[tuple[str, str], set[str]]:
    """Returns the settings that `explain` names for each (object, field), as keys of `--set`.

    "the key http of ports" becomes "ports.http": no setting can rename an entry, only replace it.
    """
    catalog = load_catalog(SHIPPED, Stack.of("prod"), models={model})
    found = {}
    for manifest in build_model(catalog.models[0], catalog.environment).manifests:
        name = f"{manifest.kind}/{manifest.logical_name}"
        tracked = {str(path): str(tracked) for tracked, path, _ in walk_tracked(manifest.object)}
        explained = FieldExplainer(catalog, catalog.models[0]).explain(name)
        reads = {setting.key: setting.reads for setting in explained.settings}
        for field in explained.fields:
            keys = {*field.settings, *explained.needs}
            keys |= {read for key in keys for read in reads[key]}
            keys |= {f"{key[2]}.{key[1]}" for key in map(_KEY.fullmatch, keys) if key}
            found[name, tracked[field.field]] = keys
    return found


def _check(model: str, path: tuple[str, ...], values: list[Any], *, candidate: bool) -> bool:
    """Checks that changing a setting changes exactly the fields for which `explain` names it.

    Returns False if none of the values is valid.
    """
    key = str(FieldPath(path))
    catalog, before = _base(model)
    prefix = ("canary", "candidate") if candidate else ()
    accepted = [after for value in values if (after := _override(model, (*prefix, *path), value))]
    # null restores the default of the schema, which may be the value that was set.
    removed = _override(model, (*prefix, *path), None) or before
    changed = {
        field
        for after in (*accepted, removed)
        for field in before
        if after.get(field) != before[field]
    }
    written = (path, _REPLACED_BY.get(path, path))
    own = any(("canary", "candidate", *p) in catalog.models[0].merged.origins for p in written)
    names = {f"candidate.{key}"} if candidate else {key, *([] if own else [f"candidate.{key}"])}
    reported = {field for field, keys in _load_named_settings(model).items() if keys & names}
    assert changed <= reported, key
    if accepted:
        assert changed == reported, key
    return bool(accepted)


def _settings(model: str) -> list[tuple[tuple[str, ...], list[Any]]]:
    settings = load_catalog(SHIPPED, Stack.of("prod"), models={model}).models[0].settings
    return [
        (setting.path, values)
        for setting in list_settings(settings)
        # Removing the model, or the candidate, changes everything.
        if setting.path[0] != "enabled" and setting.path[:2] != ("canary", "candidate")
        and not setting.section
        and (values := _list_other_values(".".join(setting.path), setting.value))
    ]  # fmt: skip


@pytest.mark.parametrize("model", _SAMPLE)
def test_explain_names_exactly_the_settings_that_change_a_field(model: str) -> None:
    sample = random.Random(model).sample(_settings(model), 8)
    assert sum(_check(model, path, values, candidate=False) for path, values in sample) > 5


@pytest.mark.grid
@pytest.mark.parametrize("model", [*_MODELS, "product-tagger", "text-embeddings"])
def test_explain_names_exactly_the_settings_that_change_a_field_for_every_setting(
    model: str,
) -> None:
    settings = _settings(model)
    checked = [_check(model, path, values, candidate=False) for path, values in settings]
    assert sum(checked) > len(settings) * 3 // 4


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("image", "tag"), "9"),
        pytest.param(("preStopSeconds",), 7, marks=pytest.mark.grid),
        (("env", "LOG_LEVEL"), "debug"),
        pytest.param(("resources", "limits", "memory"), "9Gi", marks=pytest.mark.grid),
    ],
)
def test_setting_of_a_candidate_changes_only_the_objects_of_the_canary(
    path: tuple[str, ...], value: Any
) -> None:
    assert _check("sentiment", path, [value], candidate=True)


# In one worker, which explains each object once.
@pytest.mark.xdist_group("explained")
@pytest.mark.parametrize(
    ("model", "key", "settings"),
    [
        ("sentiment", "Deployment.spec.template.spec.containers[model].image",
         ["image.digest", "image.repository", "image.tag"]),
        ("sentiment", "Deployment/sentiment-canary.spec.replicas",
         ["autoscaling", "canary.size", "replicas"]),
        ("sentiment", "Deployment.spec.strategy.type", ["rollout.strategy"]),
        ("sentiment", "Deployment.apiVersion", []),
        ("sentiment", "Deployment.metadata.namespace", ["environment.namespace"]),
        ("sentiment", "Service.spec.selector", ["name"]),
        ("sentiment", "Deployment.spec.strategy",
         ["rollout.maxSurge", "rollout.maxUnavailable", "rollout.strategy"]),
        ("fraud", "HorizontalPodAutoscaler.spec.maxReplicas", ["autoscaling.maxReplicas"]),
        ("sentiment", "Service.spec.ports[8080].name", ["the key http of ports"]),
        ("sentiment", "Service.spec.ports[8080].targetPort", ["the key http of ports"]),
        ("sentiment", "Deployment.spec.template.spec.containers[model].env[LOG_LEVEL].name",
         ["the key LOG_LEVEL of env"]),
        ("sentiment", "Deployment.spec.template.spec.containers[model].env[LOG_LEVEL].value",
         ["env.LOG_LEVEL"]),
        ("sentiment", "Deployment.spec.template.spec.volumes[artifact].name",
         ["the key artifact of volumes"]),
        ("sentiment", "Deployment.spec.template.spec.initContainers[fetch].name",
         ["the key fetch of initContainers"]),
        ("sentiment", "Deployment.spec.template.spec.initContainers[fetch].volumeMounts"
         "[/mnt/models].name", ["the key artifact of initContainers.fetch.mounts"]),
    ],
)  # fmt: skip
def test_field_names_the_settings_that_change_it(model: str, key: str, settings: list[str]) -> None:
    name, _, path = key.partition(".")
    below = re.compile(re.escape(path) + r"($|[.\[])")
    fields = [field for field in _explain(model, name).fields if below.match(field.field)]
    assert fields
    assert sorted({name for field in fields for name in field.settings}) == settings


@cache
def _explain(model: str, name: str) -> ExplainedFields:
    catalog = load_catalog(SHIPPED, Stack.of("prod"), models={model})
    return FieldExplainer(catalog, catalog.models[0]).explain(name)


def test_key_of_an_entry_has_its_position_in_the_last_layer(tmp_path: Path) -> None:
    more = {
        "catalog/a.yaml": "+ports:\n  grpc: 9000\nenv: {API_TOKEN: {secret: s, key: k}}\n",
        PROD: "+overrides:\n  ports: {grpc: 9001}\n",
    }
    catalog = load_catalog(write_files(tmp_path, more), Stack.of("prod"), models={"a"})
    model = catalog.models[0]
    for key, position in [("grpc", f"{PROD}:3:11"), ("http", "catalog/_defaults.yaml:1:9")]:
        [field] = FieldExplainer(catalog, model).explain(f"Service.spec.ports[{key}].name").fields
        assert field.settings == (f"the key {key} of ports",)
        found = FieldExplainer(catalog, model).explain("Service").settings
        named = next(setting for setting in found if setting.key == field.settings[0])
        assert (named.value, named.position) == (key, position)
    path = "Deployment.spec.template.spec.containers[model].env[API_TOKEN].name"
    assert FieldExplainer(catalog, model).explain(path).fields[0].value == "API_TOKEN"


def test_setting_that_an_interpolation_reads_is_explained_too() -> None:
    catalog = load_catalog(SHIPPED, Stack.of("prod"), models={"llama-chat"})
    found = FieldExplainer(catalog, catalog.models[0]).explain("Ingress.spec.rules[0].host")
    assert [setting.key for setting in found.settings] == [
        "enabled", "environment.name", "ingress", "ingress.host",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("Deploymnt.spec", "no object is called.*did you mean Deployment"),
        ("Deployment/x.spec", "no object is called"),
        ("Deployment.spec.strateg", r"did you mean Deployment\.spec\.strategy"),
        ("ConfigMap", "no object is called"),
    ],
)
def test_unknown_field_suggests_the_nearest(key: str, message: str) -> None:
    catalog = load_catalog(SHIPPED, Stack.of("prod"), models={"sentiment"})
    with pytest.raises(UnknownNameError, match=message) as caught:
        FieldExplainer(catalog, catalog.models[0]).explain(key)
    assert isinstance(caught.value, FrameworkError)


def test_bug_in_the_builder_is_not_taken_for_a_setting_that_cannot_be_planned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog = load_catalog(SHIPPED, Stack.of("prod"), models={"sentiment"})
    explainer = FieldExplainer(catalog, catalog.models[0])

    def fail(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("framework.reports.rendered_fields.build_model", fail)
    with pytest.raises(KeyError, match="a bug"):
        explainer.explain("Deployment.spec.replicas")
