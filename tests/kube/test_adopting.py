"""Tools that manage an object are recognized by its owners, labels, annotations and managers."""

from __future__ import annotations

from typing import Any

import pytest

from framework.kube.adopting import describe_writers, find_tools

Object = dict[str, Any]
OURS = "pulumi-kubernetes-0418aeda"


def live(*managers: str, **metadata: Any) -> Object:
    managed = [{"manager": name, "operation": "Update"} for name in managers]
    return {"kind": "Deployment", "metadata": {"name": "x", "managedFields": managed, **metadata}}


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (live("kubectl-create"), []),
        (live(OURS), []),
        (live("kubectl", labels={"app.kubernetes.io/managed-by": "pulumi"}), []),
        (live("helm"), ["Helm"]),
        (live("x", annotations={"meta.helm.sh/release-name": "r"}), ["Helm release r"]),
        (live("argocd-controller"), ["Argo CD"]),
        (live("x", labels={"argocd.argoproj.io/instance": "app"}), ["Argo CD application app"]),
        (live("kustomize-controller"), ["Flux"]),
        (live("x", labels={"kustomize.toolkit.fluxcd.io/name": "apps"}), ["Flux apps"]),
        (live("pulumi-kubernetes-deadbeef"), ["another Pulumi stack"]),
        (live("Terraform"), ["Terraform"]),
        (live("x", ownerReferences=[{"kind": "Model", "name": "m"}]), ["Model m"]),
        (live("helm", "Terraform"), ["Helm", "Terraform"]),
    ],
)
def test_tools(found: Object, names: list[str]) -> None:
    assert [tool.name for tool in find_tools(found, OURS)] == names


def test_controllers_are_no_writers() -> None:
    assert describe_writers(live("kube-controller-manager", "kubectl-edit")) == "kubectl-edit"
