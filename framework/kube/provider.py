"""What the Pulumi kubernetes provider does, for one object at a time.

Kept apart from the engines: it decides between create, update and replace by asking the server, and
writes by server-side apply, but knows neither dependencies, nor state files, nor other objects. One
provider is made for one operation and serves many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from framework.changes import FieldChange, Op
from framework.errors import ClusterError
from framework.kube import managed_fields as ownership
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient, Object
from framework.kube.discovery import KindNotServedError
from framework.kube.inputs import prepared, unnamed
from framework.kube.live_objects import LiveObjects
from framework.kube.object_diff import compare_objects, pruned
from framework.kube.object_state import ObjectState, field_manager, record, with_live
from framework.kube.patching import (
    AlreadyExistsError,
    build_patch,
    hand_over_replicas,
    predict,
    take_over,
)
from framework.kube.property_path import with_ignored
from framework.kube.replacement import is_other_object, named_changes, replaces
from framework.kube.rollouts import RolloutCounts
from framework.kube.waiting import RolloutWait, wait_gone, wait_namespace_active
from framework.kube.watching import Watches

__all__ = ["KubernetesProvider", "ObjectDiff", "ObjectState", "field_manager"]

SKIP_AWAIT = "pulumi.com/skipAwait"
# What owns nothing is gone at once in the background; the rest stays until its Pods are gone.
LEAVES = frozenset(
    {
        "ConfigMap",
        "Secret",
        "Service",
        "ServiceAccount",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "Ingress",
        "NetworkPolicy",
        "Namespace",
        "PersistentVolumeClaim",
    }
)


@dataclass(frozen=True)
class ObjectDiff:
    """What bringing one object to its inputs does.

    `predicted` is the object as the server would make it, or the inputs where the server could not
    be asked. `delete_first`: a replacement that cannot stand beside the old object.
    """

    op: Op
    fields: tuple[FieldChange, ...]
    delete_first: bool
    note: str
    predicted: dict[str, Any]


class KubernetesProvider:
    """Objects of one cluster, by server-side apply."""

    def __init__(self, client: KubeClient, *, prefetch: bool = True) -> None:
        self._client = client
        self._live = LiveObjects(client, prefetch=prefetch)
        self._watches = Watches(client)

    # --- looking

    def diff(
        self,
        urn: str,
        old: ObjectState | None,
        inputs: dict[str, Any],
        ignore_changes: Sequence[str],
    ) -> ObjectDiff:
        """What create or update would do; writes nothing.

        AlreadyExistsError for what is not this stack's, before anything is applied.
        """
        wanted = self._wanted(urn, old, inputs, ignore_changes)
        if old is None:
            return self._diff_new(wanted, field_manager(urn, None, wanted))
        before = prepared(self._client, old.inputs, urn)
        if is_other_object(before, wanted):
            created = self._diff_new(wanted, field_manager(urn, None, wanted))
            return replace(created, op=Op.REPLACE, fields=compare_objects(before, wanted))
        manager = field_manager(urn, old, wanted)
        live = self._live.find(wanted)
        if live is None:
            return self._diff_missing(wanted, manager)
        if is_strangers(live, old, manager):
            raise AlreadyExistsError(live)
        return self._diff_live(live, before, wanted, manager, ignore_changes)

    def _diff_new(self, wanted: Object, manager: str) -> ObjectDiff:
        live = self._live.find(wanted)
        if live is None:
            return self._dry_create(wanted, manager, "")
        _claim(live, manager)
        predicted = self._client.apply(wanted, manager=manager, force=True, dry_run=True)
        note = "made by an interrupted run, taken over"
        return ObjectDiff(Op.CREATE, (), False, note, predicted)

    def _diff_missing(self, wanted: Object, manager: str) -> ObjectDiff:
        return self._dry_create(wanted, manager, "was deleted from the cluster")

    def _dry_create(self, wanted: Object, manager: str, note: str) -> ObjectDiff:
        try:
            predicted = self._client.apply(wanted, manager=manager, force=False, dry_run=True)
        except KindNotServedError:
            asked = f"{wanted['apiVersion']} {wanted['kind']}"
            unasked = f"not validated by the server: it does not serve {asked} yet"
        except ApiError as exc:
            if not exc.missing_namespace and not exc.namespace_terminating:
                raise
            namespace = wanted["metadata"]["namespace"]
            state = "does not exist yet" if exc.missing_namespace else "is being deleted"
            unasked = f"not validated by the server: Namespace {namespace} {state}"
        else:
            return ObjectDiff(Op.CREATE, (), False, note, predicted)
        note = f"{note}; {unasked}" if note else unasked
        return ObjectDiff(Op.CREATE, (), False, note, wanted)

    def _diff_live(
        self,
        live: Object,
        before: Object,
        wanted: Object,
        manager: str,
        ignore_changes: Sequence[str],
    ) -> ObjectDiff:
        patch = build_patch(live, before, wanted, manager, ignore_changes)
        try:
            predicted = predict(self._client, live, patch)
        except ApiError as exc:
            if patch.strays and not exc.immutable_fields:
                # Asked alone, the server counts what kubectl left beside ours; `update` takes
                # that over first.
                fields = compare_objects(pruned(live, patch.sent), patch.sent)
                note = "not validated by the server: what kubectl wrote stands in the way"
                return ObjectDiff(Op.UPDATE, fields, False, note, patch.sent)
            if not exc.immutable_fields:
                raise
            fields = compare_objects(pruned(live, patch.sent), patch.sent)
            note = f"cannot change in place: {', '.join(exc.immutable_fields)}"
            return ObjectDiff(Op.REPLACE, fields, True, note, patch.sent)
        fields = compare_objects(live, predicted, written=live, manager=manager)
        if not fields:
            return ObjectDiff(Op.SAME, (), False, "", predicted)
        asked = named_changes(fields, live, before, wanted)
        if replaces(wanted, asked):
            return ObjectDiff(Op.REPLACE, fields, True, "", predicted)
        return ObjectDiff(Op.UPDATE, fields, False, "", predicted)

    def read(self, state: ObjectState) -> ObjectState | None:
        """The state with the object as it is now; None when it is gone.

        Another object of that name, made by someone else since, is not ours: ours is gone.
        """
        wanted = prepared(self._client, state.inputs, state.id)
        live = self._live.ask(wanted)
        if live is None or is_strangers(live, state, field_manager("", state, wanted)):
            return None
        return with_live(state, live)

    # --- writing

    def create(self, urn: str, inputs: dict[str, Any]) -> ObjectState:
        """Make the object; AlreadyExistsError when someone else's has the name.

        One that carries our field manager is taken over: a run ended before recording it.
        """
        wanted = prepared(self._client, inputs, urn)
        return self._create(wanted, field_manager(urn, None, wanted))

    def _create(self, wanted: Object, manager: str) -> ObjectState:
        live = self._live.ask(wanted)
        if live is not None and live["metadata"].get("deletionTimestamp"):
            wait_gone(self._client, live, live["metadata"]["uid"], 60)
            live = None
        if live is not None:
            _claim(live, manager)
        if live is None and not unnamed(wanted):
            # An apply that owns no field leaves no trace of its manager; a POST does, and without
            # one an interrupted run could not tell its own Namespace from another's.
            made = self._client.create(wanted, manager=manager)
        else:
            made = self._client.apply(
                wanted, manager=manager, force=live is not None, dry_run=False
            )
        self._live.forget(wanted)
        return record(made, wanted, manager)

    def update(
        self, urn: str, old: ObjectState, inputs: dict[str, Any], ignore_changes: Sequence[str]
    ) -> ObjectState:
        """Bring the object to its inputs, putting drift back; make it again if it is gone."""
        wanted = self._wanted(urn, old, inputs, ignore_changes)
        manager = field_manager(urn, old, wanted)
        live = self._live.ask(wanted)
        if live is None or live["metadata"].get("deletionTimestamp"):
            return self._create(wanted, manager)
        before = prepared(self._client, old.inputs, urn)
        patch = build_patch(live, before, wanted, manager, ignore_changes)
        live = hand_over_replicas(self._client, live, patch)
        take_over(self._client, live, patch)
        made = self._client.apply(patch.sent, manager=manager, force=True, dry_run=False)
        self._live.forget(wanted)
        return record(made, wanted, manager, old.outputs)

    def delete(self, state: ObjectState, *, timeout_s: float) -> None:
        """Delete the object of the recorded UID and wait until it is gone; gone already is fine."""
        obj = prepared(self._client, state.inputs, state.id)
        metadata = obj["metadata"]
        uid = state.outputs.get("metadata", {}).get("uid", "")
        propagation = "Background" if obj["kind"] in LEAVES else "Foreground"
        self._live.forget(obj)
        try:
            self._client.delete(
                obj["apiVersion"],
                obj["kind"],
                metadata["name"],
                metadata.get("namespace", ""),
                uid=uid,
                propagation=propagation,
            )
        except KindNotServedError:
            return
        except ApiError as exc:
            # Made anew under this name since: it is not what was agreed to delete.
            if exc.status == 409 and "UID" in exc.message:
                raise ReplacedError(obj) from exc
            raise
        wait_gone(self._client, obj, uid, timeout_s)

    def wait(
        self,
        state: ObjectState,
        *,
        timeout_s: float,
        on_counts: Callable[[RolloutCounts], None],
        stop: threading.Event,
    ) -> ObjectState:
        """The state once the object does its work. RolloutError, WaitStoppedError.

        Deployments are waited for, unless annotated `pulumi.com/skipAwait`, and Namespaces until
        they take objects. Nothing else is: a claim may wait for its first consumer, a Service for
        its Pods, and the Deployment behind either says what is wrong.
        """
        kind = state.outputs["kind"]
        annotations = state.outputs["metadata"].get("annotations") or {}
        if str(annotations.get(SKIP_AWAIT)).lower() == "true":
            return state
        if kind == "Namespace":
            wait_namespace_active(self._client, state.outputs["metadata"]["name"], timeout_s)
            return self.read(state) or state
        if kind != "Deployment":
            return state
        waiting = RolloutWait(self._client, state.outputs, timeout_s, on_counts, stop)
        live = waiting.run(self._watches.of(state.outputs))
        return with_live(state, live)

    def _wanted(
        self, urn: str, old: ObjectState | None, inputs: dict[str, Any], ignored: Sequence[str]
    ) -> Object:
        wanted = prepared(self._client, inputs, urn)
        if old is None or not ignored:
            return wanted
        return with_ignored(wanted, old.inputs, ignored)


class ReplacedError(ClusterError):
    """What is to be deleted was replaced by another object of the same name."""

    def __init__(self, obj: Object) -> None:
        metadata = obj["metadata"]
        name = "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
        super().__init__(
            f"{obj['kind']} {name} is another object than the one recorded: somebody made it anew "
            "under that name, so it was not deleted; delete it by hand if it should go, then "
            "forget the recorded one with `make refresh ENV=... YES=1`"
        )


def is_strangers(live: Object, state: ObjectState, manager: str) -> bool:
    """True where another object stands under the recorded name, and not by our own hand."""
    recorded = state.outputs.get("metadata", {}).get("uid", "")
    return (
        bool(recorded)
        and live["metadata"]["uid"] != recorded
        and not ownership.has_manager(live, manager)
    )


def _claim(live: Object, manager: str) -> None:
    if not ownership.has_manager(live, manager):
        raise AlreadyExistsError(live)
