"""What a change list needs is checked before any write: references, permissions, quotas."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project

pytestmark = pytest.mark.cluster
Object = dict[str, Any]
OVERLAY = "environments/dev/models/churn.yaml"
NEEDY = """\
env:
  HUB: {secret: hub, key: token}
  OTHER: {secret: there, key: nokey}
  MAYBE: {secret: nobody, key: token, optional: true}
scheduling: {priorityClass: gold}
volumes: {data: {claim: weights}}
mounts: {data: /data}
"""


def as_real_cluster(project: Project) -> None:
    """Names the cluster by another context, so that its nodes do not count as simulated."""
    config = yaml.safe_load((project.root / ".cluster/kubeconfig").read_text())
    config["contexts"][0]["name"] = config["current-context"] = "real"
    project.write("kubeconfig", yaml.safe_dump(config))
    name_cluster(project)


def name_cluster(project: Project) -> None:
    file = "environments/dev/environment.yaml"
    project.edit(file, "context: local ", "context: real ")
    project.edit(file, "  kubernetesVersion", "  kubeconfig: kubeconfig\n  kubernetesVersion")


def preview(project: Project, *options: str, code: int = 1) -> list[Object]:
    run = project.run("preview", "dev", "--json", *options)
    assert run.returncode == code, run.stdout + run.stderr
    return list(json.loads(run.stdout)["problems"])


def secret(namespace: str, name: str) -> Object:
    metadata = {"name": name, "namespace": namespace}
    data = {"password": "aHVudGVyMg=="}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def test_all_missing_objects_in_one_report(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn")
    as_real_cluster(project)
    project.succeed("up", "dev")
    kube.create(secret(f"{project.namespace}-dev", "there"), manager="test")
    project.write(OVERLAY, NEEDY)
    problems = preview(project)
    namespace = f"{project.namespace}-dev"
    assert {problem["severity"] for problem in problems} == {"error"}
    found = {problem["message"].partition(": ")[0]: problem["position"] for problem in problems}
    assert found == {
        f"Secret {namespace}/hub does not exist": f"{OVERLAY}:2:17",
        f'Secret {namespace}/there has no key "nokey" (it has password)': f"{OVERLAY}:3:31",
        f"PersistentVolumeClaim {namespace}/weights does not exist": f"{OVERLAY}:6:25",
        "PriorityClass gold does not exist": f"{OVERLAY}:5:29",
    }
    run = project.run("up", "dev", "--yes")
    assert run.returncode == 1
    assert "4 errors; nothing was changed." in run.stdout
    assert "hunter2" not in run.stdout + run.stderr
    assert "aHVudGVyMg" not in run.stdout + run.stderr


@pytest.mark.grid
def test_missing_secret_of_a_new_namespace_is_a_warning(make_quick_project: MakeProject) -> None:
    project = make_quick_project("churn")
    as_real_cluster(project)
    project.write(OVERLAY, "env: {HUB: {secret: hub, key: token}}\n")
    (problem,) = preview(project, code=0)
    assert problem["severity"] == "warning"
    assert "Pods wait" in problem["next"]


@pytest.mark.grid
def test_quota_of_the_peak(make_quick_project: MakeProject, kube: KubeClient) -> None:
    project = make_quick_project("churn")
    project.succeed("up", "dev")
    namespace = f"{project.namespace}-dev"
    metadata = {"name": "pods", "namespace": namespace}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata}
    kube.create({**quota, "spec": {"hard": {"pods": "2"}}}, manager="test")
    for _, item in kube.watch("v1", "ResourceQuota", namespace, timeout_s=20):
        if (item.get("status") or {}).get("used"):
            break
    project.edit("catalog/churn.yaml", "1.6.1", "1.7.0")
    (problem,) = preview(project, code=0)
    assert problem["severity"] == "warning"
    assert "pods: 2 used, 1 more" in problem["message"]
    assert "make 3, and 2 are allowed" in problem["message"]
    project.write(OVERLAY, "replicas: 3\n")
    (problem,) = preview(project)
    assert "the rollout cannot end" in problem["message"]


@pytest.mark.grid
def test_missing_permission_is_named_once(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn", "intent")
    project.succeed("up", "dev")
    name = f"{project.namespace}-reader"
    for obj in reader(name):
        kube.create(obj, manager="test")
    act_as(project, kube, name)
    try:
        for model in ("churn", "intent"):
            project.succeed("bump", "--model", model, "--tag", "9.9.9")
        problems = preview(project)
        errors = [p["message"] for p in problems if p["severity"] == "error"]
        where = f"deployments.apps in {project.namespace}-dev"
        assert f"this user is not allowed to patch {where}; needed by churn, intent" in errors
        assert not any("is forbidden: User" in message for message in errors)
    finally:
        for kind in ("ClusterRole", "ClusterRoleBinding"):
            kube.delete("rbac.authorization.k8s.io/v1", kind, name)
        kube.delete("v1", "ServiceAccount", name, "default")


def act_as(project: Project, kube: KubeClient, account: str) -> None:
    """Makes the project use the token of a ServiceAccount of the local cluster."""
    path = f"/api/v1/namespaces/default/serviceaccounts/{account}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = kube.connection.request("POST", path, "token", None, body, "application/json")
    config = yaml.safe_load((project.root / ".cluster/kubeconfig").read_text())
    config["users"][0]["user"] = {"token": answer["status"]["token"]}
    config["contexts"][0]["name"] = config["current-context"] = "real"
    project.write("kubeconfig", yaml.safe_dump(config))
    name_cluster(project)


def reader(name: str) -> list[Object]:
    """Returns a ServiceAccount that may read everything, and write nothing."""
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
    role = {"apiGroup": group, "kind": "ClusterRole", "name": name}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    head = {"apiVersion": f"{group}/v1", "metadata": {"name": name}}
    account = {"name": name, "namespace": "default"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {**head, "kind": "ClusterRole", "rules": [rule]},
        {**head, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]},
    ]
