"""The deploy workflow. Its commands run here, against a fake GitHub and the cluster of the run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import MakeProject, Project
from tests.shipped import ROOT, copy_shipped
from tests.workflow.fake_github import GitHub, build_environment, run_step, serve_github

DEPLOY = ROOT / ".github/workflows/deploy.yaml"
PULL_REQUEST = ROOT / ".github/workflows/pull-request.yaml"
SCRIPT = ROOT / ".github/scripts/fetch-plan.py"
MERGE, HEAD = "aaaa1111", "bbbb2222"
FIND = f"{sys.executable} {SCRIPT} dev"


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serve_github() as fake:
        yield fake


def list_commands(workflow: Path, job: str) -> dict[str, str]:
    """Returns the commands of a job by the names of their steps."""
    jobs: Any = yaml.load(workflow.read_text(), Loader=yaml.BaseLoader)["jobs"]
    return {step["name"]: step["run"] for step in jobs[job]["steps"] if "run" in step}


def test_workflow_has_only_the_permissions_that_it_needs() -> None:
    workflow = yaml.load(DEPLOY.read_text(), Loader=yaml.BaseLoader)
    needed = {"contents": "read", "actions": "read", "pull-requests": "read"}
    assert workflow["permissions"] == needed
    assert workflow["on"] == {"push": {"branches": ["main"]}}
    assert workflow["concurrency"]["cancel-in-progress"] == "false"
    for path, job in ((DEPLOY, "deploy"), (PULL_REQUEST, "plan")):
        # Expressions such as a branch name must not become shell code, only variables.
        assert not any("${{" in command for command in list_commands(path, job).values())


def test_plan_of_a_fork_is_not_made_with_credentials() -> None:
    jobs = yaml.load(PULL_REQUEST.read_text(), Loader=yaml.BaseLoader)["jobs"]
    assert "head.repo.full_name == github.repository" in jobs["plan"]["if"]
    assert jobs["plan"]["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(
    ("merged", "artifact", "expired", "message"),
    [
        pytest.param({MERGE: HEAD}, f"plan-dev-{HEAD}", False, "", id="merged"),
        pytest.param({}, f"plan-dev-{HEAD}", False, "is not the merge of a pull", id="pushed"),
        pytest.param({MERGE: HEAD}, "plan-dev-other", False, "no run has attached", id="none"),
        pytest.param({MERGE: HEAD}, f"plan-dev-{HEAD}", True, "or it has expired", id="expired"),
    ],
)
def test_plan_of_the_merged_pull_request_is_found(
    merged: dict[str, str],
    artifact: str,
    expired: bool,
    message: str,
    github: GitHub,
    tmp_path: Path,
) -> None:
    github.merged = merged
    github.artifacts = {artifact: {"plan.json": '{"format": 1}'}}
    github.expired = {artifact} if expired else set()
    environment = build_environment(tmp_path, github) | {"GITHUB_SHA": MERGE}
    plan = tmp_path / "plan.json"
    done = run_step(f"{FIND} {plan}", tmp_path, environment)
    assert "sesame" not in done.stdout + done.stderr
    assert (done.returncode == 0) is (message == "") is plan.exists()
    assert message in done.stdout
    if not message:
        assert plan.read_text() == '{"format": 1}'


def test_plan_of_another_run_is_not_taken_by_its_name(github: GitHub, tmp_path: Path) -> None:
    github.merged, github.head = {MERGE: HEAD}, "another"
    github.artifacts = {f"plan-dev-{HEAD}": {"plan.json": "{}"}}
    environment = build_environment(tmp_path, github) | {"GITHUB_SHA": MERGE}
    done = run_step(f"{FIND} {tmp_path / 'plan.json'}", tmp_path, environment)
    assert done.returncode == 1
    assert "no run has attached" in done.stdout


def test_refused_preview_is_in_the_summary_and_fails_the_step(
    github: GitHub, tmp_path: Path
) -> None:
    make = tmp_path / "bin/make"
    make.parent.mkdir()
    make.write_text("#!/bin/sh\necho 'error: Secret hub does not exist'\nexit 2\n")
    make.chmod(0o755)
    environment = build_environment(tmp_path, github) | {"ENVIRONMENT": "dev"}
    environment["PATH"] = f"{make.parent}{os.pathsep}{environment['PATH']}"
    done = run_step(list_commands(PULL_REQUEST, "plan")["Plan"], tmp_path, environment)
    assert done.returncode == 2
    assert "error: Secret hub does not exist" in (tmp_path / "summary.md").read_text()


def make_checkout(project: Project) -> None:
    """Adds to a project what a checkout has besides, and a `.venv` that make finds up to date."""
    copy_shipped(project.root, ".github", "Makefile", "requirements.lock")
    (project.root / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (project.root / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    (project.root / ".venv/ready").touch()


@pytest.mark.cluster
def test_reviewed_plan_is_applied_after_the_merge_and_another_one_is_not(
    make_live_project: MakeProject, github: GitHub, tmp_path: Path
) -> None:
    if not shutil.which("make"):
        pytest.skip("needs make")
    project = make_live_project("churn")
    project.edit("catalog/_defaults.yaml", "minReadySeconds: 5", "minReadySeconds: 0")
    make_checkout(project)
    temporary = tmp_path / "runner"
    temporary.mkdir()
    environment = build_environment(temporary, github) | {"ENVIRONMENT": "dev", "GITHUB_SHA": MERGE}
    planning, steps = list_commands(PULL_REQUEST, "plan"), list_commands(DEPLOY, "deploy")

    done = run_step(planning["Plan"], project.root, environment)
    assert done.returncode == 0, done.stderr
    assert "+ churn" in (temporary / "summary.md").read_text()
    github.merged = {MERGE: HEAD}
    plan = temporary / "plan.json"
    github.artifacts = {f"plan-dev-{HEAD}": {"plan.json": plan.read_text()}}
    plan.unlink()

    project.append("catalog/churn.yaml", "# A comment that came with the merge.\n")
    for name in ("Find the plan", "Apply the plan"):
        done = run_step(steps[name], project.root, environment)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    assert "1 model done" in done.stdout

    (temporary / "summary.md").unlink()
    project.edit("catalog/churn.yaml", '"1.6.1"', '"1.7.0"')
    done = run_step(steps["Apply the plan"], project.root, environment)
    assert done.returncode == 1
    done = run_step(steps["Show what would happen now"], project.root, environment)
    assert done.returncode == 0, done.stderr
    summary = (temporary / "summary.md").read_text()
    assert summary.startswith("### dev was not deployed as reviewed\n")
    assert "its settings in the catalog" not in summary.partition("### What")[2]
    assert "~ churn" in summary.partition("### What `up` would do now")[2]
