"""The stack's outputs say what runs, not what the files ask for."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.conftest import Project

pytestmark = pytest.mark.cluster
MakeProject = Callable[..., Project]


def images(project: Project) -> dict[str, str]:
    """Returns the tag of each Deployment in the outputs."""
    run = project.run("outputs", "dev", "--json")
    assert run.returncode == 0, run.stdout + run.stderr
    found: dict[str, str] = json.loads(run.stdout)["images"]
    return {name: image.rpartition(":")[2] for name, image in found.items()}


def test_outputs_keep_the_image_of_models_that_were_not_deployed(
    make_quick_project: MakeProject,
) -> None:
    project = make_quick_project("churn", "fraud")
    assert project.run("up", "dev").returncode == 0
    for model in ("churn", "fraud"):
        project.edit(f"catalog/{model}.yaml", '"1.6.1"', '"1.7.0"')
    assert project.run("up", "dev", "--model", "fraud").returncode == 0
    assert images(project) == {"churn": "1.6.1", "fraud": "1.7.0"}

    project.edit("catalog/churn.yaml", '"1.7.0"', '"missing"')
    project.edit("catalog/fraud.yaml", '"1.7.0"', '"1.8.0"')
    assert project.run("up", "dev").returncode == 3
    assert images(project) == {"churn": "1.6.1", "fraud": "1.8.0"}


@pytest.mark.grid
def test_outputs_name_no_model_that_was_never_deployed(make_quick_project: MakeProject) -> None:
    project = make_quick_project("churn", "fraud")
    (project.root / "catalog/fraud.yaml").rename(project.root / "fraud.yaml")
    assert project.run("up", "dev").returncode == 0
    (project.root / "fraud.yaml").rename(project.root / "catalog/fraud.yaml")
    project.edit("catalog/churn.yaml", '"1.6.1"', '"1.7.0"')
    assert project.run("up", "dev", "--model", "churn").returncode == 0
    assert images(project) == {"churn": "1.7.0"}
