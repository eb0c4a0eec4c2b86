"""What Pods need of the cluster, one update at its peak and all models at rest, and what there is.

Kept apart from updates: this counts rendered Pods as the scheduler does, so that sidecars, init
containers and patches count too. Amounts are thousandths of a unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from framework.catalog import Catalog
from framework.core.diagnostics import Code, Diagnostic, KeyPath
from framework.core.field_paths import FieldPath
from framework.plan.checks.amounts import read_amount, render_amount
from framework.plan.checks.tracks import (
    CheckedTrack,
    find_patched,
    list_containers,
    mapping_in,
    mappings_in,
)

Amounts = Mapping[str, int]

_PODS = "pods"
_MOST_LISTED = 3


def resolve_needs(tracks: Iterable[CheckedTrack], resources: Iterable[str]) -> dict[str, int]:
    """What a model needs at rest of `resources`, `pods` among them; with an autoscaler, at most."""
    wanted = list(resources)
    needs = dict.fromkeys(wanted, 0)
    for track in tracks:
        of_one = _needs_of_pod(track.pod, wanted)
        for resource in wanted:
            needs[resource] += of_one[resource] * track.plan.budget.replicas
    return {resource: amount for resource, amount in needs.items() if amount}


def find_peak_diagnostics(tracks: Iterable[CheckedTrack], catalog: Catalog) -> Iterator[Diagnostic]:
    """Where the update of one track, the other at rest, needs more than the environment has."""
    listed, capacity = list(tracks), catalog.environment.capacity
    at_rest = resolve_needs(listed, capacity)
    for resource, text in sorted(capacity.items()):
        has, rest = read_amount(text), at_rest.get(resource, 0)
        position = catalog.environment_position(("capacity", resource)).short
        there = (
            f"{resource}, and {catalog.environment_name} has "
            f"{render_amount(has, resource, down=True)} ({position}); expected"
        )
        if rest > has:
            needed = f"even without a surge it needs {render_amount(rest, resource)}"
            track, path = _find_largest(listed, resource)
            remedy = "" if resource == _PODS else f"{FieldPath(path)} smaller or "
            message = f"{needed} {there} {remedy}fewer replicas"
            yield track.diagnostic(Code.SURGE_CAPACITY, path, message)
            continue
        for track in listed:
            of_one = _needs_of_pod(track.pod, [resource])[resource]
            peak = rest + of_one * track.plan.budget.surge
            if of_one and peak > has:
                needed = f"at the peak of its update it needs {render_amount(peak, resource)}"
                message = f"{needed} {there} a smaller rollout.maxSurge or fewer replicas"
                yield track.diagnostic(
                    Code.SURGE_CAPACITY, _at_diagnostic(track, resource), message
                )


def _find_largest(tracks: Iterable[CheckedTrack], resource: str) -> tuple[CheckedTrack, KeyPath]:
    """The track that needs the most at rest, and the largest request in its Pod; of Pods
    themselves, what says how many they are."""
    track = max(tracks, key=lambda one: resolve_needs([one], [resource]).get(resource, 0))
    if resource == _PODS:
        scaled = track.settings.autoscaling is not None
        return track, ("autoscaling", "maxReplicas") if scaled else ("replicas",)
    container = max(list_containers(track), key=lambda one: _request(one.fields, resource))
    requested = mapping_in(mapping_in(container.fields, "resources"), "requests")
    field = ("resources", "requests" if resource in requested else "limits", resource)
    patched = find_patched(track, *container.steps, *field)
    return track, patched or (*container.setting, *field)


def _at_diagnostic(track: CheckedTrack, resource: str) -> KeyPath:
    """What the model's own file says of the need; the surge, where it says nothing."""
    paths: tuple[KeyPath, ...] = (
        ("rollout", "maxSurge"),
        ("replicas",),
        ("resources", "limits", resource),
    )
    own = [path for path in paths if path in track.merged.origins]
    own = [path for path in own if track.position(path).path == track.model.home]
    return own[0] if own else paths[0]


def find_overcommitment(needs: Mapping[str, Amounts], catalog: Catalog) -> Iterator[Diagnostic]:
    """Where all models at rest, by name, need more than the environment has."""
    for resource, text in sorted(catalog.environment.capacity.items()):
        users = {
            model: of_model[resource] for model, of_model in needs.items() if resource in of_model
        }
        total = sum(users.values())
        if total > (has := read_amount(text)):
            path = ("capacity", resource)
            message = (
                f"{FieldPath(path)} is {render_amount(has, resource, down=True)}, and all models "
                f"at rest need {render_amount(total, resource)}: {_list_users(users, resource)}; "
                "expected fewer replicas, smaller requests or more capacity"
            )
            yield catalog.environment_position(path).diagnostic(Code.CAPACITY, message)


def _list_users(users: Mapping[str, int], resource: str) -> str:
    largest = sorted(users, key=lambda model: (-users[model], model))
    shown = [f"{m} {render_amount(users[m], resource)}" for m in largest[:_MOST_LISTED]]
    rest = largest[_MOST_LISTED:]
    if rest:
        amount = render_amount(sum(users[model] for model in rest), resource)
        shown.append(f"{len(rest)} more {amount}")
    return ", ".join(shown)


def _needs_of_pod(pod: Mapping[str, Any], resources: Iterable[str]) -> dict[str, int]:
    """What the scheduler sets aside: init containers run before the model, and sidecars beside both
    (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers)."""
    before = mappings_in(pod, "initContainers")
    sidecars = [one for one in before if one.get("restartPolicy") == "Always"]
    needs = {}
    for resource in resources:
        if resource == _PODS:
            needs[_PODS] = 1000
            continue
        starting = [_request(one, resource) for one in before if one not in sidecars]
        running = sum(_request(one, resource) for one in mappings_in(pod, "containers"))
        beside = sum(_request(one, resource) for one in sidecars)
        needs[resource] = max([running, *starting]) + beside
    return needs


def _request(container: Mapping[str, Any], resource: str) -> int:
    resources = mapping_in(container, "resources")
    for kind in ("requests", "limits"):
        # The API server takes a limit for the request where there is none.
        if (amount := mapping_in(resources, kind).get(resource)) is not None:
            return read_amount(str(amount))
    return 0
