"""The stack's outputs have the images that run, not those in the YAML files."""

from __future__ import annotations

import json

import pytest

from tests.conftest import MakeProject, Project

pytestmark = pytest.mark.cluster


def images(project: Project) -> dict[str, str]:
    """Returns the tag of each Deployment in the outputs."""
    run = project.run("outputs", "dev", "--json")
    assert run.returncode == 0, run.stdout + run.stderr
    found: dict[str, str] = json.loads(run.stdout)["images"]
    return {name: image.rpartition(":")[2] for name, image in found.items()}


@pytest.mark.grid
def test_outputs_keep_the_image_of_models_that_were_not_deployed(
    make_quick_project: MakeProject,
) -> None:
    project = make_quick_project("churn", "fraud")
    project.succeed("up", "dev")
    for model in ("churn", "fraud"):
        project.edit(f"catalog/{model}.yaml", '"1.6.1"', '"1.7.0"')
    project.succeed("up", "dev", "--model", "fraud")
    assert images(project) == {"churn": "1.6.1", "fraud": "1.7.0"}

    project.edit("catalog/churn.yaml", '"1.7.0"', '"missing"')
    project.edit("catalog/fraud.yaml", '"1.7.0"', '"1.8.0"')
    assert project.run("up", "dev").returncode == 3
    assert images(project) == {"churn": "1.6.1", "fraud": "1.8.0"}


@pytest.mark.grid
def test_outputs_name_no_model_that_was_never_deployed(make_quick_project: MakeProject) -> None:
    project = make_quick_project("churn", "fraud")
    (project.root / "catalog/fraud.yaml").rename(project.root / "fraud.yaml")
    project.succeed("up", "dev")
    (project.root / "fraud.yaml").rename(project.root / "catalog/fraud.yaml")
    project.edit("catalog/churn.yaml", '"1.6.1"', '"1.7.0"')
    project.succeed("up", "dev", "--model", "churn")
    assert images(project) == {"churn": "1.7.0"}
