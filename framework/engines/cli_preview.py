"""The preview of the CLI engine: its change list, compared with the live objects.

The CLI compares the program only with what is recorded. So the change list is the one of the
embedded engine (`cli_steps.py`), which also shows the fields that others added to an object.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from framework.core.changes import Change, Op, Preview
from framework.core.errors import EngineError
from framework.core.suggestions import list_names
from framework.engines.base import order_changes
from framework.engines.cli_events import EventReader
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_refresh import needs_refresh
from framework.engines.cli_stack import build_program
from framework.engines.cli_steps import CliStep, compare_plan, list_plan_changes
from framework.engines.deployment_order import find_deployment_waits, note_waits
from framework.engines.preflight import add_preflight
from framework.engines.record_aliases import find_former_urns
from framework.engines.recorded import build_deletion
from framework.engines.state.checkpoint import Resource
from framework.engines.urns import build_manifest_urn, list_model_urns
from framework.engines.values import list_objects, redact_copies
from framework.kube.provider import KubernetesProvider


@dataclass(frozen=True)
class CliPreview:
    """A preview of the CLI, and the steps of its objects compared with the live ones.

    `waits` maps each Deployment that shrinks to those that must be available first, by URN.
    `targets` are the URNs that the command works on, None for the whole stack. `forgotten` are the
    records to remove before the first deletion (`CheckedDeletions`).
    """

    opened: OpenedStack
    reader: EventReader
    preview: Preview
    steps: tuple[CliStep, ...] = ()
    waits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    targets: frozenset[str] | None = None
    forgotten: tuple[Resource, ...] = ()


def find_targets(opened: OpenedStack) -> frozenset[str] | None:
    """Returns the URNs of the components and of everything in them; None for the whole stack.

    These are the URNs of the plan and the recorded ones, which the program may no longer have.
    `--target-dependents` is not used: it would add the models that wait for this one.
    """
    if opened.request.components is None:
        return None
    components = opened.build_components()
    for urn, parent in list_model_urns(opened.plan, opened.stack.project.name):
        components.add(urn, parent, is_component=not parent)
    components.check_targets()
    _check_namespace(opened, opened.request.components)
    return frozenset(components.list_targets())


def _check_namespace(opened: OpenedStack, targets: frozenset[str]) -> None:
    """Raises EngineError if the Namespace, which no model contains, is not recorded yet.

    The CLI would print an error for each object: it depends on a resource that is not a target.
    """
    plan = opened.plan
    urn = build_manifest_urn(plan.stack.name, opened.stack.project.name, "", plan.namespace)
    if any(resource.urn == urn for resource in opened.resources):
        return
    if planned := targets & {model.name for model in plan.models}:
        raise EngineError(
            f"{list_names(sorted(planned))}: needs Namespace {plan.namespace.name}, which is not "
            "in the state yet and is left out by MODEL; "
            f"next: `make up ENV={plan.stack.name}` once, without MODEL"
        )


def preview_stack(
    opened: OpenedStack,
    targets: frozenset[str] | None,
    provider: KubernetesProvider,
    left_out: frozenset[str] = frozenset(),
) -> CliPreview:
    """Runs `pulumi preview`, and compares its changes with the live objects.

    `left_out` are URNs that the CLI does not preview.
    """
    plan, reader = opened.plan, opened.read_events()
    urns = opened.build_target(targets if targets is None else targets - left_out)
    if targets is None and left_out:
        urns = {"exclude": opened.list_urns(left_out)}
    options = {"program": build_program(opened.request), **urns}
    refresh = needs_refresh(opened, targets, provider)
    failure = opened.stack.preview(reader, refresh=refresh, **options)
    # The CLI previews its own state. Where that lacks what an interrupted command has done, only
    # the comparison with the live objects counts.
    is_complete = failure is None and not reader.failures and not opened.is_settled_in_memory
    # The CLI ends a preview soon after the server refuses an object, so its list has gaps.
    listed = reader.changes
    if left_out or not is_complete:
        reader.former_urns = _complete_former_urns(opened, reader)
        listed = _complete_changes(opened, reader, keeps_listed=is_complete)
    steps = _compare(opened, reader, provider, listed, is_complete)
    problems = tuple(sorted(step.problem for step in steps if step.problem))
    written_first = _find_written_first(steps, reader.refused)
    # `up` writes these objects before it runs the CLI, so it does not meet these refusals. The
    # other objects are previewed again, because the CLI ended before it had seen all of them.
    if not problems and reader.refused and reader.refused <= written_first - left_out:
        return preview_stack(opened, targets, provider, written_first | left_out)
    if not problems:
        # Raises the refusals that only the CLI has found.
        if not opened.is_settled_in_memory:
            reader.check()
        if failure is not None:
            raise failure
    changes = _merge_changes(opened, steps, listed)
    # The order of a model's Deployments depends on its own alone, as in the embedded engine.
    compared = {step.change.urn for step in steps}
    waits = find_deployment_waits(change for change in changes if change.urn in compared)
    changes = [note_waits(change, waits) for change in changes]
    # After an incomplete preview, the CLI's errors only repeat the refusals in `problems`.
    messages = [text for text in reader.messages if is_complete or text.startswith("warning")]
    preview = Preview(order_changes(changes), reader.outputs, tuple(messages), problems)
    live = ((step.change.component, step.live) for step in steps)
    preview = redact_copies(preview, list_objects(plan, opened.recorded.objects, live))
    preview = add_pending_deletions(preview, opened)
    preview = add_preflight(preview, plan, provider, opened.request.components)
    # Without the live objects, which `up` does not need: those of 1,000 models take 100 MB.
    steps = [replace(step, live={}) for step in steps]
    return CliPreview(opened, reader, preview, tuple(steps), waits, targets)


def _merge_changes(
    opened: OpenedStack, steps: Iterable[CliStep], listed: Iterable[Change]
) -> list[Change]:
    """Returns the listed changes: of compared objects that of the comparison, else the CLI's."""
    components = opened.build_components()
    compared = {step.change.urn: step.change for step in steps}
    live = opened.checkpoint.live
    return [
        build_deletion(live[change.urn], components)
        if change.op is Op.DELETE and change.urn in live
        else compared.get(change.urn, change)
        for change in listed
    ]


def _find_written_first(steps: Iterable[CliStep], refused: Collection[str]) -> frozenset[str]:
    """Returns the URNs of objects that `up` writes before it runs the CLI.

    The server may refuse the CLI's preview of such an object, in two cases. The CLI previews a new
    object while the old one still exists, which `up` deletes first. And it sends our port of a
    Service while the port that somebody changed still exists under the same name; `up` first
    becomes the owner of that port. All changed objects of a refused kind count, because the CLI
    ends a preview soon after the first refusal.
    """
    steps = tuple(steps)
    kinds = {step.manifest.kind for step in steps if step.change.urn in refused}
    return frozenset(
        step.change.urn
        for step in steps
        if step.is_deleted_first or (step.change.op is Op.UPDATE and step.manifest.kind in kinds)
    )


def _compare(
    opened: OpenedStack,
    reader: EventReader,
    provider: KubernetesProvider,
    listed: Iterable[Change],
    is_complete: bool,
) -> list[CliStep]:
    """Compares the objects that the command works on with the live ones."""
    components = opened.request.components
    objects = {found.urn: found for found in opened.recorded.objects}
    # After a rename with `previousName`, a resource is still recorded under its former URN.
    recorded = {
        change.urn: objects[former]
        for change in listed
        if (former := reader.former_urns.get(change.urn, change.urn)) in objects
    }
    compared = [item for item in listed if components is None or item.component in components]
    return compare_plan(opened.plan, compared, recorded, provider, cli_decides=is_complete)


def _complete_former_urns(opened: OpenedStack, reader: EventReader) -> dict[str, str]:
    """Returns the URNs that renamed resources are recorded under, also of those not listed."""
    live = opened.checkpoint.live
    computed = find_former_urns(opened.plan, opened.stack.project.name, live.keys())
    # The state of the CLI may still have the former URN of what an interrupted command has renamed.
    listed = {
        urn: former
        for urn, former in reader.former_urns.items()
        if urn not in live and former in live
    }
    return {**computed, **listed}


def _complete_changes(
    opened: OpenedStack, reader: EventReader, *, keeps_listed: bool
) -> tuple[Change, ...]:
    """Returns the change list of a preview that the CLI ended early, with all objects.

    Objects that are recorded and not in the plan are deletions. With `keeps_listed` the changes of
    the CLI stay, and only the objects that it has not listed are added.
    """
    live, targets = opened.checkpoint.live, opened.request.components
    components = opened.build_components()
    former_urns = reader.former_urns
    # With MODEL=, the objects of other models that are not recorded yet are not created either.
    planned = [
        change
        for change in list_plan_changes(
            opened.plan, opened.stack.project.name, live.keys() | former_urns.keys()
        )
        if change.op is Op.SAME or targets is None or change.component in targets
    ]
    # The record of a renamed object is that of the new URN, and no deletion.
    renamed = {former_urns[change.urn] for change in planned if change.urn in former_urns}
    urns = renamed | {change.urn for change in planned}
    deletions = [
        build_deletion(found, components)
        for found in live.values()
        if found.is_object and found.urn not in urns and components.is_target(found.urn)
    ]
    if keeps_listed:
        # The CLI lists it as one if it does not preview the new URN.
        kept = [item for item in reader.changes if item.urn not in renamed]
        listed = {change.urn for change in kept}
        return (*kept, *(change for change in planned if change.urn not in listed))
    # Providers and components have no object to compare. The CLI lists them by its own state, where
    # those that an interrupted command has recorded are missing, or not deleted yet.
    others = [
        replace(change, op=Op.SAME)
        if change.op is Op.CREATE and former_urns.get(change.urn, change.urn) in live
        else change
        for change in reader.changes
        if not change.object and (change.op is not Op.DELETE or change.urn in live)
    ]
    return (*others, *planned, *deletions)


def add_pending_deletions(preview: Preview, opened: OpenedStack) -> Preview:
    """Adds the old objects of earlier replacements, which the CLI deletes and does not list.

    Those that the plan has again are left out: `restore_wanted` restores their records.
    """
    wanted = {(manifest.type_token, manifest.id) for manifest in opened.plan.manifests}
    components = opened.build_components()
    deletions = [
        build_deletion(found, components)
        for found in opened.resources
        if found.pending_delete
        and components.is_target(found.urn)
        and (found.type, found.id) not in wanted
    ]
    return replace(preview, changes=order_changes([*preview.changes, *deletions]))
