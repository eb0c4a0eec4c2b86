"""Checks that the Pods of a model fit, without an update and at its peak.

Requests are read from the rendered Pods, so that sidecars, init containers and patches count too.
Amounts are whole thousandths of a unit, as in Kubernetes: sums have no rounding errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from framework.catalog import Catalog
from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.core.field_paths import FieldPath
from framework.core.rolling_update import MAY_BE_DOWN
from framework.plan.checks.facts import render_amount
from framework.plan.checks.pods import RenderedPod, RenderedTrack
from framework.plan.pod_needs import PODS, find_amount, read_amount, resolve_pod_needs
from framework.plan.rendered import mapping_in


def resolve_needs(pods: Iterable[RenderedPod], resources: Iterable[str]) -> dict[str, int]:
    """Returns what the Pods of a model need without an update of `resources`, which may include
    `pods`.

    Under an autoscaler it is what the model needs at its largest. Resources of which it needs
    nothing are left out.
    """
    resources = list(resources)
    needs = dict.fromkeys(resources, 0)
    for pod in pods:
        pod_needs = resolve_pod_needs(pod.pod, resources)
        for resource in resources:
            needs[resource] += pod_needs[resource] * pod.count
    return {resource: amount for resource, amount in needs.items() if amount}


def find_peak_diagnostics(pods: Sequence[RenderedPod], catalog: Catalog) -> Iterator[Diagnostic]:
    """Yields an error where a model needs more than the capacity, also while it is updated.

    The peak is the surge of one track beside all Pods of the model: it is assumed that only
    one track is updated at a time.
    """
    capacity = catalog.environment.capacity
    # For example, 4 Pods with one GPU each and a surge of 2 need 6 GPUs during an update.
    # Terminating Pods keep theirs until they are gone, which the surge does not count.
    at_rest = resolve_needs(pods, capacity)
    for resource, quantity in sorted(capacity.items()):
        available, rest = read_amount(quantity), at_rest.get(resource, 0)
        position = catalog.environment_position(("capacity", resource)).short
        limit = (
            f"{resource}, and {catalog.stack.environment} has "
            f"{render_amount(available, resource, down=True)} ({position}); expected"
        )
        if rest > available:
            needed = f"even without a surge it needs {render_amount(rest, resource)}"
            pod = _find_largest(pods, resource)
            path, *others = _list_causes(pod, resource)
            remedy = "" if resource == PODS else f"{FieldPath(path)} smaller or "
            what = "Pods" if pod.in_object else "replicas"
            message = f"{needed} {limit} {remedy}fewer {what}"
            yield pod.diagnostic(Code.SURGE_CAPACITY, path, message, others)
            continue
        surges = {
            track: resolve_pod_needs(track.pod, [resource])[resource] * track.plan.budget.surge
            for track in pods
            if isinstance(track, RenderedTrack)
        }
        track = max(surges, key=lambda track: surges[track])
        peak = rest + surges[track]
        if peak > available:
            needed = f"at the peak of its update it needs {render_amount(peak, resource)}"
            remedy = "a smaller rollout.maxSurge with maxUnavailable 1 or more, or fewer replicas"
            if track.stable and track.plan.fewest_replicas <= 1:
                # One replica cannot need less without being down.
                remedy = f"more capacity, or, {MAY_BE_DOWN}"
            message = f"{needed} {limit} {remedy}"
            causes = _list_causes(track, resource)
            yield track.diagnostic(Code.SURGE_CAPACITY, ("rollout", "maxSurge"), message, causes)


def find_cause(pods: Iterable[RenderedPod], resource: str) -> Position:
    """Returns the position of the setting behind the largest need of a resource.

    It is the request or the number of Pods, whichever the later layer sets.
    """
    pod = _find_largest(pods, resource)
    causes = _list_causes(pod, resource)
    return pod.position(pod.merged.find_latest(causes) or causes[0])


def _find_largest(pods: Iterable[RenderedPod], resource: str) -> RenderedPod:
    """Returns the Pods that need the most of a resource together."""
    return max(pods, key=lambda pod: resolve_needs([pod], [resource]).get(resource, 0))


def _list_causes(pod: RenderedPod, resource: str) -> list[KeyPath]:
    """Returns the settings that decide the need: the largest request, and the number of Pods."""
    if resource == PODS:
        return [*(pod.count_settings or filter(None, [pod.find_patched()]))]
    container = max(pod.containers, key=lambda c: find_amount(c.fields, resource))
    requests = mapping_in(mapping_in(container.fields, "resources"), "requests")
    field = ("resources", "requests" if resource in requests else "limits", resource)
    patched = pod.find_patched(*container.steps, *field)
    return [patched or (*container.setting, *field), *pod.count_settings]
