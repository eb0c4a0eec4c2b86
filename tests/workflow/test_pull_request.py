"""The pull-request workflow. Its commands run here, against a fake GitHub on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.reports.repository import Repository
from tests.shipped import ROOT, copy_shipped
from tests.workflow.fake_github import GitHub, build_environment, run_step, serve_github

WORKFLOW = ROOT / ".github/workflows/pull-request.yaml"
_SCRIPT = ROOT / ".github/scripts/post-comment.py"
_PARTS = ("catalog", "environments", "framework", ".github", "Makefile", "requirements.lock")
_MARKER = "<!-- modelcatalog:"


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serve_github() as fake:
        yield fake


def _workflow() -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.load(WORKFLOW.read_text(), Loader=yaml.BaseLoader)
    return workflow


def _steps() -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in _workflow()["jobs"]["review"]["steps"] if "run" in step}


def _environment(folder: Path, github: GitHub) -> dict[str, str]:
    """Returns the environment of each step, with the expressions of the workflow resolved."""
    (folder / "event.json").write_text(json.dumps({"pull_request": {"number": 7}}))
    return build_environment(folder, github) | {
        "BASE": "origin/main",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
    }


def test_workflow_has_only_the_permissions_that_it_needs() -> None:
    workflow = _workflow()
    assert workflow["on"] == "pull_request"
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    steps = workflow["jobs"]["review"]["steps"]
    used = {step["uses"].partition("@")[0]: step for step in steps if "uses" in step}
    assert used.keys() == {"actions/checkout", "actions/setup-python"}
    assert used["actions/checkout"]["with"]["fetch-depth"] == "0"
    assert used["actions/setup-python"]["with"]["python-version"] == "3.11"
    # Runs after a failed Validate, but not after a failed Set up.
    later = {_steps()[name]["if"] for name in ("Compare", "Comment")}
    assert later == {"${{ !cancelled() && steps.setup.outcome == 'success' }}"}
    # Expressions such as a branch name must not become shell code, only variables.
    assert not any("${{" in step["run"] for step in _steps().values())


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository with the shipped catalog, whose base branch is origin/main."""
    root = tmp_path_factory.mktemp("workflow") / "project"
    copy_shipped(root, *_PARTS)
    (root / ".gitignore").write_text(".venv/\n.state/\n__pycache__/\n")
    repository = Repository(root, {})
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    # Created last, so that make finds it up to date.
    (root / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (root / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    (root / ".venv/ready").touch()
    return repository


def _run(name: str, root: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run_step(_steps()[name]["run"], root, environment)


def test_every_command_runs_and_updates_the_comment(
    repository: Repository, github: GitHub, tmp_path: Path
) -> None:
    environment = _environment(tmp_path, github)
    file = repository.root / "catalog/churn.yaml"
    text = file.read_text()
    file.write_text(f"{text}preStopSeconds: 11\n")
    for name in _steps():
        done = _run(name, repository.root, environment)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    (comment,) = github.comments
    assert comment["body"].startswith(_MARKER)
    for name in ("dev", "prod", "staging"):
        assert f"### {name}: 1 of " in comment["body"]
    assert "@@ catalog/churn.yaml:" in comment["body"]
    file.write_text(text)
    for name in ("Compare", "Comment"):
        assert _run(name, repository.root, environment).returncode == 0
    assert len(github.comments) == 1
    assert "### prod: no manifest of " in github.comments[0]["body"]


def test_errors_fail_the_run_and_are_in_the_comment(
    repository: Repository, github: GitHub, tmp_path: Path
) -> None:
    environment = _environment(tmp_path, github)
    file = repository.root / "catalog/churn.yaml"
    text = file.read_text()
    file.write_text(f"{text}replica: 2\n")
    validated = _run("Validate", repository.root, environment)
    assert validated.returncode != 0
    assert "::error file=catalog/churn.yaml" in validated.stdout
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("### The catalog has errors\n\n```text\ncatalog/churn.yaml:")
    assert summary.endswith("\n```\n")
    for name in ("Compare", "Comment"):
        assert _run(name, repository.root, environment).returncode == 0
    file.write_text(text)
    body = github.comments[0]["body"]
    for name in ("dev", "prod", "staging"):
        assert f"### {name}: no manifest of " in body
    assert body.count("**not compared: churn**\n\n1 error:\n\n```text\ncatalog/churn.yaml:") == 3
    assert "make:" not in body
    assert "cannot be compared" not in body


def test_later_commits_of_the_base_are_not_shown_as_changes(
    repository: Repository, github: GitHub, tmp_path: Path
) -> None:
    """The base branch may have moved on since the merge commit that is checked out."""
    head = repository.git("rev-parse", "HEAD").strip()
    repository.git("checkout", "--quiet", "--detach")
    other = {"environments/other/environment.yaml": "namespace: other\n"}
    churn = repository.root / "catalog/churn.yaml"
    repository.write({"catalog/churn.yaml": f"{churn.read_text()}preStopSeconds: 11\n", **other})
    repository.commit()
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    repository.git("checkout", "--quiet", "work")
    done = _run("Compare", repository.root, _environment(tmp_path, github))
    repository.git("update-ref", "refs/remotes/origin/main", head)
    assert done.returncode == 0
    report = (tmp_path / "report.md").read_text()
    assert report.count(f"> compared with origin/main, where this branch left it ({head[:7]})") == 3
    assert report.count(": no manifest of ") == report.count("###") == 3


def test_report_of_a_failed_comparison_is_its_error_message(
    repository: Repository, github: GitHub, tmp_path: Path
) -> None:
    environment = _environment(tmp_path, github) | {"BASE": "origin/gone"}
    assert _run("Compare", repository.root, environment).returncode == 0
    report = (tmp_path / "report.md").read_text()
    assert report.count("cannot be compared\n\n    SINCE=origin/gone: git reports: ") == 3


def _post(report: str, folder: Path, github: GitHub) -> str:
    (folder / "report.md").write_text(report)
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), str(folder / "report.md")],
        env=_environment(folder, github),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "sesame" not in done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_report_goes_to_the_summary_if_commenting_is_forbidden(
    status: int, github: GitHub, tmp_path: Path
) -> None:
    github.refuses = status
    assert f"no comment (HTTP {status})" in _post("### prod\n", tmp_path, github)
    assert (tmp_path / "summary.md").read_text() == "### prod\n"


def test_report_goes_to_the_summary_without_github(github: GitHub, tmp_path: Path) -> None:
    github.url = "http://127.0.0.1:9"
    assert "no comment" in _post("### prod\n", tmp_path, github)
    assert (tmp_path / "summary.md").read_text() == "### prod\n"


def test_own_comment_is_found_and_quotes_are_ignored(github: GitHub, tmp_path: Path) -> None:
    for number in range(120):
        github.add(f"remark {number}", "User")
    github.comments[0]["user"] = None
    _post("first", tmp_path, github)
    quoted = github.comments[-1]["body"]
    github.comments.insert(0, {"id": 999, "body": quoted, "user": {"type": "User"}})
    github.comments.pop(1)
    _post("second", tmp_path, github)
    assert github.comments[-1]["body"].endswith("second")
    assert (github.comments[0]["body"], len(github.comments)) == (quoted, 121)


def _fold(title: str, text: str) -> str:
    lines = ["<details><summary>" + title + "</summary>", "", "```diff", text, "```", "</details>"]
    return "\n".join(lines)


def test_long_report_has_every_section_and_is_complete_in_the_summary(
    github: GitHub, tmp_path: Path
) -> None:
    sections = [
        "### dev: 1 model changes\n",
        _fold("churn", "+ " + "x" * 90_000),
        *(_fold(f"model-{n}", "+ " + "y" * 500) for n in range(50)),
        "### prod: 1 model changes\n",
        _fold("fraud", "- replicas: 3\n+ replicas: 0"),
    ]
    report = "\n\n".join(sections)
    _post(report, tmp_path, github)
    body = github.comments[0]["body"]
    assert len(body) <= 65_536
    assert "<details><summary>churn (left out)</summary></details>" in body
    assert body.count("y" * 500) == 50
    assert sections[-1] in body
    assert "/o/r/actions/runs/1" in body
    assert (tmp_path / "summary.md").read_text() == report


def test_long_report_of_errors_is_cut_after_a_line_and_ends_its_block_of_code(
    github: GitHub, tmp_path: Path
) -> None:
    errors = [f"catalog/model-{n}.yaml:1:1: replicas is ```{n}```" for n in range(3000)]
    _post("\n".join(["### dev", "", "````text", *errors, "````", ""]), tmp_path, github)
    body = github.comments[0]["body"]
    assert len(body) <= 65_536
    text, _, note = body.partition("\n````\n")
    assert text.endswith("```")
    assert "too long for GitHub" in note
