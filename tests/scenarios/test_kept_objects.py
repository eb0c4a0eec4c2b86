"""Objects that a failed rollout keeps stay in the cluster with everything they need."""

from __future__ import annotations

import json

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject
from tests.scenarios.recording import Record

pytestmark = pytest.mark.cluster


@pytest.mark.grid
def test_namespace_stays_while_a_kept_pod_serves(
    make_quick_project: MakeProject, kube: KubeClient, record: Record
) -> None:
    project = make_quick_project("churn", "fraud")
    project.succeed("up", "dev")
    old, new = f"{project.namespace}-dev", f"{project.namespace}-moved-dev"
    project.edit("environments/dev/environment.yaml", old, new)
    project.edit("catalog/churn.yaml", '"1.6.1"', '"missing"')
    with record(project) as recorder:
        before = len(recorder.events)
        run = project.run("up", "dev", "--yes")
    assert run.returncode == 3, run.stdout + run.stderr
    assert "Deployment churn still needs it" in " ".join(run.stdout.split())
    assert min(recorder.serving("churn")[before:]) == 2
    namespace = kube.get("v1", "Namespace", old)
    assert namespace is not None
    assert namespace["status"]["phase"] == "Active"

    project.edit("catalog/churn.yaml", '"missing"', '"1.6.1"')
    project.succeed("up", "dev", "--yes")
    assert kube.get("v1", "Namespace", old) is None
    kube.delete("v1", "Namespace", new)


@pytest.mark.grid
def test_namespace_moved_back_leaves_no_deletion_pending(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn")
    project.succeed("up", "dev")
    old, new = f"{project.namespace}-dev", f"{project.namespace}-b-dev"
    project.edit("environments/dev/environment.yaml", old, new)
    project.edit("catalog/churn.yaml", '"1.6.1"', '"missing"')
    assert project.run("up", "dev", "--yes").returncode == 3
    project.edit("environments/dev/environment.yaml", new, old)
    project.edit("catalog/churn.yaml", '"missing"', '"1.6.1"')
    project.succeed("up", "dev", "--yes")
    # With a pending deletion in the state, the CLI would delete the Namespace of this name, which
    # is in use again.
    state = project.root / ".state/.pulumi/stacks/modelcatalog/dev.json"
    resources = json.loads(state.read_text())["checkpoint"]["latest"]["resources"]
    assert [entry["urn"] for entry in resources if entry.get("delete")] == []
    namespace = kube.get("v1", "Namespace", old)
    assert namespace is not None
    assert namespace["status"]["phase"] == "Active"
    assert kube.get("v1", "Namespace", new) is None
