"""Settles what an interrupted command left pending in a state that only the CLI reads.

The CLI repeats a pending update or deletion by itself. For a pending create it only prints a
warning: the object may exist without a record, and then no later command would delete it. For a
state in a folder, the embedded engine records it (`embedded/settlement.py`). Any other state is
exported, completed and imported here: the import takes the lock, and the CLI encrypts the secrets
again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.engines.cli_stack import CliStack
from framework.engines.clusters import Clusters
from framework.engines.embedded.planner import UNFINISHED
from framework.engines.state.checkpoint import Resource
from framework.engines.state.secrets import read_plaintext, unseal
from framework.engines.values import reveal
from framework.kube.objects import ObjectState
from framework.kube.ownership import AlreadyExistsError


def settle_remote(stack: CliStack, clusters: Clusters) -> bool:
    """Records the objects of pending creates that exist; returns False if nothing was pending.

    Raises ClusterError if a cluster does not answer, and StateError if another command holds the
    stack.
    """
    exported = stack.export()
    deployment = exported.deployment or {}
    pending = list(deployment.get("pending_operations") or ())
    if not pending:
        return False
    resources = list(deployment.get("resources") or ())
    resources += _find_created(resources, pending, clusters)
    deployment["resources"], deployment["pending_operations"] = resources, []
    stack.import_back(exported)
    return True


def _find_created(
    resources: list[dict[str, Any]], pending: list[Mapping[str, Any]], clusters: Clusters
) -> Iterator[dict[str, Any]]:
    """Yields the records of objects that were created, in the order of their dependencies."""
    recorded = {raw["urn"] for raw in resources}
    created: dict[str, dict[str, Any]] = {}
    for operation in pending:
        resource = Resource(operation["resource"])
        is_new = operation["type"] == "creating" and resource.urn not in recorded
        if is_new and resource.is_object and (live := _find_own(resource, clusters)):
            # As for a failed rollout: the next `up` waits for the Pods.
            errors = {"initErrors": [UNFINISHED]} if resource.kind == "Deployment" else {}
            raw = {**resource.raw, "id": live.id, "outputs": live.outputs, **errors}
            created[resource.urn] = raw
    known = recorded | created.keys()
    for raw in created.values():
        # The CLI refuses to import a dependency on a resource that is not recorded, so one that was
        # never created is left out. The next `up` records all dependencies again.
        raw["dependencies"] = [urn for urn in raw.get("dependencies") or () if urn in known]
        # These repeat the dependencies by property, so they may name the same missing resources.
        raw["propertyDependencies"] = {}
    # The CLI refuses to import a resource that comes before one that it depends on, and the
    # operations of parallel creates are in any order.
    while created:
        ready = [raw for raw in created.values() if not created.keys() & {*raw["dependencies"]}]
        # A cycle is possible only in a damaged state. Any order then ends the loop.
        for raw in ready or list(created.values()):
            yield created.pop(raw["urn"])


def _find_own(resource: Resource, clusters: Clusters) -> ObjectState | None:
    """Returns the live object of a pending create; None if there is none of this stack."""
    provider = clusters.connect(resource.provider_urn).provider
    inputs = reveal(unseal(resource.raw.get("inputs") or {}, read_plaintext))
    try:
        return provider.find_own(resource.urn, inputs)
    except AlreadyExistsError:
        # An object of others is not recorded. The preview of `up` reports it.
        return None
