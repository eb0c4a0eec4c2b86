"""The apply of the CLI engine: the runs of `pulumi up` that one `up` needs.

Most need one. Deployments that wait for others need two (`deployment_order.py`), and models whose
Deployment the CLI replaces get a run of their own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from framework.core.changes import Op, Result
from framework.core.errors import EngineError, FrameworkError
from framework.engines.base import OnProgress, Request
from framework.engines.cli_lock import StackLock
from framework.engines.cli_preview import CliPreview
from framework.engines.cli_refresh import needs_refresh
from framework.engines.cli_rollouts import RolloutFollower
from framework.engines.cli_stack import OpenedStack, build_program
from framework.engines.cli_steps import (
    PreCliWriter,
    find_failed_needs,
    find_first_stage,
    keep_replicas,
    take_manifests,
)
from framework.engines.deployment_order import describe_kept_pods, find_obsolete_autoscalers
from framework.engines.embedded.progress import ProgressFeed
from framework.kube.provider import KubernetesProvider


class CliApply:
    """Applies a preview: puts back what others changed, and runs `pulumi up`.

    The lock is held throughout, except while the CLI runs, which takes it itself.
    """

    def __init__(
        self,
        opened: OpenedStack,
        previewed: CliPreview,
        request: Request,
        provider: KubernetesProvider | None,
        lock: StackLock,
        on_progress: OnProgress,
    ) -> None:
        """`provider` is None where the request names no cluster."""
        self._opened, self._previewed, self._request = opened, previewed, request
        self._provider, self._lock = provider, lock
        self._feed = feed = ProgressFeed(on_progress)
        self._follower = RolloutFollower(provider, feed, previewed.steps)
        components = previewed.reader.components
        self._reader = opened.read_events(self._follower.show, components=components)
        self._pre_cli_writer = PreCliWriter(provider, feed) if provider is not None else None

    def run(self) -> Result:
        """Applies everything and waits for all Pods. Returns the result without its outputs.

        Whatever ends it, the Deployments whose Pods are not available are recorded as unfinished.
        Otherwise the next `up` would find nothing to do.
        """
        try:
            with self._follower:
                self._prepare()
                self._run_stages()
        except BaseException as exc:
            self._end_early(exc)
            raise
        self._reader.explain(self._follower.reasons)
        unrecorded = self._record_failed()
        result = self._reader.build_result({})
        return replace(
            result,
            changes=self._previewed.preview.changes,
            failures=(*self._feed.failures, *result.failures),
            seconds=self._feed.seconds,
            messages=(*result.messages, *(f"warning: {text}" for text in unrecorded)),
        )

    def _record_failed(self) -> list[str]:
        """Records unfinished rollouts, and the outputs that failed models had before.

        Returns the reason if that is impossible.
        """
        written = self._pre_cli_writer.unfinished if self._pre_cli_writer is not None else {}
        unfinished = {**written, **self._follower.unfinished}
        if not unfinished and not self._reader.failures:
            return []
        outputs = {
            found.urn: found.raw.get("outputs") or {}
            for found in self._opened.resources
            if not found.custom
        }
        refusal = self._lock.record_failed(self._opened.stack, unfinished, outputs)
        return [refusal] if refusal else []

    def _end_early(self, exc: BaseException) -> None:
        """Records what is unfinished, and raises the error with what else the user must know."""
        self._reader.explain(self._follower.reasons)
        texts = self._record_failed()
        if isinstance(exc, FrameworkError):
            failures = self._feed.failures + self._reader.failures
            # The error replaces the result, which would have named them.
            texts += [
                f"failed before that: {failure.change.kind} {failure.change.name}: {failure.reason}"
                for failure in failures
            ]
        # Any other exception is a mistake in this program, whose own report must not be lost.
        if texts and isinstance(exc, KeyboardInterrupt | FrameworkError):
            raise EngineError("\n".join([str(exc) or "interrupted", *texts])) from exc

    def _prepare(self) -> None:
        """Puts back what others changed, except for what waits for other Deployments.

        The CLI compares the program with the recorded inputs. A refresh records what others
        changed, but not always as an input, and the CLI leaves the rest.
        """
        steps, plan = self._previewed.steps, self._request.plan
        # First, because an object that must be replaced is deleted below, and the live replicas of
        # its Deployment would be lost.
        if self._provider is not None and plan is not None:
            steps = keep_replicas(steps, self._provider)
            self._previewed = replace(self._previewed, steps=steps)
            self._request = replace(self._request, plan=take_manifests(plan, steps))
        if self._pre_cli_writer is not None:
            # Before any Deployment is written: the autoscaler would scale it back.
            self._delete_autoscalers(self._pre_cli_writer)
            waits = self._previewed.waits
            self._pre_cli_writer.run([step for step in steps if step.change.urn not in waits])

    def _delete_autoscalers(self, writer: PreCliWriter) -> None:
        recorded = {(obj.urn, obj.id): obj for obj in self._opened.recorded.objects}
        for change in find_obsolete_autoscalers(self._previewed.preview.changes):
            # The CLI deletes what an earlier replacement left behind, which is not in `recorded`.
            found = recorded.get((change.urn, change.object))
            if found is not None and not found.retain_on_delete:
                writer.delete(found, change)

    def _run_stages(self) -> None:
        """Runs the CLI, once where no Deployment waits for another one.

        By itself the CLI changes both tracks of a model at once. So a first run is for the
        Deployments that others wait for, with what they need, and the last run for everything. If
        the first run failed for a model, the last one leaves this model out.
        """
        waits, targets = self._previewed.waits, self._previewed.targets
        if not waits:
            self._run_replaced_last(targets, frozenset())
            return
        first = find_first_stage(self._previewed.steps, self._previewed.preview.changes, waits)
        # With MODEL= the first stage also has objects that this command must not change.
        if targets is not None:
            first &= targets
        self._run_replaced_last(frozenset(first), frozenset())
        # The run ends once the minimum of Pods is available. The Deployments that wait need all.
        self._follower.wait()
        left_out = self._write_waiting()
        # Without any target the CLI would work on the whole stack.
        if targets is None or targets - left_out:
            self._run_replaced_last(targets, left_out)

    def _write_waiting(self) -> frozenset[str]:
        """Puts back what others changed in the Deployments that waited for others until now.

        A Deployment that waited for one that failed is skipped and keeps its Pods. Returns the URNs
        of the models with such Deployments.
        """
        steps, waits = self._previewed.steps, self._previewed.waits
        failed = [failure.change for failure in self._reader.failures + self._feed.failures]
        causes = find_failed_needs(steps, failed, waits)
        waiting = [step for step in steps if step.change.urn in waits]
        kept = [step.change for step in waiting if step.change.urn in causes]
        for change in kept:
            self._feed.report(change, "skipped", describe_kept_pods(causes[change.urn]))
        if self._pre_cli_writer is not None:
            self._lock.require()
            self._pre_cli_writer.run([step for step in waiting if step.change.urn not in causes])
        return self._find_models({change.component for change in kept})

    def _find_models(self, models: Collection[str]) -> frozenset[str]:
        """Returns the URNs of models, with what is recorded under their former names.

        The Pods of a former name serve until the new ones do.
        """
        former = replace(self._request, components=frozenset(models)).former_components
        return frozenset(self._reader.components.find_within(former | frozenset(models)))

    def _run_replaced_last(self, targets: frozenset[str] | None, left_out: frozenset[str]) -> None:
        """Runs the CLI for `targets` without `left_out`, models with replaced Deployments last.

        With `--continue-on-error` the CLI would delete a replaced Deployment although the new one
        failed. Without the option, one failure ends the whole run. So only these models run without
        it, each in a run of its own: the others would neither run nor be reported.
        """
        within = [self._find_models({model}) - left_out for model in self._list_replaced_models()]
        replaced = [urns if targets is None else urns & targets for urns in within]
        replaced = [urns for urns in replaced if urns]
        excluded = left_out.union(*replaced)
        if targets is None:
            # Not a list of targets, which would leave out what belongs to no model.
            self._run(True, **({"exclude": self._opened.list_urns(excluded)} if excluded else {}))
        elif targets - excluded:
            self._run(True, **self._opened.build_target(targets - excluded))
        for urns in replaced:
            self._run(False, **self._opened.build_target(urns))

    def _list_replaced_models(self) -> list[str]:
        """Lists the models with a Deployment that the CLI replaces."""
        steps = self._previewed.steps
        return sorted(
            {
                step.change.component
                for step in steps
                if step.change.kind == "Deployment" and step.cli_op is Op.REPLACE
            }
        )

    def _run(self, continue_on_error: bool, **urns: Any) -> None:
        program = build_program(self._request)
        steps = self._previewed.steps
        # The URNs that are recorded, which a rename with `previousName` changes.
        updated = {
            step.recorded.urn if step.recorded else step.change.urn
            for step in steps
            if step.is_updated_by_cli
        }
        # The refresh records what `PreCliWriter` has written, and drops the records of the objects
        # that it has deleted, so that the CLI creates them again.
        refresh = any(step.is_written_before_cli for step in steps) or needs_refresh(
            self._opened, self._previewed.targets, self._provider, updated
        )
        options = {"refresh": refresh, "continue_on_error": continue_on_error, **urns}
        with self._lock.released():
            self._opened.stack.run("up", self._reader, program=program, **options)
