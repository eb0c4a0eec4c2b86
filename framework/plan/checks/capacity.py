"""Checks that the Pods of a model fit, at rest and at the peak of an update.

Requests are read from the rendered Pods, so that sidecars, init containers and patches count too.
Amounts are whole thousandths of a unit, as in Kubernetes: sums have no rounding errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from framework.catalog import Catalog
from framework.core.diagnostics import Code, Diagnostic, KeyPath
from framework.core.field_paths import FieldPath
from framework.core.quantities import quantity_value
from framework.core.rolling_update import MAY_BE_DOWN
from framework.plan.checks.facts import render_amount
from framework.plan.checks.tracks import RenderedTrack, find_patched, list_containers
from framework.plan.rendered import mapping_in, mappings_in
from framework.plan.replicas import replica_range

_PODS = "pods"


@lru_cache(maxsize=4096)
def read_amount(quantity: str) -> int:
    """Returns a quantity in thousandths of a unit, rounded up: "500m" is 500, "1Ki" 1024000."""
    exact = quantity_value(quantity) * 1000
    return -(-exact.numerator // exact.denominator)


def resolve_needs(tracks: Iterable[RenderedTrack], resources: Iterable[str]) -> dict[str, int]:
    """Returns what a model at rest needs of `resources`, which may include `pods`.

    Under an autoscaler it is what the model needs at its largest. Resources of which it needs
    nothing are left out.
    """
    resources = list(resources)
    needs = dict.fromkeys(resources, 0)
    for track in tracks:
        pod_needs = _needs_of_pod(track.pod, resources)
        for resource in resources:
            needs[resource] += pod_needs[resource] * track.plan.budget.replicas
    return {resource: amount for resource, amount in needs.items() if amount}


def find_peak_diagnostics(
    tracks: Iterable[RenderedTrack], catalog: Catalog
) -> Iterator[Diagnostic]:
    """Yields an error where a model needs more than the capacity, also while it is updated.

    The peak is the surge of one track beside all Pods of the model: it is assumed that only
    one track is updated at a time.
    """
    tracks, capacity = list(tracks), catalog.environment.capacity
    at_rest = resolve_needs(tracks, capacity)
    for resource, quantity in sorted(capacity.items()):
        available, rest = read_amount(quantity), at_rest.get(resource, 0)
        position = catalog.environment_position(("capacity", resource)).short
        limit = (
            f"{resource}, and {catalog.stack.environment} has "
            f"{render_amount(available, resource, down=True)} ({position}); expected"
        )
        if rest > available:
            needed = f"even without a surge it needs {render_amount(rest, resource)}"
            track = max(
                tracks, key=lambda track: resolve_needs([track], [resource]).get(resource, 0)
            )
            path, *others = _list_causes(track, resource)
            remedy = "" if resource == _PODS else f"{FieldPath(path)} smaller or "
            message = f"{needed} {limit} {remedy}fewer replicas"
            yield track.diagnostic(Code.SURGE_CAPACITY, path, message, others)
            continue
        surges = [_need_of_surge(track, resource) for track in tracks]
        peak = rest + max(surges)
        if peak > available:
            track = tracks[surges.index(max(surges))]
            needed = f"at the peak of its update it needs {render_amount(peak, resource)}"
            message = f"{needed} {limit} {_advise(track)}"
            causes = _list_causes(track, resource)
            yield track.diagnostic(Code.SURGE_CAPACITY, ("rollout", "maxSurge"), message, causes)


def _need_of_surge(track: RenderedTrack, resource: str) -> int:
    return _needs_of_pod(track.pod, [resource])[resource] * track.plan.budget.surge


def _advise(track: RenderedTrack) -> str:
    """Returns the ways to need less at the peak; one replica has none without being down."""
    if track.plan.fewest_replicas > 1 or not track.stable:
        return "a smaller rollout.maxSurge with maxUnavailable 1 or more, or fewer replicas"
    return f"more capacity, or, {MAY_BE_DOWN}"


def _list_causes(track: RenderedTrack, resource: str) -> list[KeyPath]:
    """Returns the settings that decide the need: the largest request, and the number of Pods."""
    if track.stable:
        number: tuple[KeyPath, ...] = (replica_range(track.settings).most_setting,)
    else:
        number = (("canary", "size"),)
    if resource == _PODS:
        return [*number]
    container = max(
        list_containers(track), key=lambda container: _request(container.fields, resource)
    )
    requests = mapping_in(mapping_in(container.fields, "resources"), "requests")
    field = ("resources", "requests" if resource in requests else "limits", resource)
    patched = find_patched(track, *container.steps, *field)
    return [patched or (*container.setting, *field), *number]


def _needs_of_pod(pod: Mapping[str, Any], resources: Iterable[str]) -> dict[str, int]:
    """Returns what the scheduler reserves for a Pod.

    Init containers run one after the other before the model, sidecars beside both:
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers
    With a model of 2 cores, a sidecar of 1 and an init container of 4 it is max(2, 4) + 1 = 5.
    """
    init_containers = mappings_in(pod, "initContainers")
    sidecars = [c for c in init_containers if c.get("restartPolicy") == "Always"]
    needs = {}
    for resource in resources:
        if resource == _PODS:
            needs[_PODS] = 1000
            continue
        starting = [_request(c, resource) for c in init_containers if c not in sidecars]
        running = sum(_request(c, resource) for c in mappings_in(pod, "containers"))
        beside = sum(_request(c, resource) for c in sidecars)
        needs[resource] = max([running, *starting]) + beside
    return needs


def _request(container: Mapping[str, Any], resource: str) -> int:
    resources = mapping_in(container, "resources")
    # The API server copies a limit to the request where there is none.
    for kind in ("requests", "limits"):
        if (amount := mapping_in(resources, kind).get(resource)) is not None:
            return read_amount(str(amount))
    return 0
