"""Runs git commands in a repository, without the variables that a hook inherits from git."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from framework.core.errors import FrameworkError

# Git sets these when it runs a hook. They would replace the project's own repository and index.
_NOT_INHERITED = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})


class GitError(FrameworkError):
    """A git command failed. `message` is the first line that git printed."""

    def __init__(self, root: Path, message: str, next_step: str) -> None:
        self.root, self.message = root, message
        super().__init__(f"{root}: git reports: {message}; {next_step}")


@dataclass(frozen=True)
class GitOutput:
    """The output of a git command. `error` is the first line of its error message."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """Returns the first line of stderr, without git's prefix and full stop."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[0].removeprefix("fatal: ").rstrip(".") if lines else "no message"


def run_git(
    root: Path, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
) -> str:
    """Returns the output of a git command. Errors: GitError."""
    completed = start_git(root, *arguments, stdin=stdin, environment=environment)
    if completed.returncode:
        next_step = "this needs a working git clone of the project"
        if "not a git repository" in completed.error:
            next_step = "this needs its commits: clone the project, or `git init` and commit"
        elif "must be run in a work tree" in completed.error:
            next_step = "a bare repository has no files: `git worktree add` a folder"
        elif "safe.directory" in completed.stderr:
            next_step = f"trust it with `git config --global --add safe.directory {root}`"
        raise GitError(root, completed.error, next_step)
    return completed.stdout


def start_git(
    root: Path,
    *arguments: str,
    stdin: str = "",
    timeout_s: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> GitOutput:
    """Runs a git command, and returns its output also if it fails.

    GitError without git, or if git does not end within `timeout_s` seconds.
    """
    inherited = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
    # Git would refresh the user's index. The messages are matched above in English.
    fixed = {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        completed = subprocess.run(
            ["git", "-C", str(root), *arguments],
            env={**inherited, **fixed, **(environment or {})},
            input=os.fsencode(stdin),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except OSError as exc:
        problem = "the command is not installed"
        if not isinstance(exc, FileNotFoundError):
            problem = f"the command cannot be run ({exc.strerror})"
        raise GitError(root, problem, "install git") from exc
    except subprocess.TimeoutExpired as exc:
        problem = f"`git {arguments[0]}` did not end within {timeout_s:g} s"
        raise GitError(root, problem, "run the command yourself to see the reason") from exc
    # Decoded here, since text mode would turn "\r\n" into "\n" and so change what a blob holds.
    output, errors = os.fsdecode(completed.stdout), os.fsdecode(completed.stderr)
    return GitOutput(completed.returncode, output, errors)


def find_prefix(root: Path) -> str:
    """Returns the folder of the project in its repository, such as `models/`; "" for the top.

    GitHub names files from the top. Without a repository, the project is the top.
    """
    try:
        return run_git(root, "rev-parse", "--show-prefix").strip("\n")
    except GitError:
        return ""
