"""The registry of Kubernetes kinds that a model can have, one module each.

A new kind is a module with a `KIND`, a line in `KINDS` and a golden file in tests/golden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from framework.core.kind_rules import KindRules
from framework.kinds import (
    autoscaler,
    config_map,
    deployment,
    disruption_budget,
    ingress,
    namespace,
    network_policy,
    persistent_volume_claim,
    service,
    service_account,
)
from framework.kinds.kind import Kind, Manifest, TrackInput
from framework.kinds.objects import build_objects

# In the order in which the objects of a model are registered and rendered.
KINDS: tuple[Kind, ...] = (
    service_account.KIND,
    service.KIND,
    disruption_budget.KIND,
    ingress.KIND,
    network_policy.KIND,
    persistent_volume_claim.KIND,
    config_map.KIND,
    deployment.KIND,
    autoscaler.KIND,
)
RULES: tuple[KindRules, ...] = (namespace.RULES, *(kind.rules for kind in KINDS))

_BY_NAME = {kind.name: kind for kind in KINDS}


def find_kind(name: str) -> Kind | None:
    """Returns the kind of this name, or None where no model can have one."""
    return _BY_NAME.get(name)


def build_manifests(tracks: Sequence[TrackInput]) -> Iterator[Manifest]:
    """Builds all objects of a model; `tracks` begins with the stable one.

    Kinds of which each track has its own object are built track by track, so that a canary's
    ConfigMap and Deployment stand together behind those of the stable track. The objects of the
    setting `objects` come before these, because Pods may refer to them.
    """
    for per_track, kinds in groupby(KINDS, key=lambda kind: kind.per_track):
        group = tuple(kinds)
        if per_track:
            yield from build_objects(tracks[0])
        for track in tracks if per_track else tracks[:1]:
            for kind in group:
                yield from kind.build(track)
