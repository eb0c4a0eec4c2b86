"""Later commands find every object that a killed `up` created and did not record."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project

pytestmark = pytest.mark.cluster
KINDS = (("apps/v1", "Deployment"), ("v1", "Service"), ("v1", "ConfigMap"))
MODEL = 'owner: team-growth\nprofiles: [mlserver, s3-artifact, cpu-small]\nimage: {tag: "1.6.1"}\n'


def list_names(kube: KubeClient, namespace: str) -> set[str]:
    """Returns `Kind name` of each object that a stack may have created in the Namespace."""
    return {
        f"{kind} {item['metadata']['name']}"
        for api_version, kind in KINDS
        for item in kube.list_objects(api_version, kind, namespace)
        if item["metadata"]["name"] != "kube-root-ca.crt"
    }


def read_state(project: Project) -> dict[str, Any]:
    path = project.root / ".state/.pulumi/stacks/modelcatalog/dev.json"
    latest: dict[str, Any] = json.loads(path.read_text())["checkpoint"]["latest"]
    return latest


def forget(project: Project, type_: str, name: str) -> None:
    """Edits the state as if `up` was killed after it created the object, before it recorded it."""
    path = project.root / ".state/.pulumi/stacks/modelcatalog/dev.json"
    document = json.loads(path.read_text())
    latest = document["checkpoint"]["latest"]
    (entry,) = [e for e in latest["resources"] if e["type"] == type_ and e["urn"].endswith(name)]
    latest["resources"].remove(entry)
    intent = {key: value for key, value in entry.items() if key not in ("id", "outputs")}
    latest["pending_operations"] = [{"resource": intent, "type": "creating"}]
    path.write_text(json.dumps(document))


def test_unrecorded_object_of_a_removed_model_is_deleted(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn", "fraud")
    project.succeed("up", "dev")
    namespace = f"{project.namespace}-dev"
    forget(project, "kubernetes:apps/v1:Deployment", "::churn")
    warning = "Deployment churn was created and not recorded"
    assert warning in " ".join(project.succeed("preview", "dev").split())
    run = project.run("drift", "dev")
    assert warning in " ".join((run.stdout + run.stderr).split())
    (project.root / "catalog/churn.yaml").unlink()
    project.succeed("up", "dev", "--yes")
    assert "Deployment churn" not in list_names(kube, namespace)
    assert "pending_operations" not in read_state(project)


def test_refresh_records_an_unrecorded_object_also_on_a_recreated_cluster(
    make_quick_project: MakeProject, engine: str
) -> None:
    project = make_quick_project("churn")
    project.succeed("up", "dev", "--engine", engine)
    forget(project, "kubernetes:core/v1:Service", "::churn")
    # It is not somebody else's: `up` of this stack has created it.
    found = project.succeed("drift", "dev", "--engine", engine)
    warning = "Service churn was created and not recorded"
    assert warning in " ".join(found.split())
    (record,) = (project.root / ".state/.pulumi/clusters").rglob("dev.json")
    record.write_text(re.sub(r'"uid": "[^"]+"', '"uid": "other"', record.read_text()))
    refused = project.run("drift", "dev", "--engine", engine)
    assert "kube-system UID other" in " ".join(refused.stderr.split())
    shown = project.succeed("refresh", "dev", "--yes", "--engine", engine)
    assert warning in " ".join(shown.split())
    assert "pending_operations" not in read_state(project)
    assert warning not in project.succeed("drift", "dev", "--engine", engine)
    assert "Nothing to do" in project.succeed("up", "dev", "--engine", engine)


@pytest.mark.grid
def test_destroy_deletes_an_unrecorded_object(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn")
    project.succeed("up", "dev")
    forget(project, "kubernetes:core/v1:Service", "::churn")
    project.succeed("destroy", "dev", "--yes")
    assert list_names(kube, f"{project.namespace}-dev") == set()
    assert "pending_operations" not in read_state(project)


@pytest.mark.grid
def test_pending_create_of_an_absent_object_is_forgotten(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn", "fraud")
    project.succeed("up", "dev")
    forget(project, "kubernetes:core/v1:Service", "::churn")
    (project.root / "catalog/churn.yaml").unlink()
    # As if the server had never created it.
    kube.delete("v1", "Service", "churn", f"{project.namespace}-dev", propagation="Background")
    preview = project.succeed("preview", "dev")
    assert "interrupted" not in preview
    project.succeed("up", "dev", "--yes")
    assert "pending_operations" not in read_state(project)


@pytest.mark.grid
@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_models_withdrawn_after_a_kill_leave_nothing(
    make_quick_project: MakeProject, kube: KubeClient, seconds: float
) -> None:
    project = make_quick_project("churn")
    project.succeed("up", "dev")
    namespace = f"{project.namespace}-dev"
    expected = list_names(kube, namespace)
    for number in range(14):
        project.write(f"catalog/new-{number}.yaml", MODEL)
    command = [sys.executable, "-m", "framework", "up", "dev"]
    with subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as up:
        end = time.monotonic() + 60
        while list_names(kube, namespace) == expected and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(seconds)
        up.kill()
    for number in range(14):
        (project.root / f"catalog/new-{number}.yaml").unlink()
    project.succeed("up", "dev", "--yes")
    assert list_names(kube, namespace) == expected
    assert "pending_operations" not in read_state(project)
    assert "Nothing to do" in project.succeed("up", "dev")
