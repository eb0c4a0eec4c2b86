"""Orders the changes of one component's Deployments, so that no capacity is lost between them.

A canary that takes its Pods from the stable track grows while the stable track shrinks. The
Deployment that shrinks is applied last: once every other changed Deployment of its component has
rolled out. If one of those fails, the Deployment keeps its Pods. Deletions come after all of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from framework.core.changes import Op
from framework.engines.embedded.planner import Step

_REPLICAS = "spec.replicas"


def find_waits(steps: Iterable[Step]) -> dict[str, tuple[str, ...]]:
    """Maps the URN of each Deployment that shrinks to the URNs that must be done before it, sorted.

    A Deployment that another one depends on does not wait for it, in any number of steps.
    """
    by_urn = {step.urn: step for step in steps}
    by_component: dict[str, list[Step]] = {}
    for step in by_urn.values():
        change = step.change
        if change.kind == "Deployment" and change.component and change.op is not Op.SAME:
            by_component.setdefault(change.component, []).append(step)
    waits: dict[str, tuple[str, ...]] = {}
    for together in by_component.values():
        growing = [step for step in together if not _shrinks(step)]
        for step in together:
            first = sorted(other.urn for other in growing if not _needs(other, step.urn, by_urn))
            if _shrinks(step) and first:
                waits[step.urn] = tuple(first)
    return waits


def _shrinks(step: Step) -> bool:
    return step.change.op is Op.UPDATE and any(
        field.path == _REPLICAS
        and isinstance(field.old, int)
        and isinstance(field.new, int)
        and field.new < field.old
        for field in step.change.fields
    )


def _needs(step: Step, urn: str, steps: Mapping[str, Step]) -> bool:
    waiting, seen = list(step.registration.needs), {step.urn}
    while waiting:
        needed = waiting.pop()
        if needed == urn:
            return True
        if needed not in seen and needed in steps:
            waiting.extend(steps[needed].registration.needs)
        seen.add(needed)
    return False
