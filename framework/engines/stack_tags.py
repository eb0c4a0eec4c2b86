"""The records beside a state that is not in a folder, in tags of the stack.

They are the identity of the cluster, and the replicas of deleted Deployments (`kept_replicas.py`).
The file backend keeps them in files beside the state, see `state/backend.py`. Every other backend
is read by the pulumi CLI, and all of them have tags.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from framework.core.errors import StateError
from framework.core.stack import Stack
from framework.engines.pulumi_cli import PulumiCli, run_pulumi
from framework.engines.state.checkpoint import Resource

# One tag for each field: a tag of Pulumi Cloud holds at most 256 characters.
_PREFIX = "modelcatalog:cluster-"
_FIELDS = ("uid", "context", "server")
# One tag for each Deployment. The tag has a hash of the Deployment's name, because the name of a
# tag has at most 40 characters.
_REPLICAS_PREFIX = "modelcatalog:replicas-"


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
        names = {name: f"{_PREFIX}{name}" for name in _FIELDS}
        return {name: self._tags[tag] for name, tag in names.items() if tag in self._tags}

    @cached_property
    def _tags(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._run("stack", "tag", "ls", "--json")))
        except StateError as exc:
            # A stack is created by its first deployment.
            if "no stack named" in str(exc):
                return {}
            raise

    def write_cluster(self, record: Mapping[str, Any]) -> None:
        """Records the only cluster of the record; writes only the tags that change. StateError."""
        (identity,) = record["clusters"].values()
        for name in _FIELDS:
            if value := identity.get(name, ""):
                self._set(f"{_PREFIX}{name}", value)

    def read_replicas(self) -> dict[str, Any]:
        """Returns what `write_replicas` has written. StateError."""
        entries = {}
        for tag, value in self._tags.items():
            if tag.startswith(_REPLICAS_PREFIX):
                # Tags of earlier versions have no component.
                name, replicas, uid, component = [*value.split(" ", 3), ""][:4]
                entries[name] = {"replicas": int(replicas), "uid": uid, "component": component}
        return entries

    def write_replicas(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        """Replaces the tags with the entry of each Deployment. StateError."""
        wanted = {
            _REPLICAS_PREFIX + sha256(name.encode()).hexdigest()[:16]: (
                f"{name} {entry['replicas']} {entry['uid']} {entry.get('component', '')}".rstrip()
            )
            for name, entry in entries.items()
        }
        for tag in [tag for tag in self._tags if tag.startswith(_REPLICAS_PREFIX)]:
            if tag not in wanted:
                self._run("stack", "tag", "rm", tag)
                del self._tags[tag]
        for tag, value in wanted.items():
            self._set(tag, value)

    def _set(self, tag: str, value: str) -> None:
        """Sets a tag, unless it has this value already."""
        if self._tags.get(tag) != value:
            self._run("stack", "tag", "set", tag, value)
            self._tags[tag] = value

    def has_objects(self) -> bool:
        """Returns whether the state records any Kubernetes object."""
        deployment = json.loads(self._run("stack", "export")).get("deployment") or {}
        return any(Resource(raw).is_object for raw in deployment.get("resources") or ())

    def _run(self, *arguments: str) -> str:
        return run_pulumi(self._cli, self._root, *arguments, "--stack", self._stack.name)
