"""When a Deployment has rolled out, and why it has not.

Kept apart from the provider because the criteria are the Deployment controller's own
(pkg/controller/deployment/util, DeploymentComplete and DeploymentTimedOut), read from status alone,
while the reason for a failure has to be looked for in ReplicaSets and Pods.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from framework.core.errors import EngineError
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient, Object

REVISION = "deployment.kubernetes.io/revision"
DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
# What the API server fills in where progressDeadlineSeconds is not said.
DEFAULT_DEADLINE_S = 600
# The controller's own verdict, which comes up to a second late, goes first.
CONTROLLER_LAG_S = 2.0
# Waiting reasons of a container on its way up: no fault yet.
COMING_UP = frozenset({"", "ContainerCreating", "PodInitializing"})


@dataclass(frozen=True)
class RolloutCounts:
    """How far a Deployment is, in Pods; `message` says what holds it up, once something does."""

    updated: int = 0
    ready: int = 0
    available: int = 0
    desired: int = 0
    message: str = ""


class RolloutError(EngineError):
    """A Deployment did not roll out. `why` is how that shows, `reason` names the Pod at fault."""

    def __init__(self, name: str, why: str, reason: str) -> None:
        self.name, self.why, self.reason = name, why, reason
        super().__init__(f"Deployment {name} {why}: {reason}")


class WaitStoppedError(EngineError):
    """The wait was told to stop; the rollout itself goes on."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: no longer waited for; run the same command again to wait on")


def rollout_counts(deployment: Mapping[str, Any], message: str = "") -> RolloutCounts:
    """The counts of a Deployment; none are updated while its status is of an older generation."""
    status = deployment.get("status") or {}
    return RolloutCounts(
        updated=status.get("updatedReplicas", 0) if is_observed(deployment) else 0,
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        desired=_desired(deployment),
        message=message,
    )


def is_observed(deployment: Mapping[str, Any]) -> bool:
    """True when the controller has seen the Deployment as it now is."""
    status = deployment.get("status") or {}
    return bool(status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0))


def is_complete(deployment: Mapping[str, Any]) -> bool:
    """True when every Pod is of the newest template and available, and no old one is left."""
    status = deployment.get("status") or {}
    desired = _desired(deployment)
    counted = [status.get(n, 0) for n in ("updatedReplicas", "replicas", "availableReplicas")]
    return is_observed(deployment) and all(count == desired for count in counted)


def deadline_exceeded_at(deployment: Mapping[str, Any]) -> str:
    """When the controller gave the rollout up, as it wrote it; "" while it has not.

    A verdict survives the next template until something moves, so one that was there before an
    update says nothing about it: compare.
    """
    for condition in _conditions(deployment):
        if condition["type"] == "Progressing" and condition.get("reason") == DEADLINE_EXCEEDED:
            return str(condition.get("lastUpdateTime") or condition.get("lastTransitionTime"))
    return ""


class ProgressDeadline:
    """Decides when a Deployment has made no progress for its progressDeadlineSeconds.

    The Deployment controller's verdict on the current rollout counts. One that `applied` already
    carried does not: it stays in the status until something moves, even after its cause is gone.
    The controller gives no verdict on a scale-up (syncRolloutStatus leaves a finished rollout out),
    so the time without progress is measured here as well.
    """

    def __init__(self, applied: Mapping[str, Any]) -> None:
        self._old_verdict = deadline_exceeded_at(applied)
        self._seen: tuple[object, ...] = ()
        self._moved_at = time.monotonic()

    def is_exceeded(self, live: Mapping[str, Any]) -> bool:
        """True once no progress was made in time. Call it at least every few seconds."""
        seen = _progress(live)
        if seen != self._seen:
            self._seen, self._moved_at = seen, time.monotonic()
        verdict = deadline_exceeded_at(live)
        if verdict and verdict != self._old_verdict and is_observed(live):
            return True
        allowed = live["spec"].get("progressDeadlineSeconds", DEFAULT_DEADLINE_S)
        return bool(time.monotonic() - self._moved_at > allowed + CONTROLLER_LAG_S)


def _progress(deployment: Mapping[str, Any]) -> tuple[object, ...]:
    """What changes when a rollout moves (pkg/controller/deployment/util, DeploymentProgressing)."""
    status = deployment.get("status") or {}
    names = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas")
    counts = [status.get(name, 0) for name in (*names, "availableReplicas")]
    times = [c.get("lastUpdateTime") for c in _conditions(deployment) if c["type"] == "Progressing"]
    return (deployment["metadata"].get("generation"), *counts, *times)


def _conditions(deployment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((deployment.get("status") or {}).get("conditions") or ())


def _desired(deployment: Mapping[str, Any]) -> int:
    return int((deployment.get("spec") or {}).get("replicas", 1))


def find_reason(client: KubeClient, deployment: Mapping[str, Any]) -> str:
    """Why the newest Pods are not ready, and how many Pods still serve; one line."""
    namespace = deployment["metadata"]["namespace"]
    labels = render_selector(deployment["spec"]["selector"])
    owned = [
        item
        for item in client.list_objects("apps/v1", "ReplicaSet", namespace, labels=labels)
        if _is_owned(item, deployment["metadata"]["uid"])
    ]
    if not owned:
        return "the Deployment controller has made no ReplicaSet; is it running?"
    newest = max(owned, key=_revision)
    pods = [
        pod
        for pod in client.list_objects("v1", "Pod", namespace, labels=labels)
        if _is_owned(pod, newest["metadata"]["uid"]) and not _is_ready(pod)
    ]
    faults = [*_pod_faults(pods), *_replica_set_faults(newest)]
    found = faults[0] if faults else _warning(client, namespace, pods)
    reason = found or _without_fault(deployment, pods)
    return reason + _serving(owned, newest, _desired(deployment))


def _serving(replica_sets: list[Object], newest: Object, desired: int) -> str:
    """How many Pods serve: the old ones while a rollout still has some, else all of them."""
    old = [each for each in replica_sets if each is not newest]
    if any(_count(each, "replicas") or _count(each, "readyReplicas") for each in old):
        serving = sum(_count(each, "readyReplicas") for each in old)
        return f"; {serving} of {desired} old Pods still serve"
    serving = _count(newest, "readyReplicas")
    # Of a first rollout without a single Pod there is nothing to say.
    return f"; {serving} of {desired} Pods serve" if old or serving else ""


def _count(replica_set: Object, name: str) -> int:
    return int((replica_set.get("status") or {}).get(name, 0))


def render_selector(selector: Mapping[str, Any]) -> str:
    """A LabelSelector as the text of a labelSelector query."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for term in selector.get("matchExpressions") or ():
        key, operator = term["key"], term["operator"]
        if operator == "Exists":
            parts.append(key)
        elif operator == "DoesNotExist":
            parts.append(f"!{key}")
        else:
            word = {"In": "in", "NotIn": "notin"}[operator]
            parts.append(f"{key} {word} ({','.join(term['values'])})")
    return ",".join(parts)


def _warning(client: KubeClient, namespace: str, pods: list[Object]) -> str:
    """What the kubelet last warned about the first of these Pods, such as a failed mount."""
    if not pods:
        return ""
    name = min(str(pod["metadata"]["name"]) for pod in pods)
    fields = f"involvedObject.name={name},type=Warning"
    try:
        events = client.list_objects("v1", "Event", namespace, fields=fields)
    except ApiError:
        # Not everyone may read events, and the reason can do without.
        return ""
    if not events:
        return ""
    newest = max(events, key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))
    words = " ".join(str(newest.get("message", "")).split()).rstrip(".")
    return f"{newest.get('reason', 'Warning')} on {name}: {words}"


def _is_owned(item: Mapping[str, Any], uid: str) -> bool:
    return any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences") or ())


def _revision(replica_set: Mapping[str, Any]) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(REVISION, 0))


def _is_ready(pod: Mapping[str, Any]) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in (pod.get("status") or {}).get("conditions") or ()
    )


def _pod_faults(pods: list[Object]) -> list[str]:
    """The faults of these Pods, worst kind first: a container's, then the scheduler's."""
    ordered = sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
    containers = [fault for pod in ordered for fault in _container_faults(pod)]
    return [*containers, *(fault for pod in ordered for fault in _scheduling_faults(pod))]


def _container_faults(pod: Mapping[str, Any]) -> Iterator[str]:
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    images = {
        container["name"]: container.get("image", "")
        for part in ("initContainers", "containers")
        for container in pod["spec"].get(part) or ()
    }
    for part in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(part) or ():
            image = _short(images.get(container["name"]) or container.get("image", ""))
            said = _container_state(container)
            if said:
                yield f'{said[0]} "{image}" on {name}{said[1]}'


def _container_state(container: Mapping[str, Any]) -> tuple[str, str] | None:
    state = container.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting is not None and waiting.get("reason", "") not in COMING_UP:
        last = (container.get("lastState") or {}).get("terminated")
        return str(waiting["reason"]), _exit(last) if last else ""
    if ended is not None and ended.get("exitCode", 0) != 0:
        return str(ended.get("reason") or "Error"), _exit(ended)
    return None


def _exit(ended: Mapping[str, Any]) -> str:
    reason = ended.get("reason", "")
    named = f", {reason}" if reason not in ("", "Error") else ""
    return f" (exit code {ended.get('exitCode')}{named})"


def _short(image: str) -> str:
    return image.rpartition("/")[2]


def _scheduling_faults(pod: Mapping[str, Any]) -> Iterator[str]:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            words = condition.get("message") or condition.get("reason") or "no reason given"
            yield f"{pod['metadata']['name']} cannot be scheduled: {str(words).rstrip('.')}"


def _replica_set_faults(replica_set: Mapping[str, Any]) -> Iterator[str]:
    for condition in (replica_set.get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            words = str(condition.get("message", "")).rstrip(".")
            yield f"ReplicaSet {replica_set['metadata']['name']} cannot make Pods: {words}"


def _without_fault(deployment: Mapping[str, Any], pods: list[Object]) -> str:
    counts = rollout_counts(deployment)
    if pods:
        names = sorted(str(pod["metadata"]["name"]) for pod in pods)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        running = all((pod.get("status") or {}).get("phase") == "Running" for pod in pods)
        probe = "runs but its probes do not pass" if running else "not ready yet"
        return f"{names[0]}{more} {probe}, no fault reported"
    return (
        f"{counts.updated} of {counts.desired} Pods updated, {counts.available} available, "
        "no fault reported"
    )
