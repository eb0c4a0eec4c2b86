"""The project as one Git commit has it: what differs from the working tree, and a copy of it.

Kept apart because it alone runs git: reports compare two folders and know nothing of commits. No
branch, index or working tree of the user's is touched.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.core.errors import FrameworkError, UsageError

# All that manifests are made from.
CATALOG_PARTS = ("catalog", "environments")
CODE_PARTS = ("framework", "requirements.lock")
# A hook's own repository and index must not stand in for the project's.
_NOT_INHERITED = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})


class GitError(FrameworkError):
    """Git cannot answer; `words` are its own."""

    def __init__(self, root: Path, words: str, next_step: str) -> None:
        self.root, self.words = root, words
        super().__init__(f"{root}: git says: {words}; {next_step}")


class UnknownRefError(UsageError):
    """No commit has this name here; tells a shallow clone, which may only lack it."""

    def __init__(self, ref: str, words: str, *, shallow: bool) -> None:
        self.ref, self.shallow = ref, shallow
        if shallow:
            why = "this clone is shallow and lacks it"
            next_step = "fetch the history with `git fetch --unshallow` (in CI: fetch-depth: 0)"
        else:
            why = "expected a commit, branch or tag"
            next_step = "`git branch --all` and `git tag` list them, `git fetch` brings new ones"
        super().__init__(f"SINCE={ref}: git says: {words}; {why}; {next_step}")


@dataclass(frozen=True)
class Revision:
    """The commit of the repository that holds `root` at which the branch left what the user named
    `ref`, whose own commit is `tip`; that one itself where the two are not `related`."""

    root: Path
    ref: str
    commit: str
    tip: str
    related: bool = True

    @property
    def name(self) -> str:
        """What git knows the commit by: the ref where that is it, else its short hash."""
        return self.ref if self.commit == self.tip else self.commit[:7]

    def load_changes(self) -> frozenset[str]:
        """The files of the project that differ from the working tree, relative to its root.

        Uncommitted and untracked ones count, and ignored ones where the catalog reads them. A file
        listed here may still mean the same; one that is not listed is the same.
        """
        listed = ("--name-only", "--no-renames", "--no-ext-diff", "--relative", "-z")
        parts = (*CATALOG_PARTS, *CODE_PARTS)
        found = run_git(self.root, "diff", *listed, self.commit, "--", *parts)
        others = ("ls-files", "--others", "-z")
        found += run_git(self.root, *others, "--", *CATALOG_PARTS)
        found += run_git(self.root, *others, "--exclude-standard", "--", *CODE_PARTS)
        return frozenset(filter(None, found.split("\0")))

    def export(self, folder: Path) -> Path:
        """Write the commit's catalog, environments and framework under `folder`; their root.

        The files are what a checkout would write: line endings and filters apply.
        """
        index = {"GIT_INDEX_FILE": str(folder / ".index")}
        run_git(self.root, "read-tree", self.commit, **index)
        parts = (*CATALOG_PARTS, *CODE_PARTS)
        names = run_git(self.root, "ls-files", "-z", "--", *parts, **index)
        prefix = f"--prefix={folder}{os.sep}"
        run_git(self.root, "checkout-index", "-z", "--stdin", prefix, feed=names, **index)
        root = folder / run_git(self.root, "rev-parse", "--show-prefix").strip()
        root.mkdir(parents=True, exist_ok=True)
        return root


def resolve_revision(root: Path, ref: str) -> Revision:
    """Where the branch left `ref`: the best commit that HEAD and it have in common, so that what
    others did to it since is no difference. Errors: UnknownRefError, GitError outside a repository.
    """
    run_git(root, "rev-parse", "--is-inside-work-tree")
    asked = f"{ref}^{{commit}}"
    found = None
    # Git would take a leading dash for an option of its own.
    if ref and not ref.startswith("-"):
        found = _start(root, ("rev-parse", "--verify", asked), {}, "")
        if found.returncode == 0:
            tip = found.stdout.strip()
            # Fails where the two have none, as of a shallow clone or before the first commit.
            base = _start(root, ("merge-base", "HEAD", tip), {}, "").stdout.strip()
            return Revision(root, ref, base or tip, tip, related=bool(base))
        found = _start(root, ("cat-file", "-e", asked), {}, "")
    words = _words(found.stderr) if found else f"Not a valid object name {ref}"
    shallow = run_git(root, "rev-parse", "--is-shallow-repository").strip() == "true"
    raise UnknownRefError(ref, words, shallow=shallow)


def run_git(root: Path, *arguments: str, feed: str = "", **changed: str) -> str:
    """What one git command prints; `changed` are environment variables. Errors: GitError."""
    done = _start(root, arguments, changed, feed)
    if done.returncode:
        words = _words(done.stderr)
        next_step = "SINCE needs a working git clone of the project"
        if "not a git repository" in words:
            next_step = "SINCE compares with a commit: clone the project, or `git init` and commit"
        elif "safe.directory" in done.stderr:
            next_step = f"trust it with `git config --global --add safe.directory {root}`"
        raise GitError(root, words, next_step)
    return done.stdout


def _start(
    root: Path, arguments: Sequence[str], changed: dict[str, str], feed: str
) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
    try:
        return subprocess.run(
            ["git", "-C", str(root), *arguments],
            # Looking must not write the user's index; messages are matched above in English.
            env={**kept, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", **changed},
            input=feed,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
    except FileNotFoundError as exc:
        raise GitError(root, "no such program", "install git, which SINCE needs") from exc


def _words(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[0].removeprefix("fatal: ").rstrip(".") if lines else "nothing"
