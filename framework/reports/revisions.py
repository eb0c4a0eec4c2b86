"""Resolves a commit, and finds the files that differ between it and the working tree.

Files are compared by what the reader reads on both sides, not by what `git diff` lists: that
trusts the index, in which changes of a file can be ignored (`git update-index
--skip-worktree`, `--assume-unchanged`, sparse checkouts), and it does not follow symbolic links.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from framework.core.errors import UsageError
from framework.core.git import run_git, start_git
from framework.reports.commit_files import (
    CATALOG_PARTS,
    PARTS,
    CommitFiles,
    list_commit_files,
    list_folder,
    require_submodules,
)


class UnknownRefError(UsageError):
    """No commit has this name. A shallow clone may only lack it."""

    def __init__(
        self, ref: str, message: str, *, shallow: bool, remote: Sequence[str] = ()
    ) -> None:
        self.ref, self.shallow = ref, shallow
        if remote:
            # A CI runner checks out one branch, and has the others as remote-tracking branches.
            why = "no branch of this name is checked out in this clone"
            next_step = f"use SINCE={' or SINCE='.join(remote)}"
        elif shallow:
            why = "this clone is shallow and lacks it"
            next_step = "fetch the history with `git fetch --unshallow` (in CI: fetch-depth: 0)"
        else:
            why = "expected a commit, branch or tag"
            next_step = "`git branch --all` and `git tag` list them, `git fetch` brings new ones"
        super().__init__(f"SINCE={ref}: git reports: {message}; {why}; {next_step}")


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

    @cached_property
    def files(self) -> CommitFiles:
        """Returns the files of the commit. Errors: GitError, SubmoduleError."""
        return list_commit_files(self.root, self.commit)

    def load_changes(self) -> frozenset[str]:
        """Returns the paths whose content differs from the working tree, relative to `root`.

        They include uncommitted, untracked and ignored files: the reader reads them as well. A path
        that is not in the result has the same content on both sides. Errors: GitError,
        SubmoduleError.
        """
        new = {below: file for part in PARTS for below, file in list_folder(self.root / part, part)}
        old, outside = self.files.blobs, self.files.outside
        changes = (old.keys() | outside.keys()) ^ new.keys()
        if changes - new.keys():
            require_submodules(self.files)
        changes |= {
            path for path in old.keys() & new.keys() if not _has_content(new[path], old[path].id)
        }
        changes |= {
            path for path in outside.keys() & new.keys() if _read(outside[path]) != _read(new[path])
        }
        return frozenset(changes)

    def find_unchecked_files(self, paths: frozenset[str]) -> frozenset[str]:
        """Returns those of `paths` that a sparse checkout leaves out of the working tree."""
        listing = run_git(self.root, "ls-files", "-t", "-z", "--", *CATALOG_PARTS)
        skipped = {line[2:] for line in listing.split("\0") if line.startswith("S ")}
        return frozenset(path for path in paths & skipped if not (self.root / path).exists())


def _has_content(file: Path, id_: str) -> bool:
    """Returns True if a file has the content whose hash git calls `id_`.

    CRLF equals LF, since YAML and Python read both as one line break: in a clone with
    `core.autocrlf`, every file would differ from its commit.
    """
    content = _read(file)
    if content is None:
        return False
    algorithm = hashlib.sha1 if len(id_) == 40 else hashlib.sha256
    if _hash_blob(algorithm, content) == id_:
        return True
    unix = content.replace(b"\r\n", b"\n")
    return unix != content and _hash_blob(algorithm, unix) == id_


def _hash_blob(algorithm: Callable[..., hashlib._Hash], content: bytes) -> str:
    # https://git-scm.com/book/en/v2/Git-Internals-Git-Objects, "Object Storage"
    return algorithm(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _read(file: Path) -> bytes | None:
    """Returns the content of a file, or the path in a link that leads nowhere.

    None for a file that cannot be read: it differs from every other.
    """
    try:
        return file.read_bytes()
    except OSError:
        return bytes(file.readlink()) if file.is_symlink() else None


def resolve_revision(root: Path, ref: str) -> Revision:
    """Returns the best common commit of HEAD and `ref`.

    So changes that others made to `ref` since the branch left it are not reported.
    Errors: UnknownRefError; GitError outside a repository.
    """
    run_git(root, "rev-parse", "--show-toplevel")
    message = f"Not a valid object name {ref}"
    # Git would read a leading dash as an option.
    if ref and not ref.startswith("-"):
        commit = f"{ref}^{{commit}}"
        verified = start_git(root, "rev-parse", "--verify", commit)
        if verified.returncode == 0:
            tip = verified.stdout.strip()
            # Fails if there is no common commit, as in a shallow clone or before the first commit.
            base = start_git(root, "merge-base", "HEAD", tip).stdout.strip()
            return Revision(root, ref, base or tip, tip, related=bool(base))
        # The message of cat-file names the ref; the message of rev-parse does not.
        message = start_git(root, "cat-file", "-e", commit).error
    shallow = run_git(root, "rev-parse", "--is-shallow-repository").strip() == "true"
    branches = run_git(root, "for-each-ref", "--format=%(refname:short)", "refs/remotes")
    remote = [name for name in branches.split() if ref and name.partition("/")[2] == ref]
    raise UnknownRefError(ref, message, shallow=shallow, remote=remote)
