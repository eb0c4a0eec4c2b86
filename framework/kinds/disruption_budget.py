"""PodDisruptionBudget: how many Pods an eviction may take."""

from __future__ import annotations

from collections.abc import Iterator

from framework.core.kind_rules import KindRules
from framework.kinds.kind import SELECTOR, Kind, Manifest, TrackInput, computed
from framework.kinds.naming import NAME_LABEL


def build(track: TrackInput) -> Iterator[Manifest]:
    """Builds one budget for both tracks.

    The eviction API refuses to evict a Pod that two budgets select, so the tracks cannot have one
    each that overlap.
    """
    budget = track.settings.disruption_budget
    if budget:
        yield Manifest(
            track.model,
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": track.build_metadata(),
                "spec": {
                    **budget.model_dump(by_alias=True, exclude_none=True),
                    "selector": {"matchLabels": {NAME_LABEL: track.model}},
                },
            },
        )


KIND = Kind(
    rules=KindRules("policy", "PodDisruptionBudget", propagation="Background"),
    build=build,
    enabled_by="set disruptionBudget",
    protected={
        "spec.selector": SELECTOR,
        "spec.minAvailable": computed("disruptionBudget"),
        "spec.maxUnavailable": computed("disruptionBudget"),
    },
)
