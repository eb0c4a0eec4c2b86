"""Settings that say in one line what takes several: standard, gpus, variables, featureGates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.plan.small_catalog import PROD, check, first_model, write_files

GPU = "resources: {requests: {cpu: 500m, memory: 1.5Gi}, limits: {memory: 1.5Gi, x.com/gpu: 1}}\n"


def _read_pod(root: Path, own: str, profile: str = "") -> dict[str, Any]:
    files = {"catalog/a.yaml": f"+{own}\n", "catalog/_profiles/server.yaml": f"+{profile}"}
    loaded = check(write_files(root, files))
    assert not loaded.errors
    deployment = first_model(loaded).find("Deployment")
    assert deployment
    pod: dict[str, Any] = deployment.object["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize(
    ("security", "pod", "container"),
    [
        pytest.param(
            "{}",
            {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            id="restricted is the default",
        ),
        pytest.param(
            "{standard: baseline}",
            {"seccompProfile": {"type": "RuntimeDefault"}},
            None,
            id="baseline",
        ),
        pytest.param("{standard: none}", None, None, id="none renders nothing"),
        pytest.param(
            "{standard: none, runAsUser: 7, dropCapabilities: [NET_RAW], privileged: true}",
            {"runAsUser": 7},
            {"privileged": True, "capabilities": {"drop": ["NET_RAW"]}},
            id="settings without defaults",
        ),
        pytest.param(
            "{runAsNonRoot: false, seccomp: Unconfined, dropCapabilities: []}",
            {"runAsNonRoot": False, "seccompProfile": {"type": "Unconfined"}},
            {"allowPrivilegeEscalation": False},
            id="a setting overrides its standard",
        ),
    ],
)
def test_standard_gives_the_defaults_of_security(
    security: str, pod: Any, container: Any, tmp_path: Path
) -> None:
    rendered = _read_pod(tmp_path, f"security: {security}\nsidecars: {{s: {{image: r/s:1}}}}")
    assert rendered.get("securityContext") == pod
    containers = (*rendered["containers"], *rendered["initContainers"])
    assert [c.get("securityContext") for c in containers] == [container, container]


def test_policy_reports_a_standard_that_is_too_weak_where_it_is_written(tmp_path: Path) -> None:
    files = {
        "catalog/a.yaml": "+security: {standard: none}\n",
        PROD: "+policy: {podSecurity: restricted}\n",
    }
    errors = check(write_files(tmp_path, files)).errors
    assert {(error.position, error.message.split(" ")[0]) for error in errors} == {
        ("catalog/a.yaml:4:22", f"security.{name}")
        for name in ("allowPrivilegeEscalation", "dropCapabilities", "runAsNonRoot", "seccomp")
    }


@pytest.mark.parametrize(
    ("own", "requests", "limits"),
    [
        ("", {"cpu": "500m", "memory": "1.5Gi"}, {"memory": "1.5Gi", "x.com/gpu": "1"}),
        ("gpus: 1", {"cpu": "500m", "memory": "1.5Gi"}, {"memory": "1.5Gi", "x.com/gpu": "1"}),
        ("gpus: 8", {"cpu": "4000m", "memory": "12Gi"}, {"memory": "12Gi", "x.com/gpu": "8"}),
        ("gpus: 3", {"cpu": "1500m", "memory": "4.5Gi"}, {"memory": "4.5Gi", "x.com/gpu": "3"}),
        (
            "gpus: 8\nresources: {limits: {rdma/nic: 2}}",
            {"cpu": "4000m", "memory": "12Gi"},
            {"memory": "12Gi", "rdma/nic": "16", "x.com/gpu": "8"},
        ),
    ],
    ids=["none", "one", "eight", "fraction", "network cards"],
)
def test_gpus_multiply_the_resources_of_a_profile(
    own: str, requests: Any, limits: Any, tmp_path: Path
) -> None:
    sidecar = "sidecars: {s: {image: r/s:1, resources: {requests: {cpu: 1}}}}"
    pod = _read_pod(tmp_path, f"{own}\n{sidecar}", GPU)
    assert pod["containers"][0]["resources"] == {"requests": requests, "limits": limits}
    assert pod["initContainers"][0]["resources"] == {"requests": {"cpu": "1"}}


def test_gpus_count_in_the_capacity_and_in_interpolations(tmp_path: Path) -> None:
    files = {
        "catalog/_profiles/server.yaml": f"+{GPU}args: ['--parallel=${{gpus}}']\n",
        "catalog/_defaults.yaml": "+gpus: 1\n",
        "catalog/a.yaml": "+gpus: 8\n",
        PROD: "+capacity: {x.com/gpu: 36}\n",
    }
    loaded = check(write_files(tmp_path, files))
    assert [error.message.split(",")[0] for error in loaded.errors if error.model == "a"] == [
        "at the peak of its update it needs 40 x.com/gpu"
    ]


def test_variables_are_named_in_interpolations_and_any_layer_sets_them(tmp_path: Path) -> None:
    profile = (
        "variables: {weights: s3://w, revision: 1, prefix: '${variables.weights}/${name}'}\n"
        "args: ['${variables.prefix}@${variables.revision}']\n"
    )
    pod = _read_pod(tmp_path, "variables: {revision: 7}", profile)
    assert pod["containers"][0]["args"] == ["s3://w/a@7"]
    assert "variables" not in str(pod)


def test_an_unknown_variable_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    own = "+variables: {weights: x}\nargs: ['${variables.wieghts}']\n"
    (error,) = check(write_files(tmp_path, {"catalog/a.yaml": own})).errors
    assert error.position == "catalog/a.yaml:5:8"
    assert 'did you mean "variables.weights"?' in error.message


ZERO = (
    "+autoscaling: {minReplicas: 0, maxReplicas: 4, metrics: {q: {type: External, external: "
    "{metric: {name: q}, target: {type: Value, value: 5}}}}}\n"
)


@pytest.mark.parametrize(
    ("cluster", "allowed"),
    [
        ("kubernetesVersion: '1.36'", False),
        ("kubernetesVersion: '1.37'", True),
        ("kubernetesVersion: '1.36', featureGates: {HPAScaleToZero: true}", True),
        ("kubernetesVersion: '1.37', featureGates: {HPAScaleToZero: false}", False),
    ],
    ids=["old server", "new server", "gate on", "gate off"],
)
def test_scaling_to_zero_needs_a_server_that_has_it(
    cluster: str, allowed: bool, tmp_path: Path
) -> None:
    files = {"catalog/a.yaml": ZERO, PROD: f"+cluster: {{{cluster}}}\n"}
    errors = check(write_files(tmp_path, files)).errors
    assert [error.position for error in errors] == ([] if allowed else ["catalog/a.yaml:4:28"])
    assert all("HPAScaleToZero" in error.message for error in errors)
