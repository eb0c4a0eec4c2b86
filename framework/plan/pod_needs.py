"""Computes the resources of one Pod, as the scheduler and a ResourceQuota count them.

Amounts are whole thousandths of a unit, as in Kubernetes: sums have no rounding errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

from framework.core.quantities import quantity_value
from framework.plan.rendered import mapping_in, mappings_in

PODS = "pods"
Part = Literal["requests", "limits"]


@lru_cache(maxsize=4096)
def read_amount(quantity: str) -> int:
    """Returns a quantity in thousandths of a unit, rounded up: "500m" is 500, "1Ki" 1024000."""
    exact = quantity_value(quantity) * 1000
    return -(-exact.numerator // exact.denominator)


def resolve_pod_needs(
    pod: Mapping[str, Any], resources: Iterable[str], part: Part = "requests"
) -> dict[str, int]:
    """Returns what the scheduler reserves for a Pod, or the sum of its `limits`.

    Init containers run one after the other before the model, sidecars beside both:
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers
    With a model of 2 cores, a sidecar of 1 and an init container of 4 it is max(2, 4) + 1 = 5.
    """
    init_containers = mappings_in(pod, "initContainers")
    sidecars = [c for c in init_containers if c.get("restartPolicy") == "Always"]
    needs = {}
    for resource in resources:
        if resource == PODS:
            needs[PODS] = 1000
            continue
        starting = [find_amount(c, resource, part) for c in init_containers if c not in sidecars]
        running = sum(find_amount(c, resource, part) for c in mappings_in(pod, "containers"))
        beside = sum(find_amount(c, resource, part) for c in sidecars)
        needs[resource] = max([running, *starting]) + beside
    return needs


def find_amount(container: Mapping[str, Any], resource: str, part: Part = "requests") -> int:
    """Returns the amount of a resource that a container requests, or its limit; 0 for none."""
    written = find_written_amount(container, resource, part)
    return 0 if written is None else read_amount(str(written))


def find_written_amount(owner: Mapping[str, Any], resource: str, part: Part) -> Any:
    """Returns an amount of a container or a Pod's spec as it is written; None for none."""
    resources = mapping_in(owner, "resources")
    # The API server copies a limit to the request where there is none.
    parts = ("requests", "limits") if part == "requests" else ("limits",)
    amounts = (mapping_in(resources, name).get(resource) for name in parts)
    return next((amount for amount in amounts if amount is not None), None)
