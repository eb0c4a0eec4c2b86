"""A ConfigMap of a fixed name changes in place, and the Pods roll only where they should."""

from __future__ import annotations

import pytest

from framework.kube.client import KubeClient
from framework.kube.objects import Object
from tests.conftest import MakeProject, Project

pytestmark = pytest.mark.cluster
MODEL = "catalog/churn.yaml"


def _get(kube: KubeClient, project: Project, api_version: str, kind: str, name: str) -> Object:
    found = kube.get(api_version, kind, name, f"{project.namespace}-dev")
    assert found is not None
    return found


@pytest.mark.parametrize("rolls", [False, pytest.param(True, marks=pytest.mark.grid)])
def test_file_of_a_config_map_with_a_fixed_name_changes_in_place(
    make_quick_project: MakeProject, kube: KubeClient, engine: str, rolls: bool
) -> None:
    project = make_quick_project("churn")
    option = "name: churn-files" if rolls else "name: churn-files, rollOnChange: false"
    config = f'config: {{mountPath: /etc/model, files: {{a.json: "1"}}, {option}}}\n'
    project.append(MODEL, config)
    project.succeed("up", "dev", "--engine", engine, PULUMI_CONFIG_PASSPHRASE="test")
    before = _get(kube, project, "v1", "ConfigMap", "churn-files")
    deployment = _get(kube, project, "apps/v1", "Deployment", "churn")

    project.edit(MODEL, '"1"}', '"2"}')
    preview = project.succeed("preview", "dev", "--engine", engine, PULUMI_CONFIG_PASSPHRASE="test")
    assert "replace" not in preview
    project.succeed("up", "dev", "--engine", engine, PULUMI_CONFIG_PASSPHRASE="test")
    after = _get(kube, project, "v1", "ConfigMap", "churn-files")
    assert after["data"] == {"a.json": "2"}
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    rolled = _get(kube, project, "apps/v1", "Deployment", "churn")
    assert (rolled["metadata"]["generation"] > deployment["metadata"]["generation"]) is rolls
    assert "Nothing to do" in project.succeed(
        "up", "dev", "--engine", engine, PULUMI_CONFIG_PASSPHRASE="test"
    )
