"""Describes recorded resources for both engines: components, a summary, objects, deletions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from framework.core.changes import Change, Op
from framework.core.errors import EngineError, UnknownNameError
from framework.engines.base import RecordedObject, RecordedObjects, Request, StateSummary
from framework.engines.state.checkpoint import Resource
from framework.engines.urns import STACK_TYPE, parse_urn
from framework.engines.values import collect_secret_texts, mark_secret_data, reveal
from framework.kube.objects import FIELD_MANAGER, without_internal

RELEASE = "kubernetes:helm.sh/v3:Release"
# The notes of a deletion that removes only the record.
KEPT_NOTE = "stays in the cluster (retainOnDelete)"
READ_NOTE = "stays in the cluster (the program only reads it)"
STAYING_NOTES = frozenset({KEPT_NOTE, READ_NOTE})


class Components:
    """The components of a stack and the resources in them, by URN.

    Takes resources of the program and of the state alike: a model that left the program is still
    the component of its recorded objects. Safe for use from any number of threads.
    """

    def __init__(
        self,
        targets: frozenset[str] | None = None,
        recorded: Iterable[Resource] = (),
        former: frozenset[str] = frozenset(),
    ) -> None:
        """`targets` are the names of the components that a command works on; None means all.

        `recorded` are the resources of the state. `former` are previous names of targets: the
        command also works on what is recorded under them, and they need not exist.
        """
        self._named = targets
        self._targets = None if targets is None else targets | former
        self._lock = threading.Lock()
        self._parents: dict[str, str] = {}
        self._names: dict[str, str] = {}
        for resource in recorded:
            self.add(resource.urn, resource.parent, is_component=not resource.custom)

    def add(self, urn: str, parent: str, *, is_component: bool) -> None:
        """Adds a resource. A second call for the same URN replaces its parent."""
        with self._lock:
            self._parents[urn] = parent
            parts = parse_urn(urn)
            if is_component and parts.type != STACK_TYPE:
                self._names[urn] = parts.name

    @property
    def names(self) -> frozenset[str]:
        """The names of all components."""
        with self._lock:
            return frozenset(self._names.values())

    def find_containing(self, urn: str) -> tuple[str, ...]:
        """Returns the names of the components that contain a resource, the nearest one first.

        A component contains itself."""
        names = []
        with self._lock:
            while urn:
                if urn in self._names:
                    names.append(self._names[urn])
                urn = self._parents.get(urn, "")
        return tuple(names)

    def find_nearest(self, urn: str) -> str:
        """Returns the name of the nearest component, "" for none."""
        return next(iter(self.find_containing(urn)), "")

    def find_within(self, names: frozenset[str]) -> list[str]:
        """Returns the URNs of the components with these names and of everything in them."""
        return sorted(urn for urn in self._parents if names & {*self.find_containing(urn)})

    def list_targets(self) -> list[str]:
        """Returns the URNs that a command with MODEL works on."""
        return self.find_within(self._targets or frozenset())

    @property
    def is_whole(self) -> bool:
        """True if the command works on the whole stack."""
        return self._targets is None

    def is_target(self, urn: str) -> bool:
        """Returns whether the command works on this resource."""
        return self._targets is None or not self._targets.isdisjoint(self.find_containing(urn))

    def check_targets(self) -> None:
        """Raises UnknownNameError for a target that neither program nor state has."""
        for name in sorted((self._named or frozenset()) - self.names):
            raise UnknownNameError("component", name, self.names)


def summarize_resources(resources: Iterable[Resource]) -> StateSummary:
    """Returns a summary of the resources of a checkpoint."""
    components, objects = set(), 0
    providers: dict[str, Mapping[str, Any]] = {}
    for resource in resources:
        if resource.is_provider:
            providers[resource.urn] = resource.raw.get("inputs") or {}
        elif resource.custom:
            objects += 1
        elif resource.type != STACK_TYPE:
            components.add(resource.name)
    return StateSummary(frozenset(components), objects, providers)


def keep_identifier(request: Request, providers: Mapping[str, Mapping[str, Any]]) -> Request:
    """Returns the request whose plan has the recorded `clusterIdentifier` of the only provider.

    With another identifier the CLI replaces the provider and with it every object. The name of a
    context may change; the UID shows whether the cluster is still the same (`IdentityCheck`).
    """
    identifiers = [str(inputs.get("clusterIdentifier") or "") for inputs in providers.values()]
    if request.plan is None or len(identifiers) != 1:
        return request
    cluster = replace(request.plan.cluster, identifier=identifiers[0])
    return replace(request, plan=replace(request.plan, cluster=cluster))


def build_recorded_objects(
    resources: Iterable[Resource],
    components: Components,
    unseal: Callable[[Any], Any],
    messages: tuple[str, ...] = (),
) -> RecordedObjects:
    """Builds the recorded objects that are targets, and the inputs of every provider.

    `unseal` takes values from state, and returns them with each encrypted one as a `Secret`.
    """
    objects, providers, pending = [], {}, set()
    others: dict[str, str] = {}
    for resource in resources:
        if resource.is_provider:
            providers[resource.urn] = reveal(unseal(resource.raw.get("inputs") or {}))
        # An object that is to be deleted is not compared: whatever it is now, it goes.
        if resource.is_object and resource.pending_delete:
            pending.add((resource.type, resource.id))
        if resource.pending_delete or not components.is_target(resource.urn):
            continue
        if resource.is_other and not resource.external:
            others[resource.urn] = components.find_nearest(resource.urn)
        if not resource.is_object:
            continue
        sealed_inputs = resource.raw.get("inputs") or {}
        inputs = unseal(sealed_inputs)
        sealed_outputs = resource.raw.get("outputs") or {}
        outputs = unseal(sealed_outputs)
        # `unseal` returns a tree without secrets as it is, and looking for them takes long.
        has_secrets = (
            resource.kind == "Secret"
            or inputs is not sealed_inputs
            or outputs is not sealed_outputs
        )
        objects.append(
            RecordedObject(
                urn=resource.urn,
                type=resource.type,
                id=resource.id,
                component=components.find_nearest(resource.urn),
                provider_urn=resource.provider_urn,
                field_manager=str(outputs.get(FIELD_MANAGER, "")),
                ignore_changes=resource.ignore_changes,
                init_errors=resource.init_errors,
                protect=resource.protect,
                retain_on_delete=resource.retain_on_delete,
                external=resource.external,
                inputs=reveal(inputs) if has_secrets else inputs,
                outputs=reveal(outputs) if has_secrets else outputs,
                secrets=(
                    # Without `__inputs`: one secret makes all of this copy of the inputs a secret.
                    collect_secret_texts(
                        mark_secret_data(inputs), mark_secret_data(without_internal(outputs))
                    )
                    if has_secrets
                    else frozenset()
                ),
            )
        )
    return RecordedObjects(tuple(objects), providers, messages, frozenset(pending), others=others)


def has_manifest(resource: Resource) -> bool:
    """Returns whether the inputs are those of the object that Pulumi deletes.

    The inputs of a Helm `Release` are no object, and the deletion of a Patch resource, such as
    `DeploymentPatch`, leaves the object.
    """
    inputs = resource.raw.get("inputs") or {}
    return bool(inputs.get("kind") == resource.kind)


def needs_cli(resource: Resource) -> bool:
    """Returns whether only the CLI can create or delete a resource."""
    return resource.is_other or (resource.is_object and not has_manifest(resource))


def build_deletion(resource: Resource, components: Components) -> Change:
    """Builds the change that deletes a recorded resource."""
    note = "left behind by a replacement" if resource.pending_delete else ""
    if resource.stays_on_delete and resource.is_object:
        note = READ_NOTE if resource.external else KEPT_NOTE
    return replace(build_same(resource, components), op=Op.DELETE, note=note)


def build_same(resource: Resource, components: Components) -> Change:
    """Builds the change of a recorded resource that stays as it is."""
    return Change(
        urn=resource.urn,
        type=resource.type,
        name=resource.name,
        op=Op.SAME,
        object=resource.id if resource.is_object else "",
        component=components.find_nearest(resource.urn),
    )


def check_protected(resources: Iterable[Resource]) -> None:
    """Raises EngineError if a resource that is to be deleted is protected."""
    protected = sorted(resource.urn for resource in resources if resource.protect)
    if protected:
        lines = "\n".join(f"protected: {urn}" for urn in protected)
        raise EngineError(
            f"{lines}\nNothing was deleted; to continue, set `protect: false` in environment.yaml "
            "(or in your own program), run `up`, then destroy"
        )
