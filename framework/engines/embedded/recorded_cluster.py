"""Checks the cluster that a command reads by itself against the one recorded for the stack.

Kept apart from the engine because `status` needs neither its program nor its lock.
"""

from __future__ import annotations

from pathlib import Path

from framework.core.errors import StateError
from framework.core.stack import Stack
from framework.engines.base import NamedCluster
from framework.engines.embedded.backend import open_backend
from framework.engines.embedded.clusters import identify_cluster
from framework.engines.embedded.project import load_project
from framework.engines.embedded.state import StackState
from framework.engines.identity import ClusterIdentity, IdentityCheck


def check_recorded_cluster(
    root: Path, stack: Stack, named: NamedCluster, uid: str, server: str
) -> None:
    """Raises ClusterError when the named cluster, which has this UID and address, is not the
    recorded one.

    A state that cannot be read, or is in a backend that only the CLI reads, has nothing to compare.
    """
    try:
        project = load_project(root)
        state = StackState(project, open_backend(project, stack.name))
    except StateError:
        return
    resources = state.current().resources
    recorded = {e.urn: e.raw.get("inputs") or {} for e in resources if e.is_provider}
    check = IdentityCheck(
        stack,
        recorded,
        state.backend,
        lambda inputs: identify_cluster(inputs, root),
        has_objects=any(entry.is_object for entry in resources),
        accepts_made_again=False,
    )
    found = ClusterIdentity(uid, named.context, named.kubeconfig, server)
    if len(recorded) == 1:
        check.check(next(iter(recorded)), found)
