"""Rendered fields: the settings reported are those that change them, proved by changing each."""

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
from framework.plan.build import build_plan
from framework.reports.effective_settings import list_settings
from framework.reports.rendered_fields import explain_fields, walk_tracked
from tests.plan.small_catalog import PROD, write_files
from tests.shipped import SHIPPED

Fields = dict[tuple[str, str], Any]
# With a canary, an autoscaler, a ConfigMap, an Ingress.
_MODELS = ["sentiment", "fraud", "intent", "llama-chat"]

_KEY = re.compile("the key (.+) of (.+)")

# What is not set has no value to vary: some that are valid in every shipped model.
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
    plan = build_plan(catalog)
    return {
        (f"{manifest.kind}/{manifest.logical_name}", str(tracked)): value
        for manifest in (plan.models[0].manifests if plan.models else ())
        for tracked, _, value in walk_tracked(manifest.object)
        if not isinstance(value, dict | list) or not value
    }


@cache
def _base(model: str) -> tuple[Catalog, Fields]:
    catalog = load_catalog(SHIPPED, Stack.of("prod"), models={model})
    return catalog, _fields(catalog)


def _with(model: str, path: tuple[str, ...], value: Any) -> Fields | None:
    """The fields of a model in prod with one setting laid over all; None where it is refused."""
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


def _values(key: str, value: Any) -> list[Any]:
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
def _reported(model: str) -> dict[tuple[str, str], set[str]]:
    """For every field the settings reported, by the keys that `--set` takes; for the key of an
    entry, which none of them can rename, the entry."""
    catalog = load_catalog(SHIPPED, Stack.of("prod"), models={model})
    found = {}
    for manifest in build_plan(catalog).models[0].manifests:
        name = f"{manifest.kind}/{manifest.logical_name}"
        tracked = {str(path): str(tracked) for tracked, path, _ in walk_tracked(manifest.object)}
        told = explain_fields(catalog, catalog.models[0], name)
        reads = {one.key: one.reads for one in told.settings}
        for field in told.fields:
            keys = {*field.settings, *told.needs}
            keys |= {read for key in keys for read in reads[key]}
            keys |= {f"{key[2]}.{key[1]}" for key in map(_KEY.fullmatch, keys) if key}
            found[name, tracked[field.field]] = keys
    return found


def _check(model: str, path: tuple[str, ...], values: list[Any], *, candidate: bool) -> bool:
    """Hold what one setting changes against what was reported; False where no value is taken."""
    key = str(FieldPath(path))
    catalog, before = _base(model)
    prefix = ("canary", "candidate") if candidate else ()
    taken = [after for value in values if (after := _with(model, (*prefix, *path), value))]
    # null leaves the schema's default, which may be the value that was there.
    removed = _with(model, (*prefix, *path), None) or before
    changed = {
        field
        for after in (*taken, removed)
        for field in before
        if after.get(field) != before[field]
    }
    own = ("canary", "candidate", *path) in catalog.models[0].merged.origins
    names = {f"candidate.{key}"} if candidate else {key, *([] if own else [f"candidate.{key}"])}
    reported = {field for field, keys in _reported(model).items() if keys & names}
    assert changed <= reported, key
    if taken:
        assert changed == reported, key
    return bool(taken)


def _settings(model: str) -> list[tuple[tuple[str, ...], list[Any]]]:
    settings = load_catalog(SHIPPED, Stack.of("prod"), models={model}).models[0].settings
    return [
        (one.path, values)
        for one in list_settings(settings)
        # Removing the model, or the candidate, changes everything.
        if one.path[0] != "enabled" and one.path[:2] != ("canary", "candidate")
        and (values := _values(".".join(one.path), one.value))
    ]  # fmt: skip


@pytest.mark.parametrize("model", _MODELS)
def test_the_settings_reported_are_those_that_change_the_field(model: str) -> None:
    sample = random.Random(model).sample(_settings(model), 16)
    assert sum(_check(model, *one, candidate=False) for one in sample) > 10


@pytest.mark.grid
@pytest.mark.parametrize("model", [*_MODELS, "product-tagger", "text-embeddings"])
def test_every_setting_reported_changes_the_field(model: str) -> None:
    settings = _settings(model)
    taken = [_check(model, *one, candidate=False) for one in settings]
    assert sum(taken) > len(settings) * 3 // 4


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("image", "tag"), "9"),
        (("preStopSeconds",), 7),
        (("env", "LOG_LEVEL"), "debug"),
        (("resources", "limits", "memory"), "9Gi"),
    ],
)
def test_a_candidates_settings_change_its_objects_alone(path: tuple[str, ...], value: Any) -> None:
    assert _check("sentiment", path, [value], candidate=True)


@pytest.mark.parametrize(
    ("model", "key", "settings"),
    [
        ("sentiment", "Deployment.spec.template.spec.containers[model].image",
         ["image.digest", "image.repository", "image.tag"]),
        ("sentiment", "Deployment/sentiment-canary.spec.replicas",
         ["autoscaling", "canary.size", "replicas"]),
        ("sentiment", "Deployment.spec.strategy.type", []),
        ("sentiment", "Deployment.metadata.namespace", ["environment.namespace"]),
        ("sentiment", "Service.spec.selector", ["name"]),
        ("sentiment", "Deployment.spec.strategy",
         ["rollout.maxSurge", "rollout.maxUnavailable"]),
        ("fraud", "HorizontalPodAutoscaler.spec.maxReplicas", ["autoscaling.maxReplicas"]),
        ("sentiment", "Service.spec.ports[http].name", ["the key http of ports"]),
        ("sentiment", "Service.spec.ports[http].targetPort", ["the key http of ports"]),
        ("sentiment", "Deployment.spec.template.spec.containers[model].env[LOG_LEVEL].name",
         ["the key LOG_LEVEL of env"]),
        ("sentiment", "Deployment.spec.template.spec.containers[model].env[LOG_LEVEL].value",
         ["env.LOG_LEVEL"]),
        ("sentiment", "Deployment.spec.template.spec.volumes[artifact].name",
         ["the key artifact of volumes"]),
        ("sentiment", "Deployment.spec.template.spec.initContainers[fetch].name",
         ["the key fetch of initContainers"]),
        ("sentiment", "Deployment.spec.template.spec.initContainers[fetch].volumeMounts"
         "[artifact].name", ["the key artifact of initContainers.fetch.mounts"]),
    ],
)  # fmt: skip
def test_known_fields(model: str, key: str, settings: list[str]) -> None:
    catalog = load_catalog(SHIPPED, Stack.of("prod"), models={model})
    found = explain_fields(catalog, catalog.models[0], key)
    assert sorted({name for field in found.fields for name in field.settings}) == settings


def test_a_key_stands_where_the_last_layer_has_it(tmp_path: Path) -> None:
    more = {
        "catalog/a.yaml": "+ports:\n  grpc: 9000\nenv: {API_TOKEN: {secret: s, key: k}}\n",
        PROD: "+overrides:\n  ports: {grpc: 9001}\n",
    }
    catalog = load_catalog(write_files(tmp_path, more), Stack.of("prod"), models={"a"})
    model = catalog.models[0]
    for key, position in [("grpc", f"{PROD}:3:11"), ("http", "catalog/_defaults.yaml:1:9")]:
        [told] = explain_fields(catalog, model, f"Service.spec.ports[{key}].name").fields
        assert told.settings == (f"the key {key} of ports",)
        found = explain_fields(catalog, model, "Service").settings
        named = next(one for one in found if one.key == told.settings[0])
        assert (named.value, named.position) == (key, position)
    path = "Deployment.spec.template.spec.containers[model].env[API_TOKEN].name"
    assert explain_fields(catalog, model, path).fields[0].value == "API_TOKEN"


def test_what_an_interpolation_reads_is_explained_too() -> None:
    catalog = load_catalog(SHIPPED, Stack.of("prod"), models={"llama-chat"})
    found = explain_fields(catalog, catalog.models[0], "Ingress.spec.rules[0].host")
    assert [one.key for one in found.settings] == [
        "enabled", "environment.name", "ingress", "ingress.host",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("Deploymnt.spec", "no object is called.*did you mean Deployment"),
        ("Deployment/x.spec", "no object is called"),
        ("Deployment.spec.strateg", r"did you mean Deployment\.spec\.strategy"),
        ("ConfigMap", "no object is called"),
    ],
)
def test_an_unknown_field_names_the_nearest(key: str, says: str) -> None:
    catalog = load_catalog(SHIPPED, Stack.of("prod"), models={"sentiment"})
    with pytest.raises(UnknownNameError, match=says) as caught:
        explain_fields(catalog, catalog.models[0], key)
    assert isinstance(caught.value, FrameworkError)
