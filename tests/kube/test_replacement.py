"""Changes that replace an object by the rules of its kind, and names that mean another object."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.changes import FieldChange
from framework.kinds.registry import RULES
from framework.kube.replacement import KindRulesTable, is_other_object


def obj(api_version: str, kind: str, name: str = "x", namespace: str = "n") -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
    }


@pytest.mark.parametrize(
    ("api_version", "kind", "path", "replaced"),
    [
        ("v1", "ConfigMap", "data.LOG_LEVEL", False),
        ("v1", "ConfigMap", "binaryData", False),
        ("v1", "Secret", "data.token", True),
        ("v1", "Secret", "type", True),
        ("v1", "Service", "spec.clusterIP", True),
        ("v1", "Service", "spec.clusterIPs[0]", False),
        ("v1", "Service", "spec.type", False),
        ("v1", "PersistentVolumeClaim", "spec.storageClassName", True),
        ("v1", "PersistentVolumeClaim", "spec.resources.requests.storage", False),
        ("apps/v1", "Deployment", "spec.selector.matchLabels.a", True),
        ("apps/v1", "Deployment", "spec.template.spec.nodeSelector", False),
        ("apps/v1", "StatefulSet", "spec.serviceName", True),
        ("batch/v1", "Job", "spec.template.spec.restartPolicy", True),
        ("policy/v1", "PodDisruptionBudget", "spec.minAvailable", False),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", "roleRef.name", True),
        ("example.com/v1", "ConfigMap", "data.x", False),
    ],
)
def test_only_a_change_that_the_rules_name_replaces_the_object(
    api_version: str, kind: str, path: str, replaced: bool
) -> None:
    change = FieldChange(path, 1, 2)
    found = KindRulesTable(RULES).find_replacing(obj(api_version, kind), [change])
    assert found == ([change] if replaced else [])


@pytest.mark.parametrize(
    ("new", "other"),
    [
        pytest.param(obj("apps/v1", "Deployment"), False, id="same"),
        pytest.param(obj("apps/v2", "Deployment"), False, id="newer-version"),
        pytest.param(obj("apps/v1", "Deployment", name="y"), True, id="name"),
        pytest.param(obj("apps/v1", "Deployment", namespace="m"), True, id="namespace"),
        pytest.param(obj("apps/v1", "StatefulSet"), True, id="kind"),
        pytest.param(obj("extensions/v1", "Deployment"), True, id="group"),
    ],
)
def test_another_identity_is_another_object(new: dict[str, Any], other: bool) -> None:
    assert is_other_object(obj("apps/v1", "Deployment"), new) is other
