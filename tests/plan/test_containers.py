"""The model's own container, sidecars and init containers take the same settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.plan.small_catalog import PROD, check, first_model, list_diagnostics, write_files

_VOLUME = {"volumes": {"v": {"emptyDir": {}, "injected": True}}}
_CLAIM = {"pod": {"resourceClaims": {"gpu": {"resourceClaimTemplateName": "one-gpu"}}}}
_MOUNTS = {"v": {"path": "/v", "subPathExpr": "$(POD)"}, "w": {"volume": "v", "path": "/w"}}

# The settings of one container, the fields that they render, and other settings of the model.
COMMON: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "command": ({"command": ["a"], "args": ["b"]}, {"command": ["a"], "args": ["b"]}, {}),
    "workingDir": ({"workingDir": "/w"}, {"workingDir": "/w"}, {}),
    "env": ({"env": {"A": "x"}}, {"env": [{"name": "A", "value": "x"}]}, {}),
    "envFrom": (
        {"envFrom": {"s": {"secret": "s"}}}, {"envFrom": [{"secretRef": {"name": "s"}}]}, {},
    ),
    "terminal": (
        {"tty": True, "stdin": True, "stdinOnce": True},
        {"tty": True, "stdin": True, "stdinOnce": True}, {},
    ),
    "termination message": (
        {"terminationMessagePath": "/m", "terminationMessagePolicy": "FallbackToLogsOnError"},
        {"terminationMessagePath": "/m", "terminationMessagePolicy": "FallbackToLogsOnError"}, {},
    ),
    "mounts": (
        {"mounts": _MOUNTS},
        {"volumeMounts": [{"name": "v", "mountPath": "/v", "subPathExpr": "$(POD)"},
                          {"name": "v", "mountPath": "/w"}]},
        _VOLUME,
    ),
    "resource claims": (
        {"resources": {"claims": {"gpu": {"request": "large"}}}},
        {"resources": {"claims": [{"name": "gpu", "request": "large"}]}}, _CLAIM,
    ),
}  # fmt: skip
SERVING: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "probes": (
        {"probes": {"liveness": {"exec": {"command": ["ok"]}, "periodSeconds": 7}}},
        {"livenessProbe": {
            "exec": {"command": ["ok"]}, "periodSeconds": 7, "initialDelaySeconds": 0,
            "timeoutSeconds": 2, "failureThreshold": 3, "successThreshold": 1}},
        {},
    ),
    "lifecycle": (
        {"lifecycle": {"postStart": {"sleepSeconds": 3}}},
        {"lifecycle": {"postStart": {"sleep": {"seconds": 3}}}}, {"preStopSeconds": 0},
    ),
}  # fmt: skip
PLACES = ("model", "sidecar", "plain sidecar", "init container")
CASES = [
    pytest.param(place, *case, id=f"{name} of {place}")
    for name, case in {**COMMON, **SERVING}.items()
    for place in PLACES
    if name in COMMON or place != "init container"
]


def _place(place: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Returns settings of a model in which one container has these settings."""
    if place == "model":
        return settings
    image = {"image": "r/s:1"}
    if place == "init container":
        return {"initContainers": {"x": {**image, **settings}}}
    native = {"native": False} if place == "plain sidecar" else {}
    return {"sidecars": {"x": {**image, **native, **settings}}}


def _write(tmp_path: Path, settings: dict[str, Any]) -> Path:
    text = yaml.safe_dump(settings, sort_keys=False)
    newer = 'cluster: {kubernetesVersion: "1.34"}\n'
    return write_files(tmp_path, {"catalog/a.yaml": f"+{text}", PROD: f"+{newer}"})


def _pod(tmp_path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    loaded = check(_write(tmp_path, settings))
    assert list_diagnostics(loaded.errors) == []
    deployment = first_model(loaded).find("Deployment")
    assert deployment is not None
    template: dict[str, Any] = deployment.object["spec"]["template"]
    return template


@pytest.mark.parametrize(("place", "settings", "fields", "others"), CASES)
def test_every_container_takes_the_same_settings(
    place: str,
    settings: dict[str, Any],
    fields: dict[str, Any],
    others: dict[str, Any],
    tmp_path: Path,
) -> None:
    pod = _pod(tmp_path, {**_place(place, settings), **others})["spec"]
    containers = {c["name"]: c for c in [*pod["containers"], *pod.get("initContainers", ())]}
    container = containers["model" if place == "model" else "x"]
    for field, value in fields.items():
        found = container[field]
        if field == "resources":
            found = {"claims": found["claims"]}
        assert found == value


@pytest.mark.parametrize("place", PLACES)
def test_config_files_are_mounted_from_a_config_map_of_the_container(
    place: str, tmp_path: Path
) -> None:
    config = {"config": {"mountPath": "/c", "files": {"a.conf": "x"}}}
    loaded = check(_write(tmp_path, _place(place, config)))
    plan = first_model(loaded)
    config_map, deployment = plan.find("ConfigMap"), plan.find("Deployment")
    assert config_map is not None
    assert deployment is not None
    pod = deployment.object["spec"]["template"]["spec"]
    [volume] = pod["volumes"]
    assert volume["configMap"]["name"] == config_map.name
    containers = {c["name"]: c for c in [*pod["containers"], *pod.get("initContainers", ())]}
    mounts = containers["model" if place == "model" else "x"]["volumeMounts"]
    assert mounts == [{"name": volume["name"], "mountPath": "/c", "readOnly": True}]


def test_one_file_is_mounted_with_a_mode_into_a_folder_of_several_images(tmp_path: Path) -> None:
    mounts = {"config-files": {"path": "/app/run.sh", "subPath": "run.sh"}}
    config = {"files": {"run.sh": "exec true"}, "defaultMode": "0755"}
    side = _place("plain sidecar", {"mounts": mounts})
    pod = _pod(tmp_path, {"config": config, "mounts": mounts, **side})["spec"]
    for container in pod["containers"]:
        assert container["volumeMounts"] == [
            {"name": "config-files", "mountPath": "/app/run.sh", "subPath": "run.sh"}
        ]
    assert pod["volumes"][0]["configMap"]["defaultMode"] == 0o755


def test_plain_sidecar_starts_with_the_model_and_waits_before_it_stops(tmp_path: Path) -> None:
    pod = _pod(tmp_path, _place("plain sidecar", {}))["spec"]
    assert [c["name"] for c in pod["containers"]] == ["model", "x"]
    assert pod["containers"][1]["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert "initContainers" not in pod


@pytest.mark.parametrize("place", PLACES[1:])
def test_policy_of_limits_applies_to_every_container(place: str, tmp_path: Path) -> None:
    root = _write(tmp_path, _place(place, {}))
    (root / PROD).write_text("namespace: ml-prod\npolicy: {requireLimits: true}\n")
    [error] = check(root).errors
    key = "initContainers" if place == "init container" else "sidecars"
    assert f"{key}.x.resources.limits.memory is missing; give one" in error.message


def test_labels_of_the_pods_are_on_no_other_object(tmp_path: Path) -> None:
    loaded = check(_write(tmp_path, {"podLabels": {"inject": "yes"}}))
    deployment = first_model(loaded).find("Deployment")
    assert deployment is not None
    assert deployment.object["spec"]["template"]["metadata"]["labels"]["inject"] == "yes"
    for manifest in first_model(loaded).manifests:
        assert "inject" not in manifest.object["metadata"]["labels"]


@pytest.mark.parametrize(
    ("config", "stable", "canary"),
    [
        ({}, "a-config-HASH", "a-canary-config-HASH"),
        ({"name": "shared"}, "shared", "shared-canary"),
        ({"rollOnChange": False}, "a-config", "a-canary-config"),
        ({"name": "shared", "rollOnChange": False}, "shared", "shared-canary"),
    ],
    ids=["hashed", "named", "not rolled", "named and not rolled"],
)
def test_name_of_the_config_map_and_whether_a_change_replaces_the_pods(
    config: dict[str, Any], stable: str, canary: str, tmp_path: Path
) -> None:
    def render(folder: str, text: str) -> tuple[list[str], Any]:
        files = {"config": {"mountPath": "/c", "files": {"f": text}, **config}}
        candidate = {"canary": {"candidate": {"config": {"files": {"f": "new"}}}}}
        plan = first_model(check(_write(tmp_path / folder, {**files, **candidate})))
        deployment = plan.find("Deployment")
        assert deployment is not None
        names = [m.name for m in plan.manifests if m.kind == "ConfigMap"]
        return names, deployment.object["spec"]["template"]

    names, before = render("before", "x")
    assert [re.sub("-[0-9a-f]{8}$", "-HASH", name) for name in names] == [stable, canary]
    _, after = render("after", "y")
    assert (before != after) is config.get("rollOnChange", True)
