"""Decides which deletions of one `up` must wait, and how a run of the CLI leaves them out.

At the end of a run with `--continue-on-error` the CLI deletes everything that no failed resource
depends on, also for a model whose rollout failed. So it would delete what still serves: the canary
of a failed promotion, or an old object that an earlier failed `up` has left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from framework.core.changes import Change, Op
from framework.engines.cli_steps import CliStep
from framework.engines.deployment_order import find_obsolete_autoscalers
from framework.engines.state.checkpoint import Resource


@dataclass(frozen=True)
class HeldDeletions:
    """The deletions that must not happen if the rollout of their model fails.

    `models` maps the URNs that the first run leaves out, and a later one deletes, to their models.
    `alone` are the models that need a run of their own without `--continue-on-error`: a run cannot
    leave out the old object of a replacement and write the new one, which has the same URN.
    `together` are the models that need such a run as well, and can share it: if it ends because of
    one model, the next run continues the others, whose old objects serve until then.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    alone: frozenset[str] = frozenset()
    together: frozenset[str] = frozenset()

    @property
    def later_models(self) -> frozenset[str]:
        """The models that need a run after the first one."""
        return self.alone | self.together | frozenset(self.models.values())


def find_held_deletions(
    steps: Iterable[CliStep],
    changes: Iterable[Change],
    pending: Iterable[Change],
    unprotected: Collection[str],
    *,
    can_leave_out: bool,
) -> HeldDeletions:
    """Finds the deletions of models with a changed Deployment.

    `changes` are all of the command, `pending` the deletions of what earlier replacements left.
    The components of both are the names that the models have now. `unprotected` are the URNs of
    `find_unprotected`. A model with one of these is `alone`, and the models without deletions then
    run as a list of targets, which cannot leave out a deletion. So the other models with deletions
    are not held but `together`, and so they are if `can_leave_out` is False.
    """
    steps, changes = tuple(steps), tuple(changes)
    rolling = {
        step.change.component
        for step in steps
        if step.change.kind == "Deployment" and {step.change.op, step.cli_op} != {Op.SAME}
    }
    alone = {step.change.component for step in steps if _is_replaced(step)} & rolling
    written = {
        step.change.urn
        for step in steps
        if step.cli_op is not Op.SAME or step.is_written_before_cli
    }
    # `up` deletes these before everything else.
    deleted_first = {change.urn for change in find_obsolete_autoscalers(changes)}
    models: dict[str, str] = {}
    for change in (*(change for change in changes if change.op is Op.DELETE), *pending):
        if change.component not in rolling or change.urn in deleted_first or not change.object:
            continue
        if change.urn in written:
            alone.add(change.component)
        models[change.urn] = change.component
    leftovers = {model for urn, model in models.items() if urn in unprotected}
    alone |= leftovers
    together = set[str]()
    if leftovers or not can_leave_out:
        # A run that ends early may have deleted such an object, and not created it again.
        replaced = {step.change.component for step in steps if step.cli_op is Op.REPLACE}
        others = set(models.values()) - alone
        alone |= others & replaced
        together = others - replaced
    held = {urn: model for urn, model in models.items() if model not in alone | together}
    return HeldDeletions(held, frozenset(alone), frozenset(together))


def find_unprotected(resources: Iterable[Resource]) -> frozenset[str]:
    """Returns the URNs that only old objects of replacements have.

    The option `--exclude` of the CLI does not keep these objects. After a rename that failed, the
    old Deployment alone is recorded under the former URN.
    """
    resources = tuple(resources)
    live = {found.urn for found in resources if not found.pending_delete}
    return frozenset(found.urn for found in resources if found.pending_delete) - live


@dataclass(frozen=True)
class RunScope:
    """The URNs of one run: those of `targets`, None for the whole stack, without `excluded`."""

    targets: frozenset[str] | None
    excluded: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to run for."""
        return self.targets is not None and not self.targets

    def contains(self, urn: str) -> bool:
        """Returns whether the run works on this resource."""
        return urn not in self.excluded and (self.targets is None or urn in self.targets)


def build_scope(
    targets: frozenset[str],
    changed: Collection[str],
    deleted: Collection[str],
    known: Collection[str],
    resources: Iterable[Resource],
) -> RunScope:
    """Builds the scope of a run for `targets`, in which the CLI deletes nothing else.

    If a resource to delete depends on a target, or is a child of it, the CLI tries to delete it in
    the same run, and fails because it is not a target. Example, with two models:

        targets                Namespace, ranker with its canary
        deletions              all of the other model, and the PodDisruptionBudget of ranker
        these depend on        Namespace, ranker

    So the targets that a deletion depends on are left out. If one of them is in `changed`, it
    cannot be left out. Then all of `known` outside of `targets` are excluded instead: `--exclude`
    also keeps deletions. This is the second choice, because the list is long, and because
    `--exclude` does not keep a URN that only the old object of a replacement has
    (`find_unprotected`). A run that only deletes leaves such a target for the next `up`.
    """
    resources = tuple(resources)
    later_deletions = [
        found
        for found in resources
        if (found.pending_delete or found.urn in deleted) and found.urn not in targets
    ]
    needed = _find_dependencies(later_deletions, resources) & targets
    can_exclude = find_unprotected(resources).isdisjoint(found.urn for found in later_deletions)
    only_deletes = targets <= frozenset(deleted)
    if can_exclude and not only_deletes and not needed.isdisjoint(changed):
        return RunScope(None, frozenset(known) - targets)
    return RunScope(targets - needed)


def _find_dependencies(
    dependents: Iterable[Resource], resources: Iterable[Resource]
) -> frozenset[str]:
    """Returns the URNs that `dependents` need, directly or through other resources."""
    needs: dict[str, set[str]] = {}
    for found in resources:
        needs.setdefault(found.urn, set()).update(found.needs)
    needed = set[str]()
    unvisited = [urn for dependent in dependents for urn in dependent.needs]
    while unvisited:
        urn = unvisited.pop()
        if urn not in needed:
            needed.add(urn)
            unvisited.extend(needs.get(urn, ()))
    return frozenset(needed)


def _is_replaced(step: CliStep) -> bool:
    """Returns whether the CLI deletes the old object at the end although the Deployment failed.

    The Deployment depends on the objects that its Pods use, so the old ones of these stay.
    """
    if step.cli_op is not Op.REPLACE:
        return False
    if step.change.kind == "Deployment":
        return True
    # An object that keeps its name is deleted before the new one is created, in any run.
    is_renamed = step.recorded is not None and step.recorded.id != step.manifest.id
    return is_renamed and not step.manifest.used_by_pods
