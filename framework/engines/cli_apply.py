"""The apply of the CLI engine: the runs of `pulumi up` that one `up` needs.

Most need one. Deployments that wait for others need two (`deployment_order.py`). Deletions that a
failed rollout must prevent need one more, or a run for each model (`cli_deletions.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from framework.core.changes import Change, Failure, Op, Result
from framework.core.errors import EngineError, FrameworkError
from framework.engines.base import OnProgress
from framework.engines.cli_deletions import (
    HeldDeletions,
    RunScope,
    build_scope,
    find_held_deletions,
    find_unprotected,
)
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_preview import CliPreview
from framework.engines.cli_refresh import needs_refresh
from framework.engines.cli_rollouts import RolloutFollower
from framework.engines.cli_stack import FailedUp, build_program, identify_resource
from framework.engines.cli_steps import (
    PreCliWriter,
    find_failed_needs,
    find_first_stage,
    keep_replicas,
    take_manifests,
)
from framework.engines.deployment_order import (
    KEPT_UNFINISHED,
    describe_kept_pods,
    find_obsolete_autoscalers,
)
from framework.engines.embedded.progress import ProgressFeed
from framework.engines.recorded import build_deletion
from framework.kube.provider import KubernetesProvider

_MISSED = "it was not deleted, although nothing failed; next: run `up` again"


class CliApply:
    """Applies a preview: puts back what others changed, and runs `pulumi up`.

    The caller holds the lock of the stack.
    """

    def __init__(
        self, previewed: CliPreview, provider: KubernetesProvider, on_progress: OnProgress
    ) -> None:
        self._opened, self._provider = previewed.opened, provider
        self._request = self._opened.request
        self._changes, self._steps = previewed.preview.changes, previewed.steps
        self._waits, self._targets = previewed.waits, previewed.targets
        self._feed = feed = ProgressFeed(on_progress)
        self._follower = RolloutFollower(provider, feed, previewed.steps)
        components = previewed.reader.components
        self._reader = self._opened.read_events(self._follower.show, components=components)
        self._pre_cli_writer = PreCliWriter(provider, feed)
        self._held = HeldDeletions()
        # The recorded URNs that a refresh has changed, and that no step has written since.
        self._refreshed: frozenset[str] = frozenset()
        self._has_run = False

    def run(self) -> Result:
        """Applies everything and waits for all Pods. Returns the result without its outputs.

        Whatever ends it, the Deployments whose Pods are not available are recorded as unfinished.
        Otherwise the next `up` would find nothing to do.
        """
        try:
            with self._follower:
                self._prepare()
                self._run_stages()
                self._report_missed_deletions()
        except BaseException as exc:
            self._end_early(exc)
            raise
        self._reader.explain(self._follower.reasons)
        unrecorded = self._record_failed()
        result = self._reader.build_result({})
        return replace(
            result,
            changes=self._changes,
            failures=self._failures,
            seconds=self._feed.seconds,
            messages=(*result.messages, *(f"warning: {text}" for text in unrecorded)),
        )

    @property
    def _failures(self) -> tuple[Failure, ...]:
        return self._feed.failures + self._reader.failures

    def _record_failed(self) -> list[str]:
        """Records unfinished rollouts, and what failed models and objects had before.

        Returns the reason if that is impossible.
        """
        unfinished = {**self._pre_cli_writer.unfinished, **self._follower.unfinished}
        refreshed = {
            identify_resource(found): found
            for found in self._opened.resources
            if found.urn in self._refreshed
            and (found.is_object or found.is_other)
            and not found.pending_delete
            # What the program only reads has no step that writes it.
            and not found.raw.get("external")
        }
        if not unfinished and not refreshed and not self._reader.failures:
            return []
        outputs = {
            found.urn: found.raw.get("outputs") or {}
            for found in self._opened.resources
            if not found.custom
        }
        failed = FailedUp(unfinished, outputs, refreshed)
        refusal = self._opened.stack.record_failed(failed)
        return [refusal] if refusal else []

    def _end_early(self, exc: BaseException) -> None:
        """Records what is unfinished, and raises the error with what else the user must know."""
        self._reader.explain(self._follower.reasons)
        texts = self._record_failed()
        if isinstance(exc, FrameworkError):
            # The error replaces the result, which would have named them.
            texts += [
                f"failed before that: {failure.change.kind} {failure.change.name}: {failure.reason}"
                for failure in self._failures
            ]
        # Any other exception is a mistake in this program, whose own report must not be lost.
        if texts and isinstance(exc, KeyboardInterrupt | FrameworkError):
            raise EngineError("\n".join([str(exc) or "interrupted", *texts])) from exc

    def _prepare(self) -> None:
        """Puts back what others changed, except for what waits for other Deployments.

        The CLI compares the program with the recorded inputs. A refresh records what others
        changed, but not always as an input, and the CLI leaves the rest.
        """
        # First, because an object that must be replaced is deleted below, and the live replicas of
        # its Deployment would be lost.
        self._steps = keep_replicas(self._steps, self._provider, self._opened.kept_replicas)
        plan = take_manifests(self._opened.plan, self._steps)
        self._request = replace(self._request, plan=plan)
        # Before any Deployment is written: the autoscaler would scale it back.
        self._delete_autoscalers()
        first = [step for step in self._steps if step.change.urn not in self._waits]
        self._pre_cli_writer.run(first)

    def _delete_autoscalers(self) -> None:
        recorded = {(obj.urn, obj.id): obj for obj in self._opened.recorded.objects}
        for change in find_obsolete_autoscalers(self._changes):
            # The CLI deletes what an earlier replacement left behind, which is not in `recorded`.
            found = recorded.get((change.urn, change.object))
            if found is not None and not found.retain_on_delete:
                self._pre_cli_writer.delete(found, change)

    def _run_stages(self) -> None:
        """Runs the CLI, once where no Deployment waits for another one and no deletion is held.

        By itself the CLI changes both tracks of a model at once. So a first run is for the
        Deployments that others wait for, with what they need, and the last run for everything. If
        the first run failed for a model, the last one leaves this model out.
        """
        targets = self._targets
        self._held = self._find_held()
        held, left_out = frozenset(self._held.models), frozenset[str]()
        if self._waits:
            first = find_first_stage(self._steps, self._changes, self._waits) - held
            # With MODEL= the first stage also has objects that this command must not change.
            self._run_alone_last(first if targets is None else first & targets, frozenset())
            # The run ends once the minimum of Pods is available. The Deployments that wait need
            # all.
            self._follower.wait()
            left_out = self._write_waiting()
        # Without any target the CLI would work on the whole stack.
        ran_for_models_only = False
        if targets is None or targets - left_out:
            ran_for_models_only = self._run_alone_last(targets, left_out | held)
        if held:
            self._delete_held(left_out)
        if targets is None:
            self._run_outside(left_out, ran_for_models_only=ran_for_models_only)

    def _find_held(self) -> HeldDeletions:
        """Finds the deletions that a failed rollout must prevent."""
        components = self._reader.components
        pending = [
            build_deletion(found, components)
            for found in self._opened.resources
            if found.pending_delete
        ]
        # With MODEL= the CLI gets a list of targets, and it refuses one that lacks a deletion.
        return find_held_deletions(
            self._steps,
            map(self._name_model, self._changes),
            map(self._name_model, pending),
            find_unprotected(self._opened.resources),
            can_leave_out=self._targets is None,
        )

    def _name_model(self, change: Change) -> Change:
        """Returns a change with the present name of its model, which may be recorded otherwise."""
        models = self._opened.plan.models
        names = {model.previous_name: model.name for model in models if model.previous_name}
        return replace(change, component=names.get(change.component, change.component))

    def _delete_held(self, left_out: frozenset[str]) -> None:
        """Deletes what was held back, except for models that failed or are left out."""
        self._follower.wait()
        failed = self._list_failed()
        kept = {
            urn for urn, model in self._held.models.items() if model in failed or urn in left_out
        }
        for change in self._changes:
            if change.urn in kept and change.op is Op.DELETE:
                self._feed.report(change, "skipped", KEPT_UNFINISHED)
        if urns := frozenset(self._held.models) - kept:
            self._run(True, targets=urns)

    def _list_failed(self) -> frozenset[str]:
        """Lists the models that have failed so far."""
        return frozenset(self._name_model(failed.change).component for failed in self._failures)

    def _write_waiting(self) -> frozenset[str]:
        """Puts back what others changed in the Deployments that waited for others until now.

        A Deployment that waited for one that failed is skipped and keeps its Pods. Returns the URNs
        of the models with such Deployments.
        """
        failed = [failure.change for failure in self._failures]
        causes = find_failed_needs(self._steps, failed, self._waits)
        waiting = [step for step in self._steps if step.change.urn in self._waits]
        kept = [step.change for step in waiting if step.change.urn in causes]
        for change in kept:
            self._feed.report(change, "skipped", describe_kept_pods(causes[change.urn]))
        self._opened.stack.lock.require()
        self._pre_cli_writer.run([step for step in waiting if step.change.urn not in causes])
        return self._find_models({change.component for change in kept})

    def _find_models(self, models: Collection[str]) -> frozenset[str]:
        """Returns the URNs of models, with what is recorded under their former names.

        The Pods of a former name serve until the new ones do.
        """
        former = replace(self._request, components=frozenset(models)).former_components
        return frozenset(self._reader.components.find_within(former | frozenset(models)))

    def _run_alone_last(self, targets: frozenset[str] | None, left_out: frozenset[str]) -> bool:
        """Runs the CLI for `targets` without `left_out`; last for the models that need own runs.

        With `--continue-on-error` the CLI would delete a replaced Deployment although the new one
        failed. Without the option, one failure ends the whole run. So only these models run without
        it, and most in a run of their own: the others would neither run nor be reported. A model
        that has failed already does not run: what is left of the run could succeed, and then
        delete. Returns True if nothing outside of the models has run although all was to run.
        """
        alone, together = self._held.alone, self._held.together
        own_runs = {
            model: self._find_models({model}) - left_out for model in sorted(alone | together)
        }
        excluded = left_out.union(*own_runs.values())
        general = targets
        if targets is None and excluded & find_unprotected(self._opened.resources):
            # Nothing outside of the models: the CLI also deletes what depends on a target.
            components = self._reader.components
            general = frozenset(components.find_within(components.names))
        if general is None:
            # Not a list of targets, which would leave out what belongs to no model.
            self._run(True, excluded=excluded)
        elif general - excluded:
            self._run(True, targets=general - excluded)
        if targets is not None:
            own_runs = {model: urns & targets for model, urns in own_runs.items()}
        self._run_together({model: own_runs[model] for model in together})
        for model in sorted(alone):
            if own_runs[model] and model not in self._list_failed():
                self._run(False, targets=own_runs[model])
        return general is not targets

    def _run_together(self, models: Mapping[str, frozenset[str]]) -> None:
        """Runs the CLI for models that share a run, again after each one that ended early.

        `models` maps the models to their URNs. Each run is without the models that have failed.
        """
        while True:
            failed = self._list_failed()
            urns = frozenset[str]().union(*(models[model] for model in models.keys() - failed))
            if not urns:
                return
            self._run(False, targets=urns)
            # Not all Pods of a Deployment need to be available for the CLI.
            self._follower.wait()
            if not (self._list_failed() - failed) & models.keys():
                return

    def _run_outside(self, left_out: frozenset[str], *, ran_for_models_only: bool) -> None:
        """Runs the CLI for changes outside of the models that the runs before could not make."""
        outside = self._find_undone(ran_for_models_only=ran_for_models_only)
        failed = self._list_failed()
        # A model that has failed would fail again, for most only after its deadline.
        excluded = left_out | self._find_models(failed)
        is_safe = excluded.isdisjoint(find_unprotected(self._opened.resources))
        if outside and is_safe and failed.isdisjoint(self._held.later_models):
            self._run(True, excluded=excluded)
            # A Namespace stays if a model that has failed still needs it.
            outside = self._find_undone(ran_for_models_only=False)
        for change in outside:
            self._feed.report(change, "skipped", "it waits until the changed models serve")

    def _find_undone(self, *, ran_for_models_only: bool) -> list[Change]:
        """Finds the changes outside of the models that no run has made, or tried to make.

        With `ran_for_models_only` no run has tried any. A run that leaves out the objects of a
        Namespace does not delete the Namespace.
        """
        outside = [item for item in self._changes if not item.component and item.op is not Op.SAME]
        if ran_for_models_only:
            return outside
        if not self._held.later_models:
            return []
        failed = {failure.change.urn for failure in self._reader.failures}
        return [change for change in self._find_not_deleted(outside) if change.urn not in failed]

    def _report_missed_deletions(self) -> None:
        """Adds a failure for each planned deletion that no run has made, although nothing failed.

        Each run is for a part of the stack. A deletion that belongs to none of them would be missed
        without a word.
        """
        if self._failures:
            return
        made = {item.urn for item in self._reader.changes if item.op is Op.DELETE}
        made &= self._reader.done
        changes = [item for item in self._changes if item.urn not in made]
        for change in self._find_not_deleted(changes):
            self._feed.report_failure(Failure(change, _MISSED))

    def _find_not_deleted(self, changes: Iterable[Change]) -> list[Change]:
        """Finds the deletions among `changes` whose resources are still recorded."""
        deletions = [change for change in changes if change.op is Op.DELETE]
        if not deletions:
            return []
        resources = self._read_current().resources
        # By id as well: the old object of a replacement has the URN of the new one.
        recorded = {(found.urn, found.id if found.is_object else "") for found in resources}
        return [change for change in deletions if (change.urn, change.object) in recorded]

    def _run(
        self,
        continue_on_error: bool,
        *,
        targets: frozenset[str] | None = None,
        excluded: frozenset[str] = frozenset(),
    ) -> None:
        """Runs `pulumi up` for the URNs of `targets`, or for all but `excluded`."""
        # Another command may have changed the state after the run before, and this one would apply
        # a plan that was made before that.
        self._opened.stack.lock.require()
        program = build_program(self._request)
        # The URNs that are recorded, which a rename with `previousName` changes.
        updated = {
            step.recorded.urn if step.recorded else step.change.urn
            for step in self._steps
            if step.is_updated_by_cli
        }
        # The refresh records what `PreCliWriter` has written, and drops the records of the objects
        # that it has deleted, so that the CLI creates them again.
        refresh = any(step.is_written_before_cli for step in self._steps) or needs_refresh(
            self._opened, self._targets, self._provider, updated
        )
        current = self._opened if targets is None and not excluded else self._read_current()
        scope = self._build_scope(targets, excluded, current)
        if scope.is_empty:
            # Without any target the CLI would work on the whole stack.
            return
        urns = current.build_target(scope.targets)
        if scope.excluded:
            urns = {"exclude": current.list_urns(scope.excluded)}
        options = {"refresh": refresh, "continue_on_error": continue_on_error, **urns}
        self._has_run = True
        self._reader.begin_command()
        try:
            self._opened.stack.run("up", self._reader, program=program, **options)
        finally:
            recorded = (found.urn for found in self._opened.resources)
            within = frozenset(filter(scope.contains, recorded))
            written, former = self._reader.recorded, self._reader.former_urns
            written = written | {former[urn] for urn in written if urn in former}
            self._refreshed |= within if refresh else frozenset()
            self._refreshed -= written & within

    def _read_current(self) -> OpenedStack:
        """Returns the stack as the runs so far have left it.

        They drop the records of what they delete, and record a renamed resource under its new URN.
        With `--refresh` the CLI refuses a URN that is not recorded.
        """
        if not self._has_run:
            return self._opened
        return replace(self._opened, checkpoint=self._opened.stack.export_checkpoint())

    def _build_scope(
        self,
        targets: frozenset[str] | None,
        excluded: frozenset[str],
        current: OpenedStack,
    ) -> RunScope:
        """Builds the scope of a run, which may not name a target that a deletion depends on."""
        if targets is None:
            return RunScope(None, excluded)
        changed = {change.urn for change in self._changes if change.op is not Op.SAME}
        changed |= {step.change.urn for step in self._steps if step.cli_op is not Op.SAME}
        deleted = {change.urn for change in self._changes if change.op is Op.DELETE}
        known = {found.urn for found in current.resources} | {item.urn for item in self._changes}
        known |= self._opened.planned_urns
        return build_scope(targets, changed, deleted, known, current.resources)
