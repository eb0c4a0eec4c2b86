"""Compares the objects of a plan with the live ones, for the CLI engine.

The CLI compares what is recorded with what the program sets. So it does not see a field that
somebody added to an object, and `pulumi up --refresh` records it and leaves it in the cluster. This
module finds the differences with the code of the embedded engine, so that both engines show the
same ones, and removes what the CLI would leave.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from framework.core.changes import Change, Failure, Op, Problem
from framework.core.errors import ClusterError, EngineError, FrameworkError
from framework.core.redaction import redact_text
from framework.engines.base import RecordedObject
from framework.engines.clusters import CALLS_AT_ONCE
from framework.engines.embedded.object_writer import WAIT_S
from framework.engines.embedded.planner import UNFINISHED, note_unfinished
from framework.engines.embedded.progress import ProgressFeed
from framework.engines.kept_replicas import KeptReplicas, find_replicas_to_keep
from framework.engines.problems import build_kept_problem, build_refusal, is_refusal
from framework.engines.urns import build_manifest_urn
from framework.engines.values import collect_message_secrets
from framework.kube.api_error import ApiError
from framework.kube.object_diff import redact_fields
from framework.kube.provider import KubernetesProvider
from framework.kube.waiting import RolloutCounts, RolloutError, WaitStoppedError
from framework.plan import Manifest, StackPlan


@dataclass(frozen=True)
class CliStep:
    """One object of the plan, compared with the live one.

    `cli_op` is the operation of the CLI, which `change` may differ from. `recorded` is None for a
    new object. `problem` is the reason why the whole command is refused. `already_own` is True for
    a new object that already exists as one of this stack. `is_deleted_first` is True for an object
    that must be replaced although the CLI would only update it, or leave it: it is deleted before
    the CLI runs, and the CLI creates it again. `live` is the live object, {} for none.
    """

    change: Change
    manifest: Manifest
    recorded: RecordedObject | None
    cli_op: Op
    problem: Problem | None = None
    already_own: bool = False
    is_deleted_first: bool = False
    live: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def timeout_s(self) -> float:
        """The time that the Pods of this object have to become available."""
        return float(self.manifest.timeout_seconds or WAIT_S)

    @property
    def is_skipped_by_cli(self) -> bool:
        """True for an object that differs, and that the CLI would leave as it is."""
        return self.cli_op is Op.SAME and self.change.op in (Op.CREATE, Op.UPDATE)

    @property
    def is_written_before_cli(self) -> bool:
        """True for an object that `PreCliWriter` itself writes or deletes before the CLI runs."""
        return self.is_deleted_first or self.is_skipped_by_cli or self.already_own

    @property
    def is_updated_by_cli(self) -> bool:
        """True for an object that the CLI updates, and that others may have added fields to."""
        return self.cli_op is Op.UPDATE and self.recorded is not None


def compare_plan(
    plan: StackPlan,
    changes: Iterable[Change],
    recorded: Mapping[str, RecordedObject],
    provider: KubernetesProvider,
    *,
    cli_decides: bool = True,
) -> list[CliStep]:
    """Compares the objects of the CLI's change list with the live ones; writes nothing.

    With `cli_decides` the operations of the CLI stay where it creates or replaces an object.

    `recorded` are the recorded objects by the URN that they have in `changes`. An object that the
    server refuses has a `problem`. Raises ClusterError for a cluster that does not answer.
    """
    manifests = plan.index_manifests()
    failures: list[str] = []

    def compare(change: Change) -> CliStep | None:
        manifest = manifests.get((change.component, change.type, change.name))
        if manifest is None or change.op is Op.DELETE:
            return None
        try:
            return _compare(change, manifest, recorded.get(change.urn), provider, cli_decides)
        except FrameworkError as exc:
            if isinstance(exc, ClusterError) and is_refusal(exc):
                return _build_refused(change, manifest, recorded.get(change.urn), exc)
            if isinstance(exc, ApiError):
                # Rejected credentials or an outage are the same for all objects: reported once.
                raise
            reason = redact_message(str(exc), manifest)
            named = change.name in reason
            failures.append(reason if named else f'{change.type} "{change.name}": {reason}')
            return None

    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="compare") as pool:
        steps = [step for step in pool.map(compare, changes) if step is not None]
    if failures:
        raise EngineError("\n".join(sorted(failures)))
    return steps


def _build_refused(
    change: Change, manifest: Manifest, recorded: RecordedObject | None, exc: ClusterError
) -> CliStep:
    refused = replace(change, op=Op.UPDATE if recorded else Op.CREATE, fields=(), note="")
    problem = build_refusal(exc, refused, collect_message_secrets(manifest.object))
    return CliStep(refused, manifest, recorded, change.op, problem=problem)


def list_plan_changes(plan: StackPlan, project: str, recorded: Collection[str]) -> list[Change]:
    """Lists the objects of a plan as changes that are not compared yet.

    The CLI ends a preview when an object is refused, and its change list then lacks objects.
    `recorded` are the URNs of the state.
    """
    changes = []
    for model, manifest in plan.list_manifests():
        urn = build_manifest_urn(plan.stack.name, project, model, manifest)
        op = Op.SAME if urn in recorded else Op.CREATE
        token, name = manifest.type_token, manifest.logical_name
        changes.append(Change(urn, token, name, op, object=manifest.id, component=model))
    return changes


def _compare(
    change: Change,
    manifest: Manifest,
    recorded: RecordedObject | None,
    provider: KubernetesProvider,
    cli_decides: bool,
) -> CliStep:
    old = recorded.state if recorded else None
    inputs = manifest.build_inputs()
    diff = provider.diff(change.urn, old, inputs, manifest.ignore_changes)
    diff = note_unfinished(diff, recorded.init_errors if recorded else ())
    op = diff.op
    # Somebody changed what cannot be put back in place, or the CLI's preview refused to create the
    # new object beside the old one.
    is_left = change.op in (Op.SAME, Op.UPDATE)
    is_deleted_first = op is Op.REPLACE and diff.delete_first and is_left
    # The CLI decides on any other replacement, because it carries it out.
    is_new = change.op is Op.CREATE and recorded is None and not diff.already_own
    is_replaced = Op.REPLACE in (change.op, op) and not is_deleted_first
    if cli_decides and (is_replaced or is_new):
        op = change.op
    fields = redact_fields(diff.fields, recorded.secrets if recorded else frozenset())
    shown = replace(
        change,
        op=op,
        fields=fields or (change.fields if op is Op.REPLACE else ()),
        note=diff.note,
        takes_over=diff.takes_over,
    )
    is_kept = manifest.retain or (recorded is not None and recorded.retain_on_delete)
    is_deleted = diff.op is Op.REPLACE and diff.delete_first
    return CliStep(
        shown,
        manifest,
        recorded,
        change.op,
        problem=build_kept_problem(replace(shown, fields=fields))
        if is_kept and is_deleted
        else None,
        already_own=diff.already_own,
        is_deleted_first=is_deleted_first,
        live=diff.live,
    )


def keep_replicas(
    steps: Iterable[CliStep], provider: KubernetesProvider, kept: KeptReplicas
) -> tuple[CliStep, ...]:
    """Returns the steps in which a Deployment under an autoscaler keeps its live replicas.

    The CLI's create sends what the program registers, and that is the autoscaler's minimum. It also
    creates a Deployment that it replaces, and one that exists and is not recorded. `kept` gets the
    replicas of those that are deleted first, and has those that an earlier command has deleted.
    """

    def find_or_record(step: CliStep, declared: int) -> int:
        manifest = step.manifest
        recorded = step.recorded.state if step.recorded else None
        ops = (step.change.op, step.cli_op)
        if step.cli_op is Op.CREATE and provider.find_listed(manifest.object):
            live = provider.get_live(manifest.object) or {}
            if replicas := int((live.get("spec") or {}).get("replicas") or 0):
                return replicas
        elif Op.REPLACE in ops and recorded and (live_state := provider.read(recorded)):
            replicas = find_replicas_to_keep(declared, live_state)
            # A replacement with another name is created before the old one is deleted, so nothing
            # is lost.
            if recorded.id == manifest.id:
                kept.keep(recorded, replicas, step.change.component)
            return replicas
        if Op.CREATE in ops or Op.REPLACE in ops:
            return max(declared, kept.find(manifest.id, recorded))
        return 0

    def keep(step: CliStep) -> CliStep:
        declared = step.manifest.initial_replicas
        if declared is None:
            return step
        replicas = find_or_record(step, declared) or declared
        return replace(step, manifest=replace(step.manifest, initial_replicas=replicas))

    return tuple(map(keep, steps))


def take_manifests(plan: StackPlan, steps: Iterable[CliStep]) -> StackPlan:
    """Returns the plan with the manifests of the steps in place of its own."""
    kept = {(step.change.component, *_key(step.manifest)): step.manifest for step in steps}
    models = [
        replace(
            model,
            manifests=tuple(kept.get((model.name, *_key(item)), item) for item in model.manifests),
        )
        for model in plan.models
    ]
    return replace(plan, models=tuple(models))


def _key(manifest: Manifest) -> tuple[str, str]:
    return manifest.type_token, manifest.logical_name


def find_first_stage(
    steps: Iterable[CliStep], changes: Iterable[Change], waits: Mapping[str, Iterable[str]]
) -> frozenset[str]:
    """Returns the URNs that the CLI is to apply before the Deployments that wait.

    `deployment_order.py` finds these. Before them come the Deployments that are waited for, with
    what they need: everything outside of the models, and the objects of their models. A replaced
    object of the other track, which is its ConfigMap, is left for later: the CLI deletes the old
    one at the end of each run.
    """
    by_urn = {step.change.urn: step for step in steps}
    growing = {urn for before in waits.values() for urn in before}
    models = {by_urn[urn].change.component for urn in waits}
    tracks = {(by_urn[urn].change.component, by_urn[urn].manifest.track) for urn in growing}

    def is_first(change: Change) -> bool:
        step = by_urn.get(change.urn)
        # No Deployment waits in other models, and deletions come last: the last run has them.
        if change.op is Op.DELETE or (change.component and change.component not in models):
            return False
        if change.kind == "Deployment":
            return change.urn in growing
        if step is None or Op.REPLACE not in (change.op, step.cli_op):
            return True
        return (change.component, step.manifest.track) in tracks

    return frozenset(change.urn for change in changes if is_first(change))


def find_failed_needs(
    steps: Iterable[CliStep], failed: Collection[Change], waits: Mapping[str, Collection[str]]
) -> dict[str, Change]:
    """Maps each Deployment that must keep its Pods to the failed change that is the reason, by URN.

    That is a Deployment that it waits for, or an object of the model that Pods use: the CLI skips
    a Deployment whose ConfigMap failed, and reports no failure of the Deployment itself.
    """
    by_urn = {step.change.urn: step for step in steps}
    causes: dict[str, Change] = {}
    for urn, before in waits.items():
        model = by_urn[urn].change.component
        # A Deployment that was waited for is the clearer reason, so it comes before other objects.
        for change in sorted(failed, key=lambda change: (change.urn not in before, change.urn)):
            step = by_urn.get(change.urn)
            is_used = step is not None and step.manifest.used_by_pods
            if change.urn in before or (is_used and change.component == model):
                causes.setdefault(urn, change)
    return causes


class PreCliWriter:
    """Writes the objects that differ from the plan and that the CLI would not update.

    Objects that the CLI updates are only prepared: our field manager becomes the owner of what
    others added, and the CLI's update, which does not send it, removes it. An object that exists
    and is not recorded gets its changes here, since the CLI's create would leave what others added.
    An object that must be replaced is deleted here. The CLI's refresh then drops its record, and
    the CLI creates it again.

    `unfinished` maps the URNs of Deployments whose Pods are not available, or are no longer waited
    for, to the reasons.
    """

    def __init__(self, provider: KubernetesProvider, feed: ProgressFeed) -> None:
        self._provider, self._feed = provider, feed
        self._stop = threading.Event()
        self.unfinished: dict[str, str] = {}

    def run(self, steps: Sequence[CliStep]) -> None:
        """Writes objects; Deployments last, because their Pods read the other ones."""
        last = [step for step in steps if step.manifest.kind == "Deployment"]
        first = [step for step in steps if step.manifest.kind != "Deployment"]
        with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="pre-cli") as pool:
            try:
                for group in (first, last):
                    list(pool.map(self._write, group))
            except BaseException:
                # Ctrl-C ends the waits; the rollouts themselves continue.
                self._stop.set()
                raise

    def delete(self, recorded: RecordedObject, change: Change) -> None:
        """Deletes an object, whose record the CLI's refresh then drops."""
        try:
            self._delete(recorded, change)
        except WaitStoppedError:
            raise
        except FrameworkError as exc:
            self._feed.report_failure(Failure(change, str(exc)))
        else:
            self._feed.report(change, "done")

    def _delete(self, recorded: RecordedObject, change: Change) -> None:
        self._feed.report(change, "started")
        self._provider.delete(
            recorded.state,
            timeout_s=WAIT_S,
            on_blocked=self._feed.report_blockers(change),
            stop=self._stop,
        )

    def _write(self, step: CliStep) -> None:
        try:
            if step.is_deleted_first:
                if step.recorded is not None:
                    self._delete(step.recorded, step.change)
            elif step.is_skipped_by_cli:
                self._update(step)
            elif step.already_own:
                self._provider.prepare_create(step.change.urn, step.manifest.build_inputs())
            elif step.is_updated_by_cli and step.recorded is not None:
                state = step.recorded.state
                inputs, ignored = step.manifest.build_inputs(), step.manifest.ignore_changes
                self._provider.prepare_update(step.change.urn, state, inputs, ignored)
        except WaitStoppedError:
            raise
        except FrameworkError as exc:
            reason = redact_message(str(exc), step.manifest)
            is_rollout = isinstance(exc, RolloutError)
            if step.change.urn in self.unfinished:
                self.unfinished[step.change.urn] = reason
            self._feed.report_failure(Failure(step.change, reason, rollout=is_rollout))

    def _update(self, step: CliStep) -> None:
        if step.recorded is None:
            return
        self._feed.report(step.change, "started")
        made = self._provider.update(
            step.change.urn,
            step.recorded.state,
            step.manifest.build_inputs(),
            step.manifest.ignore_changes,
        )
        if step.manifest.kind == "Deployment":
            # The live object is now as planned. So nothing else would show that its Pods are not.
            self.unfinished[step.change.urn] = UNFINISHED
        counts: list[RolloutCounts] = []

        def on_counts(current: RolloutCounts) -> None:
            counts.append(current)
            self._feed.report_counts(step.change, "rolling", current)

        self._provider.wait(made, timeout_s=step.timeout_s, on_counts=on_counts, stop=self._stop)
        self.unfinished.pop(step.change.urn, None)
        self._feed.report_done(step.change, counts)


def redact_message(text: str, manifest: Manifest) -> str:
    """Returns a message about an object without the secrets that its manifest may hold."""
    return redact_text(text, collect_message_secrets(manifest.object))
