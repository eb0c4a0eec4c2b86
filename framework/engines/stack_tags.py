"""The record of a stack's cluster in tags of the stack, where the state is not in a folder.

The file backend keeps this record in a file beside the state, see `state/backend.py`. Every other
backend is read by the pulumi CLI, and all of them have tags.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from framework.core.errors import StateError
from framework.core.stack import Stack
from framework.engines.pulumi_cli import PulumiCli, run_pulumi
from framework.engines.state.checkpoint import Resource

# One tag for each field: a tag of Pulumi Cloud holds at most 256 characters.
_PREFIX = "modelcatalog:cluster-"
_FIELDS = ("uid", "context", "server")


class StackTags:
    """The tags of one stack."""

    def __init__(self, cli: PulumiCli, root: Path, stack: Stack) -> None:
        self._cli, self._root, self._stack = cli, root, stack

    @property
    def cluster_place(self) -> str:
        """The tag with the UID, and the command that removes it."""
        tag = f"{_PREFIX}uid"
        return f"the stack's tag (`pulumi stack tag rm {tag} --stack {self._stack.name}`)"

    def read_cluster(self) -> dict[str, Any]:
        """Returns the recorded identity, empty when there is none. StateError."""
        return dict(self._identity)

    @cached_property
    def _identity(self) -> dict[str, str]:
        try:
            tags = json.loads(self._run("stack", "tag", "ls", "--json"))
        except StateError as exc:
            # A stack is created by its first deployment.
            if "no stack named" in str(exc):
                return {}
            raise
        names = {name: f"{_PREFIX}{name}" for name in _FIELDS}
        return {name: tags[tag] for name, tag in names.items() if tag in tags}

    def write_cluster(self, record: Mapping[str, Any]) -> None:
        """Records the only cluster of the record; writes only the tags that change. StateError."""
        (identity,) = record["clusters"].values()
        for name in _FIELDS:
            value = identity.get(name, "")
            if value and value != self._identity.get(name):
                self._run("stack", "tag", "set", f"{_PREFIX}{name}", value)
                self._identity[name] = value

    def has_objects(self) -> bool:
        """Returns whether the state records any Kubernetes object."""
        deployment = json.loads(self._run("stack", "export")).get("deployment") or {}
        return any(Resource(raw).is_object for raw in deployment.get("resources") or ())

    def _run(self, *arguments: str) -> str:
        return run_pulumi(self._cli, self._root, *arguments, "--stack", self._stack.name)
