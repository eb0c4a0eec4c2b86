"""A small catalog of two environments, for the tests of `new`, `bump` and YAML edits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trees import write_tree

FILES = {
    "catalog/_defaults.yaml": "ports: {http: 8080}\nreplicas: 2   # two\n",
    "catalog/_profiles/server.yaml": (
        "# Serves anything.\nimage: {repository: r/server, tag: v1}\nenv: {A: b, TOKEN: hunter2}\n"
    ),
    "catalog/_profiles/small.yaml": "# One core.\nresources: {requests: {cpu: '1'}}\n",
    "catalog/_profiles/untagged.yaml": "image: {repository: r/untagged}\n",
    "catalog/a.yaml": "owner: team-a\nprofiles: [server]\nlabels: {tier: one}  # c\n",
    "catalog/b.yaml": "owner: team-b\nprofiles: [server]\nimage:\n  tag: '1.9'    # c\n",
    "environments/dev/environment.yaml": "namespace: ml-dev\n",
    "environments/prod/environment.yaml": "namespace: ml-prod\ndefaults: {replicas: 3}\n",
    "environments/dev/models/b.yaml": "enabled: false\n",
    "environments/prod/models/b.yaml": "image: {tag: '1.8'}\n",
}

Write = Callable[..., Path]
Snapshot = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Returns a function that writes FILES with changes and returns the root."""

    def _write(changes: dict[str, str] | None = None) -> Path:
        return write_tree(tmp_path, {**FILES, **(changes or {})})

    return _write


@pytest.fixture
def snapshot() -> Snapshot:
    """Returns a function that reads every file below a root."""

    def _snapshot(root: Path) -> dict[str, bytes]:
        files = (path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}

    return _snapshot
