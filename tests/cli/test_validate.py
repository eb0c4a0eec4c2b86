"""`validate`: every error of all files in one run, as text, JSON and GitHub annotations."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.conftest import Project

MakeProject = Callable[..., Project]


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    """The shipped catalog with an error in a model, and one in a layer that all models share."""
    made = make_project()
    made.append("catalog/fraud.yaml", "replica: 3\n")
    made.edit("environments/prod/environment.yaml", "maxUnavailable: 0", "maxUnavailable: 2O%")
    return made


def test_error_shows_its_line_and_a_caret(project: Project) -> None:
    run = project.run("validate", "dev")
    assert run.returncode == 1
    head, line, caret, *_ = run.stdout.splitlines()
    assert "MC101" in head
    assert "did you mean" in head
    assert line.endswith("| replica: 3")
    assert caret.strip() == "| ^^^^^^^"


def test_error_of_a_shared_layer_is_shown_once(project: Project) -> None:
    run = project.run("validate")
    assert run.stdout.count("2O%") == 2
    assert "environments/prod/environment.yaml:" in run.stdout


def test_json_has_every_error_with_its_code(project: Project) -> None:
    run = project.run("validate", "--json")
    diagnostics = json.loads(run.stdout)["diagnostics"]
    assert {diagnostic["code"] for diagnostic in diagnostics} == {"MC101", "MC104"}
    assert {diagnostic["severity"] for diagnostic in diagnostics} == {"error"}
    assert diagnostics == sorted(
        diagnostics, key=lambda diagnostic: (diagnostic["path"], diagnostic["line"])
    )


def test_github_annotates_the_lines(project: Project) -> None:
    run = project.run("validate", "dev", "--format", "github")
    line = next(line for line in run.stdout.splitlines() if line.startswith("::error"))
    assert line.startswith("::error file=catalog/fraud.yaml,line=")
    assert "title=MC101" in line


def test_line_that_may_contain_a_secret_is_not_shown(make_project: MakeProject) -> None:
    project = make_project()
    project.append("catalog/fraud.yaml", "password: hunter2\n")
    run = project.run("validate", "dev")
    assert "password" in run.stdout
    assert "hunter2" not in run.stdout


def test_line_with_an_api_group_is_shown(make_project: MakeProject) -> None:
    project = make_project()
    group = "rbac.authorization.k8s.io/v1"
    project.append(
        "catalog/fraud.yaml", f"objects: {{r: {{apiVersion: {group}, kind: Role, ruls: []}}}}\n"
    )
    head, line, caret, *_ = project.run("validate", "dev").stdout.splitlines()
    assert "objects.r.ruls" in head
    assert group in line
    assert line[caret.index("^") :].startswith("ruls")


def test_valid_catalog_shows_what_was_checked(make_project: MakeProject) -> None:
    run = make_project().run("validate", "prod")
    assert run.returncode == 0
    assert run.stdout.startswith("No errors in ")
    assert "13 models, prod" in run.stdout
