"""Reads the project at a Git commit: what differs from the working tree, and a copy of its files.

The copy is made with a temporary index instead of `git worktree add`: that command fails if `.git`
is read-only, as in some CI runners, runs the post-checkout hook, checks out the whole repository,
and leaves an entry in `.git/worktrees` if it is killed. Here nothing in `.git` is written.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from framework.core.errors import FrameworkError, UsageError

# Everything that manifests are made from.
_CATALOG_PARTS = ("catalog", "environments")
_CODE_PARTS = ("framework", "requirements.lock")
# Git sets these when it runs a hook. They would replace the project's own repository and index.
_NOT_INHERITED = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})


class GitError(FrameworkError):
    """A git command failed. `message` is the first line that git printed."""

    def __init__(self, root: Path, message: str, next_step: str) -> None:
        self.root, self.message = root, message
        super().__init__(f"{root}: git says: {message}; {next_step}")


class UnknownRefError(UsageError):
    """No commit has this name. A shallow clone may only lack it."""

    def __init__(self, ref: str, message: str, *, shallow: bool) -> None:
        self.ref, self.shallow = ref, shallow
        if shallow:
            why = "this clone is shallow and lacks it"
            next_step = "fetch the history with `git fetch --unshallow` (in CI: fetch-depth: 0)"
        else:
            why = "expected a commit, branch or tag"
            next_step = "`git branch --all` and `git tag` list them, `git fetch` brings new ones"
        super().__init__(f"SINCE={ref}: git says: {message}; {why}; {next_step}")


@dataclass(frozen=True)
class Revision:
    """The commit at which the branch left `ref`, in the repository that holds `root`.

    `tip` is the commit of `ref` itself. If HEAD and `ref` have no commit in common, `related` is
    False and `commit` is the tip.
    """

    root: Path
    ref: str
    commit: str
    tip: str
    related: bool = True

    @property
    def name(self) -> str:
        """Returns a name that git understands: the ref, or the short hash if they differ."""
        return self.ref if self.commit == self.tip else self.commit[:7]

    def load_changes(self) -> frozenset[str]:
        """Returns the paths that may differ from the working tree, relative to `root`.

        They include uncommitted and untracked files, and ignored ones that the catalog would read.
        A path that is not in the result has the same content on both sides.
        """
        names = ("--name-only", "--no-renames", "--no-ext-diff", "--relative", "-z")
        parts = (*_CATALOG_PARTS, *_CODE_PARTS)
        paths = _run_git(self.root, "diff", *names, self.commit, "--", *parts)
        others = ("ls-files", "--others", "-z")
        paths += _run_git(self.root, *others, "--", *_CATALOG_PARTS)
        paths += _run_git(self.root, *others, "--exclude-standard", "--", *_CODE_PARTS)
        return frozenset(filter(None, paths.split("\0")))

    def export(self, folder: Path) -> Path:
        """Writes the commit's catalog, environments and framework under `folder`.

        Returns the project's root in it. The files are the same as after a checkout: line endings
        are converted and filters such as Git LFS are applied. `git archive` would leave out files
        with the attribute export-ignore.
        """
        index = {"GIT_INDEX_FILE": str(folder / ".index")}
        _run_git(self.root, "read-tree", self.commit, **index)
        parts = (*_CATALOG_PARTS, *_CODE_PARTS)
        names = _run_git(self.root, "ls-files", "-z", "--", *parts, **index)
        prefix = f"--prefix={folder}{os.sep}"
        _run_git(self.root, "checkout-index", "-z", "--stdin", prefix, stdin=names, **index)
        # The project may be in a folder of its repository.
        root = folder / _run_git(self.root, "rev-parse", "--show-prefix").strip()
        root.mkdir(parents=True, exist_ok=True)
        return root


def resolve_revision(root: Path, ref: str) -> Revision:
    """Returns the best common commit of HEAD and `ref`.

    So changes that others made to `ref` since the branch left it are not reported.
    Errors: UnknownRefError; GitError outside a repository.
    """
    _run_git(root, "rev-parse", "--is-inside-work-tree")
    message = f"Not a valid object name {ref}"
    # Git would read a leading dash as an option.
    if ref and not ref.startswith("-"):
        commit = f"{ref}^{{commit}}"
        verified = _start_git(root, "rev-parse", "--verify", commit)
        if verified.returncode == 0:
            tip = verified.stdout.strip()
            # Fails if there is no common commit, as in a shallow clone or before the first commit.
            base = _start_git(root, "merge-base", "HEAD", tip).stdout.strip()
            return Revision(root, ref, base or tip, tip, related=bool(base))
        # The message of cat-file names the ref; the message of rev-parse does not.
        message = _first_line(_start_git(root, "cat-file", "-e", commit).stderr)
    shallow = _run_git(root, "rev-parse", "--is-shallow-repository").strip() == "true"
    raise UnknownRefError(ref, message, shallow=shallow)


def _run_git(root: Path, *arguments: str, stdin: str = "", **environment: str) -> str:
    """Returns the output of a git command. Errors: GitError."""
    completed = _start_git(root, *arguments, stdin=stdin, **environment)
    if completed.returncode:
        message = _first_line(completed.stderr)
        next_step = "SINCE needs a working git clone of the project"
        if "not a git repository" in message:
            next_step = "SINCE compares with a commit: clone the project, or `git init` and commit"
        elif "safe.directory" in completed.stderr:
            next_step = f"trust it with `git config --global --add safe.directory {root}`"
        raise GitError(root, message, next_step)
    return completed.stdout


def _start_git(
    root: Path, *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
    # `git diff` would refresh the user's index. The messages are matched above in English.
    fixed = {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(
            ["git", "-C", str(root), *arguments],
            env={**inherited, **fixed, **environment},
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
    except FileNotFoundError as exc:
        raise GitError(root, "no such program", "install git, which SINCE needs") from exc


def _first_line(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[0].removeprefix("fatal: ").rstrip(".") if lines else "no message"
