"""The committed fields are the server's own, and it takes of a patch what is not refused before."""

from __future__ import annotations

from typing import Any

import pytest

from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.plan.kubernetes_fields import FILE
from framework.plan.patch_fields import find_field_diagnostics
from framework.plan.strategic import PatchError, apply_patch
from tests.kube.objects import deployment
from tests.kube.write_fields import render_fields

pytestmark = pytest.mark.cluster

# One field of a container for each thing that is checked.
FIELDS = {
    "string": ("workingDir",),
    "boolean": ("stdin",),
    "int32": ("readinessProbe", "periodSeconds"),
    "int64": ("securityContext", "runAsUser"),
    "Quantity": ("resources", "limits", "memory"),
    "IntOrString": ("readinessProbe", "tcpSocket", "port"),
    "list": ("args",),
    "map": ("resources", "limits"),
    "definition": ("securityContext",),
    "enumeration": ("imagePullPolicy",),
    "unknown": ("imagePullPolcy",),
    "required": ("livenessProbe", "httpGet", "path"),
}
VALUES = ("http", "30", 30, 1.5, True, 3_000_000_000, "1Gi", "1 Gi", ["x"], [1], {"memory": "1Gi"},
          {"runAsUser": 1}, "Always", "always")  # fmt: skip


def _patch(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return {"spec": {"template": {"spec": {"containers": [{"name": "model", **value}]}}}}


def _refusal(kube: KubeClient, manifest: dict[str, Any], patch: dict[str, Any]) -> str:
    try:
        patched = apply_patch(manifest, patch)
        kube.apply(patched, manager="tests", force=True, dry_run=True)
    except (ApiError, PatchError) as refused:
        return str(refused)
    return ""


def test_the_committed_fields_are_what_the_server_says(kube: KubeClient) -> None:
    assert render_fields(kube) == FILE.read_text(), "run `make fields` and review the diff"


@pytest.mark.parametrize("path", FIELDS.values(), ids=FIELDS)
def test_what_is_refused_before_is_what_the_server_refuses(
    path: tuple[str, ...], kube: KubeClient
) -> None:
    # Nothing is written: every answer is a dry run's.
    manifest = deployment("default")
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    container["readinessProbe"] = {"tcpSocket": {"port": 80}}
    for value in VALUES:
        patch = _patch(path, value)
        found = [
            *find_field_diagnostics("Deployment", patch, manifest, lambda at, shown: repr(shown))
        ]
        refusal = _refusal(kube, manifest, patch)
        # A value of the right type may still be out of its range.
        assert bool(found) == bool(refusal) or (not found and "Invalid value" in refusal), value
