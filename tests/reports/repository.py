"""A small catalog in a Git repository of its own, for tests that compare its commits."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

FILES: dict[str, str | None] = {
    "catalog/_defaults.yaml": "replicas: 2\nports: {http: 8080}\npreStopSeconds: 5\n",
    "catalog/_profiles/small.yaml": "image: {repository: r/small}\nenv: {SIZE: small}\n",
    "catalog/_profiles/large.yaml": "image: {repository: r/large}\nenv: {SIZE: large}\n",
    "catalog/alpha.yaml": "owner: red\nprofiles: [small]\nimage: {tag: '1'}\n",
    "catalog/beta.yaml": (
        "owner: blue\nprofiles: [large]\nimage: {tag: '1'}\nlabels: {version: '${image.tag}'}\n"
    ),
    "environments/dev/environment.yaml": "namespace: ml-dev\n",
    "environments/prod/environment.yaml": (
        "namespace: ml-prod\ndefaults: {replicas: 3}\noverrides:\n  rollout: {minReadySeconds: 9}\n"
    ),
    "environments/prod/models/alpha.yaml": "replicas: 4\n",
}
_IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@example.com")


class Repository:
    """A project in a Git repository: branch `work`, and `main` at the first commit."""

    def __init__(self, root: Path, files: Mapping[str, str | None] = FILES) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=work")
        self.write(files)
        self.commit()
        self.git("branch", "main")

    def git(self, *arguments: str) -> str:
        """Runs a git command and returns its output; raises if the command fails."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        command = ["git", "-C", str(self.root), *_IDENTITY, *arguments]
        no_user_config = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        completed = subprocess.run(
            command, env=inherited | no_user_config, capture_output=True, text=True, check=True
        )
        return completed.stdout

    def commit(self) -> None:
        """Commits all files, even when none has changed."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")

    def write(self, files: Mapping[str, str | None]) -> None:
        """Writes files; None removes one."""
        for path, text in files.items():
            file = self.root / path
            if text is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
