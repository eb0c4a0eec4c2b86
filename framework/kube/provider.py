"""Writes objects of one cluster by server-side apply, waits for them and deletes them.

This is the part of the Pulumi kubernetes provider for one object at a time. Dependencies, state
files and other objects belong to the engines.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from queue import Empty

from framework.core.errors import ClusterError
from framework.core.kind_rules import IDENTITY_LABELS, SKIP_AWAIT, KindRules
from framework.kube.api_error import ApiError
from framework.kube.client import KindNotServedError, KubeClient
from framework.kube.managed_fields import handover_manager
from framework.kube.objects import (
    Object,
    ObjectState,
    build_state,
    field_manager,
    has_fields,
    object_name,
    with_live,
)
from framework.kube.ownership import (
    AlreadyExistsError,
    check_recreated,
    find_own_manager,
    has_recorded_labels,
)
from framework.kube.patching import (
    Patch,
    hand_over_replicas,
    release,
    set_replicas,
    take_over,
)
from framework.kube.prediction import ObjectPredictor, without_replicas
from framework.kube.waiting import (
    TICK_S,
    RolloutCounts,
    RolloutWait,
    wait_gone,
    wait_namespace_active,
)
from framework.kube.watching import Watches

# A Namespace is gone once the grace periods of its Pods are over: 30 s by default, up to ten
# minutes for servers that drain requests.
TERMINATING_WAIT_S = 600


class RecreatedError(ClusterError):
    """The object to delete was recreated by somebody else under the same name."""

    def __init__(self, obj: Object, recorded: ObjectState) -> None:
        next_step = "delete it by hand if nobody needs it, "
        if has_recorded_labels(obj, recorded):
            # `refresh` would record it as ours, and the next command would delete it.
            labels = recorded.inputs["metadata"]["labels"]
            label = next((name for name in IDENTITY_LABELS if name in labels), min(labels))
            next_step += f"or remove its label {label}, so that `refresh` leaves it to others, "
        super().__init__(
            f"{obj['kind']} {object_name(obj['metadata'])}: is another object than the one "
            "recorded: somebody recreated it under that name, so it is not deleted; "
            f"{next_step}then forget the recorded one with `make refresh ENV=... YES=1`"
        )


class KubernetesProvider(ObjectPredictor):
    """Reads and writes objects of one cluster. Thread-safe; made for one operation."""

    def __init__(self, client: KubeClient, *, rules: Iterable[KindRules] = ()) -> None:
        """`rules` are those of the kinds that the caller's programs register."""
        super().__init__(client, rules=rules)
        self._watches = Watches(client)

    def create(self, urn: str, inputs: Object, ignore_changes: Sequence[str] = ()) -> ObjectState:
        """Creates the object; returns before it is ready.

        An existing object of this stack is taken over (`find_own_manager`): it loses what others
        added, and keeps the fields of `ignore_changes`. Raises AlreadyExistsError for any other
        object of this name.
        """
        wanted = self._build_sent(inputs, urn)
        return self._create(wanted, field_manager(urn, None, wanted), ignore_changes)

    def _create(
        self, wanted: Object, manager: str, ignore_changes: Sequence[str] = ()
    ) -> ObjectState:
        live = self.get_live(wanted)
        if live is not None and self.is_terminating_with_namespace(live):
            # The server refuses new objects in a Namespace that is being deleted, with 403, until
            # it is gone.
            wait_gone(self._client, live, live["metadata"]["uid"], TERMINATING_WAIT_S)
            live = None
        if live is not None:
            manager = find_own_manager(live, wanted, manager)
            _, patch = self._build_adoption(live, wanted, manager, ignore_changes)
            return build_state(self._apply(live, patch), wanted, manager)
        if not has_fields(wanted):
            # An apply that sets no field does not appear in managedFields, while a POST does.
            # Without that entry, the command after an interrupted run could not tell whether the
            # Namespace is its own.
            made = self._post(wanted, manager)
        else:
            # Without force for a new object: if somebody else has created it in the meantime, the
            # server reports a conflict, instead of this run taking over an object never checked.
            made = self._client.apply(wanted, manager=manager, force=False, dry_run=False)
        self.forget(wanted)
        return build_state(made, wanted, manager)

    def _post(self, wanted: Object, manager: str) -> Object:
        """Creates an object by POST, which the client does not repeat if the connection breaks."""
        try:
            return self._client.create(wanted, manager=manager)
        except ApiError:
            raise
        except ClusterError:
            # The request may have arrived. If it has, the object is there, as our own.
            live = self.get_live(wanted)
            if live is None:
                return self._client.create(wanted, manager=manager)
            find_own_manager(live, wanted, manager)
            return live

    def update(
        self, urn: str, old: ObjectState, inputs: Object, ignore_changes: Sequence[str]
    ) -> ObjectState:
        """Brings the object to its inputs, which also reverts drift; recreates it if it is gone.

        Returns before the object is ready. Raises RecordedNameTakenError if somebody else's object
        has the name.
        """
        wanted = self._build_wanted(urn, old, inputs, ignore_changes)
        manager = field_manager(urn, old, wanted)
        live = self.get_live(wanted)
        if live is None or self.is_terminating_with_namespace(live):
            # ignoreChanges concerns updates only. A new object needs all of its inputs.
            return self._create(self._build_sent(inputs, urn), manager)
        if self.is_switched_off(live, ignore_changes):
            ignore_changes = without_replicas(ignore_changes)
            wanted = self._build_wanted(urn, old, inputs, ignore_changes)
        # A recreated object that has the recorded labels is taken over, as the preview showed.
        # For one without these labels this call raises RecordedNameTakenError.
        check_recreated(live, old, manager)
        made = self._apply(*self._build_update(old, live, wanted, manager, ignore_changes))
        return build_state(made, wanted, manager, old.outputs)

    def _apply(self, live: Object, patch: Patch) -> Object:
        # In this order: the second owner of `replicas` must exist before ours gives the field up,
        # and the fields of others must be ours before the apply that no longer sends them.
        live = hand_over_replicas(self._client, live, patch)
        take_over(self._client, live, patch)
        made = self._client.apply(patch.sent, manager=patch.manager, force=True, dry_run=False)
        self.forget(patch.sent)
        return made

    def adopt(
        self, urn: str, inputs: Object, ignore_changes: Sequence[str], uid: str
    ) -> ObjectState:
        """Takes over the object of this UID, which others created, and brings it to its inputs.

        Returns before it is ready. Raises AlreadyExistsError if another object has the name now.
        """
        plain = self._build_sent(inputs, urn)
        manager = field_manager(urn, None, plain)
        live = self.get_live(plain)
        if live is None or self.is_terminating_with_namespace(live):
            return self._create(plain, manager)
        if uid and live["metadata"]["uid"] != uid:
            raise AlreadyExistsError(live)
        _, patch = self._build_adoption(live, plain, manager, ignore_changes)
        return build_state(self._apply(live, patch), plain, manager)

    def prepare_create(self, urn: str, inputs: Object) -> None:
        """Brings an object of this stack that already exists to what the CLI's create sends.

        That create removes nothing that others added, so it is done here. The CLI applies the
        object under a new name with random digits. Its next update takes over what the name
        `pulumi-kubernetes` owns, and nothing of other names. A field that another name still owns
        would stay in the cluster.
        """
        wanted = self._build_sent(inputs, urn)
        live = self.get_live(wanted)
        if live is None or self.is_terminating_with_namespace(live):
            return
        manager = find_own_manager(live, wanted, field_manager(urn, None, wanted))
        live = self._apply(live, self._build_adoption(live, wanted, manager, ())[1])
        release(self._client, live, manager)
        self.forget(wanted)

    def prepare_update(
        self, urn: str, old: ObjectState, inputs: Object, ignore_changes: Sequence[str]
    ) -> None:
        """Gives the CLI's next update the ownership that it needs; changes no field.

        Without it the CLI would leave fields that kubectl added, and reset the replicas of a
        Deployment when an autoscaler takes them over.
        """
        wanted = self._build_wanted(urn, old, inputs, ignore_changes)
        live = self.get_live(wanted)
        if live is None or self.is_terminating_with_namespace(live):
            return
        manager = field_manager(urn, old, wanted)
        live, patch = self._build_update(old, live, wanted, manager, ignore_changes)
        live = hand_over_replicas(self._client, live, patch)
        if self.is_switched_off(live, ignore_changes):
            # The CLI would leave the 0 replicas, because it ignores the field.
            replicas = inputs["spec"]["replicas"]
            live = set_replicas(self._client, live, replicas, handover_manager(manager))
        take_over(self._client, live, patch)
        self.forget(wanted)

    def delete(
        self,
        state: ObjectState,
        *,
        timeout_s: float,
        on_blocked: Callable[[str], None] = lambda blockers: None,
        stop: threading.Event | None = None,
    ) -> None:
        """Deletes the object of the recorded UID and waits until it is gone.

        A missing object is not an error. If the deletion takes long, `on_blocked` is called with
        what delays it. Raises WaitStoppedError on `stop`, RecreatedError if another object has the
        name.
        """
        obj = self._build_recorded(state)
        metadata = obj["metadata"]
        uid = state.outputs.get("metadata", {}).get("uid", "")
        self.forget(obj)
        try:
            self._client.delete(
                obj["apiVersion"],
                obj["kind"],
                metadata["name"],
                metadata.get("namespace", ""),
                uid=uid,
                propagation=self._rules.find(obj).propagation,
            )
        except KindNotServedError:
            return
        except ApiError as exc:
            if exc.status == 409 and "UID" in exc.message:
                raise RecreatedError(obj, state) from exc
            raise
        wait_gone(self._client, obj, uid, timeout_s, on_blocked=on_blocked, stop=stop)

    def wait(
        self,
        state: ObjectState,
        *,
        timeout_s: float,
        on_counts: Callable[[RolloutCounts], None],
        stop: threading.Event,
    ) -> ObjectState:
        """Returns the state once the object is ready. Raises RolloutError, WaitStoppedError.

        The rules of the kind say what is waited for; nothing is for an object annotated
        `pulumi.com/skipAwait`. `on_counts` is called from this thread.
        """
        wait_for = self._rules.find(state.outputs).wait_for
        annotations = state.outputs["metadata"].get("annotations") or {}
        if str(annotations.get(SKIP_AWAIT)).lower() == "true":
            return state
        if wait_for == "active":
            wait_namespace_active(self._client, state.outputs["metadata"]["name"], timeout_s)
            return self.read(state) or state
        if wait_for != "rollout":
            return state
        waiting = RolloutWait(
            self._client,
            state.outputs,
            timeout_s,
            on_counts,
            stop,
            may_pause=bool((state.inputs.get("spec") or {}).get("paused")),
        )
        return with_live(state, waiting.run(self._watches.for_object(state.outputs)))

    def wait_for_write(self, known: ObjectState, stop: threading.Event) -> ObjectState | None:
        """Waits until the spec of an object changes, and returns the object.

        `known` is its last known state; without outputs, it need not exist yet. Returns None on
        `stop`, and if the object cannot be watched.
        """
        wanted = self._build_recorded(known)
        before = known.outputs.get("metadata") or {}
        with self._watches.for_object(wanted).subscribed(wanted["metadata"]["name"]) as queue:
            while not stop.is_set():
                try:
                    event = queue.get(timeout=TICK_S)
                except Empty:
                    continue
                if isinstance(event, ClusterError):
                    return None
                if event is None:
                    continue
                now = event["metadata"]
                is_other = now["uid"] != before.get("uid")
                if is_other or now["generation"] > before.get("generation", 0):
                    return with_live(known, event)
        return None
