"""Finds the records of a plan's objects that have another URN than the plan gives them.

Pulumi identifies a resource by its URN alone. If the record of an object has another URN, both
engines take the object for a new one and for one that left the plan: they apply it, and delete it
afterwards. So the URN of the record becomes an alias, as `previousName` does for a whole model.
No setting covers these cases:

    the rename of a model failed and was reverted        recorded as b, in the plan as a again
    it failed and was then repeated with a third name    recorded as b, in the plan as c, formerly a
    a key of `objects` or `services` was renamed, and `metadata.name` stayed
    an object moved to another model, or to another version of its API group

Plain `pulumi up` does not run this code, and so deletes the object.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from framework.engines.base import Request
from framework.engines.state.checkpoint import Resource, identify_object
from framework.engines.urns import build_manifest_urn, build_model_urn, list_model_urns, parse_urn
from framework.plan.manifest import MODEL_TYPE, ModelPlan, StackPlan


def with_record_aliases(request: Request, project: str, resources: Sequence[Resource]) -> Request:
    """Returns the request whose plan has the former names of models and the URNs of records.

    `resources` are the recorded ones. Only the models that the command works on are looked at.
    """
    plan = request.plan
    # With several providers, objects of one name may be in different clusters.
    if plan is None or len({found.provider_urn for found in resources if found.is_object}) != 1:
        return request
    records = _Records(plan, project, resources)
    models = tuple(
        records.complete(model)
        if request.components is None or model.name in request.components
        else model
        for model in plan.models
    )
    if models == plan.models:
        return request
    return replace(request, plan=replace(plan, models=models))


def find_former_urns(plan: StackPlan, project: str, recorded: Collection[str]) -> dict[str, str]:
    """Returns the URN that each renamed component and object of a plan is recorded under.

    The plan is one of `with_record_aliases`, `recorded` are the URNs of the state. Pulumi itself
    finds the same ones; this is for a state that Pulumi has not read.
    """
    stack = plan.stack.name
    free = {*recorded}.difference(urn for urn, _ in list_model_urns(plan, project))
    found: dict[str, str] = {}

    def find(urn: str, *candidates: str) -> None:
        former = next((candidate for candidate in candidates if candidate in free), "")
        if former and urn not in recorded:
            found[urn] = former
            free.discard(former)

    for model in plan.models:
        previous = model.previous_name
        find(build_model_urn(stack, project, model.name), build_model_urn(stack, project, previous))
        for manifest in model.manifests:
            urn = build_manifest_urn(stack, project, model.name, manifest)
            # The objects inherit the alias of the model: their names begin with its name.
            inherited = previous + manifest.logical_name.removeprefix(model.name)
            renamed = replace(manifest, logical_name=inherited) if previous else manifest
            former = build_manifest_urn(stack, project, previous or model.name, renamed)
            find(urn, manifest.former_urn, former)
    return found


class _Records:
    """The records of a stack that have no URN of the plan."""

    def __init__(self, plan: StackPlan, project: str, resources: Iterable[Resource]) -> None:
        resources = list(resources)
        self._plan, self._project = plan, project
        # The CLI leaves the old object of a replacement under the URN that it had before a rename.
        self._recorded = {found.urn for found in resources if not found.pending_delete}
        planned = {urn for urn, _ in list_model_urns(plan, project)}
        self._left = [
            found
            for found in resources
            if found.urn not in planned
            and (found.type == MODEL_TYPE or (found.is_object and found.kind != "Namespace"))
        ]
        self._models = {found.name for found in self._left if found.type == MODEL_TYPE}
        self._deployments = [found for found in resources if found.kind == "Deployment"]
        self._urns = {
            found.object_key: found.urn
            for found in self._left
            if found.is_object and not found.pending_delete
        }
        # All objects have the same one.
        self._provider_urn = next(found.provider_urn for found in resources if found.is_object)

    def complete(self, model: ModelPlan) -> ModelPlan:
        """Returns a model with its former name, and its objects with the URNs of their records."""
        if not self._left:
            return model
        former = self._find_former_name(model)
        manifests = []
        for manifest in model.manifests:
            urn = build_manifest_urn(self._plan.stack.name, self._project, model.name, manifest)
            key = identify_object(manifest.type_token, manifest.id, self._provider_urn)
            found = self._urns.get(key, "")
            is_recorded = urn in self._recorded
            manifests.append(manifest if is_recorded else replace(manifest, former_urn=found))
        return replace(model, previous_name=former, manifests=tuple(manifests))

    def _find_former_name(self, model: ModelPlan) -> str:
        """Returns the name that the model is recorded under, or its own previous name."""
        previous = model.previous_name
        if any(self._is_recorded(name) for name in (model.name, previous) if name):
            return previous
        found = sorted(self._find_owners(model))
        return found[0] if found else previous

    def _is_recorded(self, model: str) -> bool:
        return build_model_urn(self._plan.stack.name, self._project, model) in self._recorded

    def _find_owners(self, model: ModelPlan) -> Iterator[str]:
        """Yields the recorded models that have the model's Deployment, now or before a rename."""
        ids = {manifest.id for manifest in model.manifests if manifest.kind == "Deployment"}
        if model.previous_name:
            ids |= {f"{name.partition('/')[0]}/{model.previous_name}" for name in ids}
        for found in self._deployments:
            owner = parse_urn(found.parent).name if found.parent else ""
            if found.id in ids and owner in self._models:
                yield owner
