"""Git commands run in the repository that they are given, and end."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from framework.core.git import GitError, find_prefix, run_git, start_git


def test_variables_of_a_hook_do_not_lead_to_another_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    done = start_git(tmp_path, "rev-parse", "--show-toplevel")
    assert done.stdout.strip() == str(tmp_path)


def test_git_that_does_not_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\nexec sleep 60\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(GitError, match=r"`git status` did not end within 0\.1 s"):
        start_git(tmp_path, "status", timeout_s=0.1)


def test_missing_git_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="not installed; install git"):
        start_git(tmp_path, "status")


def test_folder_outside_a_repository_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(GitError, match=r"not a git repository.*`git init` and commit") as caught:
        run_git(tmp_path, "status")
    # The history of updates runs git, too.
    assert "SINCE" not in str(caught.value)


def test_prefix_is_the_folder_of_the_project_in_its_repository(tmp_path: Path) -> None:
    project = tmp_path / "teams" / "models"
    project.mkdir(parents=True)
    assert find_prefix(project) == ""
    run_git(tmp_path, "init", "-q")
    assert find_prefix(project) == "teams/models/"
    assert find_prefix(tmp_path) == ""
