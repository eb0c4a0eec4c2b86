"""The objects of `objects` are created, updated, watched for drift and deleted like all others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from framework.kube.client import KubeClient
from tests.conftest import Project

pytestmark = pytest.mark.cluster
MakeProject = Callable[..., Project]
MODEL = "catalog/churn.yaml"
OBJECTS = """
objects:
  reader:
    apiVersion: rbac.authorization.k8s.io/v1
    kind: Role
    rules: [{apiGroups: [""], resources: [configmaps], verbs: [VERB]}]
"""


def test_an_object_is_created_updated_watched_and_deleted(
    make_live_project: MakeProject, kube: KubeClient, engine: str
) -> None:
    project = make_live_project("churn")
    namespace = f"{project.namespace}-dev"
    without = (project.root / MODEL).read_text()

    def run(verb: str, *arguments: str, expected: int = 0) -> str:
        run = project.run(
            verb, "dev", *arguments, "--engine", engine, PULUMI_CONFIG_PASSPHRASE="test"
        )
        assert run.returncode == expected, run.stdout + run.stderr
        return run.stdout

    def find_role() -> dict[str, object] | None:
        return kube.get("rbac.authorization.k8s.io/v1", "Role", "churn-reader", namespace)

    project.write(MODEL, without + OBJECTS.replace("VERB", "get"))
    assert "Role" in run("up", "--yes")
    role = find_role()
    assert role
    role["rules"] = []
    kube.apply(
        {key: role[key] for key in ("apiVersion", "kind", "rules")}
        | {"metadata": {"name": "churn-reader", "namespace": namespace}},
        manager="somebody",
        force=True,
        dry_run=False,
    )
    assert "churn-reader" in run("drift", expected=16)
    project.write(MODEL, without + OBJECTS.replace("VERB", "list"))
    run("up", "--yes")
    role = find_role()
    assert role
    assert role["rules"] == [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    project.write(MODEL, without)
    assert "churn-reader" in run("up", "--yes")
    assert find_role() is None


EMPTY = """
objects:
  binding:
    apiVersion: rbac.authorization.k8s.io/v1
    kind: RoleBinding
    roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}
    subjects: [{kind: ServiceAccount, name: a, namespace: b, apiGroup: ""}]
  service:
    apiVersion: v1
    kind: Service
    spec: {ports: [{port: 80, name: "", nodePort: 0}], selector: {a: ""}, clusterIP: ""}
  claim:
    apiVersion: v1
    kind: PersistentVolumeClaim
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Gi}}
      storageClassName: ""
      volumeName: ""
patch:
  Deployment: {spec: {template: {spec: {hostname: "", priorityClassName: ""}}}}
"""


@pytest.mark.grid
def test_empty_texts_that_the_server_does_not_store_are_neither_a_change_nor_pending(
    make_live_project: MakeProject, engine: str
) -> None:
    project = make_live_project("churn")
    project.write(MODEL, (project.root / MODEL).read_text() + EMPTY)
    for verb, expected in (("up", ""), ("preview", "Nothing to do"), ("drift", "No differences")):
        run = project.run(verb, "dev", "--engine", engine, PULUMI_CONFIG_PASSPHRASE="test")
        assert (run.returncode, expected in run.stdout) == (0, True), run.stdout + run.stderr
        assert "pending" not in run.stdout
