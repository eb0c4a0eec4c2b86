"""What the Pulumi kubernetes provider does, for one object at a time.

Kept apart from the engines: it writes by server-side apply and waits for what it wrote, but knows
neither dependencies, nor state files, nor other objects. One provider is made for one operation and
serves many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from framework.core.errors import ClusterError
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient, Object
from framework.kube.diffing import Differ, ObjectDiff
from framework.kube.discovery import KindNotServedError
from framework.kube.inputs import build_sent, build_wanted, has_fields
from framework.kube.live_objects import LiveObjects, is_going
from framework.kube.object_name import object_name
from framework.kube.object_state import ObjectState, build_state, field_manager, with_live
from framework.kube.patching import (
    build_patch,
    carries_labels,
    claim,
    hand_over_replicas,
    is_made_again,
    is_strangers,
    resumed,
    take_over,
)
from framework.kube.rollouts import RolloutCounts
from framework.kube.waiting import RolloutWait, wait_gone, wait_namespace_active
from framework.kube.watching import Watches

SKIP_AWAIT = "pulumi.com/skipAwait"
# A Namespace goes once its Pods have had their grace.
GOING_WAIT_S = 600
# What owns nothing is gone at once in the background; the rest stays until its Pods are gone.
BACKGROUND_DELETED = frozenset(
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


class KubernetesProvider:
    """Objects of one cluster, by server-side apply."""

    def __init__(self, client: KubeClient, *, prefetch: bool = True) -> None:
        self._client = client
        self._live = LiveObjects(client, prefetch=prefetch)
        self._differ = Differ(client, self._live)
        self._watches = Watches(client)

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
        return self._differ.diff(urn, old, inputs, ignore_changes)

    def read(self, state: ObjectState) -> ObjectState | None:
        """The state with the object as it is now; None when it is gone.

        Another object of that name, made by someone else since, is not ours unless it carries the
        recorded labels: ours is gone.
        """
        wanted = build_sent(self._client, state.inputs, state.id)
        live = self._live.ask(wanted)
        if live is None:
            return None
        manager = field_manager("", state, wanted)
        if is_strangers(live, state, manager) and not carries_labels(live, state):
            return None
        return with_live(state, live)

    def create(self, urn: str, inputs: dict[str, Any]) -> ObjectState:
        """Make the object; AlreadyExistsError when someone else's has the name.

        One that carries our field manager is taken over: a run ended before recording it.
        """
        wanted = build_sent(self._client, inputs, urn)
        return self._create(wanted, field_manager(urn, None, wanted))

    def find_own(self, urn: str, inputs: dict[str, Any]) -> ObjectState | None:
        """The object that an interrupted `create` made, None when there is none.

        AlreadyExistsError for one that somebody else made. An object that is going counts as gone.
        """
        wanted = build_sent(self._client, inputs, urn)
        manager = field_manager(urn, None, wanted)
        live = self._live.ask(wanted)
        if live is None or is_going(live):
            return None
        claim(live, manager)
        return build_state(live, wanted, manager)

    def _create(self, wanted: Object, manager: str) -> ObjectState:
        live = self._live.ask(wanted)
        live = self._wait_if_going(live, wanted)
        if live is not None:
            claim(live, manager)
        if live is None and not has_fields(wanted):
            # An apply that owns no field leaves no trace of its manager; a POST does, and without
            # one an interrupted run could not tell its own Namespace from another's.
            made = self._client.create(wanted, manager=manager)
        else:
            sent = wanted if live is None else resumed(live, wanted)
            made = self._client.apply(sent, manager=manager, force=live is not None, dry_run=False)
        self._live.forget(wanted)
        return build_state(made, wanted, manager)

    def _wait_if_going(self, live: Object | None, wanted: Object) -> Object | None:
        """None once a live object that is being deleted, by itself or with its Namespace, is gone;
        ClusterError when something holds it."""
        if live is not None and (is_going(live) or self._live.going_namespace(wanted)):
            wait_gone(self._client, live, live["metadata"]["uid"], GOING_WAIT_S)
            return None
        return live

    def update(
        self, urn: str, old: ObjectState, inputs: dict[str, Any], ignore_changes: Sequence[str]
    ) -> ObjectState:
        """Bring the object to its inputs, putting drift back; make it again if it is gone."""
        wanted = build_wanted(self._client, urn, old.inputs, inputs, ignore_changes)
        manager = field_manager(urn, old, wanted)
        live = self._live.ask(wanted)
        if live is None or is_going(live) or self._live.going_namespace(wanted):
            # What is ignored in an update counts in a create.
            return self._create(build_sent(self._client, inputs, urn), manager)
        # Refuses another object that took the name since; one with our labels was agreed to.
        is_made_again(live, old, manager)
        before = build_sent(self._client, old.inputs, urn)
        patch = build_patch(live, before, wanted, manager, ignore_changes)
        live = hand_over_replicas(self._client, live, patch)
        take_over(self._client, live, patch)
        made = self._client.apply(patch.sent, manager=manager, force=True, dry_run=False)
        self._live.forget(wanted)
        return build_state(made, wanted, manager, old.outputs)

    def delete(
        self,
        state: ObjectState,
        *,
        timeout_s: float,
        on_held: Callable[[str], None] = lambda holders: None,
        stop: threading.Event | None = None,
    ) -> None:
        """Deletes the object of the recorded UID and waits until it is gone; gone already is fine.

        `on_held` is told what holds the deletion up once it takes long. WaitStoppedError on `stop`.
        """
        obj = build_sent(self._client, state.inputs, state.id)
        metadata = obj["metadata"]
        uid = state.outputs.get("metadata", {}).get("uid", "")
        propagation = "Background" if obj["kind"] in BACKGROUND_DELETED else "Foreground"
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
        wait_gone(self._client, obj, uid, timeout_s, on_held=on_held, stop=stop)

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
        waiting = RolloutWait(
            self._client,
            state.outputs,
            timeout_s,
            on_counts,
            stop,
            may_pause=bool((state.inputs.get("spec") or {}).get("paused")),
        )
        live = waiting.run(self._watches.of(state.outputs))
        return with_live(state, live)


class ReplacedError(ClusterError):
    """What is to be deleted was replaced by another object of the same name."""

    def __init__(self, obj: Object) -> None:
        super().__init__(
            f"{obj['kind']} {object_name(obj['metadata'])}: is another object than the one "
            "recorded: somebody made it anew under that name, so it was not deleted; delete it by "
            "hand if it should go, then forget the recorded one with `make refresh ENV=... YES=1`"
        )
