"""The apply of the CLI engine: the runs of `pulumi up` that one `up` needs.

Most need one. Deployments that wait for others need two (`capacity.py`), and models whose
Deployment the CLI replaces get a run of their own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from framework.core.changes import Op
from framework.engines.base import Request
from framework.engines.capacity import describe_kept_pods, find_obsolete_autoscalers
from framework.engines.cli_events import EventReader
from framework.engines.cli_preview import CliPreview
from framework.engines.cli_rollouts import RolloutFollower
from framework.engines.cli_stack import OpenedStack, build_program
from framework.engines.embedded.progress import ProgressFeed
from framework.engines.live_plan import (
    PutBack,
    find_failed_needs,
    find_first_stage,
    keep_replicas,
    take_manifests,
)
from framework.kube.provider import KubernetesProvider


class CliApply:
    """Applies a preview: puts back what others changed, and runs `pulumi up`."""

    def __init__(
        self,
        opened: OpenedStack,
        previewed: CliPreview,
        request: Request,
        provider: KubernetesProvider | None,
        feed: ProgressFeed,
        reader: EventReader,
        follower: RolloutFollower,
    ) -> None:
        """`provider` is None where the request names no cluster."""
        self._opened, self._previewed, self._request = opened, previewed, request
        self._provider, self._feed, self._reader = provider, feed, reader
        self._follower = follower
        self._put_back = PutBack(provider, feed) if provider is not None else None

    def prepare(self) -> None:
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
        if self._put_back is not None:
            # Before any Deployment is written: the autoscaler would scale it back.
            self._delete_autoscalers(self._put_back)
            waits = self._previewed.waits
            self._put_back.run([step for step in steps if step.change.urn not in waits])

    def _delete_autoscalers(self, put_back: PutBack) -> None:
        recorded = {obj.urn: obj for obj in self._opened.recorded.objects}
        for change in find_obsolete_autoscalers(self._previewed.preview.changes):
            put_back.delete(recorded[change.urn], change)

    def run(self) -> None:
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
        left_out = self._put_back_waiting()
        # Without any target the CLI would work on the whole stack.
        if targets is None or targets - left_out:
            self._run_replaced_last(targets, left_out)

    def _put_back_waiting(self) -> frozenset[str]:
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
        if self._put_back is not None:
            self._put_back.run([step for step in waiting if step.change.urn not in causes])
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
        it.
        """
        replaced = self._find_models(
            {
                step.change.component
                for step in self._previewed.steps
                if step.change.kind == "Deployment" and step.cli_op is Op.REPLACE
            }
        )
        last = (replaced if targets is None else replaced & targets) - left_out
        excluded = left_out | last
        if targets is None:
            # Not a list of targets, which would leave out what belongs to no model.
            self._run(True, **({"exclude": self._opened.list_urns(excluded)} if excluded else {}))
        elif targets - excluded:
            self._run(True, **self._opened.build_target(targets - excluded))
        if last:
            self._run(False, **self._opened.build_target(last))

    def _run(self, continue_on_error: bool, **urns: Any) -> None:
        self._opened.stack.run(
            "up",
            self._reader,
            # The refresh records what `PutBack` has written, and drops the records of the objects
            # that it has deleted, so that the CLI creates them again.
            refresh=True,
            continue_on_error=continue_on_error,
            program=build_program(self._request),
            **urns,
        )
