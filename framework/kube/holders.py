"""Finds what holds a deletion up: finalizers, Pods that stay in Terminating, a Namespace's rest.

Kept apart from the wait because it is asked only of a deletion that takes long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.core.errors import ClusterError
from framework.kube.client import KubeClient, Object
from framework.kube.rollouts import render_selector

# Set by a foreground deletion: the object stays until what it owns is gone.
FOREGROUND = "foregroundDeletion"
_MOST_PODS = 3


def find_holders(client: KubeClient, obj: Mapping[str, Any]) -> str:
    """Returns what holds the deletion of an object up, in one line; "" where nothing shows."""
    pods = _find_pods(client, obj)
    held = [pods] if pods else []
    for finalizer in obj["metadata"].get("finalizers") or ():
        if finalizer != FOREGROUND or not pods:
            held.append(f"finalizer {finalizer}")
    if obj["kind"] == "Namespace":
        for condition in (obj.get("status") or {}).get("conditions") or ():
            if condition["status"] == "True":
                held.append(condition.get("message") or condition["type"])
    return ", ".join(held)


def _find_pods(client: KubeClient, obj: Mapping[str, Any]) -> str:
    """The Pods that a foreground deletion waits for, those that cannot go by themselves first."""
    selector = (obj.get("spec") or {}).get("selector")
    if FOREGROUND not in (obj["metadata"].get("finalizers") or ()) or not selector:
        return ""
    try:
        labels = render_selector(selector)
        pods = client.list_objects("v1", "Pod", obj["metadata"]["namespace"], labels=labels)
    except ClusterError:
        # Not everyone may list Pods; the finalizer is said instead.
        return ""
    pods.sort(key=lambda pod: (not _finalizers(pod), str(pod["metadata"]["name"])))
    shown = [_describe(pod) for pod in pods[:_MOST_PODS]]
    more = f" and {len(pods) - _MOST_PODS} more Pods" if len(pods) > _MOST_PODS else ""
    return ", ".join(shown) + more


def _describe(pod: Object) -> str:
    name, finalizers = pod["metadata"]["name"], _finalizers(pod)
    if not pod["metadata"].get("deletionTimestamp"):
        return f"Pod {name} is not asked to end yet"
    why = f" (finalizer {', '.join(finalizers)})" if finalizers else ""
    return f"Pod {name} stays in Terminating{why}"


def _finalizers(pod: Object) -> list[str]:
    return list(pod["metadata"].get("finalizers") or ())
