"""The nightly drift workflow. Its commands run here, against a fake GitHub on loopback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import MakeProject
from tests.shipped import ROOT
from tests.workflow.fake_github import GitHub, build_environment, run_step, serve_github

WORKFLOW = ROOT / ".github/workflows/drift.yaml"
_SCRIPT = ROOT / ".github/scripts/report-drift.py"
_MARKER = "<!-- modelcatalog: drift of prod -->"


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serve_github() as fake:
        yield fake


def _job() -> dict[str, Any]:
    workflow = yaml.load(WORKFLOW.read_text(), Loader=yaml.BaseLoader)
    return dict(workflow["jobs"]["check"])


def _command(name: str) -> str:
    return str(next(step["run"] for step in _job()["steps"] if step.get("name") == name))


def test_workflow_runs_at_night_with_only_the_permissions_that_it_needs() -> None:
    workflow = yaml.load(WORKFLOW.read_text(), Loader=yaml.BaseLoader)
    assert workflow["on"].keys() == {"schedule", "workflow_dispatch"}
    assert workflow["permissions"] == {"contents": "read"}
    job = _job()
    assert job["permissions"] == {"contents": "read", "issues": "write"}
    assert job["strategy"]["fail-fast"] == "false"
    # Two runs of one environment at once could both create its issue; a waiting one must not be
    # cancelled in the middle.
    assert job["concurrency"] == {"group": "drift-${{ matrix.environment }}"}
    assert all(
        re.search(r"@[0-9a-f]{40}$", step["uses"]) for step in job["steps"] if "uses" in step
    )
    # A check that hangs ends before the job, so that the issue says so.
    check = next(step for step in job["steps"] if step.get("id") == "check")
    assert int(check["timeout-minutes"]) < int(job["timeout-minutes"])
    # Expressions such as the name of an environment must not become shell code, only variables.
    assert not any("${{" in step.get("run", "") for step in job["steps"])


def test_history_is_saved_after_a_failed_check() -> None:
    caches = [
        step
        for step in _job()["steps"]
        if step.get("uses", "").startswith("actions/cache") and "drift/" in step["with"]["path"]
    ]
    restore, save = caches
    assert restore["uses"].startswith("actions/cache/restore@")
    assert save["uses"] == restore["uses"].replace("restore", "save")
    assert save["if"] == "${{ !cancelled() }}"
    # The report exits with 1 after a failed check, and the step above it may have failed.
    steps = _job()["steps"]
    assert steps.index(save) > next(
        index for index, step in enumerate(steps) if step.get("name") == "Report"
    )
    assert {key: restore["with"][key] for key in save["with"]} == save["with"]


def _report(
    folder: Path,
    github: GitHub,
    code: object,
    findings: tuple[str, ...] = (),
    checked: str = "1",
    *,
    age: timedelta = timedelta(),
) -> subprocess.CompletedProcess[str]:
    """Runs the script on a report with these findings, each with the check in which it was news."""
    reports = folder / "drift/prod"
    reports.mkdir(parents=True, exist_ok=True)
    stack = {"findings": [{"new": since == checked} for since in findings]}
    verdict = {0: "clean", 16: "drift", 1: "failed"}.get(code if isinstance(code, int) else 0)
    time = (datetime.now(UTC) - age).isoformat()
    document = {"verdict": verdict, "checked": time, "stacks": [stack]}
    (reports / "report.json").write_text(json.dumps(document))
    (reports / "report.md").write_text(f"### prod: {verdict}, {len(findings)} findings\n")
    return _run_script(folder, github, str(code))


def _run_script(folder: Path, github: GitHub, code: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, _SCRIPT, "prod", str(folder / "drift/prod"), code],
        env=build_environment(folder, github),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "sesame" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_issue_is_created_updated_closed_and_opened_again(github: GitHub, tmp_path: Path) -> None:
    assert _report(tmp_path, github, 0).returncode == 0
    assert not github.issues

    assert _report(tmp_path, github, 16, ("1",), "1").returncode == 0
    (issue,) = github.issues
    assert (issue["title"], issue["state"], issue["labels"]) == ("Drift in prod", "open", ["drift"])
    assert issue["body"].startswith(f"{_MARKER}\n### prod: drift, 1 findings\n")
    assert "/o/r/actions/runs/1" in issue["body"]

    # The same drift in the next night: no comment, so nobody is told twice.
    _report(tmp_path, github, 16, ("1",), "2")
    assert issue["comments"] == []
    _report(tmp_path, github, 16, ("1", "3", "3"), "3")
    assert "### prod: drift, 3 findings" in issue["body"]
    assert issue["comments"][-1].startswith("2 differences are new or worse.")

    _report(tmp_path, github, 0)
    assert issue["state"] == "closed"
    assert issue["comments"][-1].startswith("No drift any more.")
    _report(tmp_path, github, 0)
    assert len(issue["comments"]) == 2

    _report(tmp_path, github, 16, ("5",), "5")
    assert issue["state"] == "open"
    assert issue["comments"][-1].startswith("Drift in prod again.")
    assert len(github.issues) == 1


@pytest.mark.parametrize("code", [1, 2, 137, "none"])
def test_failed_check_is_reported_and_closes_nothing(
    code: object, github: GitHub, tmp_path: Path
) -> None:
    _report(tmp_path, github, 16, ("1",), "1")
    done = (
        _report(tmp_path, github, code) if code == 1 else _run_script(tmp_path, github, str(code))
    )
    assert done.returncode == 1
    words = "prod could not be checked"
    assert f"::error::{words}" in done.stdout
    (issue,) = github.issues
    assert (issue["title"], issue["state"]) == (words, "open")
    assert f"**{words}**" in issue["body"]
    # A set-up that failed leaves the reports of last night.
    assert ("the report of an earlier check" in issue["body"]) == (code != 1)
    # So it does if the check of last night had failed as well.
    _report(tmp_path, github, 1)
    assert "the report of an earlier check" not in issue["body"]
    if code != 1:
        _run_script(tmp_path, github, str(code))
        assert "the report of an earlier check" in issue["body"]
    # Nothing is known, so the closed issue is opened, and the next clean check closes it.
    issue["state"] = "closed"
    _run_script(tmp_path, github, str(code))
    assert issue["state"] == "open"
    _report(tmp_path, github, 0)
    assert issue["state"] == "closed"


def test_check_with_findings_that_failed_in_part_says_so(github: GitHub, tmp_path: Path) -> None:
    done = _report(tmp_path, github, 1, ("1",), "1")
    assert "::error::prod was not fully checked" in done.stdout
    (issue,) = github.issues
    assert issue["title"] == "prod was not fully checked"
    assert "**prod was not fully checked**, so there may be drift" in issue["body"]


def test_drift_that_first_appears_in_a_check_of_a_part_is_announced(
    github: GitHub, tmp_path: Path
) -> None:
    _report(tmp_path, github, 16, ("1",), "1")
    _report(tmp_path, github, 1, ("1", "2"), "2")
    (issue,) = github.issues
    assert [text.partition(".")[0] for text in issue["comments"]] == [
        "1 difference is new or worse"
    ]
    _report(tmp_path, github, 16, ("1", "2"), "3")
    assert len(issue["comments"]) == 1


def test_report_of_last_night_is_not_announced_again(github: GitHub, tmp_path: Path) -> None:
    _report(tmp_path, github, 16, ("1",), "1")
    # The check of last night failed in part, and that of tonight stopped before its report.
    _report(tmp_path, github, 1, ("2",), "2", age=timedelta(days=1))
    (issue,) = github.issues
    assert issue["comments"] == []
    assert "the report of an earlier check" in issue["body"]


def test_failed_check_without_a_report_creates_the_issue(github: GitHub, tmp_path: Path) -> None:
    assert _run_script(tmp_path, github, "none").returncode == 1
    (issue,) = github.issues
    assert "There is no report" in issue["body"]


def test_issue_is_found_among_others_and_without_its_label(github: GitHub, tmp_path: Path) -> None:
    github.add_issue(None, "User")
    github.add_issue(f"{_MARKER}\nquoted", "User")
    github.add_issue(f"{_MARKER}\nin a pull request", pull_request={})
    github.add_issue(_MARKER.replace("prod", "staging"))
    for _ in range(120):
        github.add_issue("another")
    github.add_issue(f"{_MARKER}\nolder", state="closed", labels=[], title="renamed")
    before = len(github.issues)
    _report(tmp_path, github, 16)
    assert len(github.issues) == before
    assert (github.issues[-1]["state"], github.issues[-1]["title"]) == ("open", "Drift in prod")
    assert github.issues[1]["body"].endswith("quoted")
    assert github.issues[3]["state"] == "open"


@pytest.mark.parametrize("code", [0, 16])
def test_issue_that_cannot_be_written_fails_the_run(
    code: int, github: GitHub, tmp_path: Path
) -> None:
    github.add_issue(_MARKER)
    github.refuses = 403
    done = _report(tmp_path, github, code)
    assert done.returncode == 1
    assert "::error::the issue of prod could not be written (HTTP 403)" in done.stdout
    assert "### prod" in (tmp_path / "summary.md").read_text()


@pytest.mark.cluster
def test_commands_of_the_workflow(
    make_live_project: MakeProject, github: GitHub, tmp_path: Path
) -> None:
    project = make_live_project("churn")
    root = project.root
    (root / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (root / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    for name in ("Makefile", "requirements.lock", ".github"):
        (root / name).symlink_to(ROOT / name)
    (root / ".venv/ready").touch()
    environment = build_environment(tmp_path, github) | {
        "ENVIRONMENT": "dev",
        "FOLDER": "drift/dev",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "HOME": str(tmp_path),
        "KUBECONFIG_TEXT": "apiVersion: v1",
        "PULUMI_BACKEND_URL": "",
        "PULUMI_CONFIG_PASSPHRASE": "",
    }
    for code in ("1", "0"):
        for name in ("Set up", "Check"):
            done = run_step(_command(name), root, environment)
            assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        # Nothing is deployed at first.
        assert (tmp_path / "output").read_text().splitlines()[-1] == f"code={code}", done.stderr
        reported = run_step(_command("Report"), root, environment | {"CODE": code})
        assert reported.returncode == int(code), reported.stdout
        (issue,) = github.issues
        assert issue["state"] == ("open" if code == "1" else "closed")
        assert (root / "drift/dev/report.md").is_file()
        project.succeed("up", "dev", "--yes")
    assert (tmp_path / ".kube/config").stat().st_mode & 0o077 == 0
    assert "nothing is recorded" in issue["body"]
