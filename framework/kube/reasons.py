"""Finds why a rollout does not progress and why a deletion does not end, in one line each.

The status of a Deployment counts Pods only. Why they are not ready is in its ReplicaSets and Pods
and in their events. The first Pod by name is reported, so that the same state gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.errors import ClusterError
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.kube.objects import Object, list_conditions, list_owners

REVISION = "deployment.kubernetes.io/revision"
# Reasons of a container that is only starting.
STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
# Set by a foreground deletion: the object stays until what it owns is gone.
FOREGROUND = "foregroundDeletion"
NO_FAILURE = "no failure reported"
"""A part of the reason if nothing reports a failure: the rollout may only be slow."""
_MAX_PODS = 3


def find_rollout_reason(client: KubeClient, deployment: Mapping[str, Any]) -> str:
    """Returns why the newest Pods are not ready, and how many Pods still serve."""
    namespace, uid = deployment["metadata"]["namespace"], deployment["metadata"]["uid"]
    labels = render_selector(deployment["spec"]["selector"])
    replica_sets = [
        item
        for item in client.list_objects("apps/v1", "ReplicaSet", namespace, labels=labels)
        if _is_owned(item, uid)
    ]
    if not replica_sets:
        return "the Deployment controller has made no ReplicaSet; is it running?"
    newest = max(replica_sets, key=_revision)
    pods = sorted(
        (
            pod
            for pod in client.list_objects("v1", "Pod", namespace, labels=labels)
            if _is_owned(pod, newest["metadata"]["uid"])
            and not _find_conditions(pod, "Ready", "True")
        ),
        key=_name,
    )
    # A container's failure explains the most, then the scheduler's, then the ReplicaSet's.
    failures = (
        *(failure for pod in pods for failure in _container_failures(pod)),
        *(
            f"{_name(pod)} cannot be scheduled: {_explain(condition)}"
            for pod in pods
            for condition in _find_conditions(pod, "PodScheduled", "False")
        ),
        *(
            f"ReplicaSet {_name(newest)} cannot make Pods: {_explain(condition)}"
            for condition in _find_conditions(newest, "ReplicaFailure", "True")
        ),
    )
    reason = failures[0] if failures else _last_warning(client, namespace, pods)
    return (reason or _describe_progress(deployment, pods)) + _describe_serving(
        replica_sets, newest, deployment
    )


def _describe_serving(
    replica_sets: list[Object], newest: Object, deployment: Mapping[str, Any]
) -> str:
    """Describes how many Pods serve: the old ones while a rollout still has some, else all."""
    desired = int(deployment["spec"].get("replicas", 1))
    old = [replica_set for replica_set in replica_sets if replica_set is not newest]
    if any(_count(item, "replicas") or _count(item, "readyReplicas") for item in old):
        serving = sum(_count(item, "readyReplicas") for item in old)
        return f"; {serving} of {desired} old Pods still serve"
    serving = _count(newest, "readyReplicas")
    # A first rollout without a single ready Pod interrupts nobody.
    return f"; {serving} of {desired} Pods serve" if old or serving else ""


def _describe_progress(deployment: Mapping[str, Any], pods: list[Object]) -> str:
    """Describes a rollout for which nothing reports a failure."""
    if pods:
        more = f" and {len(pods) - 1} more" if len(pods) > 1 else ""
        running = all((pod.get("status") or {}).get("phase") == "Running" for pod in pods)
        state = "runs but its probes do not pass" if running else "not ready yet"
        return f"{_name(pods[0])}{more} {state}, {NO_FAILURE}"
    desired = deployment["spec"].get("replicas", 1)
    # A status of an older generation counts the Pods of an older template.
    generation = deployment["metadata"].get("generation", 0)
    is_current = _count(deployment, "observedGeneration") >= generation
    updated = _count(deployment, "updatedReplicas") if is_current else 0
    available = _count(deployment, "availableReplicas")
    return f"{updated} of {desired} Pods updated, {available} available, {NO_FAILURE}"


def _container_failures(pod: Mapping[str, Any]) -> Iterator[str]:
    status = pod.get("status") or {}
    images = {
        container["name"]: container.get("image", "")
        for part in ("initContainers", "containers")
        for container in pod["spec"].get(part) or ()
    }
    for part in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(part) or ():
            image = images.get(container["name"]) or container.get("image", "")
            failure = _container_failure(container)
            if failure:
                reason, exit_code = failure
                yield f'{reason} "{image.rpartition("/")[2]}" on {_name(pod)}{exit_code}'


def _container_failure(container: Mapping[str, Any]) -> tuple[str, str] | None:
    """Returns the reason and the exit code, such as ("CrashLoopBackOff", " (exit code 1)")."""
    state = container.get("state") or {}
    waiting, terminated = state.get("waiting"), state.get("terminated")
    if waiting is not None and waiting.get("reason", "") not in STARTING:
        last = (container.get("lastState") or {}).get("terminated")
        return str(waiting["reason"]), _exit_code(last) if last else ""
    if terminated is not None and terminated.get("exitCode", 0) != 0:
        return str(terminated.get("reason") or "Error"), _exit_code(terminated)
    return None


def _exit_code(terminated: Mapping[str, Any]) -> str:
    reason = terminated.get("reason", "")
    named = f", {reason}" if reason not in ("", "Error") else ""
    return f" (exit code {terminated.get('exitCode')}{named})"


def _explain(condition: Mapping[str, Any]) -> str:
    message = condition.get("message") or condition.get("reason") or "no reason given"
    return str(message).rstrip(".")


def _last_warning(client: KubeClient, namespace: str, pods: list[Object]) -> str:
    """Returns the kubelet's last warning about the first of these Pods, such as a failed mount."""
    if not pods:
        return ""
    name = _name(pods[0])
    fields = f"involvedObject.name={name},type=Warning"
    try:
        events = client.list_objects("v1", "Event", namespace, fields=fields)
    except ApiError:
        # The user may not be allowed to read events; the reason is then less precise.
        return ""
    if not events:
        return ""
    last = max(events, key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))
    message = " ".join(str(last.get("message", "")).split()).rstrip(".")
    return f"{last.get('reason', 'Warning')} on {name}: {message}"


def find_deletion_blockers(client: KubeClient, obj: Mapping[str, Any]) -> str:
    """Describes what delays the deletion of an object; "" if nothing is known.

    A foreground deletion waits for Pods, any deletion for finalizers, and that of a Namespace for
    what its conditions say.
    """
    pods = _find_terminating(client, obj)
    blockers = [pods] if pods else []
    for finalizer in obj["metadata"].get("finalizers") or ():
        if finalizer != FOREGROUND or not pods:
            blockers.append(f"finalizer {finalizer}")
    if obj["kind"] == "Namespace":
        for condition in list_conditions(obj):
            if condition["status"] == "True":
                blockers.append(condition.get("message") or condition["type"])
    return ", ".join(blockers)


def _find_terminating(client: KubeClient, obj: Mapping[str, Any]) -> str:
    """Describes the Pods a foreground deletion waits for, those with finalizers first."""
    selector = (obj.get("spec") or {}).get("selector")
    if FOREGROUND not in (obj["metadata"].get("finalizers") or ()) or not selector:
        return ""
    try:
        labels = render_selector(selector)
        pods = client.list_objects("v1", "Pod", obj["metadata"]["namespace"], labels=labels)
    except ClusterError:
        # The user may not be allowed to list Pods; the finalizer is reported instead.
        return ""
    pods.sort(key=lambda pod: (not pod["metadata"].get("finalizers"), _name(pod)))
    described = [_describe_terminating(pod) for pod in pods[:_MAX_PODS]]
    more = f" and {len(pods) - _MAX_PODS} more Pods" if len(pods) > _MAX_PODS else ""
    return ", ".join(described) + more


def _describe_terminating(pod: Object) -> str:
    if not pod["metadata"].get("deletionTimestamp"):
        return f"Pod {_name(pod)} is not being deleted yet"
    finalizers = ", ".join(pod["metadata"].get("finalizers") or ())
    cause = f" (finalizer {finalizers})" if finalizers else ""
    return f"Pod {_name(pod)} stays in Terminating{cause}"


def render_selector(selector: Mapping[str, Any]) -> str:
    """Renders a LabelSelector as the text of a labelSelector query."""
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


def _name(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"]["name"])


def _find_conditions(obj: Mapping[str, Any], type_: str, status: str) -> list[Mapping[str, Any]]:
    return [c for c in list_conditions(obj) if c["type"] == type_ and c["status"] == status]


def _count(obj: Mapping[str, Any], name: str) -> int:
    return int((obj.get("status") or {}).get(name, 0))


def _is_owned(item: Mapping[str, Any], uid: str) -> bool:
    return any(owner["uid"] == uid for owner in list_owners(item))


def _revision(replica_set: Mapping[str, Any]) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(REVISION, 0))
