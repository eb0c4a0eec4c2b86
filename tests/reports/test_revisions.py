"""Commits: the files that differ from one, a copy of its tree, and errors for unknown refs."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.core.errors import FrameworkError, UsageError
from framework.core.git import GitError
from framework.reports.revisions import UnknownRefError, resolve_revision
from tests.reports.repository import FILES, Repository


def _changes(repository: Repository, ref: str = "main") -> frozenset[str]:
    return resolve_revision(repository.root, ref).load_changes()


def test_nothing_differs_from_the_commit_just_made(repository: Repository) -> None:
    assert _changes(repository) == frozenset()


def test_committed_staged_unstaged_untracked_and_ignored_files_all_count(
    repository: Repository,
) -> None:
    repository.write({"catalog/alpha.yaml": "a: 1\n", ".gitignore": "environments/local/\n"})
    repository.commit()
    repository.write({"catalog/beta.yaml": None, "README.md": "not read\n"})
    repository.write({"environments/dev/environment.yaml": "namespace: x\n"})
    repository.git("add", "environments/dev")
    repository.write({"environments/local/environment.yaml": "namespace: y\n"})
    repository.write({"catalog/a new model.yaml": "", "catalog/ü.yaml": ""})
    assert _changes(repository) == {
        "catalog/alpha.yaml", "catalog/beta.yaml", "catalog/a new model.yaml", "catalog/ü.yaml",
        "environments/dev/environment.yaml", "environments/local/environment.yaml",
    }  # fmt: skip


def test_a_copy_has_the_commits_files_and_the_repository_stays(
    repository: Repository, tmp_path: Path
) -> None:
    repository.write({"catalog/alpha.yaml": "a: 1\n", "catalog/new.yaml": ""})
    repository.git("add", "catalog/new.yaml")
    before = repository.git("status", "--porcelain=v2", "--branch")
    (tmp_path / "copy").mkdir()
    files = resolve_revision(repository.root, "main").files
    root = files.export(tmp_path / "copy", files.blobs.keys())
    copied = {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*.yaml")}
    assert copied == FILES
    assert repository.git("status", "--porcelain=v2", "--branch") == before
    assert repository.git("worktree", "list").count("\n") == 1


def test_project_below_the_root_of_its_repository_is_copied(tmp_path: Path) -> None:
    outer = Repository(tmp_path / "outer", {f"ml/{path}": text for path, text in FILES.items()})
    outer.write({"ml/catalog/alpha.yaml": "a: 1\n", "catalog/other.yaml": ""})
    revision = resolve_revision(outer.root / "ml", "main")
    assert revision.load_changes() == {"catalog/alpha.yaml"}
    (tmp_path / "copy").mkdir()
    root = revision.files.export(tmp_path / "copy", revision.files.blobs.keys())
    assert (root / "catalog/alpha.yaml").read_text() == FILES["catalog/alpha.yaml"]


def test_git_variables_of_a_hook_are_ignored(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nothing"))
    assert _changes(repository) == frozenset()


@pytest.mark.parametrize("ref", ["nope", "", "--all", "main:catalog", "HEAD~9", "two words"])
def test_unknown_ref_is_a_usage_error_with_the_message_of_git(
    repository: Repository, ref: str
) -> None:
    with pytest.raises(UsageError, match=f"SINCE={ref}: git reports: .*git branch --all"):
        resolve_revision(repository.root, ref)


@pytest.mark.parametrize("ref", ["main", "HEAD", "v1", "refs/heads/main", "@{0}"])
def test_commit_can_be_named_by_any_git_revision(repository: Repository, ref: str) -> None:
    repository.git("tag", "-a", "v1", "-m", "first")
    head = repository.git("rev-parse", "HEAD").strip()
    assert resolve_revision(repository.root, ref).commit == head


def _diverge(repository: Repository) -> str:
    """Adds a commit to `main` and one to `work`; returns their common ancestor."""
    base = repository.git("rev-parse", "HEAD").strip()
    repository.git("checkout", "--quiet", "main")
    repository.write({"catalog/theirs.yaml": "a: 1\n"})
    repository.commit()
    repository.git("checkout", "--quiet", "work")
    repository.write({"catalog/ours.yaml": "a: 1\n"})
    repository.commit()
    return base


def test_branch_is_compared_with_its_merge_base(repository: Repository) -> None:
    base = _diverge(repository)
    revision = resolve_revision(repository.root, "main")
    assert (revision.commit, revision.name, revision.related) == (base, base[:7], True)
    assert revision.load_changes() == {"catalog/ours.yaml"}
    repository.git("merge", "--quiet", "--no-edit", "main")
    revision = resolve_revision(repository.root, "main")
    assert (revision.commit, revision.name) == (revision.tip, "main")
    assert revision.load_changes() == {"catalog/ours.yaml"}


def test_ref_ahead_of_the_branch_shows_only_uncommitted_changes(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "main")
    repository.write({"catalog/theirs.yaml": "a: 1\n"})
    repository.commit()
    repository.git("checkout", "--quiet", "work")
    repository.write({"catalog/ours.yaml": "a: 1\n"})
    assert _changes(repository) == {"catalog/ours.yaml"}


def test_without_a_common_commit_the_ref_itself_is_compared(
    repository: Repository, tmp_path: Path
) -> None:
    _diverge(repository)
    url, clone = repository.root.as_uri(), tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth", "1", "--no-single-branch", url, str(clone))
    revision = resolve_revision(clone, "origin/main")
    assert (revision.commit, revision.name, revision.related) == (
        revision.tip, "origin/main", False,
    )  # fmt: skip
    assert revision.load_changes() == {"catalog/ours.yaml", "catalog/theirs.yaml"}


def test_shallow_clone_suggests_a_fetch(repository: Repository, tmp_path: Path) -> None:
    repository.commit()
    url = repository.root.as_uri()
    repository.git("clone", "--quiet", "--depth", "1", url, str(tmp_path / "shallow"))
    with pytest.raises(UnknownRefError, match=r"shallow and lacks it; .*--unshallow") as caught:
        resolve_revision(tmp_path / "shallow", "HEAD~1")
    assert caught.value.shallow


def test_folder_outside_a_repository_is_refused_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(GitError, match=r"not a git repository.*git init"):
        resolve_revision(tmp_path, "main")


def test_missing_git_is_reported(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FrameworkError, match="install git"):
        resolve_revision(repository.root, "main")
