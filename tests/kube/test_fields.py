"""Field types equal those of a real API server, and patches are refused exactly when it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.plan.patch.field_checks import find_field_diagnostics
from framework.plan.patch.field_types import FILE, FieldType
from framework.plan.patch.merge import PatchError, apply_patch
from tests.kube.objects import deployment
from tools.write_fields import ServerTypes, render_fields

pytestmark = pytest.mark.cluster

# One field of a container for each type.
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


def _describe(type_: FieldType) -> Any:
    if type_.allowed:
        return {"enum": list(type_.allowed)}
    return {type_.name: _describe(type_.items)} if type_.items else type_.name


def test_the_committed_file_is_up_to_date(kube: KubeClient) -> None:
    assert render_fields(kube) == FILE.read_text(), "run `make fields` and review the diff"


def test_all_field_types_equal_those_of_the_server(kube: KubeClient) -> None:
    server = ServerTypes(kube)
    types = {
        f"{name}.{field}": _describe(type_)
        for name in server.definitions
        for field, type_ in FieldType(name).fields.items()
    }
    assert types == dict(server.fields())
    for name in server.definitions:
        assert sorted(FieldType(name).required) == server.required(name), name


@pytest.mark.parametrize("path", FIELDS.values(), ids=FIELDS)
def test_a_value_is_refused_exactly_when_the_server_refuses_it(
    path: tuple[str, ...], kube: KubeClient
) -> None:
    # Only dry runs: nothing is written.
    manifest = deployment("default")
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    container["readinessProbe"] = {"tcpSocket": {"port": 80}}
    for value in VALUES:
        patch = _patch(path, value)
        diagnostics = [
            *find_field_diagnostics("Deployment", patch, manifest, lambda at, shown: repr(shown))
        ]
        refusal = _refusal(kube, manifest, patch)
        # A value of the right type may still be out of its range.
        out_of_range = not diagnostics and "Invalid value" in refusal
        assert bool(diagnostics) == bool(refusal) or out_of_range, value
